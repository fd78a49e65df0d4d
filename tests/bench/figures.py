"""One measured figure, and the table and JSON they go into."""

import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

import app
from app.cli.output import table

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]


class Figure(Struct, frozen=True, omit_defaults=True):
    """A value with its unit. ``goal`` is the bound it is held to: at least it when ``more`` is better, else at most."""

    name: str
    value: float | None
    unit: str
    goal: float | None = None
    more: bool = False
    note: str = ""
    samples: tuple[float, ...] = ()

    @property
    def reached(self) -> bool | None:
        """None without a goal or a value."""
        if self.goal is None or self.value is None:
            return None
        return self.value >= self.goal if self.more else self.value <= self.goal


def median(name: str, samples: Sequence[float], unit: str, **more: object) -> Figure:
    """A figure from repeated measurements."""
    value = statistics.median(samples) if samples else None
    return Figure(name, value, unit, samples=tuple(samples), **more)  # type: ignore[arg-type]


def in_pairs(theirs: Callable[[int], T], ours: Callable[[int], T], count: int) -> list[tuple[T, T]]:
    """``count`` pairs of measurements, each told its number, after one pair that does not count. The sides take turns
    at being first: the second finds the machine as the first left it."""
    found = []
    for number in range(count + 1):
        if number % 2:
            first = theirs(number)
            found.append((first, ours(number)))
        else:
            mine = ours(number)
            found.append((theirs(number), mine))
    return found[1:]


def show(figures: Sequence[Figure]) -> str:
    """The table."""
    rows = [
        (item.name, _number(item.value), item.unit, _goal(item), _verdict(item), item.note)
        for item in figures
    ]
    return table(("FIGURE", "MEASURED", "UNIT", "GOAL", "", "NOTE"), rows, frozenset({1}))


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _goal(item: Figure) -> str:
    if item.goal is None:
        return ""
    return f"{'>=' if item.more else '<='} {_number(item.goal)}"


def _verdict(item: Figure) -> str:
    return {True: "reached", False: "MISSED", None: ""}[item.reached]


def write(figures: Sequence[Figure], path: Path) -> None:
    """The JSON, with what it was measured on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {
        "version": app.__version__,
        "commit": _commit(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {"cpu": cpu_name(), "system": platform.platform(), "python": platform.python_version()},
        "figures": msgspec.to_builtins(figures),
    }
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def cpu_name() -> str:
    """The processor as the system names it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
