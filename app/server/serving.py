"""uvicorn as this program runs it: its limits, and what is looked after once a second while it serves."""

import logging
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
TICKS = 10  # uvicorn's main loop ticks ten times a second


def make_server(
    app: "ASGIApp", backend: "Backend", registry: "Registry", certificate: dict[str, str]
) -> uvicorn.Server:
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
    return _Server(config, backend, registry)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, backend: "Backend", registry: "Registry") -> None:
        super().__init__(config)
        self._backend, self._registry = backend, registry

    async def on_tick(self, counter: int) -> bool:
        """uvicorn's own work, and ours once a second."""
        if counter % TICKS == 0:
            self._look_after()
        return await super().on_tick(counter)

    def _look_after(self) -> None:
        busy = {live.model for live in self._registry.all()}
        for model in self._backend.keeper.sweep(busy):
            log.info("%s was not used for its time and is unloaded", model)
