"""What a quant lost: perplexity and divergence from the best reference, cached by files and text."""

import hashlib
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from app.core.errors import LabDiskFullError
from app.core.lab import LabProgress, PriceJob, ScoreJob
from app.core.types import LoadPlan
from app.models.gguf import read_header
from app.optimize.process import CPU, Devices, run_job
from app.optimize.recipes import sha256_of
from app.optimize.sizes import free_space, pieces_of, reference_bytes, short_of

log = logging.getLogger(__name__)

NOISE = 4
NOISE_UBATCH = 128
MANY = 0.6
"""Where fewer tokens than this are the same, "1 in 2" says too little."""
KEPT = 10_000_000_000
"""Bytes of references, 12 MB for each piece of text: so many pieces that a dozen models stay at hand."""
LEFT = 86_400
"""Seconds after which a trial belongs to nobody."""
Tell = Callable[[str, LabProgress], None]


class Measured(Struct, frozen=True):
    """Figures of ``runtime.llama_score``: ``ppl``, ``kl``, ``kl_p99``, ``kl_max``, ``same_top``, ``rms_change``, each
    with its ``_error``; ``truncation`` is more than what the divergence can miss, ``tail`` the mass it lies in; and
    ``noise``, the divergence of the reference from itself when only the order of its sums is another one."""

    model: str
    bytes: int
    text: str
    reference: str
    figures: dict[str, float]


class Measurer:
    """Runs scores one after the other in ``folder``, where results and references are kept."""

    def __init__(
        self,
        folder: Path,
        *,
        chunks: int = 0,
        threads: int = 0,
        on: Devices = CPU,
        kv: tuple[str, str] = ("f16", "f16"),
        tell: Tell = lambda _what, _progress: None,
        cancel: threading.Event | None = None,
    ) -> None:
        self._folder, self._chunks, self._threads, self._on = folder, chunks, threads, on
        self._kv, self._tell, self._cancel = kv, tell, cancel

    def measure(self, model: Path, text: Path, reference: Path | None = None) -> Measured:
        """Score a model on a text, against a reference model when there is one. May raise LabCancelledError."""
        kept = self._folder / f"{self._key(model, text, reference)}.json"
        found = Measured(model.name, model.stat().st_size, text.name, reference.name if reference else "", {})
        if kept.exists():  # of the same bytes, whatever they were called then
            known = msgspec.json.decode(kept.read_bytes(), type=Measured)
            return msgspec.structs.replace(found, figures=known.figures)
        self._folder.mkdir(parents=True, exist_ok=True)
        against = str(self.reference(reference, text)) if reference else ""
        job = msgspec.structs.replace(
            self._job(model, text, against=against), keep=str(kept.with_suffix(".npz"))
        )
        figures = run_job(job, self._about(model), self._cancel, self._on).figures
        if reference:
            figures["noise"] = self.noise(reference, text)
        found = msgspec.structs.replace(found, figures=figures)
        write_whole(kept, msgspec.json.encode(found))
        return found

    def noise(self, model: Path, text: Path) -> float:
        """The backend's own noise: nats between a model and itself computed in other portions, over ``NOISE`` pieces.
        A loss that is not far above it means nothing."""
        kept = self._folder / f"{self._digest(model, text, self._chunks, self._on.key)}.noise.json"
        if kept.exists():
            return msgspec.json.decode(kept.read_bytes(), type=float)
        against = str(self.reference(model, text))
        job = ScoreJob(
            model=str(model), text=str(text), against=against, chunks=min(self._chunks or NOISE, NOISE),
            threads=self._threads, n_gpu_layers=self._on.layers, ubatch=NOISE_UBATCH,
        )  # fmt: skip
        found = run_job(job, self._about(model), self._cancel, self._on).figures["kl"]
        write_whole(kept, msgspec.json.encode(found))
        return found

    def price(self, plan: LoadPlan, text: Path, trained: int = 0) -> dict[str, float]:
        """What a plan's context past the trained length and its K/V types cost on a text of at least ``plan.n_ctx``
        tokens (see ``runtime.llama_long``). For the price of the K/V types alone, ``measure`` with ``kv``, the model
        itself being the reference. Raises TextTooShortError."""
        model = Path(plan.model_path)
        kept = self._folder / f"{self._digest(model, text, trained, msgspec.json.encode(plan))}.price.json"
        if kept.exists():
            return msgspec.json.decode(kept.read_bytes(), type=dict[str, float])
        self._folder.mkdir(parents=True, exist_ok=True)
        job = PriceJob(plan=plan, text=str(text), trained=trained, threads=self._threads)
        figures = run_job(job, self._about(model), self._cancel, self._on).figures
        write_whole(kept, msgspec.json.encode(figures))
        return figures

    def reference(self, model: Path, text: Path) -> Path:
        """The file of a reference's log-probabilities, made when it is not there. Raises LabDiskFullError before it
        begins when there is no room for it."""
        # A reference is always computed with a full cache: only the candidate's K/V types are on trial.
        # Another backend has another noise: a reference serves the one it was computed on.
        path = self._folder / f"{self._digest(model, text, self._chunks, self._on.key)}.logs"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            self._refuse_full(model, text, path)
            job = msgspec.structs.replace(self._job(model, text), write=str(path), type_k="f16", type_v="f16")
            run_job(job, self._about(model), self._cancel, self._on)
            make_room(self._folder, path)
        with suppress(OSError):
            os.utime(path)  # the last used stay longest
        return path

    def _refuse_full(self, model: Path, text: Path, target: Path) -> None:
        part = target.with_name(target.name + ".part")
        needed = reference_bytes(read_header(model), pieces_of(text, self._chunks))
        missing = needed - (part.stat().st_size if part.exists() else 0) - free_space(self._folder)
        if missing > 0:
            raise LabDiskFullError(path=str(self._folder), missing=short_of(missing))

    def _job(self, model: Path, text: Path, against: str = "") -> ScoreJob:
        return ScoreJob(
            model=str(model), text=str(text), against=against, chunks=self._chunks, threads=self._threads,
            n_gpu_layers=self._on.layers, type_k=self._kv[0], type_v=self._kv[1],
        )  # fmt: skip

    def _about(self, model: Path) -> Callable[[LabProgress], None]:
        return lambda progress: self._tell(model.name, progress)

    def _key(self, model: Path, text: Path, reference: Path | None) -> str:
        other = sha256_of(reference) if reference else ""
        return self._digest(model, text, self._chunks, self._on.key, *self._kv, other)

    def _digest(self, model: Path, text: Path, *more: object) -> str:
        parts = [sha256_of(model), hashlib.sha256(text.read_bytes()).hexdigest(), *map(str, more)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def make_room(folder: Path, newest: Path, most: int = KEPT) -> None:
    """Delete the references (begun ones too) that were not used for longest, until all have at most ``most`` bytes,
    and trials that a killed program left a day ago. They are made again when needed; what was measured stays."""
    found = [(path, path.stat()) for path in folder.glob("*.logs*") if path != newest]
    left = most - newest.stat().st_size
    for path, seen in sorted(found, key=lambda item: -item[1].st_mtime):
        left -= seen.st_size
        if left < 0:
            path.unlink(missing_ok=True)
    for path in folder.glob("trial-*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > LEFT:
                path.unlink()


def write_whole(path: Path, data: bytes) -> None:
    """Keep a small file, whole or not at all: where the disk is full it is only not found again."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        log.info("%s can't be kept: %s", path, error)
        with suppress(OSError):
            part.unlink(missing_ok=True)


def sentence(found: Measured) -> str:
    """What the figures mean in plain words."""
    same = found.figures.get("same_top")
    if same is None:
        return f"{found.model}: perplexity {found.figures['ppl']:.2f}."
    whose = f"{found.reference}'s" if found.reference != found.model else "the reference's"
    if same >= 0.9995:
        return f"{found.model}: practically every token would be the same as {whose}."
    share = f"1 in {round(1 / (1 - same))}" if same >= MANY else f"{round(10 * (1 - same))} in 10"
    return f"{found.model}: {share} tokens would differ from {whose}."


def price_sentence(model: str, figures: Mapping[str, float]) -> str:
    """What a long context costs, in plain words."""
    if "ppl_past" not in figures:
        return f"{model}: perplexity {figures['ppl_inside']:.2f}; this context is within the trained length."
    more = math.exp(figures["ln_price"]) - 1
    return (
        f"{model}: past the trained {figures['trained']:.0f} tokens its perplexity is {figures['ppl_past']:.2f}; with"
        f" the trained length alone it would be {figures['ppl_within']:.2f} there ({more:+.0%})."
    )
