import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.planning.energy import Series, entered_energy, idle_watts, integrate, request_energy

FLAT = Series(list(range(61)), [100.0] * 61)


def test_constant_power_is_watts_times_seconds() -> None:
    assert integrate(FLAT, 10.5, 20.25) == pytest.approx(975)


def test_a_ramp_is_integrated_by_trapezoids() -> None:
    ramp = Series([0, 1, 2, 3, 4], [0, 10, 20, 30, 40])
    assert integrate(ramp, 0, 4) == pytest.approx(80)
    assert integrate(ramp, 0.5, 1.5) == pytest.approx(10)


def test_a_hole_in_the_readings_is_unknown() -> None:
    assert integrate(Series([0, 1, 20, 21], [50.0] * 4), 0, 21) is None
    assert integrate(FLAT, 50, 90) is None
    assert integrate(Series([], []), 0, 1) is None


def test_power_is_held_for_a_moment_beyond_the_last_reading() -> None:
    assert integrate(FLAT, 58, 62) == pytest.approx(400)


def test_prefill_and_decode_are_split_at_the_first_token() -> None:
    energy = request_energy([FLAT, FLAT], 10, 12, 20, idle=60)
    assert energy is not None
    assert energy.prefill == pytest.approx(280)
    assert energy.decode == pytest.approx(1120)
    assert energy.idle == pytest.approx(600)
    assert energy.total == pytest.approx(2000)
    assert energy.origin == "measured"


def test_requests_that_ran_together_share() -> None:
    energy = request_energy([FLAT], 10, 10, 20, share=0.25)
    assert energy is not None
    assert energy.active == pytest.approx(250)


def test_one_unreadable_source_makes_it_unknown() -> None:
    assert request_energy([FLAT, Series([], [])], 10, 12, 20) is None
    assert request_energy([], 10, 12, 20) is None


def test_entered_watts_are_marked() -> None:
    energy = entered_energy(200, 0, 2, 10, idle=50)
    assert (energy.prefill, energy.decode, energy.idle) == (300, 1200, 500)
    assert energy.origin == "entered"


def test_idle_power_is_read_between_requests() -> None:
    series = Series(list(range(20)), [30.0] * 10 + [150.0] * 5 + [31.0] * 5)
    assert idle_watts(series, [(10, 14)]) == 30.0
    assert idle_watts(series, [(0, 17)]) is None


@given(st.lists(st.floats(0, 500), min_size=3, max_size=40), st.floats(0, 1), st.floats(0, 1))
def test_energy_adds_up_over_intervals(watts: list[float], a: float, b: float) -> None:
    series = Series(list(range(len(watts))), watts)
    end = len(watts) - 1.0
    middle = min(a, b) * end
    whole, first, second = (
        integrate(series, 0, end),
        integrate(series, 0, middle),
        integrate(series, middle, end),
    )
    assert whole is not None
    assert (first or 0) + (second or 0) == pytest.approx(whole, abs=1e-6)
