"""Run cards: what was measured, of which files, by which engine, on which machine; as JSON that another copy of the
program reads and compares. And all measurements of this copy, kept.

A card has no paths, no prompts and no names of people or machines.
"""

import csv
import io
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from app.core.errors import LabRefusedError
from app.optimize.orders import Point, Price

FORMAT = "hearth-run-card"
VERSION = 1
LARGEST = 8_000_000
"""Bytes of a card at most."""


class Hardware(Struct, frozen=True, omit_defaults=True):
    """What the measurements ran on."""

    cpu: str = ""
    cores: int | None = None
    memory: int | None = None
    gpus: tuple[str, ...] = ()
    system: str = ""


class RunCard(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """See the module. ``engine`` names the binding's version, ``commit`` llama.cpp's where it is known."""

    format: str = FORMAT
    version: int = VERSION
    made_at: float = 0.0
    program: str = ""
    engine: str = ""
    commit: str = ""
    hardware: Hardware = Hardware()
    points: tuple[Point, ...] = ()
    recipes: dict[str, dict[str, object]] = {}
    """How a quant was made, by its fingerprint."""
    sha256: dict[str, str] = {}
    """Of whole files, where it is known, by their fingerprint."""


def export(card: RunCard) -> bytes:
    """The card as JSON, without paths."""
    points = tuple(replace(point, path="") for point in card.points)
    return msgspec.json.format(msgspec.json.encode(replace(card, points=points))) + b"\n"


def read(data: bytes, name: str) -> RunCard:
    """A card of this or another copy. Raises LabRefusedError that says what is wrong."""
    if len(data) > LARGEST:
        raise LabRefusedError(detail=f"{name} is too large for a run card")
    try:
        card = msgspec.json.decode(data, type=RunCard)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LabRefusedError(detail=f"{name} is no run card: {error}") from error
    if card.format != FORMAT:
        raise LabRefusedError(detail=f"{name} is no run card")
    if card.version > VERSION:
        raise LabRefusedError(detail=f"{name} was written by a newer Hearth: update to read it")
    return card


class Both(Struct, frozen=True):
    """The same file measured on the same text by two copies, or by one alone."""

    name: str
    ours: Point | None
    theirs: Point | None
    same_file: bool

    def difference(self, figure: str) -> float | None:
        """Theirs less ours, when both have it."""
        if self.ours is None or self.theirs is None:
            return None
        ours, theirs = self.ours.figures.get(figure), self.theirs.figures.get(figure)
        return None if ours is None or theirs is None else theirs - ours


def compare(ours: Sequence[Point], theirs: Sequence[Point]) -> list[Both]:
    """Theirs beside ours: by file and text; else by quant and text (another file of the same type)."""
    left, found = list(ours), []
    for point in theirs:
        same = next((mine for mine in left if _what(mine) == _what(point)), None)
        close = same or next((mine for mine in left if _kind(mine) == _kind(point)), None)
        if close is not None:
            left.remove(close)
        found.append(Both(point.model, close, point, same is not None))
    return found + [Both(point.model, point, None, False) for point in left]


def _what(point: Point) -> tuple[object, ...]:
    return (point.print, point.text_hash, point.chunks, point.cache)


def _kind(point: Point) -> tuple[object, ...]:
    return (point.quant, point.reference_print, point.text_hash, point.chunks, point.cache)


class Measurements:
    """All points measured here, in a file; the last one of each file, text and cache type. Thread-safe."""

    def __init__(self, file: Path) -> None:
        self._file, self._lock = file, threading.Lock()

    def all(self) -> tuple[Point, ...]:
        """Oldest first; nothing when there is no file or it is damaged."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=tuple[Point, ...])
        except (OSError, msgspec.MsgspecError):
            return ()

    def add(self, points: Iterable[Point]) -> None:
        """Keep these; a newer measurement takes the older one's place, and keeps its speed when it has none."""
        with self._lock:
            known = {point.key: point for point in self.all()}
            for point in points:
                old = known.pop(point.key, None)
                speed = point.speed or (old.speed if old else None)
                known[point.key] = replace(point, speed=speed, at=point.at or time.time())
            self._write(tuple(known.values()))

    def remove(self, keys: Iterable[tuple[object, ...]]) -> None:
        """Forget some."""
        gone = set(keys)
        with self._lock:
            self._write(tuple(point for point in self.all() if point.key not in gone))

    def _write(self, points: tuple[Point, ...]) -> None:
        part = self._file.with_name(self._file.name + ".part")
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(msgspec.json.encode(points))
        part.replace(self._file)


class Prices:
    """What contexts past the trained length cost, in a file. Thread-safe."""

    def __init__(self, file: Path) -> None:
        self._file, self._lock = file, threading.Lock()

    def all(self) -> tuple[Price, ...]:
        """Nothing when there is no file or it is damaged."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=tuple[Price, ...])
        except (OSError, msgspec.MsgspecError):
            return ()

    def add(self, price: Price) -> None:
        """Keep it; a newer one of the same model, length and stretching takes the older one's place."""
        with self._lock:
            key = (price.print, price.n_ctx, price.rope)
            kept = [old for old in self.all() if (old.print, old.n_ctx, old.rope) != key]
            part = self._file.with_name(self._file.name + ".part")
            self._file.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(msgspec.json.encode((*kept, price)))
            part.replace(self._file)


FIGURES = ("ppl", "kl", "kl_p99", "kl_max", "same_top", "rms_change", "tail", "reference_ppl")


def table(points: Sequence[Point]) -> str:
    """The measurements as CSV with a header line; errors stand beside their figures."""
    out = io.StringIO()
    writer = csv.writer(out)
    names = [name for figure in FIGURES for name in (figure, f"{figure}_error")]
    writer.writerow(
        ["model", "quant", "bytes", "bits_per_weight", "reference", "text", "chunks", "cache_k", "cache_v", *names,
         "prefill_per_second", "decode_per_second", "joules_per_token"]
    )  # fmt: skip
    for point in points:
        speed = point.speed
        speeds = [speed.prefill, speed.decode, speed.joules] if speed else [None] * 3
        row = [point.model, point.quant, point.bytes, point.bits, point.reference, point.text, point.chunks,
               *point.cache, *(point.figures.get(name) for name in names), *speeds]  # fmt: skip
        writer.writerow(["" if value is None else value for value in row])
    return out.getvalue()


def pareto(points: Sequence[tuple[float, float]]) -> frozenset[int]:
    """Which of (size, loss) have none that is as small and as good: the places worth choosing from."""
    return frozenset(
        at
        for at, (size, loss) in enumerate(points)
        if not any(
            other_size <= size and other_loss <= loss and (other_size, other_loss) != (size, loss)
            for other_size, other_loss in points
        )
    )
