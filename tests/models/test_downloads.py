"""The queue, from the Hub's page to the library, over real HTTP."""

import hashlib
import itertools
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from app.core.errors import DiskFullError, HubGatedError, TransferBusyError, UsageError
from app.core.events import Bus, DownloadChanged
from app.core.paths import Paths
from app.core.settings import SettingsStore
from app.models import downloads_store
from app.models.downloads import Downloads
from app.models.downloads_job import Speed, live
from app.models.hub import Hub, QuantFile, RemotePart
from app.models.library import Library
from app.models.transfer import Options, Progress
from app.models.transfer_net import Net
from app.models.transfer_sidecar import FileLock, part_path
from tests.fakes.gguf_writer import Tensor, model_metadata, model_tensors, write_gguf
from tests.fakes.hub_server import FakeFile, FakeRepo, LocalHub
from tests.waiting import until as wait

REPO = "me/tiny-GGUF"
QUICK = Options(net=Net(stall=0.5, connect=2.0), backoff=0.02, backoff_limit=0.2, sync_every=0.2)


def gguf(folder: Path, name: str, size: int = 3_000_000, **keys: Any) -> FakeFile:
    """A sound GGUF with random weights."""
    noise = Tensor("noise.weight", (size // 4,), "F32", random.Random(name).randbytes(size // 4 * 4))
    path = write_gguf(folder / name, {**model_metadata(), **keys}, [*model_tensors(), noise])
    return FakeFile.of(path)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    files = {f"tiny-{quant}.gguf": gguf(tmp_path, f"tiny-{quant}.gguf") for quant in ("Q4_0", "Q8_0", "F16")}
    with LocalHub([FakeRepo(REPO, files, parameters=1_000_000)]) as server:
        yield server


@dataclass
class Place:
    """Everything a queue needs, and the events it published."""

    paths: Paths
    bus: Bus
    hub: LocalHub
    token: list[str | None] = field(default_factory=lambda: [None])
    events: list[tuple[float, DownloadChanged]] = field(default_factory=list)
    open: list[Any] = field(default_factory=list)

    def queue(self, start: bool = True, **options: Any) -> Downloads:
        settings = SettingsStore(self.paths.settings_file, self.bus)
        library = Library(self.paths, self.bus)
        client = Hub(self.hub.url, lambda: self.token[0])
        chosen = msgspec.structs.replace(QUICK, **options)
        downloads = Downloads(self.paths, client, library, self.bus, settings, chosen)
        downloads.ask_again = dict.fromkeys(downloads.ask_again, 0.2)
        self.open += [downloads, library]
        if start:
            downloads.start()
        return downloads

    def quant(self, name: str = "Q4_0", repo: str = REPO) -> QuantFile:
        client = Hub(self.hub.url, lambda: self.token[0])
        return next(quant for quant in client.repo(repo).quants if quant.quant == name)

    def target(self, quant: QuantFile) -> Path:
        return self.paths.models / quant.repo / quant.files[0].name

    def states(self, download: str) -> list[str]:
        seen = [event.state for _, event in self.events if event.id == download]
        return [state for n, state in enumerate(seen) if not n or seen[n - 1] != state]


@pytest.fixture
def place(paths: Paths, bus: Bus, hub: LocalHub) -> Iterator[Place]:
    found = Place(paths, bus, hub)
    bus.subscribe(DownloadChanged, lambda event: found.events.append((time.monotonic(), event)))
    yield found
    for service in found.open:
        service.close()


def one(downloads: Downloads, download: str) -> DownloadChanged:
    return next(item for item in downloads.snapshots() if item.id == download)


def until(downloads: Downloads, download: str, *states: str) -> DownloadChanged:
    return wait(lambda: (found := one(downloads, download)).state in states and found)


def test_from_the_hub_to_the_library(place: Place) -> None:
    downloads, quant = place.queue(), place.quant()
    download = downloads.enqueue(quant)
    done = until(downloads, download, "done", "failed")
    assert (done.state, done.done, done.total, done.error) == ("done", quant.bytes, quant.bytes, None)
    record = place.open[1].get(done.model)
    assert record.source.repo == REPO
    assert record.source.revision == quant.revision
    assert record.files[0].sha256 == quant.files[0].sha256
    assert Path(record.path) == place.target(quant)
    assert place.states(download)[0] == "queued"
    assert place.states(download)[-1] == "done"
    assert not list(place.paths.models.rglob("*.part*"))


def test_progress_has_a_speed_and_comes_ten_times_a_second_at_most(place: Place) -> None:
    place.hub.rate = 2_000_000
    downloads = place.queue(connections=1)
    download = downloads.enqueue(place.quant())
    until(downloads, download, "done")
    running = [(at, event) for at, event in place.events if event.state == "running"]
    gaps = sorted(b[0] - a[0] for a, b in pairwise(running))
    assert len(running) > 5
    assert gaps[len(gaps) // 2] > 0.09
    speeds = [event.speed for _, event in running if event.speed]
    assert speeds[-1] == pytest.approx(2_000_000, rel=0.5)
    assert all(event.eta is not None for _, event in running if event.speed)


def test_bytes_of_an_earlier_run_are_no_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [("starting", 0), ("starting", 30), ("running", 30), ("running", 31)]
    seen = iter([(0, None), *((done, Progress(state, done, 100, 0, None)) for state, done in looks)])
    job = SimpleNamespace(speed=Speed(), verifying=False, look=lambda: next(seen))
    clock = itertools.count(10.0)
    monkeypatch.setattr("app.models.downloads_job.time.monotonic", lambda: next(clock))
    plain = DownloadChanged("a:Q4_0", "a", "a.gguf", "running", 100)
    assert [live(plain, job).speed for _ in range(5)] == [None, None, None, None, 1.0]


def test_the_same_thing_twice_is_one_download(place: Place) -> None:
    place.hub.rate = 3_000_000
    downloads, quant = place.queue(), place.quant()
    assert downloads.enqueue(quant) == downloads.enqueue(quant)
    assert len(downloads.snapshots()) == 1
    until(downloads, quant.id, "done")
    assert place.hub.bytes_served() < quant.bytes * 1.1


def test_what_the_library_has_is_done_at_once(place: Place) -> None:
    downloads, quant = place.queue(), place.quant()
    until(downloads, downloads.enqueue(quant), "done")
    before = place.hub.settle()
    downloads.remove(quant.id)
    downloads.enqueue(quant)
    assert one(downloads, quant.id).state == "done"
    assert one(downloads, quant.id).model
    assert place.hub.bytes_served() == before


def test_a_file_that_is_there_but_unknown_is_verified_not_fetched(place: Place) -> None:
    quant = place.quant()
    place.target(quant).parent.mkdir(parents=True)
    place.target(quant).write_bytes(place.hub.repos[REPO].files[quant.files[0].name].path.read_bytes())
    downloads = place.queue()
    until(downloads, downloads.enqueue(quant), "done")
    assert place.hub.bytes_served() == 0


def test_pause_and_resume_fetch_nothing_twice(place: Place) -> None:
    place.hub.rate = 1_000_000
    downloads, quant = place.queue(connections=1), place.quant()
    downloads.enqueue(quant)
    wait(lambda: one(downloads, quant.id).done > quant.bytes // 3)
    downloads.pause(quant.id)
    paused = one(downloads, quant.id)
    assert paused.state == "paused"
    assert quant.bytes // 3 < paused.done < quant.bytes
    before = place.hub.settle()
    place.hub.rate = None
    downloads.resume(quant.id)
    until(downloads, quant.id, "done")
    assert place.hub.bytes_served() - before == quant.bytes - paused.done


def test_cancel_deletes_the_bytes_and_retry_begins_again(place: Place) -> None:
    place.hub.rate = 1_000_000
    downloads, quant = place.queue(), place.quant()
    downloads.enqueue(quant)
    wait(lambda: one(downloads, quant.id).done > 100_000)
    downloads.cancel(quant.id)
    assert one(downloads, quant.id).state == "cancelled"
    assert one(downloads, quant.id).done == 0
    assert not [path for path in place.paths.models.rglob("*") if path.is_file()]
    place.hub.rate = None
    downloads.retry(quant.id)
    until(downloads, quant.id, "done")


def test_remove_takes_it_off_the_list(place: Place) -> None:
    place.hub.rate = 1_000_000
    downloads, quant = place.queue(), place.quant()
    downloads.enqueue(quant)
    wait(lambda: one(downloads, quant.id).done > 0)
    downloads.remove(quant.id)
    assert downloads.snapshots() == ()


def test_only_so_many_at_a_time_in_the_queue_s_order(place: Place) -> None:
    place.hub.rate = 2_000_000
    downloads = place.queue(start=False)
    names = [downloads.enqueue(place.quant(name)) for name in ("F16", "Q4_0", "Q8_0")]
    downloads.move(names[2], names[0])
    assert [item.id for item in downloads.snapshots()] == [names[2], names[0], names[1]]
    downloads.start()
    most = 0
    while any(item.state != "done" for item in downloads.snapshots()):
        running = [item.id for item in downloads.snapshots() if item.state in {"running", "verifying"}]
        most = max(most, len(running))
        time.sleep(0.01)
    assert most == 2
    ended = [event.id for _, event in place.events if event.state == "running"]
    assert ended[0] == names[2]
    assert ended.index(names[1]) > ended.index(names[0])


def test_close_is_quick_and_the_next_start_goes_on(place: Place) -> None:
    place.hub.rate = 1_000_000
    downloads, quant = place.queue(connections=1), place.quant()
    downloads.enqueue(quant)
    wait(lambda: one(downloads, quant.id).done > quant.bytes // 3)
    downloads.close()
    before = place.hub.settle()
    assert before < quant.bytes  # it did not wait for the end
    place.hub.rate = None
    again = place.queue(connections=1)
    until(again, quant.id, "done")
    assert place.hub.bytes_served() - before < quant.bytes * 0.75


def test_paused_and_failed_stay_so_over_a_restart(place: Place) -> None:
    place.hub.fault("status", "data", None, status=404)
    downloads, first, second = place.queue(), place.quant("Q4_0"), place.quant("Q8_0")
    until(downloads, downloads.enqueue(first), "failed")
    place.hub.heal()
    place.hub.rate = 500_000
    downloads.enqueue(second)
    wait(lambda: one(downloads, second.id).done > 0)
    downloads.pause(second.id)
    downloads.close()
    again = place.queue()
    time.sleep(0.3)
    assert [item.state for item in again.snapshots()] == ["failed", "paused"]
    assert again.snapshots()[0].error.code == "hub_not_found"
    assert again.snapshots()[1].done > 0


def test_a_split_set_is_one_download(place: Place, tmp_path: Path) -> None:
    names = [f"big-Q4_0-0000{n}-of-00002.gguf" for n in (1, 2)]
    tensors = [
        *model_tensors(),
        Tensor("noise.weight", (500_000,), "F32", random.Random(1).randbytes(2_000_000)),
    ]
    from tests.fakes.gguf_writer import Typed

    files = {}
    for number, name in enumerate(names):
        split = {"split.no": Typed("u16", number), "split.count": Typed("u16", 2),
                 "split.tensors.count": Typed("i32", len(tensors))}  # fmt: skip
        metadata = {**model_metadata(), **split} if not number else {"general.architecture": "llama", **split}
        files[name] = FakeFile.of(write_gguf(tmp_path / name, metadata, tensors[number::2]))
    place.hub.add(FakeRepo("me/big-GGUF", files))
    downloads, quant = place.queue(), place.quant("Q4_0", "me/big-GGUF")
    assert len(quant.files) == 2
    done = until(downloads, downloads.enqueue(quant), "done", "failed")
    assert done.error is None
    record = place.open[1].get(done.model)
    assert [Path(file.path).name for file in record.files] == names
    assert record.bytes == quant.bytes


def test_gated_waits_and_goes_on_once_the_licence_is_accepted(place: Place) -> None:
    quant = place.quant()
    place.hub.repos[REPO].gated = "auto"
    place.token[0] = "hf_good"
    downloads = place.queue()
    downloads.enqueue(quant)
    waiting = until(downloads, quant.id, "waiting")
    assert waiting.error.code == "hub_gated"
    assert waiting.error.params["what"] == REPO
    place.hub.tokens["hf_good"].add(REPO)
    until(downloads, quant.id, "done")


def test_a_full_disk_waits_says_how_much_and_goes_on(place: Place) -> None:
    room = [50_000_000]
    downloads, quant = place.queue(free=lambda _path: room[0]), place.quant()
    downloads.enqueue(quant)
    waiting = until(downloads, quant.id, "waiting")
    assert waiting.error.code == "disk_full"
    assert "MB" in waiting.error.params["missing"]
    time.sleep(0.5)
    assert one(downloads, quant.id).state == "waiting"
    room[0] = 10**12
    assert until(downloads, quant.id, "done").error is None


def test_a_disk_that_fills_up_on_the_way(place: Place) -> None:
    full = [True]

    def write(file: Any, piece: memoryview) -> int | None:
        if full[0] and file.tell() > 1_000_000:
            raise OSError(28, "No space left on device")
        return file.write(piece)  # type: ignore[no-any-return]

    downloads, quant = place.queue(write=write), place.quant()
    downloads.enqueue(quant)
    waiting = until(downloads, quant.id, "waiting")
    assert waiting.error.code == "disk_full"
    full[0] = False
    until(downloads, quant.id, "done")


def test_the_whole_set_must_fit_beside_what_already_runs(place: Place) -> None:
    place.hub.rate = 500_000
    room = 64 * 1024 * 1024 + 4_000_000  # for one file, not for two
    taken = lambda: sum(path.stat().st_blocks * 512 for path in place.paths.models.rglob("*.part"))  # noqa: E731
    downloads = place.queue(free=lambda _path: room - taken())
    first, second = place.quant("Q4_0"), place.quant("Q8_0")
    downloads.enqueue(first)
    downloads.enqueue(second)
    until(downloads, second.id, "waiting")
    assert one(downloads, first.id).state == "running"


def test_another_hearth_at_work_on_the_file(place: Place) -> None:
    downloads, quant = place.queue(), place.quant()
    place.target(quant).parent.mkdir(parents=True)
    lock = FileLock(part_path(place.target(quant)))
    downloads.enqueue(quant)
    assert until(downloads, quant.id, "waiting").error.code == "transfer_busy"
    lock.release()
    until(downloads, quant.id, "done")


def test_only_one_process_keeps_the_queue(place: Place) -> None:
    place.hub.rate = 500_000
    first, quant = place.queue(), place.quant()
    first.enqueue(quant)
    wait(lambda: one(first, quant.id).done > 0)
    second = place.queue()
    assert second.snapshots() == ()
    second.enqueue(place.quant("Q8_0"))
    wait(lambda: one(second, place.quant("Q8_0").id).done > 0)


def test_wrong_bytes_for_ever_fail(place: Place) -> None:
    place.hub.fault("corrupt", times=None, at=-1)
    downloads, quant = place.queue(), place.quant()
    downloads.enqueue(quant)
    assert until(downloads, quant.id, "failed").error.code == "checksum"
    place.hub.heal()
    downloads.retry(quant.id)
    until(downloads, quant.id, "done")


def test_what_is_no_gguf_fails_clearly(place: Place) -> None:
    place.hub.replace(REPO, "tiny-Q4_0.gguf", b"<html>" * 10_000)
    downloads, quant = place.queue(), place.quant()
    downloads.enqueue(quant)
    assert until(downloads, quant.id, "failed").error.code == "unsupported_model"


def test_an_importance_matrix_is_fetched_and_not_listed(place: Place) -> None:
    place.hub.repos[REPO].files["tiny.imatrix"] = FakeFile.of(random.Random(3).randbytes(30_000))
    quant = next(q for q in Hub(place.hub.url, lambda: None).repo(REPO).quants if q.kind == "imatrix")
    downloads = place.queue()
    done = until(downloads, downloads.enqueue(quant), "done", "failed")
    assert (done.state, done.model) == ("done", None)


@pytest.mark.parametrize(
    "name",
    [
        "../up.gguf",
        "/etc/x.gguf",
        "a/../../x.gguf",
        "C:x.gguf",
        "a\\b.gguf",
        "nul.gguf",
        "x.gguf.",
        "a//b.gguf",
    ],
)
def test_names_that_lead_astray_are_refused(place: Place, name: str) -> None:
    quant = msgspec.structs.replace(place.quant(), files=(RemotePart(name, 5),))
    downloads = place.queue(start=False)
    if name == "a//b.gguf":  # harmless: the same as a/b.gguf
        downloads.enqueue(quant)
        return
    with pytest.raises(UsageError):
        downloads.enqueue(quant)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 99}', '{"entries": [{"quant": 5}]}'])
def test_a_damaged_queue_begins_empty(place: Place, text: str) -> None:
    (place.paths.data / "downloads.json").write_text(text)
    downloads, quant = place.queue(), place.quant()
    assert downloads.snapshots() == ()
    until(downloads, downloads.enqueue(quant), "done")


def test_a_queue_that_can_t_be_written_still_works(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: Any, **_more: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(downloads_store.tempfile, "mkstemp", full)
    downloads, quant = place.queue(), place.quant()
    until(downloads, downloads.enqueue(quant), "done")


def test_pause_all_and_resume_all(place: Place) -> None:
    place.hub.rate = 1_000_000
    downloads = place.queue()
    ids = [downloads.enqueue(place.quant(name)) for name in ("F16", "Q4_0", "Q8_0")]
    wait(lambda: one(downloads, ids[0]).done > 0)
    downloads.pause_all()
    assert {item.state for item in downloads.snapshots()} == {"paused"}
    place.hub.rate = None
    downloads.resume_all()
    for download in ids:
        until(downloads, download, "done")


def test_outside_the_hours_set_nothing_runs(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [False]
    monkeypatch.setattr("app.models.downloads.allowed", lambda _hours, _now: now[0])
    downloads, quant = place.queue(), place.quant()
    downloads.enqueue(quant)
    wait(lambda: "hours" in one(downloads, quant.id).note)
    assert place.hub.bytes_served() == 0
    place.hub.rate, now[0] = 1_000_000, True
    downloads._wake.set()
    wait(lambda: one(downloads, quant.id).done > 0)
    now[0] = False
    until(downloads, quant.id, "queued")
    place.hub.rate, now[0] = None, True
    downloads._wake.set()
    until(downloads, quant.id, "done")


def test_settings_reach_the_transfer(place: Place) -> None:
    downloads = place.queue(start=False)
    downloads._options = None
    for key, value in {"connections": 7, "method": "http", "speed_limit": 3}.items():
        downloads._settings.set(f"downloads.{key}", value)
    downloads._settings.set("hub.proxy", "none")
    options = downloads._job_options()
    assert (options.connections, options.method, options.net.proxy) == (7, "http", "none")
    assert downloads._limiter._limit() == 3000


def test_close_twice_and_without_start(place: Place) -> None:
    downloads = place.queue(start=False)
    downloads.close()
    downloads.close()
    downloads.start()
    assert downloads._manager is None


def test_what_waits_is_asked_again() -> None:
    from app.models.downloads import ASK_AGAIN

    assert {DiskFullError, HubGatedError, TransferBusyError} <= set(ASK_AGAIN)


def test_the_bytes_on_disk_are_the_hub_s(place: Place) -> None:
    place.hub.fault("cut", times=4, after=500_000)
    place.hub.fault("stall", times=1, after=100_000)
    place.hub.fault("status", "data", 2, status=503)
    downloads, quant = place.queue(), place.quant()
    until(downloads, downloads.enqueue(quant), "done")
    assert hashlib.sha256(place.target(quant).read_bytes()).hexdigest() == quant.files[0].sha256
