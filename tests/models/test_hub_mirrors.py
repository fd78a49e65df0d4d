"""Several Hub addresses: the quickest is asked, the next when it fails, and only the chosen one sees the token."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.core.errors import HubGatedError, HubNotFoundError, HubUnreachableError
from app.core.settings_groups import Hub as HubSettings
from app.models.hub import Hub
from app.models.hub_mirrors import Mirrors
from app.models.transfer import Options, Transfer
from app.models.transfer_http import find_proxy
from app.models.transfer_net import Net
from tests.fakes.hub_server import FakeFile, FakeRepo, LocalHub
from tests.fakes.proxy_server import LocalProxy

REPO, NAME = "me/a-GGUF", "a-Q4_0.gguf"
AWAY = "http://127.0.0.1:9"


def repo(**more: object) -> FakeRepo:
    return FakeRepo(REPO, {NAME: FakeFile.of(bytes(20_000))}, **more)  # type: ignore[arg-type]


@pytest.fixture
def two() -> Iterator[tuple[LocalHub, LocalHub]]:
    with ExitStack() as stack:
        yield stack.enter_context(LocalHub([repo()])), stack.enter_context(LocalHub([repo()]))


def hub_at(main: str, *mirrors: str, token: str | None = None) -> Hub:
    settings = HubSettings(mirrors=" ".join(mirrors))
    return Hub(main, lambda: token, lambda: settings)


def test_a_mirror_answers_when_the_hub_is_away(two: tuple[LocalHub, LocalHub]) -> None:
    hub = hub_at(AWAY, two[1].url)
    assert [item.id for item in hub.search("a").items] == [REPO]
    assert hub.repo(REPO).quants
    assert hub.locate(REPO, "main", NAME).url.startswith(f"http://localhost:{two[1].port}/")


def test_the_quickest_is_asked(two: tuple[LocalHub, LocalHub]) -> None:
    slow, quick = two
    slow.fault("slow_start", "api", None, seconds=1.0)
    hub = hub_at(slow.url, quick.url)
    hub.search("a")
    assert len(quick.asked("api")) == 2


def test_a_hub_with_troubles_is_asked_last_for_a_while(two: tuple[LocalHub, LocalHub]) -> None:
    main, mirror = two
    mirror.fault("slow_start", "api", 1, seconds=0.3)
    hub = hub_at(main.url, mirror.url)
    hub.search("a")
    main.fault("status", "api", None, status=503)
    hub.search("a")
    asked = len(main.asked("api"))
    hub.search("a")
    assert len(main.asked("api")) == asked


def test_the_token_is_for_the_chosen_address_only(two: tuple[LocalHub, LocalHub]) -> None:
    main, mirror = two
    main.fault("slow_start", "api", 1, seconds=0.5)
    hub = hub_at(main.url, mirror.url, token="hf_good")
    hub.search("a")
    hub.locate(REPO, "main", NAME)
    assert mirror.requests
    assert not any(asked.authorized for asked in mirror.requests)
    assert all(asked.authorized for asked in main.requests)


def test_what_a_mirror_refuses_the_hub_may_give(two: tuple[LocalHub, LocalHub]) -> None:
    main, mirror = two
    for server in two:
        server.repos[REPO].gated = "auto"
    main.tokens["hf_good"] = {REPO}
    main.fault("slow_start", "api", 1, seconds=0.5)
    hub = hub_at(main.url, mirror.url, token="hf_good")
    assert hub.locate(REPO, "main", NAME).size == 20_000
    with pytest.raises(HubGatedError):
        hub_at(main.url, mirror.url).locate(REPO, "main", NAME)
    with pytest.raises(HubNotFoundError):
        hub.repo("me/nothing")


def test_a_mirror_whose_data_never_comes_is_left(two: tuple[LocalHub, LocalHub], tmp_path: Path) -> None:
    main, mirror = two
    mirror.fault("slow_start", "api", 1, seconds=0.3)
    main.fault("cut", times=None, after=0)
    hub = hub_at(main.url, mirror.url)
    options = Options(net=Net(stall=1.0), backoff=0.01, backoff_limit=0.02)
    work = Transfer(
        tmp_path / "f", lambda: hub.locate(REPO, "main", NAME), options=options, distrust=hub.distrust
    )
    assert work.run().size == 20_000
    assert mirror.bytes_served() == 20_000


def test_all_away() -> None:
    with pytest.raises(HubUnreachableError):
        hub_at(AWAY, "http://127.0.0.1:7").search("a")


def test_one_address_is_never_raced() -> None:
    mirrors = Mirrors(lambda _address: pytest.fail("raced"))
    assert mirrors.order(["a"]) == ["a"]


def test_a_proxy_set_by_hand_and_none(
    two: tuple[LocalHub, LocalHub], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    with LocalProxy(login="me:pass") as proxy:
        chosen = HubSettings(proxy=proxy.url)
        Hub(two[0].url, lambda: None, lambda: chosen).search("a")
        assert len(proxy.asked) == 1
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        Hub(two[0].url, lambda: None, lambda: HubSettings(proxy="none")).search("a")
        assert len(proxy.asked) == 1
    Hub(two[0].url, lambda: None, lambda: HubSettings(proxy="none")).search("a")
    time.sleep(0)


def _ask_through(hub: LocalHub, monkeypatch: pytest.MonkeyPatch, **proxies: str) -> str:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.setenv(name, proxies.get(name, ""))
        monkeypatch.setenv(name.upper(), proxies.get(name, ""))
    try:
        Hub(hub.url, lambda: None, HubSettings).search("a")
    except HubUnreachableError as error:
        return str(error)
    return "found"


def test_the_environment_s_proxies_as_the_downloads_take_them(
    two: tuple[LocalHub, LocalHub], monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalProxy() as proxy, LocalProxy(login="me:pass") as strict:
        # What many VPN programs tell people to export.
        said = _ask_through(two[0], monkeypatch, http_proxy=proxy.url, all_proxy="socks5://127.0.0.1:1")
        assert (said, len(proxy.asked)) == ("found", 1)
        assert find_proxy(two[0].url, "") == proxy.url
        said = _ask_through(two[0], monkeypatch, all_proxy=proxy.url)
        assert (said, len(proxy.asked)) == ("found", 2)
        assert find_proxy(two[0].url, "") == proxy.url
        without = f"http://127.0.0.1:{strict.port}"
        assert "the proxy refused (HTTP 407)" in _ask_through(two[0], monkeypatch, http_proxy=without)


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("socks://127.0.0.1:1", "socks proxies are not supported"),
        ("http://127.0.0.1:1", "the proxy 127.0.0.1 can't be reached"),
        ("me:secret@host:port", "the proxy host:port is no address"),
        ("http://[::1", "the proxy http://[::1 is no address"),
    ],
)
def test_a_proxy_that_can_t_be_used_is_named(
    two: tuple[LocalHub, LocalHub], monkeypatch: pytest.MonkeyPatch, proxy: str, said: str
) -> None:
    assert said in _ask_through(two[0], monkeypatch, all_proxy=proxy)
