"""LM Studio's channels that load a model (``loadModel``, ``getOrLoad``): what is told on the way, and how a client
gives a load up. Each has words of its own, and lmstudio-js takes no others."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from app.core.types import ModelRecord
from app.server import convert_socket as convert
from app.server import wire_socket as wire
from app.server.backend import Backend

if TYPE_CHECKING:
    from app.core.events import InstanceChanged

LOOK_EVERY = 0.1
"""Seconds between two looks at how far a load is."""

Say = Callable[..., Awaitable[None]]


class Words(Struct, frozen=True):
    """The types of a channel's messages."""

    progress: str
    success: str


NEW = Words("progress", "success")
GET = Words("loadProgress", "loadSuccess")


class Loading:
    """One such channel's load; ``cancel`` gives it up from then on."""

    def __init__(self, backend: Backend, record: ModelRecord, words: Words, say: Say) -> None:
        self._backend, self._record, self._words, self._say = backend, record, words, say
        self._work: asyncio.Future[InstanceChanged] | None = None

    def cancel(self) -> None:
        """Its client does not want it any more."""
        if self._work is not None:
            self._work.cancel()

    async def run(self, stack: wire.Stack) -> bool:
        """Load with what ``stack`` changes; False: it was given up. Raises the loader's error."""
        changes = convert.changes_of(stack)
        load = self._backend.load(self._record, **changes) if changes else self._backend.ready(self._record)
        work = self._work = asyncio.ensure_future(load)
        told = 0.0
        while not (await asyncio.wait({work}, timeout=LOOK_EVERY))[0]:
            instance = self._backend.instance(self._record.id)
            if instance is not None and instance.state == "loading" and instance.progress > told:
                told = instance.progress
                await self._say(type=self._words.progress, progress=told)
        if work.cancelled():
            self._backend.supervisor.leave_load(self._record.id)
            return False
        work.result()
        return True


async def load(
    backend: Backend,
    given: wire.Load,
    say: Say,
    told: Callable[[ModelRecord], tuple[dict[str, Any], dict[str, Any]]],
    cancels: Callable[[Callable[[], None]], None],
    *,
    new: bool,
) -> None:
    """Answer one channel. ``told`` gives what is said of a model and of its instance, ``cancels`` takes what gives the
    load up; ``new``: with these options, whatever is loaded now."""
    record, words = backend.find(given.name), NEW if new else GET
    loading = Loading(backend, record, words, say)
    cancels(loading.cancel)
    if not new and backend.is_ready(record.id):
        await say(type="alreadyLoaded", info=told(record)[1])
        return
    if new:
        await say(type="resolved", info=told(record)[0])
    else:
        await say(type="startLoading", identifier=record.id, info=told(record)[0])
    if await loading.run(given.load_config_stack):
        backend.keeper.keep(record.id, given.ttl)
        await say(type=words.success, info=told(record)[1])
