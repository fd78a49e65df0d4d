"""The soak: clients, a second model that comes and goes, and a look at the memory."""

import collections
import itertools
import random
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
from msgspec import Struct, field

from app.core.events import Bus
from app.core.settings import SettingsStore
from app.core.types import LoadPlan, ModelFile, ModelRecord
from app.runtime.supervisor import Supervisor
from app.server.host import ServerHost
from tests.fakes.engine import FakeLibrary
from tests.soak.clients import Client, Serial, WrongError

MAIN, OTHER = "soak/main", "soak/other"


class Outcome(Struct):
    """Counts of acts, what went wrong, and resident bytes after the warm-up and at the end."""

    acts: dict[str, int] = field(default_factory=lambda: collections.defaultdict(int))
    wrongs: list[str] = field(default_factory=list)
    loads: int = 0
    resident_before: int = 0
    resident_after: int = 0
    left_active: int = 0

    @property
    def growth(self) -> float:
        """Of the resident memory, as a share."""
        return self.resident_after / self.resident_before - 1 if self.resident_before else 0.0


def soak(
    model: Path, seconds: float, clients: int = 8, seed: int = 0, threads: int = 2, rest: float = 30.0
) -> Outcome:
    """Run for ``seconds``; a second model is loaded and unloaded again ``rest`` seconds after the last time, and at
    least twice. ``threads`` are each engine's."""
    bus, outcome = Bus(), Outcome()
    # The shelf of idle conversations is full after the warm-up: what grows then is a leak.
    plan = LoadPlan(
        str(model), n_ctx=4096, n_parallel=8, n_threads=threads, n_threads_batch=threads, cache_ram_mb=32
    )
    records = tuple(ModelRecord(name, name, (ModelFile(str(model), 1),), 1) for name in (MAIN, OTHER))
    with tempfile.TemporaryDirectory() as folder:
        supervisor = Supervisor(bus, Path(folder))
        settings = SettingsStore(Path(folder) / "settings.toml", bus)
        server = ServerHost(
            FakeLibrary(records), supervisor, lambda *_asked: SimpleNamespace(plan=plan), bus, settings
        )  # type: ignore[arg-type]
        try:
            supervisor.ensure_ready(MAIN, plan).result(60)
            address = server.start("127.0.0.1", 0).address
            _run(supervisor, address, plan, outcome, seconds, clients, seed, rest)
            outcome.left_active = _active(supervisor)
        finally:
            server.close()
            supervisor.close()
    return outcome


def _run(
    supervisor: Supervisor, address: str, plan: LoadPlan, outcome: Outcome, seconds: float, clients: int, seed: int,
    rest: float,
) -> None:  # fmt: skip
    serial = Serial(Client(supervisor, address, MAIN, random.Random(0)))
    if serial.clear < 3:
        outcome.wrongs.append(f"only {serial.clear} answers can be compared")
    end = time.monotonic() + seconds
    lock = threading.Lock()

    def work(number: int) -> None:
        client = Client(supervisor, address, MAIN, random.Random(seed * 1000 + number), serial)
        while time.monotonic() < end:
            try:
                name = client.act()
                with lock:
                    outcome.acts[name] += 1
            except (WrongError, OSError) as wrong:
                with lock:
                    outcome.wrongs.append(repr(wrong))

    threads = [
        threading.Thread(target=work, args=(number,), name=f"client {number}") for number in range(clients)
    ]
    threads.append(
        threading.Thread(target=_come_and_go, args=(supervisor, plan, outcome, end, rest), name="loader")
    )
    for thread in threads:
        thread.start()
    time.sleep(seconds * 0.25)
    outcome.resident_before = _resident(supervisor)
    for thread in threads:
        thread.join()
    outcome.resident_after = _resident(supervisor)


def _come_and_go(supervisor: Supervisor, plan: LoadPlan, outcome: Outcome, end: float, rest: float) -> None:
    for number in itertools.count():
        if number >= 2 and time.monotonic() >= end:
            return
        try:
            supervisor.ensure_ready(OTHER, plan).result(60)
            supervisor.unload(OTHER).result(60)
            outcome.loads += 1
        except Exception as error:
            outcome.wrongs.append(f"load: {error!r}")
        time.sleep(max(0.0, min(rest, end - time.monotonic())))


def _resident(supervisor: Supervisor) -> int:
    snapshot = supervisor.snapshot(MAIN)
    pids = [psutil.Process().pid, *([snapshot.pid] if snapshot and snapshot.pid else [])]
    return sum(psutil.Process(pid).memory_info().rss for pid in pids)


def _active(supervisor: Supervisor) -> int:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        snapshot = supervisor.snapshot(MAIN)
        if snapshot is not None and not snapshot.active and not snapshot.waiting:
            return 0
        time.sleep(0.1)
    return snapshot.active + snapshot.waiting if snapshot else -1
