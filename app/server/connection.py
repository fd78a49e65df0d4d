"""uvicorn's HTTP connection with the limits that it lacks: time for a request's head and body, how many there are.

A client that opens connections and says nothing, or a byte now and then, holds no more than its connection: when
there are too many, the one that has been silent longest goes.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_TIME = 20.0
BODY_TIME = 300.0
SENDING_TIME = 60.0
MOST_CONNECTIONS = 512

CORK_SIZE = 64 * 1024


class Corked:
    """A transport that writes what one turn of the loop gives it at once: uvicorn hands over an answer's head, body
    and end one by one, and each would be a system call and a packet of its own."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._pieces: list[bytes] = []
        self._size = 0
        self._rest = b""
        self.handle = -1 if sys.platform == "win32" else transport.get_extra_info("socket").fileno()
        if transport.get_extra_info("sslcontext") is not None:
            self.handle = -1
        # What uvicorn calls besides, without a look-up of ours in between.
        self.is_closing = transport.is_closing
        self.get_extra_info = transport.get_extra_info
        self.pause_reading, self.resume_reading = transport.pause_reading, transport.resume_reading
        self.abort = transport.abort
        self.set_protocol, self.get_protocol = transport.set_protocol, transport.get_protocol

    def write(self, data: bytes) -> None:
        """Keep it until the loop's next turn, or until it is much."""
        if not data:
            return
        if not self._pieces:
            self._loop.call_soon(self.flush)
        self._pieces.append(data)
        self._size += len(data)
        if self._size > CORK_SIZE:
            self.flush()

    def flush(self) -> None:
        """Write now."""
        if self._rest:
            self._pieces.insert(0, self._rest)
            self._rest = b""
        pieces = self._pieces
        if pieces:
            self._pieces, self._size = [], 0
            self._transport.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def is_clear(self) -> bool:
        """Everything has been handed to the system, and ``chunk`` can be used."""
        self.flush()
        return self.handle >= 0 and not self._transport.get_write_buffer_size()

    def chunk(self, data: bytes) -> bool:
        """Write one chunk of a chunked body now, from any thread, as long as nothing is written on the loop. False:
        the system took a part of it only, or nothing; the loop writes the rest before anything else."""
        frame = b"%x\r\n%b\r\n" % (len(data), data)
        try:
            sent = os.write(self.handle, frame)
        except OSError:  # its buffer is full, or the client has gone, which the transport finds out
            sent = 0
        if sent == len(frame):
            return True
        self._rest = frame[sent:]
        with suppress(RuntimeError):  # the loop has ended, and the connection with it
            self._loop.call_soon_threadsafe(self.flush)
        return False

    def close(self) -> None:
        """Write, then close."""
        self.flush()
        self._transport.close()


class Connection(H11Protocol):
    """One client's connection."""

    on_lost: Callable[[], None] | None = None
    """Told when the client has gone: by whoever is answering it (``run.Gone``)."""
    _timer: asyncio.TimerHandle | None = None
    _waiting_for: object = None
    _sending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Arm the first timer; make room when there are too many."""
        super().connection_made(cast(asyncio.Transport, Corked(transport, self.loop)))
        self._watch()
        if len(self.connections) > MOST_CONNECTIONS:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Bytes came: a new stage of the request has a new limit."""
        super().data_received(data)
        if self.scope is not None:
            cast(dict[str, object], self.scope)["hearth.connection"] = self
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to wait for any more."""
        self._disarm()
        self._stop_sending_timer()
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()

    def pause_writing(self) -> None:
        """The client does not read: it has a minute."""
        super().pause_writing()
        self._sending = self.loop.call_later(SENDING_TIME, self._too_slow)

    def resume_writing(self) -> None:
        """It does again."""
        self._stop_sending_timer()
        super().resume_writing()

    def body_writer(self) -> Callable[[bytes], bool] | None:
        """``Corked.chunk`` of the body that is being written, or None where that can't be used now (TLS, Windows, an
        HTTP without chunks, a client that does not keep up)."""
        corked = cast(Corked, self.transport)
        chunked = self.conn.their_http_version == b"1.1"
        return corked.chunk if chunked and corked.is_clear() and not corked.is_closing() else None

    @property
    def lends(self) -> bool:
        """Another process could write a body's chunks to its socket."""
        return self.conn.their_http_version == b"1.1" and cast(Corked, self.transport).handle >= 0

    def lend(self) -> int | None:
        """A handle of its socket, for another process; the caller closes it. None where no more files may be open."""
        try:
            return os.dup(cast(Corked, self.transport).handle)
        except OSError:
            return None

    def is_last(self) -> None:
        """Close it after this answer."""
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def _stop_sending_timer(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def on_response_complete(self) -> None:
        """From here uvicorn's own timer (keep-alive) waits for the next request."""
        super().on_response_complete()
        self._disarm()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """It becomes a socket, with the limits of its own protocol."""
        self._disarm()
        super().handle_websocket_upgrade(event)

    def _watch(self) -> None:
        if self.transport.get_protocol() is not self:
            return  # it was upgraded
        state = self.conn.their_state
        if state is self._waiting_for:
            return  # the same stage goes on: so does its limit
        self._disarm()
        limit = {h11.IDLE: HEAD_TIME, h11.SEND_BODY: BODY_TIME}.get(state)
        if limit is not None and not self.transport.is_closing():
            self._waiting_for = state
            self._timer = self.loop.call_later(limit, self._too_slow)

    def _disarm(self) -> None:
        self._waiting_for = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._disarm()
        self.transport.abort()

    def _make_room(self) -> None:
        quiet = [item for item in self.connections if isinstance(item, Connection) and item.is_quiet]
        victim = min(quiet, key=lambda item: item.began) if quiet else self
        # Many connections can be made in one turn of the loop, before an aborted one is told that it is lost.
        self.connections.discard(victim)
        victim.transport.abort()

    @property
    def is_quiet(self) -> bool:
        """It asks for nothing at the moment."""
        return self.conn.their_state is h11.IDLE

    @property
    def began(self) -> float:
        """When its present limit ends, as an order of age."""
        timer = self._timer or self.timeout_keep_alive_task
        return timer.when() if timer is not None else 0.0
