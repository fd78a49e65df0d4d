"""Choosing threads beside other programs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.types import LoadPlan
from app.runtime.cores import CoreWatch, choose, system_seconds, watch_for


@pytest.mark.parametrize(
    ("wanted", "cores", "others", "current", "expected"),
    [
        (2, 2, 0.0, 2, 2),
        (2, 2, 0.2, 2, 2),
        (2, 2, 0.9, 2, 1),
        (2, 2, 0.5, 2, 2),
        (2, 2, 0.5, 1, 1),
        (2, 2, 0.1, 1, 2),
        (2, 2, 5.0, 2, 1),
        (8, 16, 3.0, 8, 8),
        (8, 8, 3.0, 8, 5),
        (8, 8, 2.9, 8, 5),
        (8, 8, 3.5, 5, 5),
        (1, 8, 7.9, 1, 1),
    ],
)
def test_choose(wanted: int, cores: int, others: float, current: int, expected: int) -> None:
    assert choose(wanted, cores, others, current) == expected


@given(st.integers(1, 64), st.integers(1, 64), st.floats(0, 100), st.integers(1, 64))
def test_it_is_always_a_possible_number_and_stays(
    wanted: int, cores: int, others: float, current: int
) -> None:
    found = choose(wanted, cores, others, current)
    assert 1 <= found <= wanted
    assert choose(wanted, cores, others, found) == found


def test_it_looks_twice_a_second_and_counts_others_only() -> None:
    now, system, own = [0.0], [100.0], [50.0]
    watch = CoreWatch(4, 4, system=lambda: system[0], own=lambda: own[0], clock=lambda: now[0])
    now[0] = 0.1
    assert not watch.changed()
    now[0], system[0], own[0] = 1.0, 104.0, 53.0  # one core's worth is others'
    assert watch.changed()
    assert (watch.threads, watch.others) == (3, 1.0)
    now[0], system[0], own[0] = 2.0, 107.0, 56.0
    assert watch.changed()
    assert watch.threads == 4


def test_a_look_that_fails_changes_nothing() -> None:
    now = [0.0]

    def system() -> float:
        if now[0]:
            raise OSError(24, "Too many open files")
        return 100.0

    watch = CoreWatch(4, 4, system=system, own=lambda: 0.0, clock=lambda: now[0])
    now[0] = 1.0
    assert not watch.changed()
    assert (watch.threads, watch.others) == (4, 0.0)


def test_what_others_did_during_a_rest_takes_no_core_away() -> None:
    now, system, own = [0.0], [0.0], [0.0]
    watch = CoreWatch(4, 4, system=lambda: system[0], own=lambda: own[0], clock=lambda: now[0])
    now[0], system[0] = 60.0, 180.0  # three cores were busy
    assert not watch.rested()
    assert not watch.changed()
    now[0], system[0], own[0] = 61.0, 184.0, 1.0  # they still are
    assert watch.changed()
    assert watch.threads == 1
    now[0], system[0] = 120.0, 184.0  # and were not any more
    assert watch.rested()
    assert watch.threads == 4


def test_the_system_tells_its_seconds() -> None:
    assert 0 < system_seconds() <= system_seconds() + 1


@pytest.mark.parametrize(("most", "wanted"), [(0, 6), (4, 4), (9, 6)])
def test_threads_are_left_to_the_engine_up_to_what_this_machine_is_good_for(most: int, wanted: int) -> None:
    watch = watch_for(LoadPlan("x"), most, lambda: 6)
    assert watch is not None
    assert (watch.wanted, watch.decode) == (wanted, wanted)
    assert watch_for(LoadPlan("x", n_threads=2), most, lambda: 6) is None
