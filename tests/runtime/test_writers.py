"""When written text is sent: at once, or with what follows."""

import pytest

from app.core.generate import GenerateRequest
from app.runtime.intake import Prepared
from app.runtime.jobs import Job
from app.runtime.writers import HOLD, MOST_PATIENCE, Open, Writer, held_back


class _Answer:
    choice = 0
    tokens = 0

    def take(self) -> str:
        return "text"


class _Choice:
    answer, sampler, seed = _Answer(), None, 1


def _writer(
    arrived: float, *, computed: int = 0, priority: int = 0, flush_ms: int = 0, size: int = 3
) -> Writer:
    request = GenerateRequest("r", prompt="x", flush_ms=flush_ms)
    owner = Open(Prepared(1, request, [1] * size, [], arrived))
    job = Job(1, [1] * size, priority, computed=computed, seq=0)
    return Writer(owner, _Choice(), job, frozenset())  # type: ignore[arg-type]


def _sent(flush_ms: int, times: list[float]) -> list[float]:
    """Those of the tokens' times at which something is sent."""
    writer = _writer(0.0, flush_ms=flush_ms)
    sent = []
    for now in times:
        writer.wrote(now)
        if not writer.waits and writer.take():
            sent.append(now)
    return sent


def _every(step: float, count: int) -> list[float]:
    return [100 + step * i for i in range(count)]


def test_each_token_goes_by_itself_unless_it_may_wait() -> None:
    assert _sent(0, _every(0.001, 5)) == _every(0.001, 5)


def test_what_comes_within_the_time_goes_together() -> None:
    assert _sent(33, _every(0.011, 10)) == _every(0.033, 4)


@pytest.mark.parametrize("step", [0.03, 0.05, 1.0])
def test_a_slow_model_is_not_made_slower(step: float) -> None:
    assert _sent(33, _every(step, 6)) == _every(step, 6)


def test_a_pause_sends_the_next_word_at_once() -> None:
    assert _sent(33, [100.0, 100.01, 105.0, 105.01]) == [100.0, 105.0]


def test_nothing_waits_long() -> None:
    assert _sent(60_000, _every(0.25, 5)) == _every(0.25, 5)
    assert MOST_PATIENCE <= 0.25


def test_an_answer_waits_for_the_first_words_of_those_who_asked_before_its_own() -> None:
    writing, reading, later = _writer(100.0, computed=2), _writer(100.1), _writer(101.1)
    assert held_back([writing, reading], 100.5) == []  # it has no word yet
    writing.wrote(101.0)
    assert held_back([writing], 101.0) == []
    assert held_back([writing, later], 101.2) == []
    assert held_back([writing, reading], 101.2) == [writing.job]
    reading.job.computed = 3
    assert held_back([writing, reading], 101.3) == []


def test_it_waits_neither_for_long_nor_for_lesser_ones_nor_for_those_without_a_place() -> None:
    writing, lesser, placeless = _writer(100.0, computed=2), _writer(100.0, priority=-1), _writer(100.0)
    placeless.job.seq = -1
    writing.wrote(101.0)
    assert held_back([writing, lesser, placeless], 101.1) == []
    lesser.job.priority = 0
    assert held_back([writing, lesser], 101 + HOLD - 0.01) == [writing.job]
    assert held_back([writing, lesser], 101 + HOLD) == []


def test_it_does_not_wait_for_a_prompt_that_is_much_longer() -> None:
    writing, longer = _writer(100.0, computed=2), _writer(100.0, size=11)
    writing.wrote(101.0)
    assert held_back([writing, longer], 101.1) == [writing.job]
    assert held_back([writing, _writer(100.0, size=12)], 101.1) == []
