"""Tokens and energy by key, and prompts in the log only where they are asked for."""

import time

import pytest

from app.core.events import RequestLogged
from app.core.series import SeriesStore
from app.core.types import Sample
from app.server.usage import UsageBook, joules_between

MODEL = "fake/model:Q4_K_M"
CHAT = "/v1/chat/completions"


def say(text: str) -> dict[str, object]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}]}


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def test_each_key_has_its_own_sums(http, served) -> None:
    http.post(CHAT, json=say("one"))
    key, text = served.host.keys.create("laptop")
    for words in ("one two", "one two three"):
        assert http.post(CHAT, json=say(words), headers=bearer(text)).status_code == 200
    http.get("/v1/models", headers=bearer(text))  # asks no model: not counted
    served.settings.set("server.api_key", "common")
    http.post(CHAT, json=say("one") | {"n": 3}, headers=bearer("common"))
    nobody, laptop, common = served.host.usage()
    assert (nobody.key_id, nobody.requests) == ("", 1)
    assert (laptop.key_id, laptop.name, laptop.requests) == (key.id, "laptop", 2)
    assert (laptop.prompt_tokens, laptop.completion_tokens) == (14, 5)
    assert laptop.joules is None
    assert (common.key_id, common.prompt_tokens, common.completion_tokens) == ("settings", 7, 3)


def test_the_sums_stay_and_a_damaged_file_begins_anew(tmp_path) -> None:
    path = tmp_path / "key_usage.json"
    book = UsageBook(path)
    line = RequestLogged(
        1.0, "POST", CHAT, 200, 0.1, MODEL, prompt_tokens=3, completion_tokens=4, key="x", joules=5.0
    )
    book.add("a", line)
    book.add("a", line)
    book.close()
    again = UsageBook(path).all()
    assert [(row.requests, row.prompt_tokens, row.joules) for row in again] == [(2, 6, 10.0)]
    path.write_text("{", "utf-8")
    assert UsageBook(path).all() == ()


@pytest.mark.parametrize("served", [{"series": True}], indirect=True)
def test_energy_is_the_power_that_was_read_meanwhile(http, served) -> None:
    now = time.monotonic()
    served.bus.publish(Sample("host", now, {"cpu_power": 40.0}))
    served.bus.publish(Sample("gpu:0", now, {"power": 60.0}))
    served.supervisor.delay = 0.02
    http.post(CHAT, json=say("one two three four five"))
    line = served.host.log()[-1]
    assert 0 < line.joules <= 100 * line.seconds
    assert served.host.usage()[0].joules == line.joules


def test_energy_without_readings_is_not_known(bus) -> None:
    series = SeriesStore(bus)
    assert joules_between(None, 0, 1, 1) is None
    assert joules_between(series, 0, 1, 1) is None
    bus.publish(Sample("host", 10.0, {"cpu_power": 40.0}))
    bus.publish(Sample("host", 11.0, {"cpu_power": 40.0}))
    assert joules_between(series, 10.0, 11.0, 0.5) == pytest.approx(20)
    assert joules_between(series, 100.0, 101.0, 1) is None
    series.close()


def test_the_log_holds_prompts_only_when_asked(http, served) -> None:
    http.post(CHAT, json=say("a secret word"))
    assert "secret" not in repr(served.host.log())
    served.settings.set("server.log_prompts", True)
    http.post(CHAT, json=say("a secret word"))
    http.post("/v1/completions", json={"model": MODEL, "prompt": "once upon"})
    http.post("/v1/messages", json=say("w" * 5000) | {"max_tokens": 4})
    chat, completion, message = served.host.log()[-3:]
    assert (chat.prompt, completion.prompt, len(message.prompt)) == ("a secret word", "once upon", 2000)


def test_a_key_can_have_a_rate_of_its_own(http, served) -> None:
    _, slow = served.host.keys.create("slow", rate_limit=2)
    _, free = served.host.keys.create("free")
    codes = [http.get("/v1/models", headers=bearer(slow)).status_code for _ in range(4)]
    assert codes == [200, 200, 429, 429]
    assert {http.get("/v1/models", headers=bearer(free)).status_code for _ in range(4)} == {200}
