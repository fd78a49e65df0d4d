"""``hearth search|pull|ls|show|rm|import``: models on the Hub and on this machine."""

import os
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from app.cli.output import emit, size, table
from app.compose import Services, compose
from app.core.errors import HubNotFoundError, UsageError, from_code
from app.core.events import DownloadChanged, ErrorInfo
from app.core.types import GgufSummary, ModelRecord
from app.models.hub import QuantFile, RepoDetail
from app.models.library_care import Facts
from app.models.quants import explain as describe_quant
from app.models.quants import sentence

ENDED = ("done", "failed", "cancelled")
PREFERRED = ("Q4_K_M", "Q4_K_S", "Q4_0", "Q5_K_M", "Q8_0")


def search(args: Namespace) -> int:
    """One line per repository: downloads, likes, parameters, name."""
    running = compose()
    try:
        page = running.hub.search(" ".join(args.query), sort=args.sort, limit=args.limit)
    finally:
        running.close()
    rows = [
        (
            item.id,
            _count(item.parameters),
            item.architecture or "-",
            _count(item.downloads),
            str(item.likes or 0),
        )
        for item in page.items
    ]
    text = table(
        ("REPOSITORY", "PARAMETERS", "ARCHITECTURE", "DOWNLOADS", "LIKES"), rows, frozenset({1, 3, 4})
    )
    emit(page.items, args.json, text if rows else "Nothing on the Hub matches. Try fewer words.")
    return 0


def _count(value: int | None) -> str:
    if value is None:
        return "-"
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.1f}{unit}"
    return str(value)


def pull(args: Namespace) -> int:
    """Download, verify, and add to the library. Ctrl-C keeps the bytes; the same command goes on."""
    repo, _, quant = args.target.partition(":")
    running = compose()
    watcher = _Watcher(sys.stderr.isatty() and not args.json)
    running.bus.subscribe(DownloadChanged, watcher.take)
    try:
        chosen = choose_quant(running.hub.repo(repo), quant)
        running.downloads.start()
        watcher.follow(running.downloads.enqueue(chosen), running.downloads.snapshots())
        last = watcher.wait()
    except KeyboardInterrupt:
        print(f"\nStopped; the bytes are kept. `hearth pull {args.target}` goes on.", file=sys.stderr)
        return 130
    finally:
        running.close()
    if last.state != "done":
        raise _error(last.error)
    emit(last, args.json, f"{last.model or chosen.id} is ready: hearth chat {last.model or chosen.id}")
    return 0


def choose_quant(detail: RepoDetail, quant: str) -> QuantFile:
    """The quant of that name, or the usual choice. Raises HubNotFoundError naming those there are."""
    usable = [item for item in detail.quants if item.kind in ("text", "embedding", "reranker")] or list(
        detail.quants
    )
    wanted = (quant,) if quant else PREFERRED
    for name in wanted:
        for item in usable:
            if item.quant.lower() == name.lower() or any(part.name == name for part in item.files):
                return item
    if quant or not usable:
        names = ", ".join(item.quant for item in usable) or "no GGUF file"
        raise HubNotFoundError(what=f"{detail.id}:{quant or 'GGUF'} (there is: {names})")
    return min(usable, key=lambda item: item.bytes)


def _error(error: ErrorInfo | None) -> Exception:
    return from_code(error.code, error.params) if error else UsageError(detail="The download was cancelled.")


class _Watcher:
    """Follows one download: a bar on a terminal, a line at each tenth elsewhere."""

    def __init__(self, bar: bool) -> None:
        self._bar, self._tenth = bar, -1
        self._changed = threading.Event()
        self._latest: dict[str, DownloadChanged] = {}
        self._id = ""

    def take(self, event: DownloadChanged) -> None:
        """Called by the Bus."""
        self._latest[event.id] = event
        self._changed.set()

    def follow(self, download: str, known: Sequence[DownloadChanged]) -> None:
        """Watch this one from now on; it may have moved already."""
        self._id = download
        for event in known:
            self._latest.setdefault(event.id, event)
        self._changed.set()

    def wait(self) -> DownloadChanged:
        """Until it ends."""
        while True:
            self._changed.wait(0.5)
            self._changed.clear()
            event = self._latest.get(self._id)
            if event is not None:
                self._show(event)
                if event.state in ENDED:
                    return event

    def _show(self, event: DownloadChanged) -> None:
        share = event.done / event.total if event.total else 0.0
        speed = f" {size(event.speed)}/s" if event.speed else ""
        left = f" {_clock(event.eta)} left" if event.eta is not None else ""
        line = f"{event.file} {share:.0%} of {size(event.total)}{speed}{left} {event.note or event.state}"
        if self._bar:
            end = "\n" if event.state in ENDED else ""
            print(f"\r{line}\x1b[K", end=end, file=sys.stderr, flush=True)
        elif int(share * 10) != self._tenth or event.state in ENDED:
            self._tenth = int(share * 10)
            print(line, file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}"


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
    return record.id, size(record.bytes), summary.quant or "-", _count(summary.parameters), used, tags


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
    used = f"{_day(record.last_used_at)} ({record.times_used} times)"
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
        _line("parameters", _count(summary.parameters)),
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
