"""From a wish to types: at most so many bytes, at least so many tokens a second here, at most so much lost.

``plan_wish`` picks a file type, and where the loss was measured tensor group by group a mix of them, and says why.
Sizes come from llama.cpp's own dry run, speeds from what was measured on this machine, losses from measurements.
"""

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from app.core.errors import LabRefusedError, fill
from app.core.lab import QuantizeJob
from app.core.types import Forecast, ModelFile, ModelRecord
from app.models.gguf import read_header
from app.models.quants import explain
from app.models.summary import summarize
from app.optimize.sizes import NEED_MATRIX, Sized, dry_run

if TYPE_CHECKING:
    from app.hardware.facts import Machine
    from app.optimize.sensitivity import Sensitivity
    from app.planning.outlook import Outlook
    from app.planning.planner import Wishes

# ruff: noqa: PLC0415 - what a wish needs is many modules; the page only wants the types at its start

CHOICES = (
    "F16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q4_K_M", "Q4_K_S", "IQ4_XS", "Q3_K_L", "Q3_K_M", "IQ3_S", "Q3_K_S",
    "IQ3_XXS", "Q2_K", "IQ2_M", "IQ2_XS", "IQ2_XXS",
)  # fmt: skip
"""File types a wish may end at, the finest first."""
FULL = frozenset({"F32", "F16", "BF16"})


class AtMostBytes(Struct, frozen=True, tag="bytes"):
    """The best quant that is not larger than this many bytes."""

    bytes: int


class AtLeastSpeed(Struct, frozen=True, tag="speed"):
    """The best quant for which at least so many tokens a second are forecast on this machine."""

    tokens_per_second: float


class AtMostLoss(Struct, frozen=True, tag="loss"):
    """The smallest quant whose mean KL divergence (nats) from the source stays under this, measured on a text."""

    kl: float


Wish = AtMostBytes | AtLeastSpeed | AtMostLoss
SpeedOf = Callable[[str, int], Forecast | None]
"""Tokens a second forecast for a file type and a size in bytes; None where this machine was not measured."""


class Reason(Struct, frozen=True):
    """Why: an English template over ``params``; the page translates ``template``."""

    template: str
    params: dict[str, str | int | float] = {}

    @property
    def text(self) -> str:
        """The English sentence."""
        return fill(self.template, self.params)


REASONS = {
    "finest": "{type} is the finest type that fits: {size} of at most {limit}.",
    "next": "{type}, the next finer one, would take {size}.",
    "smallest": "Nothing fits into {limit}; {type} is the smallest there is, with {size}.",
    "fast": "{type} is the finest type that is forecast to reach {wish} tokens a second here: {low} to {high}.",
    "slower": "{type}, the next finer one, is forecast at {low} to {high}.",
    "not_fast": "No type is forecast to reach {wish} tokens a second here; {type} comes nearest with {low} to {high}.",
    "what": "{type} is {bits}-bit, {note}; loss of quality: {loss}.",
    "matrix": "{type} needs an importance matrix: choose a text for one.",
    "better_matrix": "With an importance matrix it loses less at the same size.",
    "fallback": "{count} tensors have rows that {type} can't take and get a larger type: {bits} bits per weight.",
    "group": "{group} gets {type}: at {probe} it alone costs {kl} of the divergence.",
    "measured": "The mix was made and measured: a divergence of {kl}, at most {wish} wished.",
    "estimated": "The divergence of this mix is expected at {kl}, summed up from what each part loses alone.",
    "not_reached": "Even {type} everywhere loses {kl}: less than {wish} can't be had by quantizing.",
}


class WishPlan(Struct, frozen=True, kw_only=True):
    """What to make: everything a ``QuantizeJob`` needs, what is expected of it, and why.

    ``types`` has one name (``Q4_K_M``); ``size`` is in bytes, by a dry run; ``kl`` and ``speed`` (tokens a second) are
    None where nothing is known. ``reached`` is False when nothing fulfils the wish: the plan is then the nearest.
    """

    types: tuple[str, ...]
    overrides: tuple[tuple[str, str], ...] = ()
    size: int
    bits: float
    kl: float | None = None
    speed: Forecast | None = None
    needs_matrix: bool = False
    reached: bool = True
    reasons: tuple[Reason, ...] = ()


_WISHES = {
    "bytes": re.compile(r"(?:at most|<=?)?\s*([\d.]+)\s*(GB|MB|GiB|MiB)", re.IGNORECASE),
    "speed": re.compile(r"(?:at least|>=?)?\s*([\d.]+)\s*(?:tokens|tok|t)\s*/\s*s", re.IGNORECASE),
    "loss": re.compile(r"kl\s*(?:under|<=?|=|:)?\s*([\d.]+)", re.IGNORECASE),
}
_UNITS = {"gb": 10**9, "mb": 10**6, "gib": 2**30, "mib": 2**20}


def parse(text: str) -> Wish:
    """``5GB``, ``30 t/s``, ``kl 0.05``. Raises LabRefusedError."""
    found = {name: pattern.fullmatch(text.strip()) for name, pattern in _WISHES.items()}
    try:
        if match := found["bytes"]:
            return AtMostBytes(int(float(match[1]) * _UNITS[match[2].lower()]))
        if match := found["speed"]:
            return AtLeastSpeed(float(match[1]))
        if match := found["loss"]:
            return AtMostLoss(float(match[1]))
    except ValueError:
        pass
    raise LabRefusedError(detail=f"{text!r} is no wish: write 5GB, 30t/s or kl 0.05")


def record_of(source: Path) -> ModelRecord:
    """A file as a record, whether the library has it or not."""
    size = source.stat().st_size
    return ModelRecord(source.stem, source.stem, (ModelFile(str(source), size),), size)


def plan_wish(
    source: Path,
    wish: Wish,
    *,
    speed: SpeedOf | None = None,
    sensitivity: "Sensitivity | None" = None,
    has_matrix: bool = False,
    cancel: threading.Event | None = None,
) -> WishPlan:
    """Pick types for ``source``.

    ``speed`` (see ``speed_here``) is needed for ``AtLeastSpeed``. ``sensitivity`` (a measurement on a text: minutes
    or hours) is needed for ``AtMostLoss``; with it ``AtMostBytes`` gives a mix of types too. ``has_matrix``: an
    importance matrix will be used. Otherwise dry runs decide: a fifth of a second each, at most one for each type.
    Raises LabRefusedError when what is needed is missing, QuantizeFailedError, LabCancelledError.
    """
    if isinstance(wish, AtLeastSpeed):
        if speed is None:
            raise LabRefusedError(detail="a wish for speed needs this machine's speed: measure it first")
        return _for_speed(_Types(source, cancel), wish.tokens_per_second, speed, has_matrix)
    if sensitivity is not None:
        from app.optimize import mixing

        if isinstance(wish, AtMostBytes):
            return mixing.for_bytes(source, wish.bytes, sensitivity, speed)
        return mixing.for_loss(source, wish.kl, sensitivity, speed)
    if isinstance(wish, AtMostLoss):
        raise LabRefusedError(detail="a wish for a loss needs a text to measure it on")
    return _for_bytes(_Types(source, cancel), wish.bytes, speed, has_matrix)


def speed_here(outlook: "Outlook", machine: "Machine", record: ModelRecord, wishes: "Wishes") -> SpeedOf:
    """Decode forecasts for quants of ``record`` with an empty context, loaded as ``wishes`` say."""
    from app.planning.model_facts import from_record
    from app.planning.variants import requantized, weight_type

    facts = from_record(record)

    def forecast(kind: str, size: int) -> Forecast | None:
        estimator = outlook.estimator(record, machine, facts=requantized(facts, size, weight_type(kind)))
        return estimator.speed(estimator.plan(wishes).plan, 0).decode

    return forecast


class _Types:
    """The types a source can be made into, the finest first, each with its size by a dry run when it is asked for."""

    def __init__(self, source: Path, cancel: threading.Event | None) -> None:
        self._source, self._cancel = source, cancel
        quant = summarize(read_header(source)).quant
        bits = explain(quant).bits or 16.0
        kinds = [kind for kind in CHOICES if (explain(kind).bits or 0.0) <= bits]
        self.kinds = [quant if kind == "F16" and quant in FULL else kind for kind in kinds] or [CHOICES[-1]]

    def __getitem__(self, index: int) -> Sized:
        return dry_run(QuantizeJob(source=str(self._source), target="", type=self.kinds[index]), self._cancel)

    def first(self, good: Callable[[Sized], bool]) -> int | None:
        """The finest type that is ``good``. Every finer one is looked at: a coarser type can be larger (where rows are
        no multiple of 256) and slower (on a processor) than one before it."""
        return next((at for at in range(len(self.kinds)) if good(self[at])), None)

    def best(self, figure: Callable[[Sized], float]) -> int:
        """The type for which ``figure`` is largest."""
        return max(range(len(self.kinds)), key=lambda at: figure(self[at]))


def _for_bytes(types: _Types, limit: int, speed: SpeedOf | None, has_matrix: bool) -> WishPlan:
    at = types.first(lambda sized: sized.bytes <= limit)
    if at is None:
        sized = types[types.best(lambda sized: -sized.bytes)]
        why = [reason("smallest", type=sized.type, size=megabytes(sized.bytes), limit=megabytes(limit))]
        return _plan(sized, why, has_matrix, speed, reached=False)
    sized = types[at]
    why = [reason("finest", type=sized.type, size=megabytes(sized.bytes), limit=megabytes(limit))]
    if at:
        why.append(reason("next", type=types[at - 1].type, size=megabytes(types[at - 1].bytes)))
    return _plan(sized, why, has_matrix, speed)


def _for_speed(types: _Types, wish: float, speed: SpeedOf, has_matrix: bool) -> WishPlan:
    def found(sized: Sized) -> Forecast:
        forecast = speed(sized.type, sized.bytes)
        if forecast is None:
            raise LabRefusedError(
                detail="this machine's speed is not measured yet: hearth estimate --measure"
            )
        return forecast

    at = types.first(lambda sized: found(sized).low >= wish)
    if at is None:
        sized = types[types.best(lambda sized: found(sized).low)]
        why = [reason("not_fast", type=sized.type, wish=wish, **_range(found(sized)))]
        return _plan(sized, why, has_matrix, speed, reached=False)
    sized = types[at]
    why = [reason("fast", type=sized.type, wish=wish, **_range(found(sized)))]
    if at:
        why.append(reason("slower", type=types[at - 1].type, **_range(found(types[at - 1]))))
    return _plan(sized, why, has_matrix, speed)


def _plan(
    sized: Sized, why: list[Reason], has_matrix: bool, speed: SpeedOf | None, *, reached: bool = True
) -> WishPlan:
    needs = sized.needs_matrix or sized.type in NEED_MATRIX
    return WishPlan(
        types=(sized.type,), size=sized.bytes, bits=sized.bits,
        speed=speed(sized.type, sized.bytes) if speed else None, needs_matrix=needs, reached=reached,
        reasons=(*why, *about(sized, needs, has_matrix)),
    )  # fmt: skip


def about(sized: Sized, needs: bool, has_matrix: bool) -> list[Reason]:
    """What there is to know of a type: what it is, what it needs, what fell back."""
    info, found = explain(sized.type), list[Reason]()
    if info.bits is not None:
        found.append(reason("what", type=sized.type, bits=f"{info.bits:g}", note=info.note, loss=info.loss))
    if sized.fallbacks:
        bits = f"{sized.bits:.2f}"
        found.append(reason("fallback", count=len(sized.fallbacks), type=sized.type, bits=bits))
    if needs and not has_matrix:
        found.append(reason("matrix", type=sized.type))
    elif not has_matrix and sized.type not in FULL and sized.type != "Q8_0":
        found.append(reason("better_matrix"))
    return found


def reason(code: str, **params: str | float) -> Reason:
    """One of ``REASONS``."""
    return Reason(REASONS[code], params)


def megabytes(count: int) -> str:
    """Bytes in words, as people buy them: 10^9."""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _range(found: Forecast) -> dict[str, str]:
    return {"low": f"{found.low:.1f}", "high": f"{found.high:.1f}"}
