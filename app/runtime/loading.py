"""Loading inside the worker: weights, context, one trial decode, and the report of what was really allocated."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from app.core.errors import HearthError, LoadFailedError
from app.core.events import MemoryUse
from app.runtime.calibration import ThreadMemory, fastest
from app.runtime.calibration import key_of as thread_key
from app.runtime.cores import FREE, CoreWatch, watch_for
from app.runtime.embedding import Embedder
from app.runtime.intake import Eyes, Intake
from app.runtime.kvstore import STATES, KvStore, Stored, key_of
from app.runtime.llama import lib, start
from app.runtime.llama_context import OK, Context
from app.runtime.llama_eyes import Projector
from app.runtime.llama_log import LogCapture, memory_use
from app.runtime.llama_model import Model
from app.runtime.llama_params import physical_cores
from app.runtime.protocol import Load, Progress, Ready, Report
from app.runtime.resting import RestingEngine
from app.runtime.sight import Sight

log = logging.getLogger(__name__)

TELL_EVERY = 0.05  # seconds between two progress reports
PROJECTOR = "projector"
"""The stage in which the projector is loaded."""
WEIGHTS_SHARE = 0.95  # of the progress bar; the rest is the context and the trial decode


class Loaded(Struct):
    """A model ready to answer."""

    model: Model
    context: Context
    engine: RestingEngine
    intake: Intake
    embedder: Embedder
    ready: Ready
    store: KvStore | None = None

    def close(self) -> None:
        """Finish writing states, free the projector and the context, then the weights."""
        if self.engine.sight is not None:
            self.engine.sight.close()
        if self.store is not None:
            self.store.close()
        self.context.close()
        self.model.close()


def load(command: Load, send: Callable[[Report], None]) -> Loaded:
    """Do all of it. Raises HearthError: ModelNotFound, WrongMagic, TruncatedModel, UnsupportedModel, OutOfMemory or
    LoadFailed, by the name that was asked for."""
    try:
        return _load(command, send)
    except LoadFailedError as error:
        error.params["model"] = command.model
        raise


def _load(command: Load, send: Callable[[Report], None]) -> Loaded:
    began = time.monotonic()
    plan, capture = command.plan, LogCapture()
    capture.install()
    start()
    watch = watch_for(plan, command.cores, physical_cores)
    model = Model.load(plan, command.model, capture, _teller(send))
    try:
        context = Context.create(model, plan, command.model, capture)
        if watch is not None:
            watch.changed()
            context.set_threads(watch.decode, watch.threads)
        send(Progress(WEIGHTS_SHARE, "first_decode"))
        try_decode(context)
        if watch is not None:
            calibrate(command, context, watch)
    except BaseException:
        model.close()
        raise
    eyes = open_eyes(command, model, context, capture, send)
    lines = capture.lines()
    capture.clear()
    ready = _ready(context, lines, time.monotonic() - began, eyes)
    store = open_store(command)
    sight = Sight(eyes.projector) if eyes.projector is not None else None
    engine = RestingEngine(model, context, send, watch, store, sight)
    engine.capture = capture

    def find(conversation: str) -> Stored | None:
        here = store is None or conversation in engine.names()
        return None if here or store is None else store.find(conversation)

    intake = Intake(model, context.n_ctx, find, command.plan.seed, eyes, writes=not plan.embeddings)
    embedder = Embedder(model, context)
    return Loaded(model, context, engine, intake, embedder, ready, store)


def open_eyes(
    command: Load, model: Model, context: Context, capture: LogCapture, send: Callable[[Report], None]
) -> Eyes:
    """The plan's projector. One that can't be used does not keep the model from answering: what is wrong with it is
    said, and to everybody who then sends an image."""
    eyes = Eyes(n_ubatch=context.n_ubatch)
    if not command.plan.projector or command.plan.embeddings:
        return eyes
    send(Progress(WEIGHTS_SHARE, PROJECTOR))
    try:
        eyes.projector = Projector.load(command.plan, model, capture)
    except HearthError as error:
        log.info("the model does not see: %s", error)
        eyes.why = str(error).rstrip(".")
    return eyes


def open_store(command: Load) -> KvStore | None:
    """Where this model's conversations are kept; None without a cache folder, or for a model that writes no text."""
    if not command.cache or command.plan.embeddings:
        return None
    try:
        key = key_of(command.plan, lib.llama_version().decode())
    except OSError as error:
        log.info("states of conversations are not kept: %s", error)
        return None
    return KvStore(Path(command.cache) / STATES, key)


def _teller(send: Callable[[Report], None]) -> Callable[[float], bool]:
    told = 0.0

    def tell(fraction: float) -> bool:
        nonlocal told
        now = time.monotonic()
        if now - told >= TELL_EVERY or fraction >= 1.0:
            told = now
            send(Progress(fraction * WEIGHTS_SHARE))
        return True

    return tell


def try_decode(context: Context) -> None:
    """Compute two tokens and one more, so that a model or a processor that can't do it fails now, not in an answer;
    it also brings the weights into memory. Leaves the cache empty."""
    if context.memory is None:
        return
    first = max(0, min(context.model.n_vocab - 1, 1))
    for tokens, pos in (([first, first], 0), ([first], 2)):
        context.batch.clear()
        context.batch.add_run(tokens, pos, 0, last=True, every=context.plan.embeddings)
        if (code := context.decode()) != OK:
            raise LoadFailedError(model=context.model.path, detail=f"its first decode failed ({code})")
    context.clear()


def calibrate(command: Load, context: Context, watch: CoreWatch) -> None:
    """Find the number of threads that decodes fastest, or recall it. Not on a busy machine (it would be measured
    wrong), and not for a model that writes no text."""
    if context.memory is None or command.plan.embeddings or not command.cache:
        return
    memory, cores = ThreadMemory(Path(command.cache)), watch.wanted
    try:
        key = thread_key(command.plan, cores)
    except OSError:
        return
    known = memory.recall(key)
    if known is None and watch.others < FREE and watch.threads == cores > 1:
        known, seconds = fastest(cores, lambda threads: _one_token(context, threads))
        log.info("seconds a token by threads: %s; %d it is", seconds, known)
        context.clear()
        memory.remember(key, known)
    watch.fastest = known or watch.fastest
    context.set_threads(watch.decode, watch.threads)


def _one_token(context: Context, threads: int) -> None:
    context.set_threads(threads, threads)
    context.batch.clear()
    context.batch.add(1, context.held(0), 0)
    context.decode()
    context.logits(0)  # a GPU's work is done only when it is asked for


def _with_projector(memory: tuple[MemoryUse, ...], eyes: Eyes) -> tuple[MemoryUse, ...]:
    """libmtmd does not say where its weights are: on the first device that has the model's."""
    assert eyes.projector is not None
    place = next((use.device for use in memory if use.device != "CPU" and use.weights), "CPU")
    size = Path(eyes.projector.path).stat().st_size
    return tuple(
        msgspec.structs.replace(use, weights=use.weights + size) if use.device == place else use
        for use in memory
    )


def _ready(context: Context, lines: list[str], seconds: float, eyes: Eyes) -> Ready:
    memory = memory_use(lines)
    memory = _with_projector(memory, eyes) if eyes.projector is not None else memory
    on_devices = [use.device for use in memory if use.device != "CPU" and use.weights]
    decode, batch = context.threads
    return Ready(
        n_ctx=context.n_ctx,
        n_cells=context.n_cells,
        device="+".join(on_devices) or "CPU",
        memory=memory,
        seconds=seconds,
        n_threads=decode,
        n_threads_batch=batch,
        sees=eyes.projector is not None,
        blind="" if eyes.projector is not None or not context.plan.projector else eyes.why,
    )
