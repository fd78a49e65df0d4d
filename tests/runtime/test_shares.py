"""What each open answer gets: numbers are given back, speeds are those of the events, an end is told once."""

import pytest

from app.core.generate import Delta, Finished, Timings, Usage
from app.runtime.shares import MOST, Shares


def write(shares: Shares, key: int, begin: float, per_second: int, seconds: float = 1.0) -> float:
    """Let ``key`` write evenly; returns the time of the last token."""
    for at in range(int(seconds * per_second) + 1):
        shares.event(key, Delta(text="x", tokens=1), begin + at / per_second)
    return begin + int(seconds * per_second) / per_second


def end(shares: Shares, key: int, now: float, *, done: bool = True) -> None:
    shares.event(key, Finished("stop", Usage(), Timings(), done=done), now)


def test_each_answer_has_a_speed_of_its_own() -> None:
    shares = Shares()
    write(shares, 7, 10.0, 20, 3.0)
    now = write(shares, 9, 10.0, 5, 3.0)
    found = shares.readings(now)
    assert found["decode_tps/1"] == pytest.approx(20)
    assert found["decode_tps/2"] == pytest.approx(5)


def test_only_the_last_second_counts_and_a_silence_slows_it_down() -> None:
    shares = Shares()
    now = write(shares, 1, 0.0, 10, 3.0)
    now = write(shares, 1, now, 40, 2.0)
    assert shares.readings(now)["decode_tps/1"] == pytest.approx(40, rel=0.05)
    assert shares.readings(now + 3.0)["decode_tps/1"] < 15


def test_a_slow_answer_has_a_speed_too() -> None:
    shares = Shares()
    for now in (0.0, 4.0, 8.0):
        shares.event(1, Delta(text="x", tokens=1), now)
    assert shares.readings(8.1)["decode_tps/1"] == pytest.approx(0.25)


def test_reading_counts_what_is_computed_after_the_first_piece() -> None:
    shares = Shares()
    shares.event(1, Delta(prefilled=900, prompt_tokens=2000), 1.0)  # most of it was in the cache
    shares.event(1, Delta(prefilled=1400, prompt_tokens=2000), 2.0)
    shares.event(1, Delta(choice=1, prefilled=1400, prompt_tokens=2000), 2.0)
    assert shares.readings(2.0) == {"decode_tps/1": 0.0, "prefill_tps/1": 500.0}
    assert shares.readings(2.4)["prefill_tps/1"] == 500.0
    assert shares.readings(2.6)["prefill_tps/1"] == 0.0


def test_a_prompt_read_in_one_piece_has_a_speed() -> None:
    shares = Shares()
    shares.event(1, Delta(prefilled=120, prompt_tokens=120, cached=20, reading=0.25), 5.0)
    assert shares.readings(5.05)["prefill_tps/1"] == pytest.approx(400)
    shares.event(1, Delta(text="x", tokens=1), 5.1)
    assert shares.readings(5.2)["prefill_tps/1"] == pytest.approx(400)
    assert shares.readings(5.6)["prefill_tps/1"] == 0.0


def test_a_number_is_given_back_and_its_end_told_once() -> None:
    shares = Shares()
    for key in (5, 6, 7):
        shares.event(key, Delta(text="x", tokens=1), 0.0)
    end(shares, 5, 1.0, done=False)
    assert "decode_tps/1" in shares.readings(1.0)
    end(shares, 6, 1.0)
    assert shares.readings(1.0)["decode_tps/2"] == 0.0
    assert "decode_tps/2" not in shares.readings(1.1)
    shares.event(8, Delta(text="x", tokens=1), 2.0)
    assert set(shares.names()) == {f"{kind}_tps/{n}" for kind in ("decode", "prefill") for n in (1, 2, 3)}


def test_more_than_are_told_apart_are_left_out() -> None:
    shares = Shares()
    for key in range(MOST + 5):
        shares.event(key, Delta(text="x", tokens=1), 0.0)
    assert len(shares.readings(0.0)) == 2 * MOST
    end(shares, MOST + 2, 1.0)
    assert len(shares.readings(1.0)) == 2 * MOST
