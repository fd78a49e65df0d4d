"""The way of a stream's text from the worker straight to its reader's socket, past the program's own process.

The server gives the socket away while nothing but text is written: every piece of it is one chunk of a chunked HTTP
body (RFC 9112, 7.1) whose JSON begins and ends with the same bytes. That saves another process's turn for each token,
on cores that llama.cpp computes on.
"""

import ctypes
import os

import msgspec

from app.core.generate import Delta

ROOM = 8192
"""Bytes of a chunk that ``native/burst.c`` writes, at most."""

_json = msgspec.json.Encoder().encode


class Speaker:
    """One answer's socket, of which ``socket`` is our own handle: it has to be closed. Engine thread only."""

    def __init__(self, socket: int, head: bytes, tail: bytes, unsafe: bytes) -> None:
        """``head`` and ``tail`` stand around a text's JSON, without its quotes. ``unsafe``: 256 flags, for the bytes
        that ``burst.c`` leaves to us at the beginning of a character."""
        self.socket, self.head, self.tail = socket, head + b'"', b'"' + tail
        self.untold = 0
        """Tokens of which nobody else has heard."""
        self.rest = b""
        """What the socket did not take in the last stretch."""
        self._buffers = [
            ctypes.create_string_buffer(data, len(data)) for data in (self.head, self.tail, unsafe)
        ]
        self._frame = ctypes.create_string_buffer(ROOM)
        self.head_at, self.tail_at, self.unsafe_at = map(ctypes.addressof, self._buffers)
        self.frame_at, self.room = ctypes.addressof(self._frame), ROOM

    def say(self, delta: Delta) -> bytes:
        """Write a text; returns what the socket did not take of it."""
        body = self.head[:-1] + _json(delta.text) + self.tail[1:]
        frame = b"%x\r\n%b\r\n" % (len(body), body)
        self.untold += delta.tokens
        try:
            return frame[os.write(self.socket, frame) :]
        except OSError:  # nothing has room there, or its reader has gone, which the server finds out
            return frame

    def close(self) -> None:
        """Give the socket back. Idempotent."""
        if self.socket >= 0:
            os.close(self.socket)
            self.socket = -1
