"""What the routes need of the program: models by name, loaded on demand, and what a loaded model can do."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, TypeVar

from app.core.errors import BusyError, ModelNotFoundError
from app.core.events import InstanceChanged
from app.core.generate import GenerateEvent, GenerateRequest, Message, SamplingParams, ToolSpec
from app.core.settings import SettingsStore
from app.core.types import ModelRecord
from app.server.errors import Problem
from app.server.keep import Keeper
from app.server.plans import MakeWishes, Planner, Plans

if TYPE_CHECKING:
    from concurrent.futures import Future

    from app.core.series import SeriesStore
    from app.models.downloads import Downloads
    from app.models.hub import Hub
    from app.models.library import Library
    from app.planning.fit import Fitter
    from app.runtime.protocol import Embeddings, Rendered
    from app.runtime.supervisor import Supervisor

T = TypeVar("T")
NOT_MODELS = ("projector", "imatrix", "adapter")


class Backend:
    """Everything below HTTP. Used on the server's loop; what blocks runs in its executor."""

    def __init__(
        self,
        library: "Library",
        supervisor: "Supervisor",
        planner: Planner,
        settings: SettingsStore,
        *,
        downloads: "Downloads | None" = None,
        hub: "Hub | None" = None,
        series: "SeriesStore | None" = None,
        sampling: Callable[[str], SamplingParams | None] | None = None,
        fitter: "Callable[[], Fitter] | None" = None,
        wishes: MakeWishes | None = None,
        pinned: Callable[[str], bool] = lambda _model: False,
    ) -> None:
        """``sampling``: a model's own, by its id. ``fitter`` says what fits this machine; it may take a moment.
        ``pinned``: whether a model stays loaded whatever comes."""
        self._sampling, self._pinned = sampling, pinned
        self.library, self.supervisor, self._plans = library, supervisor, Plans(planner, wishes)
        self.settings = settings
        self.downloads, self.hub, self.series = downloads, hub, series
        self.fitter = fitter
        self.keeper = Keeper(supervisor)
        self.closing = False
        self._running: dict[str, str] = {}
        """Request id -> model id."""
        self._beside: dict[str, int] = {}
        """Request id -> the most that ran at once meanwhile."""
        self._counts: Counter[str] = Counter()

    # ------------------------------------------------------------------------------ models

    def models(self) -> list[ModelRecord]:
        """Every model that could answer."""
        return [record for record in self.library.records() if _usable(record)]

    def aliases(self) -> dict[str, str]:
        """Other names, in the order of the settings."""
        lines = [line.partition("=") for line in self.settings.value.server.aliases.splitlines()]
        return {name.strip(): model.strip() for name, mark, model in lines if mark and name.strip()}

    def find(self, name: str) -> ModelRecord:
        """A model by id, alias or unambiguous prefix; no name: the one that is loaded. A path is no name: requests do
        not reach the disk.
        Raises ModelNotFoundError or ModelAmbiguousError."""
        name = self._alias(name.removesuffix(":latest"))
        if not name:
            return self.only()
        record = next((record for record in self.library.records() if record.id == name), None)
        if record is not None:
            return record
        if name[0] in "/\\.~" or "\\" in name or ".." in name or name.endswith(".gguf"):
            raise ModelNotFoundError(name=name)
        found = self.library.get(name)
        if not any(record.id == found.id for record in self.library.records()):
            raise ModelNotFoundError(name=name)
        return found

    def _alias(self, name: str) -> str:
        aliases = self.aliases()
        if not aliases or any(record.id == name for record in self.library.records()):
            return name
        if name in aliases:
            return aliases[name]
        return next((model for pattern, model in aliases.items() if fnmatchcase(name, pattern)), name)

    def only(self, name: str = "") -> ModelRecord:
        """The named model, or without a name the one that is loaded, or the only one there is."""
        if name:
            return self.find(name)
        ready = [item.model for item in self.supervisor.snapshots() if item.state == "ready"]
        usable = self.models()
        if len(ready) == 1:
            return self.find(ready[0])
        if len(usable) == 1:
            return usable[0]
        raise Problem(400, "bad_request", "Name the model: several could be meant.", "model")

    def defaults(self, model: str = "") -> SamplingParams:
        """The model's own sampling, else what the settings ask for."""
        own = self._sampling(model) if self._sampling is not None and model else None
        if own is not None:
            return own
        chat = self.settings.value.chat
        return SamplingParams(
            temperature=chat.temperature, top_p=chat.top_p, max_tokens=chat.max_tokens or None
        )

    # ------------------------------------------------------------------------------ loading

    def instance(self, model: str) -> InstanceChanged | None:
        """Its snapshot, if it was ever loaded."""
        return self.supervisor.snapshot(model)

    def is_ready(self, model: str) -> bool:
        """Loaded, with whatever plan its user chose."""
        instance = self.instance(model)
        return instance is not None and instance.state == "ready"

    def answers_at_once(self, model: str) -> bool:
        """Loaded, with its cache: for one that was given back there must be room again."""
        instance = self.instance(model)
        return instance is not None and instance.state == "ready" and not instance.rests

    def stays_for(self, instance: InstanceChanged) -> float | None:
        """Seconds that a loaded model stays if nobody asks it, as far as is known now; None: for ever."""
        if self.keeper.wanted(instance.model):
            return self.keeper.left(instance.model)
        idle = self.settings.value.engine.idle_minutes * 60
        if not idle or self._pinned(instance.model):
            return None
        busy = instance.active or instance.waiting or not instance.last_used
        return max(0.0, idle - (0.0 if busy else time.time() - instance.last_used))

    async def ready(self, record: ModelRecord) -> InstanceChanged:
        """Load it if it isn't. Raises the loader's error."""
        instance = self.instance(record.id)
        if instance is not None and instance.state == "ready":
            if instance.rests:  # its cache was given back: there must be room for it again
                await self._plans.plan(record)
            return instance
        plan = (await self._plans.plan(record)).plan
        instance = self.instance(record.id)
        if instance is not None and instance.state == "ready":
            return instance  # somebody loaded it meanwhile, perhaps with a plan of their own
        if instance is not None and instance.state in ("starting", "loading") and instance.plan is not None:
            plan = instance.plan  # joins the load that somebody began with a plan of their own
        loaded = await finished(self.supervisor.ensure_ready(record.id, plan))
        self.library.touched(record.id)
        self.keeper.loaded(record.id)
        return loaded

    async def load(self, record: ModelRecord, **changes: object) -> InstanceChanged:
        """Load with some of the plan's fields changed, and room made for that. Raises the loader's error."""
        from msgspec.structs import replace  # noqa: PLC0415 - used here alone

        now = self.instance(record.id)
        alive = now.plan if now is not None and now.state in ("starting", "loading", "ready") else None
        if alive is not None and replace(alive, **changes) == alive:
            return await self.ready(record)
        planned = await self._plans.plan(record, changes)
        loaded = await finished(self.supervisor.ensure_ready(record.id, replace(planned.plan, **changes)))
        self.library.touched(record.id)
        return loaded

    async def unload(self, model: str) -> None:
        """End its worker."""
        self.keeper.forget(model)
        await finished(self.supervisor.unload(model))

    # ------------------------------------------------------------------------------ requests

    def admit(self, model: str, count: int = 1) -> None:
        """Raises Problem when the server is stopping, BusyError when too many wait for this model already."""
        if self.closing:
            raise Problem(503, "stopping", "The server is stopping.")
        instance = self.instance(model)
        plan = instance.plan if instance else None
        parallel = plan.n_parallel if plan else self.settings.value.engine.n_parallel
        waiting = self._counts[model] - parallel
        if waiting + count > self.settings.value.server.max_waiting and self._counts[model]:
            raise BusyError(model=model, waiting=max(0, waiting))

    def submit(
        self,
        model: str,
        request: GenerateRequest,
        sink: Callable[[GenerateEvent], None],
        *,
        asks: bool = False,
    ) -> None:
        """Start answering; call ``end`` whatever happens. ``asks``: see ``Supervisor.submit``."""
        self._running[request.id] = model
        for request_id in self._running:
            self._beside[request_id] = max(self._beside.get(request_id, 1), len(self._running))
        self._counts[model] += 1
        self.supervisor.submit(model, request, sink, asks=asks)

    def end(self, request_id: str, over: bool = False) -> int:
        """The client has its answer, or has gone: free the sequence unless it is ``over`` already. Returns the most
        requests that ran at once while it did."""
        model = self._running.pop(request_id, None)
        if model is None:
            return 1
        self._counts[model] -= 1
        self.keeper.used(model)
        if not over:
            self.supervisor.cancel(request_id)
        return self._beside.pop(request_id, 1)

    def running(self, model: str = "") -> int:
        """Requests being answered, of one model or of all."""
        return self._counts[model] if model else len(self._running)

    def cancel_all(self) -> None:
        """Cut every answer short (each stream ends as cancelled), and give up what waits for room."""
        self._plans.give_up()
        for request_id in tuple(self._running):
            self.supervisor.cancel(request_id)

    # ------------------------------------------------------------------------------ what else a model does

    async def render(
        self, record: ModelRecord, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
    ) -> "Rendered":
        """The prompt as the model reads it."""
        await self.ready(record)
        return await finished(self.supervisor.render(record.id, messages, tools))

    async def tokenize(self, record: ModelRecord, text: str, *, special: bool = False) -> tuple[int, ...]:
        """A text's tokens."""
        await self.ready(record)
        return await finished(self.supervisor.tokenize(record.id, text, special=special))

    async def detokenize(self, record: ModelRecord, tokens: Sequence[int]) -> str:
        """Tokens as text."""
        await self.ready(record)
        return await finished(self.supervisor.detokenize(record.id, tokens))

    async def embed(
        self, record: ModelRecord, inputs: Sequence[str | Sequence[int]], query: str | None = None
    ) -> "Embeddings":
        """Vectors, or with a ``query`` scores."""
        self.admit(record.id)
        await self.ready(record)
        try:
            return await finished(self.supervisor.embed(record.id, inputs, query=query))
        finally:
            self.keeper.used(record.id)


def _usable(record: ModelRecord) -> bool:
    return record.damaged is None and not (record.summary and record.summary.kind in NOT_MODELS)


async def finished(future: "Future[T]") -> T:
    """A runtime future's result on the loop; what is there already costs no turn of the loop."""
    if future.done():
        return future.result()
    return await asyncio.wrap_future(future)


async def in_thread(call: Callable[..., T], *args: object) -> T:
    """Run what blocks beside the loop."""
    return await asyncio.get_running_loop().run_in_executor(None, lambda: call(*args))


def new_id() -> str:
    """An id for a request."""
    return os.urandom(16).hex()


def now() -> int:
    """Seconds since the epoch, as OpenAI's ``created``."""
    return int(time.time())
