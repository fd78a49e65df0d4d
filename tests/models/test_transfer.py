"""One file over real HTTP, with everything that goes wrong on the way."""

import errno
import hashlib
import json
import os
import random
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.errors import (
    ChecksumError,
    DiskFullError,
    HearthError,
    HubGatedError,
    HubNotFoundError,
    HubUnauthorizedError,
    ReadOnlyError,
    TransferBusyError,
    TransferCancelledError,
    TransferError,
)
from app.models import transfer_parts
from app.models.hub import Hub, RemoteFile
from app.models.transfer import Options, Result, Transfer
from app.models.transfer_mend import attempts
from app.models.transfer_net import Net
from app.models.transfer_ranges import Ranges
from app.models.transfer_sidecar import Facts, Sidecar
from app.models.transfer_throttle import Limiter, allowed
from app.models.transfer_xet import wanted
from tests.fakes.hub_server import FakeFile, FakeRepo, LocalHub
from tests.fakes.proxy_server import LocalProxy
from tests.waiting import PATIENCE, until

REPO, NAME = "me/tiny-GGUF", "tiny-Q4_0.gguf"
SIZE = 6_000_000
DATA = random.Random(7).randbytes(SIZE)
SHA = hashlib.sha256(DATA).hexdigest()
QUICK = Options(net=Net(stall=0.4, connect=2.0), backoff=0.02, backoff_limit=0.2, sync_every=0.1)


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    with LocalHub([FakeRepo(REPO, {NAME: FakeFile.of(DATA)})]) as server:
        yield server


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six megabytes are then enough for several connections."""
    monkeypatch.setattr(transfer_parts, "SMALLEST", 1_000_000)


def transfer(
    hub: LocalHub, target: Path, options: Options = QUICK, token: str | None = None, **more: Any
) -> Transfer:
    client = Hub(hub.url, lambda: token)
    return Transfer(target, lambda: client.locate(REPO, "main", NAME), options=options, **more)


def fetch(hub: LocalHub, target: Path, options: Options = QUICK, token: str | None = None) -> Result:
    return transfer(hub, target, options, token).run()


def changed(options: Options = QUICK, **more: Any) -> Options:
    import msgspec

    return msgspec.structs.replace(options, **more)


CALM = changed(net=Net(stall=20.0))
"""On a machine so busy that nothing moves for a while, a quick one would ask for the same bytes again."""
ONE = changed(CALM, connections=1)
"""Of several connections one may help another that is slow, and then a few bytes are sent twice."""


def leftovers(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir() if path != target)


class Running:
    """A transfer on its own thread."""

    def __init__(self, work: Transfer) -> None:
        self.work, self.outcome = work, None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.outcome = self.work.run()
        except BaseException as error:
            self.outcome = error

    def until(self, done: int) -> None:
        until(lambda: self.work.progress().done >= done or not self.thread.is_alive())

    def says(self, words: str) -> bool:
        note = self.work.progress().note
        return note is not None and words in note.text

    def join(self) -> Any:
        self.thread.join(60)
        return self.outcome


def test_whole_file_arrives_verified_and_alone(hub: LocalHub, tmp_path: Path) -> None:
    target = tmp_path / "a" / "b.gguf"
    result = fetch(hub, target, ONE)
    assert target.read_bytes() == DATA
    assert (result.sha256, result.size, result.verified) == (SHA, SIZE, True)
    assert result.revision == hub.repos[REPO].commit
    assert leftovers(target) == []
    assert hub.bytes_served() == SIZE


def test_several_connections_share_the_file(hub: LocalHub, tmp_path: Path) -> None:
    hub.rate = 4_000_000
    fetch(hub, tmp_path / "f", CALM)
    ranges = [asked.range for asked in hub.asked("data")]
    assert len(ranges) >= 4
    assert len({str(text) for text in ranges}) == len(ranges)


def test_small_file_without_a_known_hash(hub: LocalHub, tmp_path: Path) -> None:
    client = Hub(hub.url, lambda: None)
    target = tmp_path / "README.md"
    result = Transfer(target, lambda: client.locate(REPO, "main", "README.md"), options=QUICK).run()
    assert target.read_bytes() == hub.repos[REPO].files["README.md"].data
    assert not result.verified


def test_empty_file(hub: LocalHub, tmp_path: Path) -> None:
    hub.repos[REPO].files["empty.txt"] = FakeFile.of(b"")
    client = Hub(hub.url, lambda: None)
    target = tmp_path / "empty.txt"
    Transfer(target, lambda: client.locate(REPO, "main", "empty.txt"), options=QUICK).run()
    assert target.read_bytes() == b""


def test_token_stays_with_the_hub(hub: LocalHub, tmp_path: Path) -> None:
    hub.repos[REPO].private = True
    hub.tokens["hf_good"] = {REPO}
    fetch(hub, tmp_path / "f", token="hf_good")
    assert all(asked.authorized for asked in hub.asked("resolve"))
    assert not any(asked.authorized for asked in hub.asked("data"))


def test_cancel_is_quick_and_the_next_run_goes_on(hub: LocalHub, tmp_path: Path) -> None:
    hub.rate = 1_000_000
    running = Running(transfer(hub, tmp_path / "f"))
    running.until(SIZE // 2)
    running.work.cancel()
    assert isinstance(running.join(), TransferCancelledError)
    done = running.work.progress().done
    assert done < SIZE  # it did not wait for the end
    assert not (tmp_path / "f").exists()
    before = hub.settle()
    hub.rate = None
    assert fetch(hub, tmp_path / "f", ONE).sha256 == SHA
    assert hub.bytes_served() - before == SIZE - done


def test_cancel_while_waiting_for_the_hub(hub: LocalHub, tmp_path: Path) -> None:
    hub.fault("status", "resolve", None, status=503)
    running = Running(transfer(hub, tmp_path / "f", changed(backoff=300.0, backoff_limit=300.0)))
    until(lambda: hub.asked("resolve"))
    running.work.cancel()
    assert isinstance(running.join(), TransferCancelledError)
    assert leftovers(tmp_path / "f") == []


@pytest.mark.parametrize("reset", [True, False])
def test_cut_connections_go_on_where_they_were(hub: LocalHub, tmp_path: Path, reset: bool) -> None:
    hub.fault("cut", times=6, after=300_000, reset=reset)
    assert fetch(hub, tmp_path / "f").sha256 == SHA
    assert hub.bytes_served() < SIZE * 1.5


def test_a_stall_reconnects_and_spends_no_retry(hub: LocalHub, tmp_path: Path) -> None:
    hub.fault("stall", times=2, after=200_000)
    work = transfer(hub, tmp_path / "f")
    assert work.run().sha256 == SHA
    assert work._patience.retries == 0


def test_server_errors_and_cuts_of_the_hub_are_waited_out(hub: LocalHub, tmp_path: Path) -> None:
    for where in ("resolve", "data"):
        for status in (500, 502, 503, 504, 408):
            hub.fault("status", where, status=status)  # type: ignore[arg-type]
    assert fetch(hub, tmp_path / "f").sha256 == SHA


@pytest.mark.parametrize("where", ["resolve", "data"])
def test_too_many_requests_waits_as_long_as_asked(hub: LocalHub, tmp_path: Path, where: Any) -> None:
    hub.fault("status", where, status=429, headers={"Retry-After": "1"})
    started = time.monotonic()
    running = Running(transfer(hub, tmp_path / "f"))
    until(lambda: running.says("asks us to wait"))
    assert running.join().sha256 == SHA
    assert time.monotonic() - started >= 1.0


def test_expired_address_is_renewed(hub: LocalHub, tmp_path: Path) -> None:
    hub.rate = 2_000_000
    running = Running(transfer(hub, tmp_path / "f"))
    running.until(SIZE // 3)
    hub.expire_links()
    hub.drop_connections()
    hub.rate = None
    assert running.join().sha256 == SHA
    assert len(hub.asked("resolve")) >= 2
    assert any(asked.status == 403 for asked in hub.requests)


def test_addresses_refused_for_ever_end_in_a_clear_error(hub: LocalHub, tmp_path: Path) -> None:
    hub.fault("status", "data", None, status=403)
    with pytest.raises(HubUnauthorizedError):
        fetch(hub, tmp_path / "f")


def test_the_hub_away_and_back(tmp_path: Path) -> None:
    repo = FakeRepo(REPO, {NAME: FakeFile.of(DATA)})
    with LocalHub([repo]) as first:
        port = first.port
    client = Hub(f"http://127.0.0.1:{port}", lambda: None)
    running = Running(Transfer(tmp_path / "f", lambda: client.locate(REPO, "main", NAME), options=QUICK))
    until(lambda: running.says("can't be reached"))
    with LocalHub([repo], port=port):
        assert running.join().sha256 == SHA


def test_changed_between_two_runs_starts_again(hub: LocalHub, tmp_path: Path) -> None:
    hub.rate = 1_000_000
    running = Running(transfer(hub, tmp_path / "f"))
    running.until(SIZE // 3)
    running.work.cancel()
    running.join()
    other = random.Random(8).randbytes(SIZE)
    hub.replace(REPO, NAME, other)
    hub.rate = None
    work = transfer(hub, tmp_path / "f", sha256=SHA)
    assert work.run().sha256 == hashlib.sha256(other).hexdigest()
    assert "starts again" in work.progress().note.text


def test_changed_while_it_runs_starts_again(hub: LocalHub, tmp_path: Path) -> None:
    hub.rate = 1_000_000
    running = Running(transfer(hub, tmp_path / "f"))
    running.until(SIZE // 3)
    other = random.Random(9).randbytes(SIZE + 100_000)
    hub.replace(REPO, NAME, other)
    hub.drop_connections()
    hub.rate = None
    assert running.join().sha256 == hashlib.sha256(other).hexdigest()
    assert "starts again" in running.work.progress().note.text
    assert (tmp_path / "f").read_bytes() == other


@pytest.mark.parametrize("cuts", [0, 3])
def test_a_server_that_ignores_range(hub: LocalHub, tmp_path: Path, cuts: int) -> None:
    hub.fault("no_range", times=None)
    hub.fault("cut", times=cuts, after=2_000_000)
    assert fetch(hub, tmp_path / "f").sha256 == SHA


def test_range_lost_in_the_middle(hub: LocalHub, tmp_path: Path) -> None:
    hub.rate = 1_000_000
    running = Running(transfer(hub, tmp_path / "f"))
    running.until(SIZE // 2)
    running.work.cancel()
    running.join()
    hub.rate = None
    hub.fault("no_range", times=None)
    assert fetch(hub, tmp_path / "f").sha256 == SHA


def test_a_proxy_that_cuts_every_answer_at_a_megabyte(hub: LocalHub, tmp_path: Path) -> None:
    hub.fault("cut", times=None, after=1_000_000)
    assert fetch(hub, tmp_path / "f").sha256 == SHA


def test_wrong_bytes_are_fetched_again(hub: LocalHub, tmp_path: Path) -> None:
    hub.fault("corrupt", at=-1)
    assert fetch(hub, tmp_path / "f").sha256 == SHA


def test_only_the_neighbourhood_of_a_seam_is_fetched_again(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.models.transfer_mend.SEAM", 50_000)
    hub.fault("corrupt", at=-1)
    work = transfer(hub, tmp_path / "f", ONE)
    assert work.run().sha256 == SHA
    assert work.progress().note.code == "repairing"
    assert hub.bytes_served() < SIZE * 1.25


def test_a_wrong_byte_anywhere_costs_the_file_once_at_most(hub: LocalHub, tmp_path: Path) -> None:
    hub.fault("corrupt", at=500_000)
    assert fetch(hub, tmp_path / "f", ONE).sha256 == SHA
    assert hub.bytes_served() < SIZE * 1.5


@given(st.sets(st.integers(0, 10_000_000), max_size=20), st.integers(1, 10_000_000))
def test_mending_covers_every_byte_once(seams: set[int], size: int) -> None:
    rounds = list(attempts({seam for seam in seams if seam <= size}, size))
    assert Ranges(span for spans in rounds for span in spans).total == size
    assert sum(end - first for spans in rounds for first, end in spans) <= size * 1.25


def test_wrong_bytes_for_ever_are_an_error_and_nothing_is_put_in_place(hub: LocalHub, tmp_path: Path) -> None:
    hub.fault("corrupt", times=None, at=-1)
    with pytest.raises(ChecksumError):
        fetch(hub, tmp_path / "f")
    assert not (tmp_path / "f").exists()
    hub.heal()
    assert fetch(hub, tmp_path / "f").sha256 == SHA


def test_gated(hub: LocalHub, tmp_path: Path) -> None:
    hub.repos[REPO].gated = "manual"
    for token in (None, "hf_good"):
        with pytest.raises(HubGatedError):
            fetch(hub, tmp_path / "f", token=token)
    hub.tokens["hf_good"].add(REPO)
    assert fetch(hub, tmp_path / "f", token="hf_good").sha256 == SHA


def test_what_is_not_there(hub: LocalHub, tmp_path: Path) -> None:
    hub.repos[REPO].private = True
    with pytest.raises(HubNotFoundError):
        fetch(hub, tmp_path / "f")
    hub.repos[REPO].private = False
    del hub.repos[REPO].files[NAME]
    with pytest.raises(HubNotFoundError):
        fetch(hub, tmp_path / "f")
    assert leftovers(tmp_path / "f") == []


@pytest.mark.parametrize(
    ("status", "kind"), [(404, HubNotFoundError), (410, HubNotFoundError), (416, TransferError)]
)
def test_data_that_is_gone(hub: LocalHub, tmp_path: Path, status: int, kind: type[HearthError]) -> None:
    hub.fault("status", "data", None, status=status)
    with pytest.raises(kind):
        fetch(hub, tmp_path / "f")


def test_no_room_is_said_before_the_first_byte(hub: LocalHub, tmp_path: Path) -> None:
    with pytest.raises(DiskFullError) as caught:
        fetch(hub, tmp_path / "f", changed(free=lambda _path: 1_000_000))
    assert "MB" in str(caught.value.params["missing"])
    assert hub.bytes_served() == 0
    assert leftovers(tmp_path / "f") == []


def failing_write(after: int, code: int) -> Callable[[FileIO, memoryview], int | None]:
    written = [0]

    def write(file: FileIO, piece: memoryview) -> int | None:
        if written[0] + len(piece) > after:
            raise OSError(code, "no")
        written[0] += len(piece)
        return file.write(piece)

    return write


def test_a_disk_that_fills_up_keeps_the_bytes(hub: LocalHub, tmp_path: Path) -> None:
    with pytest.raises(DiskFullError):
        fetch(hub, tmp_path / "f", changed(write=failing_write(2_500_000, errno.ENOSPC)))
    side = Sidecar(tmp_path / "f")
    assert side.load()
    assert 0 < side.total <= 2_500_000
    before = hub.settle()
    assert fetch(hub, tmp_path / "f", ONE).sha256 == SHA
    assert hub.bytes_served() - before == SIZE - side.total


def test_a_read_only_disk(hub: LocalHub, tmp_path: Path) -> None:
    with pytest.raises(ReadOnlyError):
        fetch(hub, tmp_path / "f", changed(write=failing_write(0, errno.EROFS)))


def test_a_fatal_error_does_not_wait_for_stalled_connections(hub: LocalHub, tmp_path: Path) -> None:
    hub.fault("stall", times=2, after=100_000)
    running = Running(
        transfer(
            hub, tmp_path / "f", changed(net=Net(stall=300.0), write=failing_write(1_000_000, errno.ENOSPC))
        )
    )
    assert isinstance(running.join(), DiskFullError)


def test_two_transfers_never_share_a_file(hub: LocalHub, tmp_path: Path) -> None:
    hub.rate = 1_000_000
    running = Running(transfer(hub, tmp_path / "f"))
    running.until(1)
    with pytest.raises(TransferBusyError):
        fetch(hub, tmp_path / "f")
    hub.rate = None
    running.work.cancel()
    running.join()
    assert fetch(hub, tmp_path / "f").sha256 == SHA


def half_done(target: Path, done: list[tuple[int, int]], **facts: Any) -> Sidecar:
    side = Sidecar(target)
    body = bytearray(SIZE)
    for first, end in done:
        body[first:end] = DATA[first:end]
    side.part.write_bytes(body)
    side.begin(Facts(**({"size": SIZE, "etag": SHA, "sha256": SHA} | facts)))
    for first, end in done:
        side.add(first, end)
    side.write(synced=side.ranges())
    side.close()
    return side


def test_holes_left_by_several_connections_are_filled(hub: LocalHub, tmp_path: Path) -> None:
    done = [(0, 1_000_000), (2_000_000, 2_500_000), (5_000_000, SIZE)]
    half_done(tmp_path / "f", done)
    assert fetch(hub, tmp_path / "f", ONE).sha256 == SHA
    assert hub.bytes_served() == SIZE - sum(end - first for first, end in done)


def test_after_a_power_loss_only_flushed_bytes_count(hub: LocalHub, tmp_path: Path) -> None:
    side = half_done(tmp_path / "f", [(0, 2_000_000)])
    side.append(2_000_000, 4_000_000)  # noted, never flushed: the disk holds zeros there
    side.close()
    lines = side.path.read_bytes().split(b"\n")
    head = json.loads(lines[0]) | {"boot": "another"}
    side.path.write_bytes(b"\n".join([json.dumps(head).encode(), *lines[1:]]))
    assert fetch(hub, tmp_path / "f", ONE).sha256 == SHA
    assert hub.bytes_served() == SIZE - 2_000_000


def test_a_cut_line_in_the_sidecar_is_ignored(hub: LocalHub, tmp_path: Path) -> None:
    side = half_done(tmp_path / "f", [(0, 2_000_000)])
    side.append(2_000_000, 2_000_000)
    side.close()
    with side.path.open("ab") as file:
        file.write(b"[2000000,30")
    assert fetch(hub, tmp_path / "f").sha256 == SHA


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"facts": {}, "version": 99}', b"\xff\xfe"])
def test_a_damaged_sidecar_starts_again(hub: LocalHub, tmp_path: Path, text: bytes) -> None:
    side = half_done(tmp_path / "f", [(0, 2_000_000)])
    side.path.write_bytes(text)
    assert fetch(hub, tmp_path / "f").sha256 == SHA


@pytest.mark.parametrize("sound", [True, False])
def test_renamed_but_not_flushed_is_verified_first(hub: LocalHub, tmp_path: Path, sound: bool) -> None:
    target = tmp_path / "f"
    side = half_done(target, [(0, SIZE)])
    side.write(renamed=True)
    side.part.rename(target)
    if not sound:
        target.write_bytes(bytes(SIZE))
    assert fetch(hub, target, ONE).sha256 == SHA
    assert target.read_bytes() == DATA
    assert hub.bytes_served() == (0 if sound else SIZE)
    assert leftovers(target) == []


def test_speed_limit_hook_sees_every_byte(hub: LocalHub, tmp_path: Path) -> None:
    seen: list[int] = []
    fetch(hub, tmp_path / "f", changed(ONE, throttle=lambda count, _cancelled: seen.append(count)))
    assert sum(seen) == SIZE


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=30), st.integers(0, 60))
def test_ranges_are_a_set_of_positions(pairs: list[tuple[int, int]], at: int) -> None:
    ranges, plain = Ranges(), set()
    for first, end in pairs:
        ranges.add(first, end)
        plain |= set(range(first, end))
    assert ranges.total == len(plain)
    assert {n for a, b in ranges for n in range(a, b)} == plain
    assert {n for a, b in ranges.gaps(60) for n in range(a, b)} == set(range(60)) - plain
    reach = ranges.reach(at)
    assert all(n in plain for n in range(at, reach))
    assert reach not in plain
    ranges.remove(20, 40)
    assert {n for a, b in ranges for n in range(a, b)} == plain - set(range(20, 40))


EXAMPLES = int(os.environ.get("HEARTH_EXAMPLES", "25"))
FAULTS = st.sampled_from(
    ["cut", "stall", "corrupt", "no_range", "status", "expire", "move", "drop", "cancel", "full"]
)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.integers(20_000, 3_000_000),
    st.lists(st.tuples(FAULTS, st.integers(0, 2**31)), max_size=6),
    st.integers(),
)
def test_whatever_happens_the_end_is_right_or_clear(
    tmp_path_factory: pytest.TempPathFactory, size: int, plan: list[tuple[str, int]], seed: int
) -> None:
    """Random faults over random files: the right bytes in the end, and never a wrong file in place."""
    data = random.Random(seed).randbytes(size)
    target = tmp_path_factory.mktemp("p") / "f"
    with LocalHub([FakeRepo(REPO, {NAME: FakeFile.of(data)})], rate=30_000_000) as hub:
        for kind, number in plan:
            before, data = data, _go_wrong(hub, kind, number, data, target)
            if target.exists():
                assert target.read_bytes() in {before, data}
                target.unlink()
        hub.heal()
        hub.rate = None
        assert fetch(hub, target).sha256 == hashlib.sha256(data).hexdigest()
        assert target.read_bytes() == data
        assert leftovers(target) == []


def _go_wrong(hub: LocalHub, kind: str, number: int, data: bytes, target: Path) -> bytes:
    options = changed(net=Net(stall=0.1, connect=1.0), durable=False)
    size = len(data)
    if kind in {"cut", "stall", "corrupt", "no_range"}:
        times = number % 3 + 1
        hub.fault(kind, times=times, after=number % size, at=number % size, reset=bool(number & 1))  # type: ignore[arg-type]
    elif kind == "status":
        where = "data" if number & 1 else "resolve"
        hub.fault("status", where, status=[500, 503, 403, 404, 416, 401][number % 6])  # type: ignore[arg-type]
    elif kind == "full":
        options = changed(options, write=failing_write(number % size, errno.ENOSPC))
    running = Running(transfer(hub, target, options))
    running.until(number % size)
    if kind == "expire":
        hub.expire_links()
        hub.drop_connections()
    elif kind == "drop":
        hub.drop_connections()
    elif kind == "cancel":
        running.work.cancel()
    elif kind == "move":
        data = random.Random(number).randbytes(size)
        hub.replace(REPO, NAME, data)
        hub.drop_connections()
    outcome = running.join()
    assert isinstance(outcome, HearthError | Result), outcome
    hub.heal()
    return data


@pytest.fixture
def xet(tmp_path: Path) -> Iterator[LocalHub]:
    with LocalHub([FakeRepo(REPO, {NAME: FakeFile.of(DATA)})], xet_store=tmp_path / "store") as server:
        server.put_xet(REPO, NAME)
        yield server


XET = changed(method="xet")


def test_xet_brings_the_file_without_plain_http(xet: LocalHub, tmp_path: Path) -> None:
    target = tmp_path / "t" / "f"
    assert fetch(xet, target, XET).sha256 == SHA
    assert target.read_bytes() == DATA
    assert xet.asked("data") == []
    assert len(xet.asked("token")) >= 1
    assert leftovers(target) == []


def test_xet_keeps_its_log_and_scratch_in_our_folders(home: Path) -> None:
    """A process of its own: the library reads where to write when it is first imported."""
    code = "from app.models.transfer_xet import _session; _session()"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HF_XET")}
    environ |= {"HEARTH_HOME": str(home), "HOME": str(home / "user")}
    subprocess.run([sys.executable, "-c", code], env=environ, check=True, timeout=60)
    assert list((home / "logs" / "xet").glob("*.log"))
    assert not (home / "user").exists()


def test_xet_token_goes_to_the_hub_only(xet: LocalHub, tmp_path: Path) -> None:
    xet.repos[REPO].private = True
    xet.tokens["hf_good"] = {REPO}
    fetch(xet, tmp_path / "f", XET, token="hf_good")
    assert all(asked.authorized and asked.host == "127.0.0.1" for asked in xet.asked("token"))


def test_xet_fills_the_holes_another_way_left(xet: LocalHub, tmp_path: Path) -> None:
    target = tmp_path / "t" / "f"
    target.parent.mkdir()
    half_done(target, [(0, 1_000_000), (2_000_000, 2_500_000)])
    assert fetch(xet, target, XET).sha256 == SHA


def test_xet_in_trouble_goes_on_over_plain_http(
    xet: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.models.transfer_xet.MAIN_SITE", xet.url)
    shutil.rmtree(tmp_path / "store")
    assert fetch(xet, tmp_path / "t" / "f").sha256 == SHA
    assert xet.bytes_served() >= SIZE


def test_which_files_come_through_xet(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = RemoteFile("u", 5, "e")
    stored = RemoteFile("u", 5, "e", xet="h", xet_route="https://huggingface.co/api/x")
    mirrored = RemoteFile("u", 5, "e", xet="h", xet_route="https://mirror.example/api/x")
    huge = RemoteFile("u", 60_000_000_000, "e", xet="h", xet_route="https://mirror.example/api/x")
    assert [wanted(remote, "auto") for remote in (plain, stored, mirrored, huge)] == [
        False,
        True,
        False,
        True,
    ]
    assert [wanted(remote, "xet") for remote in (plain, mirrored)] == [False, True]
    assert not wanted(huge, "http")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert not wanted(huge, "auto")


def silent_store() -> socket.socket:
    """A content store that accepts connections and says nothing."""
    store = socket.socket()
    store.bind(("127.0.0.1", 0))
    store.listen(50)
    return store


def test_a_silent_xet_store_gives_way_to_plain_http(
    xet: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.models.transfer_xet.MAIN_SITE", xet.url)
    with silent_store() as store:
        xet.xet_endpoint = f"http://127.0.0.1:{store.getsockname()[1]}"
        work = transfer(xet, tmp_path / "t" / "f", changed(net=Net(stall=0.1)))
        assert work.run().sha256 == SHA
    assert xet.bytes_served() >= SIZE


def test_cancel_ends_a_silent_xet_stream(xet: LocalHub, tmp_path: Path) -> None:
    with silent_store() as store:
        xet.xet_endpoint = f"http://127.0.0.1:{store.getsockname()[1]}"
        running = Running(transfer(xet, tmp_path / "t" / "f", changed(method="xet", net=Net(stall=300.0))))
        assert select.select([store], [], [], PATIENCE)[0]  # it asks
        running.work.cancel()
        assert isinstance(running.join(), TransferCancelledError)


@pytest.mark.parametrize("by", ["setting", "environment"])
def test_a_proxy_that_cuts_at_a_megabyte(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    with LocalProxy(cut_after=1_000_000, login="me:pa ss") as proxy:
        url = f"http://me:pa%20ss@127.0.0.1:{proxy.port}"
        net = Net(stall=5.0, proxy=url if by == "setting" else "")
        if by == "environment":
            monkeypatch.setenv("http_proxy", url)
            monkeypatch.setenv("no_proxy", "127.0.0.1")  # the data is on localhost
        assert fetch(hub, tmp_path / "f", changed(net=net)).sha256 == SHA
        assert len(proxy.asked) >= 6


def test_a_speed_limit_is_kept(hub: LocalHub, tmp_path: Path) -> None:
    started = time.monotonic()
    fetch(hub, tmp_path / "f", changed(throttle=Limiter(lambda: 4_000_000)))
    assert time.monotonic() - started > 0.9


@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        ("", 12, True),
        ("22:00-07:00", 23, True),
        ("22:00-07:00", 3, True),
        ("22:00-07:00", 12, False),
        ("09:00 - 17:30", 9, True),
        ("09:00-17:30", 18, False),
        ("whenever", 12, True),
        ("25:00-26:00", 12, True),
    ],
)
def test_hours(text: str, at: int, expected: bool) -> None:
    assert allowed(text, datetime(2026, 1, 1, at)) == expected
