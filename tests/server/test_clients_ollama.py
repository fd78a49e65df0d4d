"""The real ollama client over the real worker, and over scripted answers and downloads."""

import time
from collections.abc import Iterator
from contextlib import closing

import httpx2 as httpx
import ollama
import pytest
from msgspec.structs import replace

from app.core.events import DownloadChanged
from app.core.generate import Delta, Finished, Timings, ToolCallDelta, Usage
from app.models.hub_types import QuantFile, RemotePart, RepoDetail
from tests.waiting import until

CAPITAL = [{"role": "user", "content": "What is the capital of France? Answer in one short sentence."}]
OPTIONS = {"temperature": 0, "seed": 1, "num_predict": 16}
MODEL = "fake/model:Q4_K_M"


@pytest.fixture
def client(real) -> Iterator[ollama.Client]:
    with closing(ollama.Client(host=real.address, trust_env=False)) as client:
        yield client


@pytest.fixture
def scripted(served) -> Iterator[ollama.Client]:
    with closing(ollama.Client(host=served.address, trust_env=False)) as client:
        yield client


def test_a_chat_is_answered_with_sense(client, real) -> None:
    answer = client.chat(real.model, CAPITAL, options=OPTIONS)
    assert "Paris" in answer.message.content
    assert answer.done
    assert answer.prompt_eval_count > 10
    assert 0 < answer.eval_count <= 16
    assert answer.eval_duration > 0


def test_the_stream_says_the_same(client, real) -> None:
    parts = list(client.chat(real.model, CAPITAL, options=OPTIONS, stream=True))
    assert (
        "".join(part.message.content for part in parts)
        == client.chat(real.model, CAPITAL, options=OPTIONS).message.content
    )
    assert [part.done for part in parts][-2:] == [False, True]
    assert parts[-1].done_reason in ("stop", "length")


def test_a_prompt_is_answered_and_raw_text_goes_on(client, real) -> None:
    answer = client.generate(real.model, CAPITAL[0]["content"], options=OPTIONS)
    assert "Paris" in answer.response
    raw = client.generate(real.model, "One, two, three,", raw=True, options={**OPTIONS, "num_predict": 4})
    assert "four" in raw.response
    with pytest.raises(ollama.ResponseError, match="insert"):
        client.generate(real.model, "def f(", suffix="return x", options=OPTIONS)


def test_json_of_a_schema(client, real) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    answer = client.chat(real.model, CAPITAL, format=schema, options={**OPTIONS, "num_predict": 80})
    assert answer.message.content.strip().startswith("{")
    assert "city" in answer.message.content


def test_models_are_listed_and_shown(client, real) -> None:
    assert [model.model for model in client.list().models] == [real.model, real.vectors, real.minilm]
    shown = client.show(real.model)
    assert shown.modelinfo["general.architecture"] == "llama"
    assert shown.modelinfo["llama.context_length"] == 8192
    assert shown.details.quantization_level == "Q4_1"
    loaded = {item.model: item for item in client.ps().models}
    assert loaded[real.model].context_length == 2048
    assert loaded[real.model].size > 90_000_000


def test_real_vectors(client, real) -> None:
    found = client.embed(real.vectors, ["one", "two", "one"])
    first, second, third = found.embeddings
    assert first == pytest.approx(third, abs=1e-3)
    assert first != pytest.approx(second, abs=1e-3)
    assert found.prompt_eval_count >= 3


def test_a_call_is_told_whole(scripted, served) -> None:
    served.supervisor.script = [
        Delta(reasoning="Hm.", tokens=1),
        Delta(tool_calls=(ToolCallDelta(0, "c1", "get_weather", '{"city":'),), tokens=2),
        Delta(tool_calls=(ToolCallDelta(0, arguments='"Hue"}'),), tokens=2),
        Finished("tool_calls", Usage(9, 5), Timings(0, 0.1, 0.2, 0.1, 9, 4)),
    ]
    for answer in (
        scripted.chat(MODEL, CAPITAL, think=True),
        list(scripted.chat(MODEL, CAPITAL, think=True, stream=True))[-1],
    ):
        call = answer.message.tool_calls[0].function
        assert (call.name, call.arguments) == ("get_weather", {"city": "Hue"})
    assert served.supervisor.requests[0].reasoning.enabled is True


def test_keep_alive_loads_and_unloads(scripted, served) -> None:
    assert scripted.generate(MODEL, "", keep_alive="1h").done_reason == "load"
    assert 3500 < _left(scripted) <= 3600
    assert served.host.wants(MODEL)
    assert scripted.generate(MODEL, "", keep_alive=0).done_reason == "unload"
    assert scripted.ps().models == []
    assert not served.host.wants(MODEL)
    scripted.generate(MODEL, "", keep_alive=-1)
    assert served.host.wants(MODEL)
    with pytest.raises(ollama.ResponseError, match="keep_alive"):
        scripted.chat(MODEL, CAPITAL, keep_alive="soon")
    scripted.chat(MODEL, CAPITAL, keep_alive="100ms")
    until(lambda: not served.supervisor.loaded)


def test_an_idle_model_says_when_it_goes(scripted, served) -> None:
    scripted.chat(MODEL, CAPITAL)
    assert 3500 < _left(scripted) <= 3600  # as the setting says: an hour
    loaded = served.supervisor.loaded
    loaded[MODEL] = replace(loaded[MODEL], last_used=time.time() - 600)
    assert 2900 < _left(scripted) <= 3000
    served.settings.set("engine.idle_minutes", 0)
    assert _left(scripted) > 1e9
    served.settings.set("engine.idle_minutes", 60)
    scripted.generate(MODEL, "", keep_alive=-1)
    assert _left(scripted) > 1e9


@pytest.mark.parametrize("served", [{"pinned": lambda model: model == MODEL}], indirect=True)
def test_a_pinned_model_does_not_say_that_it_goes(scripted) -> None:
    scripted.chat(MODEL, CAPITAL)
    assert _left(scripted) > 1e9


def _left(client) -> float:
    return client.ps().models[0].expires_at.timestamp() - time.time()


def test_a_copy_is_another_name(scripted, served) -> None:
    scripted.copy("fake", "gpt-4o-mini")
    assert scripted.chat("gpt-4o-mini", CAPITAL).model == MODEL
    assert [model.model for model in scripted.list().models] == [MODEL, "gpt-4o-mini"]
    scripted.delete("gpt-4o-mini")
    assert [model.model for model in scripted.list().models] == [MODEL]
    with pytest.raises(ollama.ResponseError, match="No model here"):
        scripted.chat("gpt-4o-mini", CAPITAL)


def test_vectors(scripted) -> None:
    assert scripted.embed(MODEL, ["a", "b"]).embeddings == [[0.6, 0.8, 0.0]] * 2
    assert list(scripted.embeddings(MODEL, "a").embedding) == [0.6, 0.8, 0.0]


def test_the_version(served) -> None:
    assert httpx.get(f"{served.address}/api/version", trust_env=False).json()["version"]
    assert httpx.head(served.address, trust_env=False).status_code == 200


class FakeDownloads:
    """One download in three steps."""

    def __init__(self) -> None:
        self.steps = [
            DownloadChanged("o/r:Q4_0", "o/r", "r.gguf", "running", 100, 40),
            DownloadChanged("o/r:Q4_0", "o/r", "r.gguf", "verifying", 100, 100),
            DownloadChanged("o/r:Q4_0", "o/r", "r.gguf", "done", 100, 100),
        ]
        self.asked: list[str] = []

    def start(self) -> None:
        pass

    def enqueue(self, quant: QuantFile) -> str:
        self.asked.append(quant.id)
        return quant.id

    def snapshots(self) -> tuple[DownloadChanged, ...]:
        return (self.steps.pop(0) if len(self.steps) > 1 else self.steps[0],)


class FakeHub:
    """A repository with two quants."""

    def repo(self, name: str) -> RepoDetail:
        files = (RemotePart("r.gguf", 100),)
        quants = tuple(QuantFile(f"{name}:{q}", name, "c", q, files, 100) for q in ("Q8_0", "Q4_0"))
        eyes = (RemotePart("mmproj-F16.gguf", 9),)
        return RepoDetail(name, "c", (*quants, QuantFile("eyes", name, "c", "F16", eyes, 9, "projector")))


DOWNLOADS = FakeDownloads()


@pytest.mark.parametrize("served", [{"downloads": DOWNLOADS, "hub": FakeHub()}], indirect=True)
def test_a_model_is_pulled_with_progress(scripted) -> None:
    lines = list(scripted.pull("hf.co/o/r:Q4_0", stream=True))
    assert [line.status for line in lines] == [
        "pulling manifest", "pulling r.gguf", "verifying sha256 digest", "pulling r.gguf", "writing manifest", "success"
    ]  # fmt: skip
    assert (lines[1].completed, lines[1].total) == (40, 100)
    assert DOWNLOADS.asked[:2] == ["o/r:Q4_0", "eyes"], "its projector comes too"
    assert scripted.pull("o/r").status == "success"
    with pytest.raises(ollama.ResponseError, match=r"has no Q2_K; it has Q8_0, Q4_0"):
        scripted.pull("o/r:Q2_K")


def test_without_a_hub_a_pull_says_so(scripted) -> None:
    with pytest.raises(ollama.ResponseError, match="can't download"):
        scripted.pull("o/r")
