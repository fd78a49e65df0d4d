"""The backend packs of this machine: which there are, which are used and why not, installing, removing, going back.

Files: ``packs/<backend>-<commit>`` in the data folder (installed), ``packs.previous/<backend>`` (what the last install
replaced), ``packs.json`` (by their libraries' sha256: those that are off and why, and the crashes of others), and
``packs`` beside the program (what an installer brought). Nothing here loads a library: ``try_out`` does, elsewhere.
"""

import contextlib
import logging
import os
import re
import shutil
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from app.core.errors import PackRefusedError
from app.runtime.pack_archive import Progress, bring, copy_pack
from app.runtime.pack_fit import Card, check_here
from app.runtime.packs import (
    MANIFEST,
    VARIABLE,
    Manifest,
    PackError,
    check_pack,
    installed,
    read_manifest,
    split,
)

log = logging.getLogger(__name__)

BUNDLED = Path(__file__).resolve().parents[2] / "packs"
"""What came with the program; nothing in a clone."""
Origin = Literal["environment", "setting", "installed", "bundled"]
TryOut = Callable[[Path], str]
"""Loads a pack in a process of its own; returns what is wrong, or nothing."""
BY_USER = "turned off by you"
MOST_CRASHES = 2
"""Times in a row that the engine may crash on a pack before it is turned off."""
_CRASH = re.compile(r"crashed|did not answer")


class Pack(Struct, frozen=True):
    """One pack as the user sees it. ``used``: it is loaded into the engine; else ``why`` says why not."""

    name: str
    path: str
    origin: Origin
    used: bool
    why: str = ""
    backend: str = ""
    commit: str = ""
    bytes: int = 0
    off: bool = False
    """Off until it is turned on again."""
    crashes: int = 0
    """Times in a row that the engine crashed while a model ran on it."""


class _State(Struct):
    off: dict[str, str] = {}
    crashes: dict[str, int] = {}


class PackStore:
    """Thread-safe. ``setting`` gives the folders of ``engine.packs``, ``cards`` the GPUs."""

    def __init__(
        self,
        data: Path,
        setting: Callable[[], str],
        try_out: TryOut,
        cards: Callable[[], Sequence[Card]] = tuple,
        environ: Mapping[str, str] = os.environ,
        bundled: Path = BUNDLED,
    ) -> None:
        self._data, self._setting, self._try_out = data, setting, try_out
        self._cards, self._bundled = cards, bundled
        self._chosen = environ.get(VARIABLE)
        self._lock = threading.RLock()

    # ------------------------------------------------------------------ what there is

    def packs(self) -> tuple[Pack, ...]:
        """All of them, those that are used first for each backend."""
        with self._lock:
            state, seen = self._read(), set[str]()
            found = []
            for path, origin in self._candidates():
                pack = _look(Path(path), origin, state)
                if pack.used and pack.backend in seen:
                    why = f"another pack for {pack.backend} is used"
                    pack = msgspec.structs.replace(pack, used=False, why=why)
                seen |= {pack.backend} if pack.used else set()
                found.append(pack)
            return tuple(found)

    def current(self) -> tuple[str, ...]:
        """The folders to load, one for each backend. A pack that can't be read is among them: the probe says why."""
        return tuple(pack.path for pack in self.packs() if pack.used)

    def off(self) -> frozenset[str]:
        """The backends whose packs are all turned off."""
        packs = self.packs()
        return frozenset(pack.backend for pack in packs if pack.off) - {
            pack.backend for pack in packs if pack.used
        }

    def _candidates(self) -> Iterator[tuple[str, Origin]]:
        if self._chosen is not None:
            yield from ((path, "environment") for path in dict.fromkeys(split(self._chosen)))
            return
        known: set[str] = set()
        sources: tuple[tuple[tuple[str, ...], Origin], ...] = (
            (split(self._setting()), "setting"),
            (installed(self._data / "packs"), "installed"),
            (installed(self._bundled), "bundled"),
        )
        for paths, origin in sources:
            for path in paths:
                if path not in known:
                    known.add(path)
                    yield path, origin

    def previous(self) -> dict[str, Manifest]:
        """What each backend's last install replaced."""
        found = {}
        for path in sorted((self._data / "packs.previous").glob(f"*/{MANIFEST}")):
            with contextlib.suppress(PackError):
                found[path.parent.name] = read_manifest(path.parent)
        return found

    # ------------------------------------------------------------------ what the user does

    def install(self, source: str, progress: Progress | None = None) -> Pack:
        """Bring, verify, try out, and only then put in place; the pack of the same backend that was there is kept for
        ``roll_back``. Raises PackRefusedError, and nothing has changed."""
        stage = self._data / f"packs.new-{uuid.uuid4().hex[:8]}"
        try:
            stage.mkdir(parents=True)
            manifest = self._prove(bring(source, stage, progress), stage / "ready")
            with self._lock:  # not while it is fetched: a model may be loaded meanwhile
                return self._put(manifest, stage / "ready")
        except PackError as error:
            raise PackRefusedError(path=source, detail=str(error)) from error
        except OSError as error:
            raise PackRefusedError(path=source, detail=error.strerror or str(error)) from error
        finally:
            shutil.rmtree(stage, ignore_errors=True)

    def _prove(self, brought: Path, ready: Path) -> Manifest:
        manifest = check_pack(brought)
        check_here(manifest, self._cards())
        copy_pack(brought, list(manifest.files), ready)
        if why := self._try_out(ready):
            raise PackError(why)
        return manifest

    def _put(self, manifest: Manifest, ready: Path) -> Pack:
        name = f"{manifest.backend}-{manifest.llama_cpp[:12]}"
        self._put_aside(manifest.backend)
        target = self._data / "packs" / name
        target.parent.mkdir(exist_ok=True)
        ready.replace(target)
        self._set(manifest, "")
        return self._by_path(target)

    def _put_aside(self, backend: str) -> None:
        for path in self._of(backend):
            kept = self._data / "packs.previous" / backend
            shutil.rmtree(kept, ignore_errors=True)
            kept.parent.mkdir(exist_ok=True)
            path.replace(kept)

    def _of(self, backend: str) -> list[Path]:
        found = [Path(pack) for pack in installed(self._data / "packs")]
        return [path for path in found if _backend(path) == backend]

    def roll_back(self, backend: str) -> Pack | None:
        """Exchange the installed pack with the one before it; without one before, remove it, so that what came with
        the program is used again (None when nothing did). Raises PackRefusedError when there is nothing to undo."""
        with self._lock:
            kept, now = self._data / "packs.previous" / backend, self._of(backend)
            if not now and not kept.is_dir():
                raise PackRefusedError(path=backend, detail="no earlier one is kept")
            aside = self._data / f"packs.new-{uuid.uuid4().hex[:8]}"
            for path in now:
                path.replace(aside)
            if kept.is_dir():
                manifest = read_manifest(kept)
                target = self._data / "packs" / f"{backend}-{manifest.llama_cpp[:12]}"
                target.parent.mkdir(exist_ok=True)
                kept.replace(target)
            if aside.is_dir():
                kept.parent.mkdir(exist_ok=True)
                aside.replace(kept)
            return next((pack for pack in self.packs() if pack.backend == backend and pack.used), None)

    def remove(self, name: str) -> Pack:
        """Delete an installed pack's files. Raises PackRefusedError for one that is not ours to delete."""
        with self._lock:
            pack = self.get(name)
            if pack.origin != "installed":
                why = "it came with the program; `hearth engine use cpu` turns it off"
                told = (
                    why if pack.origin == "bundled" else f"it is named by the {pack.origin}, remove it there"
                )
                raise PackRefusedError(path=pack.name, detail=told)
            shutil.rmtree(pack.path)
            return pack

    def turn(self, name: str, on: bool) -> Pack:
        """Use a pack, or leave it off. Turning one on turns the others of its backend off."""
        with self._lock:
            pack = self.get(name)
            for other in self.packs():
                if on and other.backend == pack.backend and other.path != pack.path and other.used:
                    self._set(read_manifest(Path(other.path)), BY_USER)
            self._set(_manifest(pack), "" if on else BY_USER)
            return self._by_path(Path(pack.path))

    def turn_all(self, on: bool) -> None:
        """All packs, or the processor alone."""
        with self._lock:
            for pack in self.packs():
                with contextlib.suppress(PackError):
                    self._set(read_manifest(Path(pack.path)), "" if on else BY_USER)

    def learn(self, problems: Mapping[str, str]) -> None:
        """What the probe said of packs, by folder: one that crashed or hung is not tried at every start again."""
        for path, why in problems.items():
            if _CRASH.search(why):
                with contextlib.suppress(PackError), self._lock:
                    self._set(read_manifest(Path(path)), why)

    def crashed(self, backend: str, why: str) -> str:
        """A model that ran on this backend has ended the engine. The second in a row turns the pack off: returns its
        name then, else nothing."""
        with self._lock:
            pack = self._driving(backend)
            if pack is None:
                return ""
            manifest, state = read_manifest(Path(pack.path)), self._read()
            key = manifest.files[manifest.library].sha256
            state.crashes[key] = state.crashes.get(key, 0) + 1
            turned_off = state.crashes[key] >= MOST_CRASHES
            if turned_off:
                del state.crashes[key]
                state.off[key] = f"the engine crashed on it twice in a row ({why})"
            return pack.name if self._write(state) and turned_off else ""

    def worked(self, backends: Iterable[str]) -> None:
        """A model that ran on these backends was unloaded in order: crashes before it count no more."""
        with self._lock:
            state = self._read()
            driving = [self._driving(backend) for backend in set(backends)] if state.crashes else []
            for pack in driving:
                if pack is not None and pack.crashes:
                    manifest = read_manifest(Path(pack.path))
                    del state.crashes[manifest.files[manifest.library].sha256]
                    self._write(state)

    def _driving(self, backend: str) -> Pack | None:
        return next((pack for pack in self.packs() if pack.used and pack.backend == backend), None)

    def get(self, name: str) -> Pack:
        """By its name, its folder, or its backend (the one that is used). Raises PackRefusedError."""
        packs = self.packs()
        for found in (
            [pack for pack in packs if name in {pack.name, pack.path}],
            sorted((pack for pack in packs if pack.backend == name), key=lambda pack: not pack.used),
        ):
            if found:
                return found[0]
        have = ", ".join(pack.name for pack in packs) or "none"
        raise PackRefusedError(path=name, detail=f"there is no such pack; there are: {have}")

    # ------------------------------------------------------------------ state

    def _by_path(self, path: Path) -> Pack:
        return next(pack for pack in self.packs() if pack.path == str(path))

    def _set(self, manifest: Manifest, why: str) -> None:
        state, key = self._read(), manifest.files[manifest.library].sha256
        if state.off.get(key, "") == why and key not in state.crashes:
            return
        state.off.pop(key, None)
        state.crashes.pop(key, None)
        if why:
            state.off[key] = why
        self._write(state)

    def _write(self, state: _State) -> bool:
        path = self._data / "packs.json"
        part = path.with_suffix(".tmp")
        try:
            part.write_bytes(msgspec.json.encode(state))
            part.replace(path)
        except OSError as error:
            log.info("what is known of packs can't be kept: %s", error)
            return False
        return True

    def _read(self) -> _State:
        try:
            return msgspec.json.decode((self._data / "packs.json").read_bytes(), type=_State)
        except (OSError, msgspec.MsgspecError):
            return _State()


def _look(path: Path, origin: Origin, state: _State) -> Pack:
    """A pack as its manifest describes it. One that can't be read counts as used: the probe refuses it by name."""
    try:
        manifest = read_manifest(path)
    except PackError as error:
        return Pack(path.name, str(path), origin, used=True, why=str(error))
    key = manifest.files[manifest.library].sha256
    why, crashes = state.off.get(key, ""), state.crashes.get(key, 0)
    total = sum(entry.bytes for entry in manifest.files.values())
    return Pack(
        path.name, str(path), origin, not why, why, manifest.backend, manifest.llama_cpp, total,
        off=bool(why), crashes=crashes,
    )  # fmt: skip


def _manifest(pack: Pack) -> Manifest:
    try:
        return read_manifest(Path(pack.path))
    except PackError as error:
        raise PackRefusedError(path=pack.name, detail=str(error)) from error


def _backend(path: Path) -> str:
    try:
        return read_manifest(path).backend
    except PackError:
        return ""
