"""kill -9 at random moments of a download: the next start always goes on, and fetches little twice.

HEARTH_KILLS sets how many moments are tried (default 15).
"""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.models import transfer_parts
from app.models.hub import Hub
from app.models.transfer import Options, Transfer
from app.models.transfer_sidecar import Sidecar, part_path
from tests.fakes.hub_server import FakeFile, FakeRepo, LocalHub

REPO, NAME, SIZE = "me/big-GGUF", "big-Q4_0.gguf", 24_000_000
KILLS = int(os.environ.get("HEARTH_KILLS", "15"))
BLOCK = 65536


def start_child(hub: LocalHub, target: Path) -> "subprocess.Popen[str]":
    arguments = [sys.executable, "-m", "tests.fakes.pull_child", hub.url, REPO, NAME, str(target)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def written(target: Path, data: bytes) -> int:
    """Bytes of the part that are the source's (random data never equals a hole)."""
    part = part_path(target)
    if not part.exists():
        return 0
    found = part.read_bytes()
    return sum(
        len(data[at : at + BLOCK])
        for at in range(0, len(data), BLOCK)
        if found[at : at + BLOCK] == data[at : at + BLOCK]
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_download_always_goes_on(tmp_path: Path) -> None:
    chance = random.Random(11)
    data = random.Random(5).randbytes(SIZE)
    target = tmp_path / "f"
    with LocalHub([FakeRepo(REPO, {NAME: FakeFile.of(data)})], rate=16_000_000) as hub:
        for _ in range(KILLS):
            child = start_child(hub, target)
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(chance.uniform(0.0, 0.5))
            child.kill()
            child.communicate()
            if not target.exists():
                _goes_on(hub, target, data, finish=chance.random() < 0.3)
            if target.exists():
                assert target.read_bytes() == data
                target.unlink()
                Sidecar(target).remove()
        hub.rate = None
        _goes_on(hub, target, data, finish=True)
    assert target.read_bytes() == data


def _goes_on(hub: LocalHub, target: Path, data: bytes, finish: bool) -> None:
    """What is on the disk counts: less than 8 MB of it is not known any more."""
    side = Sidecar(target)
    known = side.total if side.load() else 0
    assert written(target, data) - known < 8_000_000
    for first, end in side.ranges():
        with part_path(target).open("rb") as file:
            file.seek(first)
            assert file.read(end - first) == data[first:end]
    if finish:
        before = hub.settle()
        client = Hub(hub.url, lambda: None)
        Transfer(target, lambda: client.locate(REPO, "main", NAME), options=Options(connections=1)).run()
        assert hub.bytes_served() - before == SIZE - known


def test_parts_are_large_enough_to_be_worth_a_request() -> None:
    assert transfer_parts.SMALLEST >= 8_000_000
