"""Frames between two ends of a pipe, however they are cut."""

import errno
import os
import socket
import sys
import threading
from multiprocessing import connection

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.runtime.channel import Inlet, Reader, Waiter, Writer, child_environ, program, send_with


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


@pytest.mark.skipif(not hasattr(socket, "send_fds"), reason="sockets are not lent here")
def test_each_socket_comes_with_its_frame_even_when_no_handle_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = connection.Pipe()
    pairs = [socket.socketpair() for _ in range(3)]
    with ours, theirs:
        inlet = Inlet(theirs)

        def dup(_handle: int) -> int:
            raise OSError(errno.EMFILE, "Too many open files")

        def send() -> None:
            for number, (end, _) in enumerate(pairs):
                ours.send_bytes(b"long" * 50_000)
                send_with(ours, b"%d" % number, end.fileno())
                end.close()

        monkeypatch.setattr(os, "dup", dup)
        thread = threading.Thread(target=send)
        thread.start()
        for number in range(len(pairs)):
            assert len(inlet.frame()) == 200_000
            assert inlet.frame() == b"%d" % number
            with socket.socket(fileno=inlet.socket()) as lent:
                lent.sendall(b"to %d" % number)
        thread.join()
        assert inlet._own is not None
        inlet._own.close()  # (a worker's ends with its process)
    for number, (_, client) in enumerate(pairs):
        with client:
            assert client.recv(100) == b"to %d" % number
            assert client.recv(100) == b""


@pytest.mark.skipif(not hasattr(socket, "send_fds"), reason="sockets are not lent here")
def test_a_socket_that_nobody_took_is_not_the_next_one_s() -> None:
    ours, theirs = connection.Pipe()
    (first, one), (second, other) = socket.socketpair(), socket.socketpair()
    with ours, theirs, one, other:
        inlet = Inlet(theirs)
        send_with(ours, b"first", first.fileno())
        send_with(ours, b"second", second.fileno())
        ours.send_bytes(b"none")
        first.close()
        second.close()
        assert [inlet.frame(), inlet.frame()] == [b"first", b"second"]
        assert one.recv(1) == b"", "it is still open"
        with socket.socket(fileno=inlet.socket()) as lent:
            lent.sendall(b"x")
        assert other.recv(1) == b"x"
        assert inlet.frame() == b"none"
        assert inlet.socket() == -1
        assert inlet._own is not None
        inlet._own.close()


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
