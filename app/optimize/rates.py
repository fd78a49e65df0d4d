"""How long the lab's work takes on this machine: first from what it cost on another one, then from what it took here.

Work is counted in units: weights when quantizing, weights times tokens when a text is computed.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from app.core.lab import CHUNK, LabProgress

TOKENS = "tokens"
FIRST = {"tokens": 2.3e10}
"""Units per second and core before anything was done here: the starter model on one core of a plain server."""
SECONDS_PER_WEIGHT: dict[str, float] = {
    "F32": 7e-9, "F16": 7e-9, "BF16": 7e-9, "Q8_0": 6e-9, "Q6_K": 1.2e-8, "Q5_K": 4e-8, "Q5_0": 2.7e-8, "Q5_1": 8e-8,
    "Q4_K": 4e-8, "Q4_0": 2.9e-8, "Q4_1": 8e-8, "IQ4": 1.7e-7, "Q3_K": 4.7e-8, "IQ3": 2e-7, "Q2_K": 2.8e-8, "IQ2": 2e-7,
    "IQ1": 2.4e-7, "TQ": 2.2e-8, "Q2_0": 2.2e-8, "Q1_0": 2.2e-8, "MXFP4": 1e-8, "NVFP4": 1e-8,
}  # fmt: skip
"""Processor seconds for one weight by the beginning of the type's name, as measured with a matrix."""
UNSURE, SURE = (0.4, 2.5), (0.75, 1.35)
"""How far the truth may lie from a forecast without and with work of that kind done here."""


class Timing:
    """What is known of one piece of work while it is done."""

    def __init__(self) -> None:
        self.tokens = 0
        self.first = 0
        self.worked = False

    def counted(self, told: Callable[[LabProgress], None]) -> Callable[[LabProgress], None]:
        """Passes progress on and sees that something is being computed, not taken from what was kept."""

        def pass_on(progress: LabProgress) -> None:
            self.worked = True
            self.tokens = progress.done * CHUNK
            told(progress)

        return pass_on

    def note(self, figures: Mapping[str, float]) -> None:
        """The pieces a result speaks of."""
        self.tokens = int(figures.get("chunks", 0)) * CHUNK


class Rates:
    """Units per second by kind of work, in a small file. Thread-safe."""

    def __init__(self, file: Path) -> None:
        self._file, self._lock = file, threading.Lock()

    def read(self) -> dict[str, float]:
        """What was learned; nothing when the file is not there or damaged."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, float])
        except (OSError, msgspec.MsgspecError):
            return {}

    @contextlib.contextmanager
    def timed(self, kind: str, weights: Callable[[], int]) -> Iterator[Timing]:
        """Learn from the work done inside, unless it fails."""
        timing, start = Timing(), time.monotonic()
        yield timing
        seconds = time.monotonic() - start
        if kind != TOKENS:
            self.learn(kind, weights(), seconds)
        elif timing.worked and timing.tokens:
            self.learn(kind, weights() * timing.tokens, seconds)

    def learn(self, kind: str, units: float, seconds: float) -> None:
        """Take a piece of work into account: half of what was known, half of what is new."""
        if units <= 0 or seconds <= 0:
            return
        with self._lock:
            known, new = self.read(), units / seconds
            known[kind] = (known[kind] + new) / 2 if kind in known else new
            part = self._file.with_name(self._file.name + ".part")
            with contextlib.suppress(OSError):
                self._file.parent.mkdir(parents=True, exist_ok=True)
                part.write_bytes(msgspec.json.encode(known))
                part.replace(self._file)

    def quantizing(self, kind: str, weights: int) -> tuple[float, float]:
        """(least, most) seconds for a type."""
        known = self.read()
        own = known.get(f"quantize:{kind}")
        if own:
            return _spread(weights / own, SURE)
        expected = weights * cost(kind) / cores()
        ratios = [
            rate * cost(name.partition(":")[2]) / cores() for name, rate in known.items() if name != TOKENS
        ]
        return _spread(expected / (sum(ratios) / len(ratios) if ratios else 1.0), UNSURE)

    def computing(self, weights: int, tokens: int) -> tuple[float, float]:
        """(least, most) seconds for a text through a model."""
        own = self.read().get(TOKENS)
        rate = own or FIRST[TOKENS] * cores()
        return _spread(weights * tokens / rate, SURE if own else UNSURE)


def cost(kind: str) -> float:
    """Processor seconds for one weight."""
    name = kind.upper()
    found = [key for key in SECONDS_PER_WEIGHT if name.startswith(key)]
    return SECONDS_PER_WEIGHT[max(found, key=len)] if found else 1e-7


def cores() -> int:
    """How many work at once."""
    return os.cpu_count() or 1


def _spread(seconds: float, factors: tuple[float, float]) -> tuple[float, float]:
    return seconds * factors[0], seconds * factors[1]
