"""A minute of many clients over the real engine: nothing lost, nothing crossed, nothing stuck."""

from pathlib import Path

import pytest

from tests.soak.run import soak


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_minute_of_many_clients(starter: Path) -> None:
    # One core of it: the other tests that run meanwhile have the rest.
    outcome = soak(starter, seconds=60, clients=8, threads=1)
    assert outcome.wrongs == []
    assert outcome.left_active == 0
    assert outcome.loads >= 2
    acts = ("echo", "schema", "stop", "cancel", "plain", "serial", "disconnect", "bad request")
    assert min(outcome.acts[name] for name in acts) >= 1
    # It is short beside what an allocator keeps for itself: the long run is held to 3 %.
    assert outcome.growth < 0.15, f"{outcome.resident_before} -> {outcome.resident_after}"
