"""How fast each device of this machine computes: measured once by a short process, kept in the cache.

The measuring process is the engine's own (``compose`` wires ``python -m app.runtime.llama_rates``); this layer only
gives it arguments, reads what it prints, and knows when it must be asked again.
"""

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from app.core.types import KvType
from app.hardware.facts import Machine

log = logging.getLogger(__name__)

VERSION = 2
QUIET = 0.75
"""Of what was timed: when other programs touched more than the rest, it is measured again."""
ROUNDS, BOTH = 2, 56.0
"""It is measured twice, and the quicker counts, where that takes no longer than so many seconds."""
LEAST_DEPTH = 0.02
"""Of a token's time: the least that a filled context is taken to cost, where noise hid it."""
FASTEST = 1.6
"""A type reads no faster than so many times what was seen of it; more is what disturbed the other points."""

# What an unmeasured weight type is like, in order of preference.
_LIKE = {
    "Q4_1": ("Q5_0", "Q5_K"), "Q5_0": ("Q4_1", "Q5_K"), "Q5_1": ("Q5_0", "Q5_K"), "IQ4_NL": ("Q4_0",),
    "Q8_K": ("Q8_0",), "F32": ("F16",), "BF16": ("F16",), "NVFP4": ("MXFP4",),
    "IQ3_S": ("IQ4_XS", "Q3_K"), "IQ3_XXS": ("IQ4_XS", "Q3_K"), "IQ2_S": ("IQ4_XS", "Q2_K"), "Q1_0": ("Q2_K",),
    "IQ2_XS": ("IQ4_XS", "Q2_K"), "IQ2_XXS": ("IQ4_XS", "Q2_K"), "IQ1_S": ("IQ4_XS", "Q2_K"), "Q2_0": ("Q2_K",),
    "IQ1_M": ("IQ4_XS", "Q2_K"), "TQ1_0": ("Q2_K",), "TQ2_0": ("Q2_K",),
}  # fmt: skip


class TypeRate(Struct, frozen=True):
    """One weight type: bytes per second, seconds per matrix row and per matrix (decode), operations per second
    (prefill)."""

    bandwidth: float
    prefill: float
    row: float = 0.0
    matrix: float = 0.0


class Rates(Struct, frozen=True, omit_defaults=True):
    """One device, measured with ``threads`` threads."""

    device: str
    threads: int
    token: float
    """Seconds for a token that nothing takes away."""
    layer: float
    types: dict[str, TypeRate]
    attention: dict[KvType, float]
    """Elements per second by K/V type, beside what reading K and V takes."""
    seconds: float = 0.0
    key: str = ""
    measured_at: float = 0.0
    read: float = 0.0
    """Bytes per second really read, at best: of whole tokens, with nothing taken off."""
    share: float = 1.0
    """Of what was timed: that no other program touched."""

    @property
    def disturbed(self) -> bool:
        """Other programs were so busy that it is no measure of this machine."""
        return self.share < QUIET

    def of(self, kind: str) -> TypeRate | None:
        """The rate of a weight type, or of the most alike one that was measured."""
        for name in (kind, *_LIKE.get(kind, ()), "Q4_K", "Q8_0"):
            if name in self.types:
                return self.types[name]
        return next(iter(self.types.values()), None)

    def attention_of(self, kind: KvType) -> float | None:
        """Attention elements per second with this K/V type, or the most alike."""
        for name in (kind, "q8_0" if kind.startswith("q") else "f16", "f16"):
            if name in self.attention:
                return self.attention[name]
        return None


Run = Callable[[Sequence[str]], bytes]
"""Runs the measuring process with these arguments and returns what it printed; raises when it fails."""


def key_of(machine: Machine, device: str, threads: int, engine: str) -> str:
    """What a measurement is valid for: it is repeated when any of it changes."""
    gpu = next((gpu for gpu in machine.gpus if device in gpu.devices), None)
    where = f"{gpu.name}|{gpu.driver}" if gpu else f"{machine.cpu.name}|{machine.memory.total}"
    return f"{VERSION}|{device}|{threads if gpu is None else 0}|{engine}|{where}"


class RatesStore:
    """Measured rates in one JSON file. A damaged file is as good as none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Rates] | None = None

    def get(self, key: str) -> Rates | None:
        """The rates measured under a key."""
        return self._load().get(key)

    def put(self, rates: Rates) -> None:
        """Keep a measurement, replacing the older one of its key."""
        self._load()[rates.key] = rates
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(self._load()))
        temporary.replace(self._path)

    def known(self, device: str) -> bool:
        """Whether this device was ever measured, as it is or as it was."""
        return any(key.split("|")[1:2] == [device] for key in self._load())

    def offered(self) -> frozenset[str]:
        """Keys whose measuring was offered."""
        try:
            return frozenset(msgspec.json.decode(self._offers.read_bytes(), type=list[str]))
        except (OSError, msgspec.MsgspecError):
            return frozenset()

    def note_offer(self, keys: Sequence[str]) -> None:
        """It is not offered again for these. Raises OSError."""
        self._offers.parent.mkdir(parents=True, exist_ok=True)
        self._offers.write_bytes(msgspec.json.encode(sorted({*self.offered(), *keys})))

    @property
    def _offers(self) -> Path:
        return self._path.with_suffix(".offered")

    def _load(self) -> dict[str, Rates]:
        if self._known is None:
            try:
                self._known = msgspec.json.decode(self._path.read_bytes(), type=dict[str, Rates])
            except (OSError, msgspec.MsgspecError) as error:
                log.info("no measured rates: %s", error)
                self._known = {}
        return self._known


class RawType(Struct, frozen=True):
    """[bytes, rows, layers, matrices, seconds] of three models; [operations, seconds] of prefill."""

    points: list[list[float]]
    prefill: list[float]


class Raw(Struct, frozen=True):
    """What the measuring process prints: work and the seconds it took."""

    device: str
    threads: int
    seconds: float
    overhead: list[list[float]]
    """[layers, seconds] of two models with almost no weights."""
    types: dict[str, RawType]
    attention: dict[KvType, list[float]]
    """[elements, bytes of K and V, seconds with an empty context, seconds with a filled one]."""
    share: float = 1.0


def merge(one: Raw, other: Raw) -> Raw:
    """The quicker of two measurements of one device, point by point: other programs only ever slow a step down."""
    types = dict(one.types)
    for kind, raw in other.types.items():
        types[kind] = _merge_type(types[kind], raw) if kind in types else raw
    attention = {**other.attention, **one.attention}
    for kv in set(one.attention) & set(other.attention):
        pair = (one.attention[kv], other.attention[kv])
        attention[kv] = [*pair[0][:2], min(raw[2] for raw in pair), min(raw[3] for raw in pair)]
    overhead = [_quicker(*pair) for pair in zip(one.overhead, other.overhead, strict=True)]
    share = max(one.share, other.share)
    return Raw(one.device, one.threads, one.seconds + other.seconds, overhead, types, attention, share)


def _merge_type(one: RawType, other: RawType) -> RawType:
    points = [_quicker(*pair) for pair in zip(one.points, other.points, strict=True)]
    return RawType(points, _quicker(one.prefill, other.prefill))


def _quicker(one: list[float], other: list[float]) -> list[float]:
    return [*one[:-1], min(one[-1], other[-1])]


def solve(raw: Raw, key: str = "") -> Rates:
    """Rates from work and seconds."""
    (few, short), (many, long) = raw.overhead
    layer = max(0.0, (long - short) / (many - few))
    token = max(0.0, short - few * layer)
    types = {kind: _type_rate(one, token, layer) for kind, one in raw.types.items()}
    read = max(point[0] / point[-1] for one in raw.types.values() for point in one.points)
    attention = {kv: _attention_rate(point, read) for kv, point in raw.attention.items()}
    found = (token, layer, types, attention, raw.seconds, key, time.time(), read, raw.share)
    return Rates(raw.device, raw.threads, *found)


def _attention_rate(point: list[float], read: float) -> float:
    elements, kv_bytes, shallow, deep = point
    more = max(deep - shallow, LEAST_DEPTH * shallow)
    return elements / max(more - kv_bytes / read, 0.2 * more)


def _type_rate(one: RawType, token: float, layer: float) -> TypeRate:
    """What a byte, a row and a matrix take, each at least nothing, nearest to the points in relative error."""
    work = [(point[0], point[1], point[3]) for point in one.points]
    net = [max(point[-1] - token - point[2] * layer, 0.2 * point[-1]) for point in one.points]
    least = min(seconds / each[0] for seconds, each in zip(net, work, strict=True))
    best, chosen = float("inf"), (least, 0.0, 0.0)
    for parts in ((0, 1, 2), (0, 1), (0, 2), (0,)):
        found = _fit([[each[part] for part in parts] for each in work], net)
        if found is None or min(found) < 0 or found[0] * FASTEST < least:
            continue
        price = [0.0, 0.0, 0.0]
        for part, value in zip(parts, found, strict=True):
            price[part] = value
        error = sum(
            (sum(a * b for a, b in zip(each, price, strict=True)) / seconds - 1) ** 2
            for each, seconds in zip(work, net, strict=True)
        )
        if error < best - 1e-9:
            best, chosen = error, (price[0], price[1], price[2])
    return TypeRate(1 / chosen[0], one.prefill[0] / one.prefill[1], *chosen[1:])


def _fit(work: list[list[float]], seconds: list[float]) -> list[float] | None:
    """Least squares of the relative errors, by the normal equations; None when they have no one answer."""
    rows = [[value / took for value in each] for each, took in zip(work, seconds, strict=True)]
    count = len(rows[0])
    scale = [max(abs(row[i]) for row in rows) or 1.0 for i in range(count)]
    rows = [[value / by for value, by in zip(row, scale, strict=True)] for row in rows]
    table = [
        [*(sum(row[i] * row[j] for row in rows) for j in range(count)), sum(row[i] for row in rows)]
        for i in range(count)
    ]
    for i in range(count):
        pivot = max(range(i, count), key=lambda at: abs(table[at][i]))
        table[i], table[pivot] = table[pivot], table[i]
        if abs(table[i][i]) < 1e-12:
            return None
        for j in range(count):
            if j != i:
                share = table[j][i] / table[i][i]
                table[j] = [a - share * b for a, b in zip(table[j], table[i], strict=True)]
    return [table[i][count] / table[i][i] / scale[i] for i in range(count)]


def measure(run: Run, key: str, device: str, threads: int, types: Sequence[str] = ()) -> Rates:
    """Measure a device now (under a minute). Raises what ``run`` raises, or msgspec.MsgspecError."""
    arguments = ["--device", device, "--threads", str(threads)]
    if types:
        arguments += ["--types", ",".join(types)]
    raw = msgspec.json.decode(run(arguments), type=Raw)
    once = raw.seconds
    for _ in range(ROUNDS - 1):
        if raw.seconds + once <= BOTH:
            raw = merge(raw, msgspec.json.decode(run(arguments), type=Raw))
    return solve(raw, key)
