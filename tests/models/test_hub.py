"""The real Hub client against the local Hub."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.errors import (
    BadHeaderError,
    HearthError,
    HubError,
    HubGatedError,
    HubNotFoundError,
    HubRateLimitedError,
    HubServerError,
    HubUnauthorizedError,
    HubUnreachableError,
)
from app.models.gguf import read_header
from app.models.hub import Hub, SearchFilters, parse_address
from app.models.hub_address import Address
from app.models.hub_range import LIMIT, RangeReader, Window
from tests.fakes.hub_data import STARTER_FILE, STARTER_REPO, demo_repos
from tests.fakes.hub_server import FakeFile, FakeRepo, LocalHub


@pytest.fixture(scope="module")
def repos(starter: Path) -> list[FakeRepo]:
    return demo_repos(starter)


@pytest.fixture
def server(repos: list[FakeRepo]) -> Iterator[LocalHub]:
    with LocalHub(repos) as running:
        yield running


@pytest.fixture
def hub(server: LocalHub) -> Hub:
    return Hub(server.url, lambda: None)


def ids(hub: Hub, query: str, **more: object) -> list[str]:
    return [item.id for item in hub.search(query, **more).items]  # type: ignore[arg-type]


def test_search_says_what_the_hub_knows(hub: Hub) -> None:
    found = {item.id: item for item in hub.search("qwen3-8b").items}["Qwen/Qwen3-8B-GGUF"]
    assert (found.architecture, found.parameters, found.context_length) == ("qwen3", 8_190_000_000, 40960)
    assert (found.license, found.downloads, found.likes, found.gated) == ("apache-2.0", 412_337, 512, False)
    assert time.gmtime(found.updated)[:3] == (2026, 5, 12)
    assert found.author == "Qwen"


def test_search_sorts(hub: Hub) -> None:
    assert ids(hub, "", sort="downloads", limit=2)[0] == "meta-llama/Llama-3.1-8B-Instruct-GGUF"
    assert ids(hub, "", sort="trending", limit=1) == ["unsloth/Qwen3-30B-A3B-GGUF"]
    assert ids(hub, "qwen", sort="updated", limit=1) == ["Qwen/Qwen3-Embedding-0.6B-GGUF"]


@pytest.mark.parametrize("link_base", [None, "https://huggingface.co"])
def test_pages_follow_each_other_also_on_a_mirror_that_links_to_the_main_site(
    server: LocalHub, hub: Hub, link_base: str | None
) -> None:
    server.link_base = link_base
    seen: list[str] = []
    cursor = None
    for _ in range(20):
        page = hub.search("", limit=5, cursor=cursor)
        seen += [item.id for item in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    assert sorted(seen) == sorted(server.repos)
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize(
    "query",
    [
        "Qwen/Qwen3-8B-GGUF",
        "https://huggingface.co/Qwen/Qwen3-8B-GGUF",
        "huggingface.co/Qwen/Qwen3-8B-GGUF/tree/main",
        "https://hf.co/Qwen/Qwen3-8B-GGUF?show_file_info=Qwen3-8B-Q4_K_M.gguf",
        "hf://Qwen/Qwen3-8B-GGUF",
    ],
)
def test_a_name_or_an_address_finds_that_repository(hub: Hub, query: str) -> None:
    assert ids(hub, query) == ["Qwen/Qwen3-8B-GGUF"]


def test_a_name_that_is_not_there_is_searched_for_as_words(hub: Hub) -> None:
    assert ids(hub, "nobody/nothing") == []
    assert ids(hub, "Qwen/Qwen3") != []


def test_a_publisher(hub: Hub) -> None:
    assert {name.split("/")[0] for name in ids(hub, "bartowski/")} == {"bartowski"}


def test_filters(hub: Hub) -> None:
    assert all(
        "gguf" in name.lower() for name in ids(hub, "", filters=SearchFilters(task="feature-extraction"))
    )
    assert set(ids(hub, "", filters=SearchFilters(gated=True))) == {
        "google/gemma-3-4b-it-qat-q4_0-gguf",
        "meta-llama/Llama-3.1-8B-Instruct-GGUF",
    }
    assert all("qat" in name for name in ids(hub, "", filters=SearchFilters(qat=True)))
    small = hub.search("", filters=SearchFilters(max_parameters=1_000_000_000)).items
    assert small
    assert all(item.parameters < 1e9 for item in small if item.parameters)
    assert {
        item.architecture for item in hub.search("", filters=SearchFilters(architecture="gemma3")).items
    } == {"gemma3"}
    assert {item.license for item in hub.search("", filters=SearchFilters(license="mit")).items} == {"mit"}


def test_the_best_match_is_what_is_named_most_like_the_words(server: LocalHub, hub: Hub) -> None:
    for name in ("you/qwen3-30b-thinking-GGUF", "me/My-Qwen3-8B-finetune-v2-GGUF", "me/Qwen3-8B-GGUF"):
        server.add(FakeRepo(name, downloads=9_000_000 if "finetune" in name else 1))
    assert ids(hub, "qwen3 8b", sort="match")[:2] == ["Qwen/Qwen3-8B-GGUF", "me/Qwen3-8B-GGUF"]
    assert ids(hub, "", sort="match") == ids(hub, "", sort="trending")


def test_a_search_for_few_looks_through_several_pages(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.models.hub_query.LIKELY", 4)
    page = hub.search("", filters=SearchFilters(architecture="gemma3"), limit=2)
    assert [item.architecture for item in page.items] == ["gemma3", "gemma3"]
    small = hub.search("", filters=SearchFilters(max_parameters=10**9), limit=9)
    assert small.items
    assert all(item.parameters and item.parameters <= 10**9 for item in small.items)


def test_repo_lists_quants_small_to_large(hub: Hub) -> None:
    detail = hub.repo(STARTER_REPO)
    assert [quant.quant for quant in detail.quants] == ["Q2_K", "Q4_K_M", "Q4_1", "Q8_0"]
    chosen = detail.quants[2]
    assert chosen.id == f"{STARTER_REPO}:Q4_1"
    assert chosen.files[0].name == STARTER_FILE
    assert chosen.files[0].sha256 == "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    assert chosen.bytes == 98_362_432
    assert chosen.bits_per_weight == pytest.approx(5.85, abs=0.01)
    assert chosen.revision == detail.revision
    assert detail.has_template
    assert detail.base_model == "HuggingFaceTB/SmolLM2-135M-Instruct"


def test_repo_takes_an_address_and_a_revision(hub: Hub, server: LocalHub) -> None:
    commit = server.repos[STARTER_REPO].commit
    assert hub.repo(f"https://huggingface.co/{STARTER_REPO}/tree/{commit}").revision == commit
    with pytest.raises(HubNotFoundError):
        hub.repo(STARTER_REPO, "0" * 40)


def test_split_sets_are_one_and_kinds_are_recognised(hub: Hub) -> None:
    split = {quant.quant: quant for quant in hub.repo("bartowski/Llama-3.3-70B-Instruct-GGUF").quants}["Q8_0"]
    assert [part.name[-20:-5] for part in split.files] == ["-00001-of-00002", "-00002-of-00002"]
    assert split.bytes == sum(part.size for part in split.files)
    kinds = {quant.kind for quant in hub.repo("bartowski/Llama-3.3-70B-Instruct-GGUF").quants}
    assert kinds == {"text", "imatrix"}
    assert hub.repo("unsloth/gemma-3-12b-it-qat-GGUF").quants[-1].kind == "projector"
    assert {quant.kind for quant in hub.repo("nomic-ai/nomic-embed-text-v1.5-GGUF").quants} == {"embedding"}
    assert {quant.kind for quant in hub.repo("gpustack/bge-reranker-v2-m3-GGUF").quants} == {"reranker"}


def test_a_split_set_still_being_uploaded_is_not_offered(server: LocalHub, hub: Hub) -> None:
    files = {f"m-Q4_0-0000{n}-of-00003.gguf": FakeFile.promised(20_000, str(n)) for n in (1, 3)}
    server.add(FakeRepo("me/half-GGUF", files))
    assert hub.repo("me/half-GGUF").quants == ()


def test_two_files_of_one_quant_have_two_ids(server: LocalHub, hub: Hub) -> None:
    files = {name: FakeFile.promised(20_000, name) for name in ("a-Q4_0.gguf", "b-Q4_0.gguf")}
    server.add(FakeRepo("me/two-GGUF", files))
    assert len({quant.id for quant in hub.repo("me/two-GGUF").quants}) == 2


def test_card_comes_without_its_metadata(hub: Hub) -> None:
    card = hub.card(STARTER_REPO)
    assert card.startswith("# SmolLM2")
    assert "license:" not in card


def test_locate_gives_a_signed_address_without_the_token(server: LocalHub) -> None:
    found = Hub(server.url, lambda: "hf_good").locate(STARTER_REPO, "main", STARTER_FILE)
    assert found.url.startswith(f"http://localhost:{server.port}/cdn/")
    assert not any(name.lower() == "authorization" for name in found.headers)
    assert (found.size, found.sha256) == (98_362_432, found.etag)
    assert found.commit == server.repos[STARTER_REPO].commit


def test_remote_header_needs_a_few_requests_and_then_none(server: LocalHub, hub: Hub) -> None:
    header = read_header(hub.open_range(STARTER_REPO, "main", STARTER_FILE))
    assert header.metadata["general.architecture"] == "llama"
    assert len(header.tensors) == 272
    assert len(server.asked("data")) <= 4
    assert server.bytes_served() < 4_000_000
    again = len(server.asked("data"))
    read_header(hub.open_range(STARTER_REPO, "main", STARTER_FILE))
    assert len(server.asked("data")) == again


def test_remote_header_from_a_server_that_ignores_range(server: LocalHub, hub: Hub) -> None:
    server.fault("no_range", times=None)
    assert len(read_header(hub.open_range(STARTER_REPO, "main", STARTER_FILE)).tensors) == 272


def test_a_reader_stops_at_its_limit() -> None:
    reader = RangeReader("f", 10 * LIMIT, Window(), lambda first, end: bytes(end - first))
    with pytest.raises(BadHeaderError):
        reader.read_at(LIMIT, 1)


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (429, {"Retry-After": "7"}, HubRateLimitedError),
        (429, {"RateLimit": '"api";r=0;t=7'}, HubRateLimitedError),
        (500, {}, HubServerError),
        (503, {}, HubServerError),
        (403, {}, HubUnauthorizedError),
        (404, {}, HubNotFoundError),
        (410, {}, HubNotFoundError),
        (418, {}, HubError),
    ],
)
def test_answers_become_errors(
    server: LocalHub, hub: Hub, status: int, headers: dict[str, str], kind: type[HearthError]
) -> None:
    server.fault("status", "api", status=status, headers=headers)
    with pytest.raises(kind) as caught:
        hub.search("x")
    if kind is HubRateLimitedError:
        assert caught.value.params["seconds"] == 7


def test_missing_private_gated_and_bad_tokens(server: LocalHub, hub: Hub) -> None:
    with pytest.raises(HubNotFoundError):
        hub.repo("nobody/nothing")
    with pytest.raises(HubNotFoundError):
        hub.locate(STARTER_REPO, "main", "nothing.gguf")
    gated = "meta-llama/Llama-3.1-8B-Instruct-GGUF"
    assert hub.repo(gated).gated
    with pytest.raises(HubGatedError) as caught:
        hub.locate(gated, "main", next(iter(server.repos[gated].files)))
    assert caught.value.params["what"] == gated
    with pytest.raises(HubUnauthorizedError):
        Hub(server.url, lambda: "hf_bad").repo("nobody/nothing")
    with pytest.raises(HubUnauthorizedError):
        Hub(server.url, lambda: "hf_bad").whoami()
    assert Hub(server.url, lambda: "hf_good").whoami() == "tester"
    assert hub.whoami() is None


def test_a_sign_in_page_in_the_way_is_named(server: LocalHub) -> None:
    class Odd(Hub):
        @property
        def endpoint(self) -> str:
            return f"{server.url}/{STARTER_REPO}/raw/main/README.md?"

    with pytest.raises(HubError, match="sign-in"):
        Odd(None, lambda: None).search("x")


def test_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    with pytest.raises(HubUnreachableError):
        Hub("http://127.0.0.1:9", lambda: None).search("x")
    with pytest.raises(HubUnreachableError):
        Hub("http://127.0.0.1:9", lambda: None).locate("a/b", "main", "c")


def test_endpoint_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/")
    assert Hub(None, lambda: None).endpoint == "https://mirror.example"
    assert Hub("http://other/", lambda: None).endpoint == "http://other"
    monkeypatch.delenv("HF_ENDPOINT")
    assert Hub(None, lambda: None).endpoint == "https://huggingface.co"


def test_importing_it_is_light() -> None:
    import subprocess

    heavy = "('huggingface_hub', 'httpx2', 'hf_xet', 'ssl', 'http.client')"
    code = (
        f"import sys, app.models.hub, app.models.downloads; sys.exit(any(m in sys.modules for m in {heavy}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("user/model", Address("user/model")),
        ("user/model:Q4_K_M", Address("user/model", quant="Q4_K_M")),
        ("user/model@abc", Address("user/model", "abc")),
        ("https://huggingface.co/u/m/blob/main/a/b.gguf", Address("u/m", None, "a/b.gguf")),
        ("https://huggingface.co/u/m/resolve/v1/b.gguf?download=true", Address("u/m", "v1", "b.gguf")),
        ("https://hf.co/u/m:Q8_0", Address("u/m", quant="Q8_0")),
        ("http://localhost:99/u/m", Address("u/m")),
        ("llama 3", None),
        ("llama", None),
        ("https://huggingface.co/models?search=x", None),
        ("https://huggingface.co/datasets/u/m", None),
        ("https://evil.example/u/m", None),
        ("user/model/file", None),
        ("../../etc", None),
    ],
)
def test_addresses(text: str, expected: Address | None) -> None:
    assert parse_address(text, "http://localhost:99") == expected
