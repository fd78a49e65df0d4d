"""Does the orders of the lab's queue with the functions that the command line uses as well."""

import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from app.core.errors import ConverterMissingError
from app.core.lab import LabProgress, QuantizeJob
from app.core.paths import Paths
from app.core.types import LoadPlan
from app.models.gguf import read_header
from app.models.hub import Hub
from app.models.library import Library
from app.models.summary import summarize
from app.optimize.cards import Measurements, Prices
from app.optimize.orders import (
    FULL_CACHE,
    MeasureOrder,
    Order,
    Point,
    Price,
    PriceOrder,
    QuantOrder,
    RepeatOrder,
    Result,
    SourceOrder,
    Speed,
    Stage,
    Why,
    WishOrder,
)
from app.optimize.queue import Step, Tell
from app.optimize.rates import Rates
from app.planning.outlook import engine_version
from app.runtime.kvstore import fingerprint

if TYPE_CHECKING:
    from app.optimize.measure import Measured
    from app.optimize.process import Devices

# ruff: noqa: PLC0415 - numpy and all that comes with it are not for the start of the program

SpeedOf = Callable[[Path, threading.Event], Speed]
"""Loads a model, has it answer, and says how fast it was (see ``optimize.speeds``)."""


class Work:
    """Called by the queue's thread. ``on``: the devices that compute."""

    def __init__(
        self,
        paths: Paths,
        shelf: tuple[Library, Hub],
        rates: Rates,
        on: Callable[[], "Devices"],
        speed: SpeedOf,
    ) -> None:
        self._paths, (self._library, self._hub), self._rates = paths, shelf, rates
        self._on, self._speed = on, speed
        self._measurements = Measurements(paths.data / "lab" / "measurements.json")

    def __call__(self, order: Order, tell: Tell, cancel: threading.Event) -> Result:
        """Do it."""
        if isinstance(order, QuantOrder):
            return self._quantize(order, tell, cancel)
        if isinstance(order, RepeatOrder):
            return self._repeat(order, tell, cancel)
        if isinstance(order, WishOrder):
            return self._wish(order, tell, cancel)
        if isinstance(order, SourceOrder):
            return self._bring(order, tell, cancel)
        if isinstance(order, PriceOrder):
            return self._price(order, tell, cancel)
        return Result(points=tuple(self._measure(order, tell, cancel)))

    # ------------------------------------------------------------------ quantizing

    def _quantize(self, order: QuantOrder, tell: Tell, cancel: threading.Event) -> Result:
        from app.optimize import quantize

        steps = 2 if order.text else 1
        matrix = Path(order.matrix) if order.matrix else None
        if order.text:
            matrix = self._matrix(order, tell, cancel)
        source = Path(order.source)
        tell(Step("size", source.name, step=steps - 1, steps=steps))
        with self._rates.timed(f"quantize:{order.type}", lambda: weights_of(source)):
            made = quantize.make(
                _job(order), engine=engine_name(), matrix=matrix,
                tell=_teller(tell, "quantize", steps - 1, steps), cancel=cancel,
            )  # fmt: skip
        record = self._library.adopt([Path(made.path)])
        return Result(
            record.id, made.path, made.bytes, made.bits, tuple(made.fallbacks), str(matrix) if matrix else ""
        )

    def _repeat(self, order: RepeatOrder, tell: Tell, cancel: threading.Event) -> Result:
        from app.optimize import quantize

        source, matrix = Path(order.source), Path(order.matrix) if order.matrix else None
        tell(Step("check", source.name))
        made = quantize.repeat(
            order.recipe, source, Path(order.target), engine=engine_name(), matrix=matrix,
            tell=_teller(tell, "quantize", 0, 1), cancel=cancel,
        )  # fmt: skip
        record = self._library.adopt([Path(made.path)])
        return Result(
            record.id, made.path, made.bytes, made.bits, tuple(made.fallbacks), order.matrix, same=True
        )

    def _matrix(self, order: QuantOrder, tell: Tell, cancel: threading.Event) -> Path:
        """The matrix of this text, computed unless it is there from another type of the same order."""
        from app.optimize import quantize

        source, text = Path(order.source), Path(order.text)
        target = matrix_path(self._paths, source, text, order.text_name, order.chunks)
        if not target.exists():
            tell(Step("matrix", source.name, steps=2))
            with self._rates.timed("tokens", lambda: weights_of(source)) as timing:
                done = quantize.make_matrix(
                    source, text, target, chunks=order.chunks, on=self._on(),
                    tell=timing.counted(_teller(tell, "matrix", 0, 2, source.name)), cancel=cancel,
                )  # fmt: skip
                timing.note(done.figures)
        return target

    def _wish(self, order: WishOrder, tell: Tell, cancel: threading.Event) -> Result:
        """Measure the parts, find the mix, make it."""
        from app.optimize.sensitivity import Sensitivity
        from app.optimize.wishes import AtMostBytes, AtMostLoss, plan_wish

        source, quant = Path(order.source), _quant_of(order)
        matrix = (
            self._matrix(quant, tell, cancel) if quant.text else Path(order.matrix) if order.matrix else None
        )
        steps, at = (3, 1) if quant.text else (2, 0)
        tell(Step("parts", source.name, step=at, steps=steps))
        sensitivity = Sensitivity(
            source, Path(order.text), self._paths.cache / "lab", matrix=matrix, on=self._on(),
            tell=_parts(tell, at, steps), cancel=cancel,
        )  # fmt: skip
        wish = AtMostBytes(int(order.value)) if order.wish == "bytes" else AtMostLoss(order.value)
        plan = plan_wish(source, wish, sensitivity=sensitivity, has_matrix=matrix is not None, cancel=cancel)
        made = replace(
            quant, type=plan.types[0], overrides=plan.overrides, text="", matrix=str(matrix) if matrix else ""
        )
        result = self._quantize(made, lambda step: tell(replace(step, step=at + 1, steps=steps)), cancel)
        return replace(result, reasons=tuple(Why(why.template, why.params) for why in plan.reasons))

    # ------------------------------------------------------------------ sources

    def _bring(self, order: SourceOrder, tell: Tell, cancel: threading.Event) -> Result:
        """Download, and convert what is not GGUF."""
        from app.optimize import sources

        steps = 2 if order.repo else 1
        path = Path(order.folder)
        files = [path]
        if order.repo:
            tell(Step("download", order.repo, steps=steps))
            chosen = sources.best_source(self._hub.repo(order.repo), order.quant)
            self._refuse_weights(chosen.quant, order)
            told = _teller(tell, "download", 0, steps)
            path = sources.fetch(self._hub, chosen, self._paths.models, tell=told, cancel=cancel)
            files = [path.with_name(Path(part.name).name) for part in chosen.files]
        if path.is_dir():
            files = [self._convert(path, order, tell, (steps - 1, steps), cancel)]
        record = self._library.adopt(files)
        return Result(record.id, record.path, record.bytes)

    def _refuse_weights(self, quant: str, order: SourceOrder) -> None:
        """Before they are fetched for nothing."""
        from app.optimize.converter import Converter

        ready = order.set_up or Converter(self._paths.data / "lab" / "converter").state().ready
        if quant == "safetensors" and not ready:
            raise ConverterMissingError

    def _convert(
        self, folder: Path, order: SourceOrder, tell: Tell, at: tuple[int, int], cancel: threading.Event
    ) -> Path:
        from app.optimize.converter import Converter, place_for

        converter = Converter(self._paths.data / "lab" / "converter")
        target, made = place_for(folder, self._paths.models / "lab")
        if order.set_up and not made and not converter.state().ready:
            converter.set_up(lambda said: tell(Step("setup", said.strip(), step=at[0], steps=at[1])), cancel)
        tell(Step("convert", folder.name, step=at[0], steps=at[1]))
        told = _teller(tell, "convert", *at, folder.name)
        return target if made else converter.convert(folder, target, tell=told, cancel=cancel)

    # ------------------------------------------------------------------ measuring

    def _price(self, order: PriceOrder, tell: Tell, cancel: threading.Event) -> Result:
        from app.optimize.measure import Measurer

        plan, model = order.plan, Path(order.plan.model_path)
        tell(Step("price", model.name))
        told = _teller(tell, "price", 0, 1, model.name)
        measurer = Measurer(
            self._paths.cache / "lab", on=self._on(),
            tell=lambda _model, progress: told(progress), cancel=cancel,
        )  # fmt: skip
        figures = measurer.price(plan, Path(order.text), order.trained)
        return Result(price=keep_price(self._paths, plan, figures, order.trained))

    def _measure(self, order: MeasureOrder, tell: Tell, cancel: threading.Event) -> list[Point]:
        steps = len(order.texts) * (1 + len(order.models) * len(order.caches)) + (
            len(order.models) if order.speed else 0
        )
        steps += len(order.fetch)
        for at, name in enumerate(order.fetch):
            self._fetch(name, tell, (at, steps), cancel)
        at, found = len(order.fetch), list[Point]()
        for text, name in zip(order.texts, order.names or map(_stem, order.texts), strict=True):
            self._reference(order, Path(text), tell, (at, steps), cancel)
            at += 1
            for model in order.models:
                for cache in order.caches:
                    point = self._one(order, (model, text, name), cache, tell, (at, steps), cancel)
                    found.append(point)
                    self._measurements.add([point])  # what comes later may fail
                    at += 1
        for model in order.models if order.speed else ():
            tell(Step("speed", Path(model).name, step=at, steps=steps))
            speed = self._speed(Path(model), cancel)
            same = [point.path == model and point.cache == FULL_CACHE for point in found]
            found = [replace(p, speed=speed) if here else p for p, here in zip(found, same, strict=True)]
            self._measurements.add(p for p, here in zip(found, same, strict=True) if here)
            at += 1
        return found

    def _fetch(self, name: str, tell: Tell, at: tuple[int, int], cancel: threading.Event) -> None:
        """A quant of a repository, into the library; what was there of it goes on."""
        from app.optimize import sources

        tell(Step("download", name, step=at[0], steps=at[1]))
        repo, _, quant = name.rpartition(":")
        chosen = sources.best_source(self._hub.repo(repo), quant)
        told = _teller(tell, "download", *at)
        path = sources.fetch(self._hub, chosen, self._paths.models, tell=told, cancel=cancel)
        self._library.adopt([path.with_name(Path(part.name).name) for part in chosen.files])

    def _reference(
        self, order: MeasureOrder, text: Path, tell: Tell, at: tuple[int, int], cancel: threading.Event
    ) -> None:
        model = Path(order.reference)
        tell(Step("reference", model.name, step=at[0], steps=at[1]))
        with self._rates.timed("tokens", lambda: weights_of(model)) as timing:
            told = timing.counted(_teller(tell, "reference", *at, model.name))
            self._measurer(order, ("f16", "f16"), told, cancel).reference(model, text)

    def _one(
        self, order: MeasureOrder, what: tuple[str, str, str], cache: tuple[str, str], tell: Tell,
        at: tuple[int, int], cancel: threading.Event,
    ) -> Point:  # fmt: skip
        model, text, name = Path(what[0]), Path(what[1]), what[2]
        tell(Step("measure", model.name, step=at[0], steps=at[1]))
        with self._rates.timed("tokens", lambda: weights_of(model)) as timing:
            told = timing.counted(_teller(tell, "measure", *at, model.name))
            measurer = self._measurer(order, cache, told, cancel)
            measured = measurer.measure(model, text, Path(order.reference))
            timing.note(measured.figures)
        return point_of(measured, model, text, name, order, cache)

    def _measurer(
        self, order: MeasureOrder, cache: tuple[str, str], told: "Callable[[LabProgress], None]",
        cancel: threading.Event,
    ) -> "Measurer":  # fmt: skip
        from app.optimize.measure import Measurer

        return Measurer(
            self._paths.cache / "lab", chunks=order.chunks, on=self._on(), kv=cache,
            tell=lambda _model, progress: told(progress), cancel=cancel,
        )  # fmt: skip


if TYPE_CHECKING:
    from app.optimize.measure import Measurer


def keep_price(paths: Paths, plan: LoadPlan, figures: dict[str, float], trained: int = 0) -> Price:
    """A measured price, kept for the load dialog. Raises OSError."""
    print_ = fingerprint(Path(plan.model_path))
    found = Price(print_, plan.n_ctx, int(figures.get("trained", trained)), plan.rope_scaling, figures)
    Prices(paths.data / "lab" / "prices.json").add(found)
    return found


def engine_name() -> str:
    """What a recipe and a card call the engine."""
    return f"llama-cpp-python {engine_version()}"


def weights_of(model: Path) -> int:
    """How many weights a model has. Raises a ModelError or OSError."""
    return summarize(read_header(model)).parameters or 0


def matrix_path(paths: Paths, source: Path, text: Path, name: str, chunks: int) -> Path:
    """Where the matrix of a model and a text is kept: another text has another place."""
    digest = hashlib.sha256(text.read_bytes())
    digest.update(f"{fingerprint(source)} {chunks}".encode())
    return (
        paths.data / "lab" / f"{source.stem}.{_safe(name or text.stem)}.{digest.hexdigest()[:8]}.imatrix.gguf"
    )


def point_of(
    measured: "Measured", model: Path, text: Path, name: str, order: MeasureOrder, cache: tuple[str, str]
) -> Point:
    """A measurement with all that tells it apart."""
    summary, size = summarize(read_header(model)), model.stat().st_size
    reference = Path(order.reference)
    return Point(
        model=model.name, print=fingerprint(model), bytes=size, quant=summary.quant, bits=summary.bits_per_weight,
        text=name, text_hash=hashlib.sha256(text.read_bytes()).hexdigest(), chunks=order.chunks,
        reference=reference.name, reference_print=fingerprint(reference), cache=cache,
        figures=dict(measured.figures), at=time.time(), path=str(model),
    )  # fmt: skip


def _job(order: QuantOrder) -> QuantizeJob:
    return QuantizeJob(
        source=order.source, target=order.target, type=order.type, overrides=order.overrides,
        embedding=order.embedding, output=order.output, pure=order.pure, prune=order.prune, requantize=True,
    )  # fmt: skip


def _quant_of(order: WishOrder) -> QuantOrder:
    return QuantOrder(
        source=order.source, target=order.target, type="Q8_0", matrix=order.matrix, text=order.matrix_text,
        text_name=order.matrix_name, chunks=order.chunks,
    )  # fmt: skip


def _parts(tell: Tell, step: int, steps: int) -> Callable[[str, LabProgress], None]:
    """Progress by part: what is told of the measurements inside comes without a colon and only proves life."""

    def told(what: str, progress: LabProgress) -> None:
        if ": " in what:
            tell(Step("parts", what, progress.done, progress.total, step, steps))

    return told


def _teller(
    tell: Tell, stage: Stage, step: int, steps: int, about: str = ""
) -> Callable[[LabProgress], None]:
    def told(progress: LabProgress) -> None:
        crashed = progress.crashed
        tell(Step(stage, progress.what or about, progress.done, progress.total, step, steps, crashed))

    return told


def _stem(text: str) -> str:
    return Path(text).stem


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)[:40]
