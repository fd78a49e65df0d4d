"""Speeds of the last second."""

import pytest

from app.runtime.meter import Meter


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
