"""What each group of tensors costs in quality: one group quantized at a time, the others as in the source.

The divergence of a mix is close to the sum of what its groups cost alone, as long as all are small; between measured
types it falls by a constant factor for each bit. Both are checked by measuring the finished mix (``mixing``).
"""

import hashlib
import math
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from app.core.lab import LabProgress, QuantizeJob
from app.models.ggml_types import GGML_TYPES
from app.models.gguf import TensorInfo, read_header
from app.optimize import quantize
from app.optimize.measure import Measurer
from app.optimize.process import CPU, Devices
from app.runtime.kvstore import fingerprint

LADDER = ("Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q3_K", "Q2_K")
"""Tensor types of a mix, the finest first."""
PROBES = ("Q5_K", "Q4_K", "Q2_K")
"""Types each group is measured at; the others are read off the line between their neighbours."""
CHUNKS = 4
"""Pieces of the text that each of them is measured on."""
LEAST = 1e-5
"""Nats under which a loss is taken for noise."""
FALLS_BACK = {"Q2_K": "Q4_0", "Q3_K": "Q4_0", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
"""What llama.cpp takes for rows that are no multiple of 256 (``llama-quant.cpp``, ``tensor_type_fallback``)."""
_LAYER = re.compile(r"blk\.\d+\.(.+)\.weight$")
_SMALL = 1 << 16
_BY_NAME = {kind.name: kind for kind in GGML_TYPES.values()}

STEEP = -math.log(4.0)
"""An error of half the size for each bit, squared."""
Tell = Callable[[str, LabProgress], None]
_Point = tuple[float, float]


class Group(Struct, frozen=True):
    """Tensors of one role in all layers (``ffn_down``), or a single large one (``token_embd``)."""

    name: str
    pattern: str
    tensors: tuple[tuple[int, int], ...]
    """(elements, row length) of each."""

    def bytes_at(self, kind: str) -> int:
        """Bytes when written as ``kind``, with the types that llama.cpp falls back to."""
        return sum(_bytes(elements, taken(kind, row)) for elements, row in self.tensors)

    def bits_at(self, kind: str) -> float:
        """Bits per weight then."""
        return 8 * self.bytes_at(kind) / sum(elements for elements, _ in self.tensors)


def groups(tensors: Iterable[TensorInfo]) -> tuple[Group, ...]:
    """The groups of a model: its matrices by role. Small and one-dimensional tensors are never quantized."""
    found: dict[str, list[tuple[int, int]]] = {}
    for tensor in tensors:
        match = _LAYER.match(tensor.name)
        name = match[1] if match else tensor.name.removesuffix(".weight")
        if len(tensor.shape) > 1 and tensor.elements >= _SMALL and not name.endswith("_inp"):
            found.setdefault(name, []).append((tensor.elements, tensor.shape[0]))
    return tuple(
        Group(name, rf"(^|\.){re.escape(name)}\.weight$", tuple(shapes)) for name, shapes in found.items()
    )


def taken(kind: str, row: int) -> str:
    """The type that rows of this length really get."""
    return FALLS_BACK.get(kind, kind) if row % _BY_NAME[kind].block else kind


def _bytes(elements: int, kind: str) -> int:
    return elements // _BY_NAME[kind].block * _BY_NAME[kind].size


class Sensitivity:
    """Measures groups and mixes of one source on one text; what was measured is kept in ``folder`` and found again."""

    def __init__(
        self,
        source: Path,
        text: Path,
        folder: Path,
        *,
        matrix: Path | None = None,
        chunks: int = CHUNKS,
        threads: int = 0,
        on: Devices = CPU,
        tell: Tell = lambda _what, _progress: None,
        cancel: threading.Event | None = None,
    ) -> None:
        """``matrix``: the importance matrix that will be used; ``folder`` needs room for a copy of the source."""
        self.source, self.matrix, self.cancel = source, matrix, cancel
        self._text, self._folder, self._threads, self._tell = text, folder, threads, tell
        self.groups = groups(read_header(source).tensors)
        self._measurer = Measurer(folder, chunks=chunks, threads=threads, on=on, cancel=cancel, tell=tell)
        self._keep = folder / f"{self._key(chunks, on.key)}.losses.json"

    def _key(self, *more: object) -> str:
        parts = [fingerprint(self.source), hashlib.sha256(self._text.read_bytes()).hexdigest()]
        parts += [fingerprint(self.matrix) if self.matrix else "", *map(str, more)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]

    def group_losses(self) -> dict[str, dict[str, float]]:
        """Nats by group and probe type: each measured with that group alone quantized."""
        total, found = len(self.groups) * len(PROBES), dict[str, dict[str, float]]()
        for index, group in enumerate(self.groups):
            for at, kind in enumerate(PROBES):
                self._tell(f"{group.name}: {kind}", LabProgress(index * len(PROBES) + at, total))
                found.setdefault(group.name, {})[kind] = self.loss({group.name: kind}, rest="F16")
        return found

    def loss(self, types: Mapping[str, str], rest: str = "Q8_0") -> float:
        """Mean KL divergence from the source of a file with these types by group, ``rest`` elsewhere."""
        overrides = self.overrides(types, rest)
        name, known = msgspec.json.encode(overrides).decode(), self._known()
        if name not in known:
            known = {**known, name: self._measure(overrides)}
            self._folder.mkdir(parents=True, exist_ok=True)
            self._keep.write_bytes(msgspec.json.encode(known))
        return known[name]

    def overrides(self, types: Mapping[str, str], rest: str = "Q8_0") -> tuple[tuple[str, str], ...]:
        """Patterns for a ``QuantizeJob`` of type Q8_0. llama.cpp takes the first that matches."""
        chosen = tuple((group.pattern, types[group.name]) for group in self.groups if group.name in types)
        return (*chosen, (".", rest)) if rest != "Q8_0" else chosen

    def _known(self) -> dict[str, float]:
        try:
            return msgspec.json.decode(self._keep.read_bytes(), type=dict[str, float])
        except (OSError, msgspec.MsgspecError):
            return {}

    def _measure(self, overrides: Sequence[tuple[str, str]]) -> float:
        trial = self._folder / f"trial-{self._keep.stem}.gguf"
        job = QuantizeJob(
            source=str(self.source), target=str(trial), type="Q8_0", overrides=tuple(overrides), requantize=True,
            threads=self._threads,
        )  # fmt: skip
        try:
            quantize.make(job, engine="", matrix=self.matrix, cancel=self.cancel)
            return self._measurer.measure(trial, self._text, self.source).figures["kl"]
        finally:
            trial.unlink(missing_ok=True)
            trial.with_suffix(".recipe.json").unlink(missing_ok=True)


def line(group: Group, losses: Mapping[str, float]) -> Callable[[str], float]:
    """Nats of a group at any type of the ladder: as measured, log-linear in the real bits per weight between two
    of them, and ``STEEP`` from the nearest one towards finer types (two points with the noise of a few pieces give no
    slope)."""
    row = group.tensors[0][1]
    measured = {taken(kind, row): max(loss, LEAST) for kind, loss in losses.items()}
    points = sorted((group.bits_at(kind), math.log(max(loss, LEAST))) for kind, loss in losses.items())

    def at(kind: str) -> float:
        if not points:
            return LEAST
        if taken(kind, row) in measured:
            return measured[taken(kind, row)]
        bits = group.bits_at(kind)
        if bits > points[-1][0]:
            return math.exp(min(log + STEEP * (bits - there) for there, log in points))
        low, high = _neighbours(points, bits)
        slope = min(-0.2, (high[1] - low[1]) / (high[0] - low[0])) if high[0] > low[0] else STEEP
        nearest = min(low, high, key=lambda point: abs(point[0] - bits))
        return math.exp(nearest[1] + slope * (bits - nearest[0]))

    return at


def _neighbours(points: list[tuple[float, float]], bits: float) -> tuple[_Point, _Point]:
    """The two measured points around ``bits``, or the two nearest on one side."""
    after = next((index for index, point in enumerate(points) if point[0] > bits), len(points))
    low = max(0, min(after - 1, len(points) - 2))
    return points[low], points[min(low + 1, len(points) - 1)]
