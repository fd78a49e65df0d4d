"""Printing: tables for people, JSON for programs, errors as sentences."""

import json
import sys
from collections.abc import Sequence

import msgspec

from app.core.errors import HearthError


def emit(data: object, as_json: bool, text: str) -> None:
    """Print ``data`` as JSON, or its ``text`` for people."""
    print(json.dumps(msgspec.to_builtins(data), ensure_ascii=False, indent=2) if as_json else text)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> str:
    """Columns lined up; those in ``right`` (numbers) to the right."""
    lines = [list(header), *[list(row) for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(_line(line, widths, right) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int], right: frozenset[int]) -> str:
    padded = [
        cell.rjust(width) if column in right else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()


def size(count: float | None) -> str:
    """Bytes as people buy them: 10^9."""
    if count is None:
        return "-"
    for unit, one in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if count < one * 1000:
            return f"{count / one:.1f} {unit}"
    return f"{count / 1e12:.1f} TB"


def memory(count: float | None) -> str:
    """Bytes as drivers report memory: GiB."""
    return "-" if count is None else f"{count / 2**30:.1f} GiB"


def rate(value: float | None) -> str:
    """Tokens per second: one decimal under 100."""
    if value is None:
        return "-"
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def fail(error: HearthError, as_json: bool) -> int:
    """Say what went wrong on standard error; the exit code."""
    if as_json:
        print(json.dumps({"error": {"code": error.code, "message": error.message}}), file=sys.stderr)
    else:
        print(f"hearth: {error.message}", file=sys.stderr)
    return 2 if error.code == "usage" else 1
