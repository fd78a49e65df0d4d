"""Notes, checks, watching, and what could be deleted."""

import hashlib
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.core.errors import ModelNotFoundError, TransferCancelledError
from app.core.events import Bus, LibraryChanged
from app.core.paths import Paths
from app.core.types import ModelFile, ModelRecord, Source
from app.models import library as library_module
from app.models.library import Library
from app.models.library_care import disk_use, idle
from tests.fakes.gguf_writer import write_model
from tests.waiting import until


@pytest.fixture
def library(paths: Paths, bus: Bus) -> Iterator[Library]:
    found = Library(paths, bus)
    yield found
    found.close()


def test_notes_are_kept(library: Library, paths: Paths, bus: Bus) -> None:
    write_model(paths.models / "m.gguf")
    library.annotate("m", favourite=True, tags=["a", "b", "a"])
    library.annotate("m", notes="ghi chú")
    library.rescan()
    facts = library.facts("m")
    assert (facts.favourite, facts.tags, facts.notes) == (True, ("a", "b"), "ghi chú")
    other = Library(paths, bus)
    assert other.facts("m") == facts
    other.close()
    with pytest.raises(ModelNotFoundError):
        library.annotate("nothing", favourite=True)


def test_two_notes_at_once_are_both_kept(library: Library, paths: Paths) -> None:
    write_model(paths.models / "m.gguf")
    library.rescan()
    with ThreadPoolExecutor(4) as pool:
        work = [
            pool.submit(library.annotate, "m", favourite=True),
            pool.submit(library.annotate, "m", notes="n"),
        ]
        work += [pool.submit(library.rescan), pool.submit(library.annotate, "m", tags=("t",))]
        for item in work:
            item.result()
    facts = library.facts("m")
    assert (facts.favourite, facts.tags, facts.notes) == (True, ("t",), "n")


def test_verifying_finds_wrong_bytes_of_the_right_size(library: Library, paths: Paths) -> None:
    path = write_model(paths.models / "o" / "r" / "m-Q8_0.gguf")
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    library.adopt([path], Source("o/r"), right)
    steps: list[tuple[int, int]] = []
    (checked,) = library.verify("o/r", lambda done, total: steps.append((done, total)))
    assert checked.ok
    assert steps[-1] == (path.stat().st_size, path.stat().st_size)
    library.adopt([path], Source("o/r"), "0" * 64)
    (checked,) = library.verify("o/r")
    assert checked.ok is False
    assert library.get("o/r").damaged == library_module.MISMATCH
    library.adopt([path], Source("o/r"), right)
    library.verify("o/r")
    assert library.get("o/r").damaged is None


def test_verifying_learns_a_hash_that_was_not_known(library: Library, paths: Paths) -> None:
    path = write_model(paths.models / "m.gguf")
    (checked,) = library.verify("m")
    assert checked.ok is None
    assert library.get("m").files[0].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_verifying_can_be_stopped(library: Library, paths: Paths) -> None:
    path = write_model(paths.models / "m.gguf")
    with pytest.raises(TransferCancelledError):
        library.verify("m", should_stop=lambda: True)
    assert library.get("m").damaged is None
    path.unlink()
    with pytest.raises(ModelNotFoundError):
        library.verify("m")


def test_changes_on_disk_are_noticed(library: Library, paths: Paths, bus: Bus) -> None:
    told: list[LibraryChanged] = []
    library.records()
    bus.subscribe(LibraryChanged, told.append)
    library.watch(0.02)
    library.watch(0.02)
    time.sleep(0.05)
    path = write_model(paths.models / "new" / "m.gguf")
    until(lambda: [r.id for r in library.records()] == ["m"])
    path.unlink()
    until(lambda: library.records() == ())
    assert LibraryChanged(("m",)) in told


def record(name: str, size: int, used: float | None = None, times: int = 0, repo: str = "") -> ModelRecord:
    source = Source(repo) if repo else None
    return ModelRecord(
        name,
        name,
        (ModelFile("/" + name, size),),
        size,
        source=source,
        added_at=1.0,
        last_used_at=used,
        times_used=times,
    )


def test_what_to_delete_first() -> None:
    day = 86_400.0
    records = [
        record("old and large", 100, used=day),
        record("new and large", 100, used=99 * day),
        record("old and small", 1, used=day),
        record("much used", 100, used=90 * day, times=500),
        record("kept", 1000, used=1.0),
    ]
    found = idle(records, keep={"kept"}, now=100 * day)
    assert [item.id for item in found] == ["old and large", "new and large", "old and small", "much used"]
    assert found[0].days == 99


def test_disk_use_is_by_repository() -> None:
    records = [record("a", 5, repo="o/r"), record("b", 6, repo="o/r"), record("c", 7)]
    assert disk_use(records) == {"o/r": 11, "c": 7}
    assert list(disk_use(records)) == ["o/r", "c"]


def test_notes_of_an_older_index_are_kept(paths: Paths, bus: Bus) -> None:
    write_model(paths.models / "m.gguf")
    first = Library(paths, bus)
    first.annotate("m", tags=("a",))
    first.close()
    with sqlite3.connect(paths.data / "library.sqlite") as connection:
        connection.executescript("ALTER TABLE model DROP COLUMN title; PRAGMA user_version = 1;")
    connection.close()
    second = Library(paths, bus)
    second.annotate("m", title="Mine")
    assert second.facts("m").tags == ("a",)
    assert second.rescan()[0].name == "Mine"
    second.close()
