"""Our transfer beside curl and the Hub's own client: 1 GB over loopback to the same disk, and what a kill costs.

The three take turns, so that whatever else the machine does hits them alike; the ratio is of each round's pair.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from app.models.hub import Hub
from app.models.transfer import Options, Transfer
from tests.bench.figures import ROOT, Figure, median
from tests.fakes.hub_server import FakeFile, FakeRepo, LocalHub

SIZE = int(os.environ.get("HEARTH_BENCH_BYTES", "1000000000"))
ROUNDS = 5
REPO, NAME = "bench/big", "big.gguf"
KILL_SIZE = 200_000_000


def run() -> list[Figure]:
    """Speed against curl and hf, and bytes fetched twice after a kill."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("HEARTH_BENCH_DIR")) as name:
        folder = Path(name)
        speeds = _race(folder)
        return [*_compare(speeds), _kill(folder)]


def _race(folder: Path) -> dict[str, list[float]]:
    source = folder / "served" / REPO / NAME
    source.parent.mkdir(parents=True)
    with source.open("wb") as file:
        for _ in range(SIZE // 1_000_000):
            file.write(os.urandom(1_000_000))
    port = _free_port()
    server = _serve(folder / "served", port)
    try:
        url = f"http://127.0.0.1:{port}"
        runners: dict[str, Callable[[], None]] = {
            "ours": lambda: _ours(url, folder),
            "hf": lambda: _hf(url, folder),
        }
        if shutil.which("curl"):
            runners["curl"] = lambda: _curl(url, folder)
        return _take_turns(runners)
    finally:
        server.terminate()
        server.wait()


def _take_turns(runners: dict[str, Callable[[], None]]) -> dict[str, list[float]]:
    speeds: dict[str, list[float]] = {name: [] for name in runners}
    for number in range(ROUNDS):
        order = sorted(runners, reverse=bool(number % 2))
        for name in order:
            os.sync()
            began = time.monotonic()
            runners[name]()
            speeds[name].append(SIZE / 1e6 / (time.monotonic() - began))
    return speeds


def _compare(speeds: dict[str, list[float]]) -> list[Figure]:
    gb = f"{SIZE / 1e9:g} GB over loopback"
    figures = [median(f"{name}: {gb}", values, "MB/s") for name, values in speeds.items()]
    for name, goal in (("curl", 0.95), ("hf", 1.0)):
        if name in speeds:
            ratios = [a / b for a, b in zip(speeds["ours"], speeds[name], strict=True)]
            figures.append(median(f"transfer with sha256, over {name}", ratios, "x", goal=goal, more=True))
    return figures


def _ours(url: str, folder: Path) -> None:
    target = folder / "ours.gguf"
    client = Hub(url, lambda: None)
    # curl and hf don't wait for the disk either.
    options = Options(durable=False)
    Transfer(target, lambda: client.locate(REPO, "main", NAME), options=options).run()
    target.unlink()


def _curl(url: str, folder: Path) -> None:
    target = folder / "curl.gguf"
    subprocess.run(["curl", "-sfL", "-o", str(target), f"{url}/{REPO}/resolve/main/{NAME}"], check=True)
    target.unlink()


def _hf(url: str, folder: Path) -> None:
    from huggingface_hub import hf_hub_download

    hf_hub_download(REPO, NAME, endpoint=url, cache_dir=folder / "hf", token=False)
    shutil.rmtree(folder / "hf")


def _kill(folder: Path) -> Figure:
    """Bytes that were on the disk and are fetched again, over three kills."""
    data = random.Random(1).randbytes(KILL_SIZE)
    twice = []
    with LocalHub([FakeRepo(REPO, {NAME: FakeFile.of(data)})], rate=30_000_000) as hub:
        for wait in (0.4, 0.8, 1.2):
            target = folder / f"killed-{wait}"
            child = subprocess.Popen(
                [sys.executable, "-m", "tests.fakes.pull_child", hub.url, REPO, NAME, str(target)],
                cwd=ROOT, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(wait)
            child.send_signal(signal.SIGKILL)
            child.communicate()
            twice.append(_again(hub, target, data) / 1e6)
    return Figure("fetched twice after kill -9", max(twice), "MB", goal=8.0, note="the worst of three kills")


def _again(hub: LocalHub, target: Path, data: bytes) -> int:
    part, block = target.with_name(target.name + ".part").read_bytes(), 65536
    there = sum(
        len(data[at : at + block])
        for at in range(0, len(data), block)
        if part[at : at + block] == data[at : at + block]
    )
    before, hub.rate = hub.bytes_served(), None
    client = Hub(hub.url, lambda: None)
    Transfer(target, lambda: client.locate(REPO, "main", NAME), options=Options(connections=1)).run()
    hub.rate = 30_000_000
    return hub.bytes_served() - before - (len(data) - there)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _serve(folder: Path, port: int) -> "subprocess.Popen[str]":
    arguments = [sys.executable, "-m", "tests.fakes.hub_server", "--port", str(port), str(folder)]
    server = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    server.stdout.readline()
    return server


if __name__ == "__main__":
    from tests.bench.figures import show

    print(show(run()))
