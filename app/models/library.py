"""The models on this machine: found in any folder layout, read in place, listed from an index.

``records`` is what was seen last (the first call looks at the disk); ``rescan`` looks again. Both are quick when
little has changed: only headers of new and changed files are read. Every change is published as LibraryChanged.
Thread-safe; several processes may work on the same folders and index at once.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from app.core.errors import ModelAmbiguousError, ModelNotFoundError, UsageError
from app.core.events import Bus, LibraryChanged
from app.core.paths import Paths
from app.core.types import ModelRecord, Source
from app.models import library_bin, library_care, library_files, library_watch, quants
from app.models.folders import IMPORTED, Folder, look_at, recognise, suggestions, walk
from app.models.library_care import Checked, Facts, Removed
from app.models.library_index import FileRow, Index, ModelRow
from app.models.library_scan import WEIGHTS, Item, Scan, read_file, scan, shown_name

log = logging.getLogger(__name__)

MATCHES_SHOWN = 5
MISMATCH = "Its bytes are not those that were published: download it again."


class Library:
    """All models. Constructing it touches nothing."""

    def __init__(self, paths: Paths, bus: Bus) -> None:
        self._paths, self._bus = paths, bus
        self._index = Index(paths.data / "library.sqlite")
        self._scanning = threading.Lock()
        self._lock = threading.Lock()
        self._items: dict[str, Item] | None = None
        self._aliases: dict[str, str] = {}
        self._watch = library_watch.Watch(
            lambda: [folder.path for folder in self._roots()], self._index.version, self.rescan
        )

    # ------------------------------------------------------------------------------------------ reading

    def records(self) -> tuple[ModelRecord, ...]:
        """Every file or split set, projectors and damaged ones too, ordered by name."""
        return tuple(item.record for item in self._current().values())

    def models(self) -> tuple[ModelRecord, ...]:
        """Only what can be loaded and asked: whole text, embedding and reranker models."""
        return tuple(record for record in self.records() if is_model(record))

    def get(self, name: str) -> ModelRecord:
        """A model by id, by the beginning of its id or name when only one begins so, or by path.

        Raises ModelNotFoundError or ModelAmbiguousError. A path outside the library gives a record of its own that
        is not kept; see ``import_file``.
        """
        items = self._current()
        exact = items.get(name) or items.get(self._aliases.get(name, ""))
        if exact is None and (matches := _matches(items, name)):
            exact = _only(name, matches)
        if exact is not None:
            return exact.record
        record = self._by_path(name)
        if record is None:
            raise ModelNotFoundError(name=name)
        return record

    def _by_path(self, name: str) -> ModelRecord | None:
        path = Path(name).expanduser()
        if not quants.is_gguf(name) and os.sep not in name and "/" not in name:
            return None
        try:
            path = path.absolute()
            if not path.is_file():
                return None
            return self._at(str(path)) or self._at(str(path.resolve())) or _visitor(path)
        except (OSError, ValueError):
            return None

    def _at(self, path: str) -> ModelRecord | None:
        items = self._current()
        alias = items.get(self._aliases.get(path, ""))
        if alias is not None:
            return alias.record
        return next((i.record for i in items.values() if any(f.path == path for f in i.record.files)), None)

    def copies(self, name: str) -> tuple[str, ...]:
        """Paths and ids of further copies of the same bytes, which the list does not show."""
        wanted = self.get(name).id
        return tuple(sorted(key for key, shown in self._aliases.items() if shown == wanted))

    def _current(self) -> dict[str, Item]:
        if self._items is None:
            self.rescan()
        return self._items or {}

    # ------------------------------------------------------------------------------------------ looking

    def rescan(self) -> tuple[ModelRecord, ...]:
        """Look at the disk again, publish what changed, and return the records. Never raises for a bad file."""
        with self._scanning:
            before = self._items
            result = self._scan()
            self._index.note(result.new_files, result.new_models)
            self._index.drop(result.gone)
            with self._lock:
                self._items = {item.record.id: item for item in result.items}
                self._aliases = result.aliases
        changed = _changed(before or {}, self._items)
        if changed:
            self._bus.publish(LibraryChanged(changed))
        return self.records()

    def _scan(self) -> Scan:
        # The index first: a model that another process adds meanwhile must not look like one that is gone.
        files, models = self._index.files(), self._index.models()
        found = [item for folder in self._roots() for item in walk(folder)]
        return scan(found, files, models)

    def _roots(self) -> list[Folder]:
        return [Folder(str(self._paths.models), "own"), *self._index.folders()]

    # ------------------------------------------------------------------------------------------ folders

    def folders(self) -> tuple[Folder, ...]:
        """Our own folder, then those that were added."""
        return tuple(self._roots())

    def suggested_folders(self) -> tuple[Folder, ...]:
        """Stores of other programs on this machine that are not looked at yet."""
        known = {folder.path for folder in self._roots()}
        return tuple(folder for folder in suggestions() if folder.path not in known)

    def add_folder(self, folder: Folder | Path) -> None:
        """Read models there in place from now on, and rescan. Raises UsageError when it is no folder."""
        wanted = folder if isinstance(folder, Folder) else recognise(folder.expanduser().absolute())
        if not Path(wanted.path).is_dir():
            raise UsageError(detail=f"{wanted.path} is not a folder.")
        self._index.add_folder(wanted)
        self.rescan()

    def remove_folder(self, path: str) -> None:
        """Look there no longer; the files stay where they are."""
        self._index.drop_folder(path)
        self.rescan()

    # ------------------------------------------------------------------------------------------ changing

    def adopt(
        self,
        files: Sequence[Path],
        source: Source | None = None,
        sha256: str | Sequence[str | None] | None = None,
    ) -> ModelRecord:
        """List files that are in place now (a finished download), with what is known about them. ``sha256`` is of
        the first file, or one for each. Raises ModelNotFoundError when a file is not there."""
        hashes = [sha256] if isinstance(sha256, str) else list(sha256 or ())
        hashes += [None] * (len(files) - len(hashes))
        place = Folder(str(self._paths.models), "own")
        try:
            found = [look_at(file.absolute(), place) for file in files]
        except OSError as error:
            raise ModelNotFoundError(name=str(error.filename)) from error
        rows = [replace(read_file(item), sha256=known) for item, known in zip(found, hashes, strict=True)]
        first = min(found, key=lambda item: item.name)
        known = self._index.models().get(first.path)
        row = known or ModelRow(first.path, "", added_at=time.time())
        self._index.put(rows, [replace(row, source=source or row.source or first.source)])
        self.rescan()
        return self._at(first.path) or self.get(first.path)

    def import_file(
        self, path: Path, move: bool = False, progress: Callable[[int, int], None] | None = None
    ) -> ModelRecord:
        """Take a GGUF (with all parts of its split set) into the library: linked when on the same disk, else copied,
        or moved; one that lies in a folder of the library stays where it is. ``progress`` gets (done, total) bytes.

        Raises ModelNotFoundError, WrongMagicError, TruncatedModelError, BadHeaderError, DiskFullError, ReadOnlyError.
        """
        path = path.expanduser().absolute()
        listed = self._at(str(path)) if path.exists() else None
        if listed is not None:
            return listed
        parts = library_files.parts_of(path)
        library_files.check(parts)
        folder = self._paths.models / IMPORTED / quants.split_prefix(path.name)[:-5]
        placed = library_files.bring_in(parts, folder, move=move, progress=progress)
        return self.adopt(placed)

    def remove(self, name: str) -> Removed:
        """Put a model's files into the system's bin (or delete them where there is none) and forget it; ``restore``
        takes it back. The caller unloads it first. Raises ModelNotFoundError, UnsupportedModelError (Ollama's own),
        ReadOnlyError."""
        record = self.get(name)
        item = self._current().get(record.id)
        if item is None:
            raise ModelNotFoundError(name=name)
        files = library_files.discard(item, self._paths.models)
        self._index.drop([file.path for file in record.files])
        self.rescan()
        return Removed(item.record, item.row, files)

    def restore(self, removed: Removed) -> ModelRecord:
        """Take a removed model back from the bin, with its notes. Raises UsageError when it is no longer there or
        its place is taken, ReadOnlyError."""
        for file in reversed(removed.files):
            library_bin.take_back(file)
        self._index.put(models=[removed.row])
        self.rescan()
        return self._at(removed.record.path) or self.get(removed.record.id)

    def touched(self, name: str) -> None:
        """Note that a model is used now."""
        now = time.time()
        with self._lock:
            item = (self._items or {}).get(name)
            if item is None or self._items is None:
                return
            used = replace(item.record, last_used_at=now, times_used=item.record.times_used + 1)
            self._items = self._items | {name: replace(item, record=used)}
        self._index.touch(item.row.path, now)
        self._bus.publish(LibraryChanged((name,)))

    def facts(self, name: str) -> Facts:
        """What people noted about a model. Raises ModelNotFoundError."""
        return _facts(self._item(name))

    def all_facts(self) -> dict[str, Facts]:
        """The same of every model, by id."""
        return {name: _facts(item) for name, item in self._current().items()}

    def annotate(
        self,
        name: str,
        *,
        favourite: bool | None = None,
        tags: Sequence[str] | None = None,
        notes: str | None = None,
        title: str | None = None,
    ) -> None:
        """Note something; None leaves it as it is, an empty title gives a model its own name back. Raises
        ModelNotFoundError."""
        wanted = self._item(name).record.id
        with self._scanning:  # two notes at once, or a look at the disk meanwhile, must not undo each other
            item = (self._items or {}).get(wanted)
            if item is None:
                raise ModelNotFoundError(name=name)
            row = replace(
                item.row,
                favourite=item.row.favourite if favourite is None else favourite,
                tags=item.row.tags if tags is None else tuple(dict.fromkeys(tags)),
                notes=item.row.notes if notes is None else notes,
                title=item.row.title if title is None else title.strip(),
            )
            self._index.annotate(row)
            record = replace(item.record, name=shown_name(item.found[0], row))
            with self._lock:
                self._items = (self._items or {}) | {wanted: replace(item, row=row, record=record)}
        self._bus.publish(LibraryChanged((wanted,)))

    def _item(self, name: str) -> Item:
        item = self._current().get(self.get(name).id)
        if item is None:
            raise ModelNotFoundError(name=name)
        return item

    def verify(
        self,
        name: str,
        progress: Callable[[int, int], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> tuple[Checked, ...]:
        """Read every byte of a model and compare with the hashes of its download. A file that differs is listed as
        damaged until it changes; a hash that was not known is kept. Raises as ``library_care.check``."""
        item = self._item(name)
        checked = library_care.check(item.record, progress, should_stop)
        rows = self._index.files()
        changed = [_after_check(rows[found.path], found) for found in checked if found.path in rows]
        self._index.put(files=changed)
        self.rescan()
        return checked

    def watch(self, every: float = library_watch.EVERY) -> None:
        """Look again by itself when folders change, from a thread of its own, until ``close``."""
        self._watch.start(every)

    def close(self) -> None:
        """Stop watching and close the index. Idempotent."""
        self._watch.close()
        with self._scanning:
            self._index.close()


def _facts(item: Item) -> Facts:
    row = item.row
    return Facts(row.favourite, row.tags, row.notes, row.title, item.found[0].kind)


def _after_check(row: FileRow, found: Checked) -> FileRow:
    if found.ok is False:
        return replace(row, damaged=MISMATCH)
    healed = None if row.damaged == MISMATCH else row.damaged
    return replace(row, sha256=found.sha256, damaged=healed)


def is_model(record: ModelRecord) -> bool:
    """Whether it can be loaded and asked."""
    return record.damaged is None and record.summary is not None and record.summary.kind in WEIGHTS


def _visitor(path: Path) -> ModelRecord:
    """A record for a file that is not in the library."""
    parts = library_files.parts_of(path)
    library_files.check(parts)
    folder = Folder(str(path.parent))
    result = scan([look_at(part, folder) for part in parts], {}, {})
    return replace(result.items[0].record, id=str(path), added_at=0.0)


def _matches(items: dict[str, Item], name: str) -> list[Item]:
    """Items whose id, or id without its owner, is or begins with ``name``; letter case does not count."""
    wanted = name.casefold()
    ids = [(item.record.id.casefold(), item) for item in items.values()] if wanted else []
    short = [
        (found.split(":", 1)[0].rpartition("/")[2] + found[len(found.split(":", 1)[0]) :], i)
        for found, i in ids
    ]
    for tries in (ids, short):
        exact = [item for found, item in tries if found == wanted]
        begins = exact or [item for found, item in tries if found.startswith(wanted)]
        if begins:
            return begins
    return []


def _only(name: str, matches: list[Item]) -> Item:
    usable = [item for item in matches if is_model(item.record)] or matches
    if len(usable) == 1:
        return usable[0]
    shown = [item.record.id for item in usable[:MATCHES_SHOWN]]
    more = ["..."] if len(usable) > MATCHES_SHOWN else []
    raise ModelAmbiguousError(name=name, matches=", ".join(shown + more))


def _changed(before: dict[str, Item], after: dict[str, Item]) -> tuple[str, ...]:
    keys = before.keys() | after.keys()
    return tuple(sorted(k for k in keys if _record(before, k) != _record(after, k)))


def _record(items: dict[str, Item], key: str) -> ModelRecord | None:
    item = items.get(key)
    return item.record if item else None
