"""``hearth ls|show|rm|import|verify|explain``: models on this machine."""

import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from app.cli.output import emit, size, table
from app.compose import Services, compose
from app.core.errors import UsageError
from app.core.types import GgufSummary, ModelRecord
from app.models.library_care import Facts
from app.models.quants import explain as describe_quant
from app.models.quants import sentence


def count(value: int | None) -> str:
    """A number of things in three digits: ``7.6B``, ``340.0k``; ``-`` for unknown."""
    if value is None:
        return "-"
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.1f}{unit}"
    return str(value)


def ls(args: Namespace) -> int:
    """The models on this machine, those that have every word in their names, tags or notes."""
    running = compose()
    try:
        running.library.rescan()
        facts = running.library.all_facts()
        words = [word.lower() for word in args.words]
        found = [r for r in running.library.records() if _has(r, facts.get(r.id, Facts()), words)]
    finally:
        running.close()
    records = sorted(found, key=_ORDERS[args.sort])
    rows = [_row(record, facts.get(record.id, Facts())) for record in records]
    header = ("MODEL", "SIZE", "QUANT", "PARAMETERS", "LAST USED", "TAGS")
    text = table(header, rows, frozenset({1, 3}))
    nothing = "No model is here yet: `hearth search` finds one, `hearth pull` fetches it."
    emit(records, args.json, text if rows else "No model has these words." if words else nothing)
    return 0


_ORDERS: dict[str, Callable[[ModelRecord], Any]] = {
    "name": lambda record: (record.name.casefold(), record.id.casefold()),
    "size": lambda record: -record.bytes,
    "used": lambda record: -(record.last_used_at or 0),
    "added": lambda record: -record.added_at,
}


def _has(record: ModelRecord, facts: Facts, words: list[str]) -> bool:
    kind = record.summary.architecture if record.summary else ""
    tags = " ".join(f"#{tag}" for tag in facts.tags)
    text = f"{record.id} {record.name} {kind} {tags} {facts.notes}".lower()
    return all(word in text for word in words)


def _row(record: ModelRecord, facts: Facts) -> tuple[str, ...]:
    summary, used = record.summary, _day(record.last_used_at)
    tags = " ".join([*(["*"] if facts.favourite else []), *(f"#{tag}" for tag in facts.tags)])
    if summary is None or record.damaged:
        return record.id, size(record.bytes), "damaged", "-", used, tags
    return record.id, size(record.bytes), summary.quant or "-", count(summary.parameters), used, tags


def _day(moment: float | None) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(moment)) if moment else "-"


def show(args: Namespace) -> int:
    """Everything known about one model."""
    running = compose()
    try:
        running.library.rescan()
        record = running.library.get(args.model)
        facts = running.library.all_facts().get(record.id, Facts())
        copies = running.library.copies(record.id) if record.added_at else ()
    finally:
        running.close()
    noted = {"favourite": facts.favourite, "tags": list(facts.tags), "notes": facts.notes}
    data = {**msgspec.to_builtins(record), **noted, "copies": list(copies)}
    emit(data, args.json, "\n".join(_details(record, facts, copies)))
    return 0


def _details(record: ModelRecord, facts: Facts, copies: Sequence[str]) -> list[str]:
    lines = [record.id, *(_line("file", file.path) for file in record.files)]
    lines.append(_line("size", size(record.bytes)))
    if record.damaged:
        lines.append(_line("damaged", record.damaged))
    if record.source:
        lines.append(_line("source", f"{record.source.repo} {record.source.revision[:12]}"))
    if record.summary:
        lines += _summary_lines(record.summary)
    if record.projector:
        lines.append(_line("projector", record.projector))
    times = "once" if record.times_used == 1 else f"{record.times_used} times"
    used = f"{_day(record.last_used_at)} ({times})"
    lines += [_line("added", _day(record.added_at)), _line("last used", used)]
    tags = " ".join([*(["favourite"] if facts.favourite else []), *(f"#{tag}" for tag in facts.tags)])
    lines += [_line(name, text) for name, text in (("tags", tags), ("notes", facts.notes)) if text]
    return lines + [_line("copy", path) for path in copies if os.sep in path]


def _line(name: str, text: str) -> str:
    return f"  {name:<10}  {text}"


def _summary_lines(summary: GgufSummary) -> list[str]:
    bits = f" ({summary.bits_per_weight:.2f} bits per weight)" if summary.bits_per_weight else ""
    total = sum(summary.tensor_bytes.values())
    mix = ", ".join(f"{name} {bytes_ / total:.1%}" for name, bytes_ in summary.tensor_bytes.items())
    return [
        _line("model", f"{summary.name or '-'} ({summary.architecture}, {summary.kind})"),
        _line("quant", f"{summary.quant or '-'}{bits}"),
        *([_line("tensors", mix)] if total else []),
        _line("parameters", count(summary.parameters)),
        _line("context", f"{summary.context_length or '-'} tokens trained"),
        _line("layers", str(summary.block_count or "-")),
        _line("template", "yes" if summary.has_template else "none in the file"),
        _line("licence", summary.license or "-"),
    ]


def rm(args: Namespace) -> int:
    """Delete a model's files after asking; they go to the system's bin where there is one."""
    running = compose()
    try:
        running.library.rescan()
        record = running.library.get(args.model)
        if not args.yes and not _agreed(running, record):
            return 1
        removed = running.library.remove(record.id)
    finally:
        running.close()
    where = "in the bin" if removed.in_bin else "deleted"
    emit({"removed": record.id, "in_bin": removed.in_bin}, args.json, f"{record.id} is {where}.")
    return 0


def _agreed(running: Services, record: ModelRecord) -> bool:
    if not sys.stdin.isatty():
        raise UsageError(detail=f"Deleting {record.id} needs a yes: add -y.")
    return input(f"Delete {record.id} ({size(record.bytes)})? [y/N] ").strip().lower() in ("y", "yes")


def import_file(args: Namespace) -> int:
    """Add a GGUF to the library."""
    path = Path(args.file).expanduser()
    running = compose()
    show = sys.stderr.isatty() and not args.json
    try:
        record = running.library.import_file(path, progress=_copied if show else None)
    finally:
        running.close()
        if show:
            print("\r\x1b[K", end="", file=sys.stderr)
    emit(record, args.json, f"{record.id} is in the library.")
    return 0


def verify(args: Namespace) -> int:
    """Read every byte of a model and compare with the hashes of its download. Ctrl-C stops it; nothing is lost."""
    running = compose()
    show = sys.stderr.isatty() and not args.json
    try:
        running.library.rescan()
        checked = running.library.verify(args.model, _hashed if show else None)
    finally:
        running.close()
        if show:
            print("\r\x1b[K", end="", file=sys.stderr)
    words = {
        True: "is what was downloaded",
        False: "DIFFERS from what was downloaded",
        None: "has no hash to compare with",
    }
    emit(
        checked,
        args.json,
        "\n".join(f"{item.path} {words[item.ok]} (sha256 {item.sha256})" for item in checked),
    )
    return 1 if any(item.ok is False for item in checked) else 0


def _copied(done: int, total: int) -> None:
    print(f"\rCopying {done / total if total else 1:.0%} of {size(total)}\x1b[K", end="", file=sys.stderr)


def _hashed(done: int, total: int) -> None:
    print(
        f"\rReading {done / total if total else 1:.0%} of {size(total)}\x1b[K",
        end="",
        file=sys.stderr,
        flush=True,
    )


def explain(args: Namespace) -> int:
    """What a quant's name means, in plain words."""
    info = describe_quant(args.quant)
    emit(info, args.json, sentence(info))
    return 0
