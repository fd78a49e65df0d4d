"""A short soak: no lost or crossed token, nothing stuck, no growth."""

from pathlib import Path

import pytest

from tests.fakes.soaking import soak


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_eight_clients_at_once(starter: Path, tmp_path: Path) -> None:
    found, memory = soak(starter, tmp_path, seconds=30)
    assert found.errors == []
    assert found.counts["echo"] >= 3
    assert found.counts["load"] >= 3
    assert memory[-1] < 1.1 * memory[0]
