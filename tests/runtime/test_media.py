"""Images as places in a sequence: told apart, kept on disk, scheduled whole; and what an image file says of itself."""

import hashlib
import struct
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import BadImageError
from app.core.pictures import check, kind_of, measure
from app.runtime.jobs import Job, Span
from app.runtime.ledger import common_prefix
from app.runtime.media import pack, places, plain, shown, still_places, unpack
from app.runtime.scheduler import Scheduler
from app.runtime.sight import Sight
from tests.fakes.cells import Cells
from tests.fakes.projector import RED, picture

ONE, TWO = hashlib.sha256(b"one").digest(), hashlib.sha256(b"two").digest()


def test_the_same_image_is_the_same_places_and_another_is_not() -> None:
    one, two = places(ONE, 6, 6), places(TWO, 6, 6)
    assert one == places(ONE, 6, 6)
    assert not set(one) & set(two)
    assert common_prefix([1, *one, 5], [1, *two, 5], 8) == 1
    assert plain([1, *one, 5]) == [1, 5]
    assert shown([1, *one[:2], 5]) == (1, -1, -1, 5)


def test_places_without_a_position() -> None:
    tokens = [1, *places(ONE, 6, 2), *places(TWO, 3, 3), 9, *places(ONE, 4, 1)]
    assert still_places(tokens) == [(7, 4), (15, 3)]
    assert still_places([1, 2]) == []


@given(st.lists(st.one_of(st.integers(0, 50_000), st.sampled_from([ONE, TWO])), max_size=20))
def test_what_is_packed_comes_back(items: list[int | bytes]) -> None:
    tokens: list[int] = []
    for item in items:
        tokens += [item] if isinstance(item, int) else places(item, 5, 3)
    numbers, images = pack(tokens)
    assert unpack(numbers, images) == tokens
    assert len(images) == len({item for item in items if isinstance(item, bytes)})


def test_a_place_that_points_nowhere() -> None:
    numbers, _ = pack(places(ONE, 2, 2))
    with pytest.raises(ValueError, match="image"):
        unpack(numbers, ())


def scheduler(count: int = 100) -> tuple[Scheduler, Cells]:
    cells = Cells(count)
    return Scheduler(cells, n_seq=4, n_running=2, n_ctx=60, n_cells=count, n_batch=8), cells


def job(key: str, digest: bytes, before: int = 3) -> Job:
    tokens = [*range(1, before + 1), *places(digest, 12, 12), 7, 8, 9]
    return Job(key, tokens, spans=(Span(before, 12, key),))


def test_an_image_is_computed_whole_and_others_go_on() -> None:
    made, cells = scheduler()
    seeing, writing = job("seeing", ONE), Job("writing", [1, 2])
    made.add(writing)
    made.add(seeing)
    steps = []
    for turn in range(12):
        if turn == 4:
            seeing.spans[0].embeddings = object()
        step = made.step()
        if not step.chunks:
            assert step.unseen == ([seeing] if seeing.computed == 3 else [])
            continue
        steps.append([(chunk.job.key, chunk.start, chunk.count) for chunk in step.chunks])
        assert cells.decode(step)
        made.done(step)
        if step.span:
            assert len(step.chunks) == 1
        for chunk in step.chunks:
            if chunk.complete and chunk.job is writing and len(writing.tokens) < 6:
                made.push(writing, 5)
    assert [("seeing", 3, 12)] in steps, "larger than a batch, and whole"
    assert seeing.computed == len(seeing.tokens)
    assert writing.computed == len(writing.tokens)


def test_a_prefix_never_ends_inside_an_image() -> None:
    made, cells = scheduler()
    first = job("first", ONE)
    first.spans[0].embeddings = object()
    made.add(first)
    while first.computed < len(first.tokens):
        step = made.step()
        assert cells.decode(step)
        made.done(step)
    made.remove(first)
    second = Job("second", [*first.tokens[:10], 4], spans=(Span(3, 7, "cut"),))
    made.add(second)
    made.step()
    assert second.cached in (3, 10)
    other = job("other", TWO)
    made.add(other)
    made.step()
    assert other.cached == 3


def test_no_room_for_an_image() -> None:
    made, _cells = scheduler(10)
    seeing = job("seeing", ONE)
    seeing.spans[0].embeddings = object()
    made.add(seeing)
    step = made.step()
    made.done(step)
    assert made.step().full == [seeing]


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (picture(RED, side=30), ("image/png", 30, 30)),
        (b"GIF89a\x05\0\x07\0", ("image/gif", 5, 7)),
        (b"BM" + bytes(12) + struct.pack("<Iii", 40, 20, -9), ("image/bmp", 20, 9)),
        (
            b"\xff\xd8\xff\xe0\0\x04ab\xff\xff\xc2\0\x11\x08\0\x09\0\x0b\x03",
            ("image/jpeg", 11, 9),
        ),
        (b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + b"\x09\0\0\x04\0\0", ("image/webp", 10, 5)),
        (
            b"RIFF\0\0\0\0WEBPVP8L" + bytes(5) + struct.pack("<I", 6 | 4 << 14),
            ("image/webp", 7, 5),
        ),
    ],
)
def test_sizes_are_read_from_the_first_bytes(data: bytes, size: tuple[str, int, int]) -> None:
    found = measure(data)
    assert (found.mime, found.width, found.height) == size


@given(
    st.binary(max_size=64), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"BM"])
)
def test_any_bytes_are_measured_or_refused(data: bytes, start: bytes) -> None:
    try:
        found = check(start + data)
    except ValueError:
        return
    assert found.mime == kind_of(start + data)


class Glass:
    """A projector that waits for leave."""

    def __init__(self) -> None:
        self.leave, self.seen, self.closed = threading.Event(), [], False

    def encode(self, piece: SimpleNamespace) -> np.ndarray:
        self.leave.wait(30)
        self.seen.append(piece.key)
        if piece.key == "bad":
            raise BadImageError(number=1, detail="it is bad")
        return np.zeros(4, np.float32)

    def close(self) -> None:
        self.closed = True


def test_images_are_encoded_once_and_not_for_nobody() -> None:
    glass, told = Glass(), threading.Semaphore(0)
    sight = Sight(glass)
    jobs = [
        Job(key, [-5, 1], spans=(Span(0, 1, SimpleNamespace(key=key)),)) for key in ("a", "gone", "a", "bad")
    ]
    assert sight.look(jobs, told.release) == []
    assert sight.look(jobs, told.release) == [], "asked for once"
    jobs[1].spans[0].unwanted = True
    glass.leave.set()
    assert all(told.acquire(timeout=30) for _ in range(3))
    assert glass.seen == ["a", "bad"], "the second of the same comes from what is kept"
    assert jobs[2].spans[0].embeddings is jobs[0].spans[0].embeddings
    ((failed, error),) = sight.look(jobs, told.release)
    assert (failed.key, "it is bad" in str(error)) == ("bad", True)
    sight.close()
    sight.close()
    assert glass.closed
