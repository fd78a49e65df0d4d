"""From files found on disk to model records: pure functions, but for reading headers.

A split set is one model, the same bytes are shown once, a damaged file is a record that says why, and a file that
was moved keeps what was known about it.
"""

import logging
import os
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path, PurePath

from msgspec import Struct
from msgspec.structs import replace

from app.core.errors import ModelError
from app.core.types import GgufSummary, ModelFile, ModelKind, ModelRecord, Source
from app.models import quants
from app.models.folders import FolderKind, Found
from app.models.gguf import FileReader, read_header
from app.models.library_index import FileRow, ModelRow
from app.models.projectors import rank
from app.models.summary import summarize, unusable

log = logging.getLogger(__name__)

WEIGHTS: frozenset[ModelKind] = frozenset({"text", "embedding", "reranker"})
_SAMPLE = 64 << 10
_SETTLE = 60.0  # seconds in which the next part of a split set may begin to come
_PARTIAL = (".part", ".part.json", ".incomplete", ".downloading")  # ours, and other programs'
_ORDER: dict[FolderKind, int] = {"own": 0, "folder": 1, "lmstudio": 2, "huggingface": 3, "ollama": 4}


class Item(Struct, frozen=True):
    """A record with the files behind it and what must be remembered about it."""

    record: ModelRecord
    row: ModelRow
    found: tuple[Found, ...]
    fingerprints: tuple[bytes, ...]


class Scan(Struct, frozen=True):
    """The result of one look at the disk."""

    items: tuple[Item, ...]
    """One for each model, without second copies."""
    aliases: dict[str, str]
    """Ids and paths of second copies, by the id that stands for them."""
    new_files: tuple[FileRow, ...]
    new_models: tuple[ModelRow, ...]
    gone: tuple[str, ...]
    """Rows whose file was moved: their facts live on under the new path."""


def read_file(found: Found, known: FileRow | None = None) -> FileRow:
    """Read one header. Never raises: what is wrong becomes ``damaged``. A sha256 known for the same bytes is kept."""
    base = FileRow(
        found.path, found.size, found.mtime, sha256=found.sha256 or (known.sha256 if known else None)
    )
    try:
        with FileReader(Path(found.path)) as reader:
            header = read_header(reader, name=found.path)
            reason, mark = unusable(header), _fingerprint(reader, found.size)
        return replace(base, summary=summarize(header), damaged=reason, fingerprint=mark)
    except ModelError as error:
        return replace(base, damaged=str(error))
    except OSError as error:
        return replace(base, damaged=f"It can't be read: {error.strerror or error}.")


def _fingerprint(reader: FileReader, size: int) -> bytes:
    """Size, beginning, middle and end: different models differ in it, copies don't."""
    import hashlib  # noqa: PLC0415 - a list that is up to date needs no hash

    digest = hashlib.blake2b(size.to_bytes(8, "little"), digest_size=16)
    for offset in (0, max(size // 2, 0), max(size - _SAMPLE, 0)):
        digest.update(reader.read_at(offset, _SAMPLE))
    return digest.digest()


def scan(found: Iterable[Found], files: Mapping[str, FileRow], models: Mapping[str, ModelRow]) -> Scan:
    """Turn what was found into records, reading only the headers of new and changed files."""
    candidates = _once(found)
    rows, fresh = _rows(candidates, files)
    # Who has an id keeps it: newcomers choose theirs last.
    arrived = [group for group in _groups(candidates) if not _arriving(group)]
    groups = sorted(arrived, key=lambda group: not _known_id(models, group[0].path))
    moved = _moved(groups, rows, files, models)
    taken: set[str] = set()
    items = [_item(group, rows, models, moved, taken) for group in groups]
    shown, aliases = _without_copies(items)
    paired = _with_projectors(shown)
    changed = [item.row for item in items if models.get(item.row.path) != item.row]
    return Scan(
        tuple(paired), aliases, tuple(fresh), tuple(changed), tuple(old.path for old in moved.values())
    )


def _known_id(models: Mapping[str, ModelRow], path: str) -> str:
    row = models.get(path)
    return row.id if row else ""


def _once(found: Iterable[Found]) -> list[Found]:
    """Drop further links to the same bytes, keeping our own folder's, then the user's."""
    seen: dict[tuple[int, int], Found] = {}
    for item in sorted(found, key=lambda item: (_ORDER[item.kind], item.path.count(os.sep), item.path)):
        # Windows reports inode 0 on some drives: such files are told apart by their paths alone.
        seen.setdefault(item.identity if item.identity[1] else (hash(item.path), 0), item)
    return list(seen.values())


def _rows(found: list[Found], files: Mapping[str, FileRow]) -> tuple[dict[str, FileRow], list[FileRow]]:
    rows, fresh = {}, []
    for item in found:
        known = files.get(item.path)
        if known is None or (known.size, known.mtime) != (item.size, item.mtime):
            known = read_file(item)
            fresh.append(known)
        rows[item.path] = known
    return rows, fresh


def _groups(found: list[Found]) -> list[tuple[Found, ...]]:
    """Split sets together and in order."""
    groups: dict[object, list[Found]] = defaultdict(list)
    for item in found:
        split = quants.parse_split(item.name)
        folder = str(PurePath(item.path).parent) if split else ""
        groups[(folder, split.prefix, split.total) if split else item.path].append(item)
    return [tuple(sorted(group, key=lambda item: item.name)) for group in groups.values()]


def _arriving(group: tuple[Found, ...]) -> bool:
    """Whether the other parts of a split set are on their way: it is no damage that they are not here yet."""
    split = quants.parse_split(group[0].name)
    if split is None or len(group) == split.total:
        return False
    folder, here = PurePath(group[0].path).parent, {item.name for item in group}
    missing = [name for name in quants.split_names(group[0].name) if name not in here]
    fresh = max(item.mtime for item in group) / 1e9 > time.time() - _SETTLE
    return fresh or any(Path(folder / f"{name}{end}").exists() for name in missing for end in _PARTIAL)


def _moved(
    groups: list[tuple[Found, ...]],
    rows: Mapping[str, FileRow],
    files: Mapping[str, FileRow],
    models: Mapping[str, ModelRow],
) -> dict[str, ModelRow]:
    """Rows of models whose file is gone, by the new path where the same bytes lie now."""
    here = {group[0].path for group in groups}
    lost = {
        files[path].fingerprint: row for path, row in models.items() if path not in here and path in files
    }
    lost.pop(b"", None)
    found = {}
    for group in groups:
        path = group[0].path
        if path not in models and (row := lost.pop(rows[path].fingerprint, None)):
            found[path] = row
    return found


def _item(
    group: tuple[Found, ...],
    rows: Mapping[str, FileRow],
    models: Mapping[str, ModelRow],
    moved: Mapping[str, ModelRow],
    taken: set[str],
) -> Item:
    first, parts = group[0], [rows[item.path] for item in group]
    summary = _merge([row.summary for row in parts])
    summary = _named(summary, first) if summary else None
    row = models.get(first.path) or (
        replace(moved[first.path], path=first.path) if first.path in moved else None
    )
    row = row or ModelRow(first.path, "", first.source, added_at=time.time())
    row = replace(row, source=_origin(row.source, first.source))
    row = replace(row, id=_unique(row.id or _wanted_id(first, row.source, summary), first, row.source, taken))
    record = ModelRecord(
        id=row.id,
        name=shown_name(first, row),
        files=tuple(ModelFile(part.path, part.size, part.sha256) for part in parts),
        bytes=sum(part.size for part in parts),
        summary=summary,
        source=row.source,
        added_at=row.added_at,
        last_used_at=row.last_used_at,
        times_used=row.times_used,
        damaged=_damage(group, parts),
    )
    return Item(record, row, group, tuple(part.fingerprint for part in parts))


def _origin(kept: Source | None, seen: Source | None) -> Source | None:
    """The place says the repository; only an adopted download also knows the revision."""
    if kept is None or (seen is not None and kept.repo != seen.repo):
        return seen
    return kept


def _merge(summaries: list[GgufSummary | None]) -> GgufSummary | None:
    """One summary for a split set: the first part has the facts, all have weights."""
    known = [summary for summary in summaries if summary is not None]
    if not known or len(known) == 1:
        return known[0] if known else None
    parameters = sum(summary.parameters or 0 for summary in known) or None
    sizes: dict[str, int] = defaultdict(int)
    for summary in known:
        for name, size in summary.tensor_bytes.items():
            sizes[name] += size
    kind: ModelKind = (
        "text" if known[0].kind == "other" and parameters and known[0].architecture else known[0].kind
    )
    bits = 8 * sum(sizes.values()) / parameters if parameters else None
    ordered = dict(sorted(sizes.items(), key=lambda pair: -pair[1]))
    return replace(known[0], kind=kind, parameters=parameters, bits_per_weight=bits, tensor_bytes=ordered)


def _named(summary: GgufSummary, found: Found) -> GgufSummary:
    """What a file is called adds what its header can't say: the mix (UD-Q4_K_XL), or that it is a draft head."""
    quant = quants.parse_quant(found.name)
    kind = quants.kind_of(found.name)
    if found.projector:
        summary = replace(summary, kind="projector")
    elif summary.kind in {"text", "other"} and kind in {"draft", "imatrix", "adapter"}:
        summary = replace(summary, kind=kind)
    return replace(summary, quant=quant) if quant else summary


def _damage(group: tuple[Found, ...], parts: list[FileRow]) -> str | None:
    split = quants.parse_split(group[0].name)
    if split and len(group) < split.total:
        here = {item.name for item in group}
        missing = [name for name in quants.split_names(group[0].name) if name not in here]
        return f"{len(missing)} of its {split.total} parts are missing, {missing[0]} first."
    return next((part.damaged for part in parts if part.damaged), None)


def _stem(name: str) -> str:
    plain = quants.split_prefix(name)
    return plain[:-5] if quants.is_gguf(plain) else plain


def _wanted_id(found: Found, source: Source | None, summary: GgufSummary | None) -> str:
    if found.label:
        return found.label
    if source is None:
        return _stem(found.name)
    kind = summary.kind if summary else quants.kind_of(found.name)
    quant = quants.parse_quant(found.name) or _stem(found.name)
    return f"{source.repo}:{'' if kind in WEIGHTS or kind == 'other' else kind + '-'}{quant}"


def _unique(wanted: str, found: Found, source: Source | None, taken: set[str]) -> str:
    choices = [wanted]
    if source is not None:
        choices.append(f"{source.repo}:{_stem(source.file or found.name)}")
    name = next((choice for choice in choices if choice.casefold() not in taken), "")
    number = 2
    while not name or name.casefold() in taken:
        name, number = f"{choices[-1]}-{number}", number + 1
    taken.add(name.casefold())
    return name


def shown_name(found: Found, row: ModelRow) -> str:
    """What people call it: the name they gave it, else its repository's, else its file's."""
    source = row.source
    if row.title or source is None:
        return row.title or _stem(found.name)
    return source.repo.split("/")[-1].removesuffix("-GGUF").removesuffix("-gguf")


def _without_copies(items: list[Item]) -> tuple[list[Item], dict[str, str]]:
    """Keep one of each; what is best kept comes first."""
    kept: dict[object, Item] = {}
    aliases: dict[str, str] = {}
    for item in sorted(
        items, key=lambda item: (_ORDER[item.found[0].kind], item.row.added_at, item.record.path)
    ):
        key: object = item.record.id
        if item.record.damaged is None and all(item.fingerprints):
            key = item.fingerprints
        first = kept.setdefault(key, item)
        if first is item:
            continue
        if _differ(first.record.files, item.record.files):
            kept[item.record.id] = item
            continue
        aliases |= dict.fromkeys(
            (item.record.id, *(file.path for file in item.record.files)), first.record.id
        )
    return list(kept.values()), aliases


def _differ(one: tuple[ModelFile, ...], other: tuple[ModelFile, ...]) -> bool:
    pairs = zip(one, other, strict=False)
    return any(a.sha256 and b.sha256 and a.sha256 != b.sha256 for a, b in pairs)


def _with_projectors(items: list[Item]) -> list[Item]:
    """Give every text model the projector that lies with it, and order the list by name."""
    beside: dict[str, list[ModelRecord]] = defaultdict(list)
    for item in items:
        if item.record.summary and item.record.summary.kind == "projector" and item.record.damaged is None:
            for key in _neighbourhood(item):
                beside[key].append(item.record)
    found = [_with_projector(item, beside) for item in items]
    return sorted(found, key=lambda item: (item.record.name.casefold(), item.record.id.casefold()))


def _neighbourhood(item: Item) -> Collection[str]:
    first = item.found[0]
    if first.label:
        return {first.label.removesuffix("-projector")}
    near = {str(PurePath(first.path).parent)}
    return near | ({f"repo {item.record.source.repo}"} if item.record.source else set())


def _with_projector(item: Item, beside: Mapping[str, list[ModelRecord]]) -> Item:
    record = item.record
    if record.summary is None or record.summary.kind != "text":
        return item
    choices = [projector for key in sorted(_neighbourhood(item)) for projector in beside.get(key, ())]
    best = min(choices, key=_projector_rank, default=None)
    return replace(item, record=replace(record, projector=best.path)) if best else item


def _projector_rank(record: ModelRecord) -> tuple[int, str]:
    return rank(record.summary.quant if record.summary else ""), record.path
