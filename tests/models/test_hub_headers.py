"""Headers kept by etag: over a restart, capped, and never trusted when damaged."""

from pathlib import Path

from app.models.gguf import read_header
from app.models.hub import Hub
from app.models.hub_headers import HeaderCache
from app.models.hub_range import RangeReader, Window
from tests.fakes.gguf_writer import write_model
from tests.fakes.hub_data import FakeFile, FakeRepo
from tests.fakes.hub_server import LocalHub

REPO, NAME = "me/tiny-GGUF", "tiny-Q4_0.gguf"


def read(window: Window, source: bytes, asked: list[tuple[int, int]]) -> bytes:
    def fetch(first: int, end: int) -> bytes:
        asked.append((first, end))
        return source[first:end]

    return RangeReader("f", len(source), window, fetch).read_at(0, 1000)


def test_a_header_read_once_is_there_after_a_restart(tmp_path: Path) -> None:
    path = write_model(tmp_path / NAME)
    with LocalHub([FakeRepo(REPO, {NAME: FakeFile.of(path)})]) as hub:

        def names() -> list[str]:
            again = Hub(hub.url, lambda: None, headers=HeaderCache(tmp_path / "headers"))
            return [tensor.name for tensor in read_header(again.open_range(REPO, "main", NAME)).tensors]

        first, asked = names(), len(hub.asked("data"))
        assert names() == first
        assert len(hub.asked("data")) == asked > 0


def test_a_damaged_one_is_read_again_and_one_without_an_etag_never_kept(tmp_path: Path) -> None:
    source = bytes(range(256)) * 8
    asked: list[tuple[int, int]] = []
    read(HeaderCache(tmp_path).window("etag", lasting=True), source, asked)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    assert read(HeaderCache(tmp_path).window("etag", lasting=True), source, asked) == source[:1000]
    assert len(asked) == 2
    read(HeaderCache(tmp_path).window("etag", lasting=True), source, asked)
    read(HeaderCache(tmp_path).window("address", lasting=False), source, asked)
    assert len(asked) == 3
    assert list(tmp_path.iterdir()) == [kept]


def test_the_least_recently_used_go_when_there_are_too_many(tmp_path: Path) -> None:
    for number in range(5):
        read(HeaderCache(tmp_path, cap=3 * 1100).window(f"{number}", lasting=True), bytes(1000), [])
    assert len(list(tmp_path.iterdir())) == 3


def test_a_disk_that_refuses_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    window = HeaderCache(tmp_path / "file" / "headers").window("etag", lasting=True)
    assert read(window, b"x" * 1000, []) == b"x" * 1000
