"""A two-way pipe between this process and a child that is started with ``subprocess``: no listening socket, no file.

The child's end travels by inheritance: a file descriptor on POSIX, a handle on Windows. When either process ends, the
other reads EOF.
"""

import os
import select
import socket
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from multiprocessing import connection
from pathlib import Path
from typing import IO, Any

SHORT = 16_384
CHUNK, MORE = 65_536, 1 << 20
"""Bytes asked for at once, and while a long frame comes. (For a buffer of 128 KB or more the C library maps new pages
each time, which takes longer than everything else that a token costs in this process's pipe.)"""
_HEADER = struct.Struct("!i")  # multiprocessing/connection.py, Connection._send_bytes
MOST_SOCKETS = 16
"""That come with one system call."""
ROOT = Path(__file__).resolve().parents[2]


def spawn(command: list[str], log: IO[bytes], environ: dict[str, str]) -> tuple[subprocess.Popen[bytes], Any]:
    """Start ``python -m app COMMAND... --pipe N`` (the program itself when frozen) with its output in ``log``.
    Returns the process and our end of the pipe. Raises OSError."""
    ours, theirs = connection.Pipe(duplex=True)
    handle = theirs.fileno()
    try:
        process = subprocess.Popen(
            [*program(), *command, "--pipe", str(handle)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environ,
            **_inherit(handle),
        )
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    return process, ours


def program() -> list[str]:
    """How this program starts itself again."""
    return [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-m", "app"]


def child_environ(environ: Mapping[str, str], *, spins: bool = False) -> dict[str, str]:
    """``environ`` for a child: this copy of the program is found first, wherever the child starts. ``spins``: its
    threads may wait for each other as long as they like, since it leaves busy cores alone by itself (``cores``)."""
    path = os.pathsep.join(part for part in (str(ROOT), environ.get("PYTHONPATH", "")) if part)
    # llama.cpp's OpenMP threads meet hundreds of times a token. libgomp lets them spin there for milliseconds, in which
    # the thread they wait for gets no core when another program runs. Measured with two fixed threads on two cores of
    # which one is kept busy: 31 tokens/s with this count, 3 with 20,000; alone it costs 4 %.
    spin = {} if spins or "OMP_WAIT_POLICY" in environ else {"GOMP_SPINCOUNT": "1000"}
    return {**spin, **environ, "PYTHONPATH": path, "GGML_NO_BACKTRACE": "1"}


def _inherit(handle: int) -> dict[str, Any]:
    if sys.platform == "win32":
        os.set_handle_inheritable(handle, True)
        startup = subprocess.STARTUPINFO(lpAttributeList={"handle_list": [handle]})
        return {"startupinfo": startup, "creationflags": subprocess.CREATE_NO_WINDOW}
    return {"pass_fds": (handle,), "start_new_session": True}


class Writer:
    """Writes frames as ``multiprocessing.connection`` reads them, in one system call where the system allows it (a
    third of ``send_bytes``'s time, which counts once for every token)."""

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe
        self._fd = None if sys.platform == "win32" else pipe.fileno()

    def send(self, frame: bytes) -> None:
        """Write one frame; not thread-safe. Raises OSError when nobody reads any more."""
        if self._fd is None or len(frame) > SHORT:
            self._pipe.send_bytes(frame)
            return
        data = _HEADER.pack(len(frame)) + frame
        written = os.write(self._fd, data)
        while written < len(data):
            written += os.write(self._fd, data[written:])


def _split(data: bytes) -> tuple[list[bytes], bytes]:
    """Whole frames, and what is left."""
    found, at = [], 0
    while at + _HEADER.size <= len(data):
        (length,) = _HEADER.unpack_from(data, at)
        if at + _HEADER.size + length > len(data):
            break
        found.append(data[at + _HEADER.size : at + _HEADER.size + length])
        at += _HEADER.size + length
    return found, data[at:]


def send_with(pipe: Any, frame: bytes, handle: int) -> None:
    """Write a short frame with a socket that ``Inlet`` gets its own handle of (not on Windows). Raises OSError."""
    own = socket.socket(fileno=pipe.fileno())  # (no copy: at the limit of open files there would be none)
    try:
        data = _HEADER.pack(len(frame)) + frame
        sent = socket.send_fds(own, [data], [handle])
        own.sendall(data[sent:])
    finally:
        own.detach()


class Reader:
    """Reads frames of a pipe that ``Writer`` or ``multiprocessing.connection`` wrote: all that one system call brings
    (``recv_bytes`` makes two for each frame)."""

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe
        self._fd = None if sys.platform == "win32" else pipe.fileno()
        self._rest = b""

    def frames(self) -> list[bytes]:
        """Whole frames that are there; waits for bytes, not for a whole frame. Raises EOFError or OSError at the
        end."""
        if self._fd is None:
            return [self._pipe.recv_bytes()]
        data = os.read(self._fd, MORE if self._rest else CHUNK)
        if not data:
            raise EOFError
        found, self._rest = _split(self._rest + data if self._rest else data)
        return found


class Inlet:
    """Reads frames one by one, and the sockets that came with them (``send_with``). For one thread."""

    def __init__(self, pipe: Any) -> None:
        self._pipe, self._waiter = pipe, Waiter()
        self._frames: deque[bytes] = deque()
        self._sockets: deque[int] = deque()
        self._rest = b""
        self._own = None if sys.platform == "win32" else socket.socket(fileno=os.dup(pipe.fileno()))

    def frame(self) -> bytes:
        """The next one. Raises EOFError or OSError at the end."""
        if self._own is None:
            return bytes(self._pipe.recv_bytes())
        while not self._frames:
            if (
                not self._rest
            ):  # whoever these came with is dealt with: the next frame's must not be mistaken for them
                self._close_sockets()
            # (A thread that waits in read itself is woken each time the other side has read something: Linux tells all
            # who sleep on a socket that there is room to write. A core was taken from the engine for each token.)
            self._waiter.wait([self._pipe], None)
            data, sockets, _, _ = socket.recv_fds(self._own, MORE if self._rest else CHUNK, MOST_SOCKETS)
            self._sockets += sockets
            if not data:
                raise EOFError
            found, self._rest = _split(self._rest + data)
            self._frames += found
        return self._frames.popleft()

    def socket(self) -> int:
        """That came with the last frame; the caller closes it. -1: none did (no more files may be open here)."""
        return self._sockets.popleft() if self._sockets else -1

    def _close_sockets(self) -> None:
        while self._sockets:
            os.close(self._sockets.popleft())


class Waiter:
    """``connection.wait`` for ends that stay the same most of the time: they are registered once, not each time."""

    def __init__(self) -> None:
        self._ends: list[Any] = []
        self._by_fd: dict[int, Any] = {}
        self._poll: Any = None

    def wait(self, ends: list[Any], timeout: float | None) -> list[Any]:
        """Those of ``ends`` that can be read or have ended; empty after ``timeout`` seconds."""
        if ends != self._ends:
            if not hasattr(select, "poll"):
                return list(connection.wait(ends, timeout))
            self._poll = select.poll()
            self._by_fd = {end.fileno(): end for end in ends}
            for fd in self._by_fd:
                self._poll.register(fd, select.POLLIN)
            self._ends = list(ends)
        ready = self._poll.poll(None if timeout is None else timeout * 1000)
        return [self._by_fd[fd] for fd, _ in ready]


def open_inherited(handle: int) -> Any:
    """The child's end. (A terminal's Ctrl+C does not reach the child: its parent ends it.)"""
    if sys.platform == "win32":
        return connection.PipeConnection(handle)
    return connection.Connection(handle)
