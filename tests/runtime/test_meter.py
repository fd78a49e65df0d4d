"""Speeds of the last second."""

import pytest

from app.runtime.meter import GAP, LEAST_PIECE, SMOOTH, Meter


def test_prompts_and_answers_have_speeds_of_their_own() -> None:
    meter = Meter()
    meter.step(10.0, 10.5, tokens=100, sampled=1, sequences=1)
    for n in range(4):
        meter.step(10.5 + n / 10, 10.6 + n / 10, tokens=2, sampled=2, sequences=2)
    found = meter.readings(10.9, busy=True)
    assert found["prefill_tps"] == pytest.approx(99 / 0.5)
    assert found["decode_tps"] == pytest.approx(9 / 0.9)
    assert found["batch"] == 2
    assert meter.prefill_speed == pytest.approx(99 / 0.5)


def test_old_steps_and_idleness_are_zero() -> None:
    meter = Meter()
    assert meter.readings(0.0, busy=True) == {"prefill_tps": 0.0, "decode_tps": 0.0, "batch": 0.0}
    meter.step(10.0, 10.1, tokens=1, sampled=1, sequences=1)
    assert meter.readings(10.2, busy=False)["decode_tps"] == 0
    assert meter.readings(12.0, busy=True)["decode_tps"] == 0
    assert meter.readings(10.2, busy=True)["decode_tps"] == pytest.approx(10)


def test_steps_noted_together_count_as_one_by_one() -> None:
    single, together = Meter(), Meter()
    for meter in (single, together):
        meter.step(10.0, 10.1, tokens=8, sampled=2, sequences=2)
    for n in range(3):
        single.step(10.1 + n / 10, 10.2 + n / 10, tokens=2, sampled=2, sequences=2)
    together.wrote(10.1, 10.4, sequences=2, steps=3)
    assert together.readings(10.4, busy=True) == pytest.approx(single.readings(10.4, busy=True))


def _fed(prefill: float, plain: dict[int, float]) -> Meter:
    meter = Meter()
    meter.step(0.0, 1.0, tokens=int(prefill), sampled=0, sequences=1)
    for n, seconds in plain.items():
        meter.step(10.0 * n, 10.0 * n + seconds, tokens=n, sampled=n, sequences=n)
    return meter


def test_a_piece_beside_quick_answers_keeps_their_pace_above_a_readers() -> None:
    meter = _fed(400, {1: 0.005, 4: 0.018})
    assert meter.piece(512, 1, 1) == pytest.approx(400 * (SMOOTH - 0.005), abs=1.01)
    assert meter.piece(512, 4, 1) == pytest.approx(400 * (SMOOTH - 0.018), abs=1.01)
    assert meter.piece(512, 5, 1) == meter.piece(512, 4, 1)  # the nearest that was seen
    assert meter.piece(10, 1, 1) == 10


def test_prompts_and_answers_share_the_time_of_a_slow_model() -> None:
    meter = _fed(40, {1: 0.1, 2: 0.15})
    assert meter.piece(512, 1, 1) == pytest.approx(40 * 0.1, abs=1.01)
    assert meter.piece(512, 1, 2) == pytest.approx(40 * 0.2, abs=1.01)
    assert meter.piece(512, 1, 9) == pytest.approx(40 * GAP, abs=1.01)
    assert meter.piece(512, 2, 1) == LEAST_PIECE


def test_before_the_first_prompt_a_piece_is_all_that_fits() -> None:
    assert Meter().piece(512, 3, 1) == 512


def test_the_prompt_speed_leaves_out_the_words_written_beside_it() -> None:
    meter = _fed(400, {2: 0.02})
    for n in range(50):
        meter.step(100 + n, 100 + n + 0.12, tokens=22, sampled=2, sequences=3)
    assert meter.prefill_speed == pytest.approx(20 / 0.1, rel=0.05)
