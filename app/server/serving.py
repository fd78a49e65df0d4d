"""uvicorn as this program runs it: its limits, and what is looked after once a second while it serves."""

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

from app.server.connection import Connection
from app.server.guard import MAX_BODY

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from app.server.backend import Backend
    from app.server.live import Registry

log = logging.getLogger(__name__)

KEEP_ALIVE = 30
HEAD_SIZE = 32 * 1024
LOOK = 1.0
"""Seconds between two looks at what is to be done beside answering."""


def make_server(
    app: "ASGIApp", backend: "Backend", registry: "Registry", certificate: dict[str, str]
) -> "Server":
    """A server that is run with a listening socket, in any thread."""
    config = uvicorn.Config(
        app,
        http=Connection,
        lifespan="off",
        ws=WSProtocol,
        ws_max_size=MAX_BODY,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # anybody on this machine could claim to be anybody
        timeout_keep_alive=KEEP_ALIVE,
        h11_max_incomplete_event_size=HEAD_SIZE,
        **certificate,  # type: ignore[arg-type]
    )
    return Server(config, backend, registry)


class Server(uvicorn.Server):
    """uvicorn's server, ended with ``leave``."""

    _loop: asyncio.AbstractEventLoop | None = None

    def __init__(self, config: uvicorn.Config, backend: "Backend", registry: "Registry") -> None:
        super().__init__(config)
        self._backend, self._registry = backend, registry

    async def main_loop(self) -> None:
        """uvicorn's own work and ours once a second. (uvicorn asks ten times a second whether it should end: 3 ms of
        the processor that the engine's threads lack.)"""
        self._left = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            self._look_after()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self._left.wait()

    def leave(self) -> None:
        """End, from any thread, as soon as what is being answered is."""
        self.should_exit = True
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._left.set)

    def _look_after(self) -> None:
        busy = {live.model for live in self._registry.all()}
        for model in self._backend.keeper.sweep(busy):
            log.info("%s was not used for its time and is unloaded", model)
