"""Frames between two ends of a pipe, however they are cut."""

import os
import sys
import threading
from multiprocessing import connection

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.runtime.channel import Reader, Waiter, Writer, child_environ, program


@given(st.lists(st.binary(max_size=200), max_size=8), st.lists(st.integers(1, 60), min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_frames_come_back_whatever_the_pieces(frames: list[bytes], cuts: list[int]) -> None:
    if sys.platform == "win32":
        pytest.skip("frames are the system's")
    raw = b"".join(len(frame).to_bytes(4, "big") + frame for frame in frames)
    ours, theirs = connection.Pipe()
    with ours, theirs:
        reader, found, at = Reader(ours), [], 0
        while at < len(raw):
            cut = cuts[at % len(cuts)]
            os.write(theirs.fileno(), raw[at : at + cut])
            found += reader.frames()
            at += cut
        assert found == frames


@pytest.mark.parametrize("size", [0, 1, 16_384, 16_385, 3_000_000])
def test_a_writer_is_read_by_both_kinds(size: int) -> None:
    for read_all in (False, True):
        ours, theirs = connection.Pipe()
        with ours, theirs:
            thread = threading.Thread(target=Writer(theirs).send, args=(b"x" * size,))
            thread.start()
            found: list[bytes] = []
            reader = Reader(ours)
            while not found:
                found = reader.frames() if read_all else [ours.recv_bytes()]
            thread.join()
            assert found == [b"x" * size]


def test_the_end_is_told() -> None:
    ours, theirs = connection.Pipe()
    theirs.close()
    with ours, pytest.raises((EOFError, OSError)):
        Reader(ours).frames()


def test_a_waiter_sees_new_ends_and_closed_ones() -> None:
    waiter = Waiter()
    first, second = connection.Pipe(), connection.Pipe()
    assert waiter.wait([first[0]], 0.0) == []
    second[1].send_bytes(b"x")
    assert waiter.wait([first[0], second[0]], 1.0) == [second[0]]
    first[1].close()
    assert waiter.wait([first[0]], 1.0) == [first[0]]
    for end in (first[0], *second):
        end.close()


def test_a_child_does_not_spin_for_long_unless_the_user_says_so() -> None:
    assert child_environ({})["GOMP_SPINCOUNT"] == "1000"
    assert child_environ({"GOMP_SPINCOUNT": "5"})["GOMP_SPINCOUNT"] == "5"
    assert "GOMP_SPINCOUNT" not in child_environ({"OMP_WAIT_POLICY": "active"})
    assert "GOMP_SPINCOUNT" not in child_environ({}, spins=True)


def test_a_child_finds_this_program() -> None:
    environ = child_environ({"PYTHONPATH": "/elsewhere"})
    assert environ["PYTHONPATH"].endswith(os.pathsep + "/elsewhere")
    assert environ["GGML_NO_BACKTRACE"] == "1"
    assert program()[0] == sys.executable
