"""Where model files may lie, and finding them: our own folder, folders the user adds, and other programs' stores.

Everything is read in place. ``walk`` yields whatever may be a model with what its place says about its origin;
``suggestions`` names the stores of other programs on this machine.
"""

import logging
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from app.core.types import Source
from app.models.quants import is_gguf

log = logging.getLogger(__name__)

FolderKind = Literal["own", "folder", "huggingface", "lmstudio", "ollama"]
IMPORTED = "imported"
MAX_DEPTH = 32
MAX_ENTRIES = 500_000  # someone may add "/"
_SNAPSHOT = re.compile(r"models--(?P<repo>.+)$")
_SHA256 = re.compile(r"[\\/]([0-9a-f]{64})$")
_SKIPPED = frozenset({".git", "node_modules", "__pycache__", "$RECYCLE.BIN", "System Volume Information"})


class Folder(Struct, frozen=True):
    """A place to look in."""

    path: str
    kind: FolderKind = "folder"


class Found(Struct, frozen=True):
    """A file that may be a model. ``name`` is what it is called (Ollama's blobs have no names of their own)."""

    path: str
    name: str
    size: int
    mtime: int
    """Nanoseconds."""
    identity: tuple[int, int]
    """Device and inode: equal for links to the same bytes."""
    kind: FolderKind
    source: Source | None = None
    sha256: str | None = None
    label: str = ""
    """A ready-made id (Ollama's ``model:tag``)."""
    projector: bool = False


def walk(folder: Folder) -> Iterator[Found]:
    """Every candidate in a folder; one that can't be read is passed over."""
    root = Path(folder.path)
    if folder.kind == "ollama":
        yield from _walk_ollama(root)
        return
    for path, info in _files(folder.path):
        yield Found(
            path=path,
            name=os.path.basename(path),  # noqa: PTH119 - thousands of them: Path costs as much as the scan
            size=info.st_size,
            mtime=info.st_mtime_ns,
            identity=(info.st_dev, info.st_ino),
            kind=folder.kind,
            source=_source(folder, path),
            sha256=_blob_hash(path) if folder.kind == "huggingface" else None,
        )


def look_at(path: Path, folder: Folder) -> Found:
    """One file as ``walk`` would report it. Raises OSError."""
    info = path.stat()
    identity = (info.st_dev, info.st_ino)
    source = _source(folder, str(path))
    return Found(str(path), path.name, info.st_size, info.st_mtime_ns, identity, folder.kind, source)


def _files(root: str) -> Iterator[tuple[str, os.stat_result]]:
    """GGUF files at any depth, links followed, loops cut, in a stable order."""
    waiting, visited, entries = [(root, 0)], _identity(root), 0
    while waiting:
        folder, depth = waiting.pop()
        try:
            listed = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            log.info("%s is passed over: %s", folder, error)
            continue
        entries += len(listed)
        if entries > MAX_ENTRIES:
            log.info("%s holds too many files to look at all of them", root)
            return
        below: list[tuple[str, int]] = []
        for entry in listed:
            yield from _look(entry, depth, below, visited)
        waiting.extend(reversed(below))


def _identity(folder: str) -> set[tuple[int, int]]:
    try:
        info = Path(folder).stat()
    except OSError:
        return set()
    return {(info.st_dev, info.st_ino)}


def _look(
    entry: "os.DirEntry[str]", depth: int, below: list[tuple[str, int]], visited: set[tuple[int, int]]
) -> Iterator[tuple[str, os.stat_result]]:
    try:
        if is_gguf(entry.name):
            entry.path.encode()  # llama.cpp is given UTF-8
            info = entry.stat()
            if stat.S_ISREG(info.st_mode):
                yield entry.path, info
        elif entry.is_dir() and entry.name not in _SKIPPED and depth < MAX_DEPTH:
            if entry.is_symlink():
                info = entry.stat()
                if (info.st_dev, info.st_ino) in visited:
                    return
                visited.add((info.st_dev, info.st_ino))
            below.append((entry.path, depth + 1))
    except (OSError, UnicodeEncodeError) as error:
        log.info("%r is passed over: %s", entry.path, error)


def _source(folder: Folder, path: str) -> Source | None:
    """What a place says about where a file came from: ``<owner>/<repo>/<file>``, or the Hub's cache."""
    parts = os.path.relpath(path, folder.path).replace(os.sep, "/").split("/")
    for index, part in enumerate(parts[:-3]):
        if (match := _SNAPSHOT.match(part)) and parts[index + 1] == "snapshots":
            repo = match["repo"].replace("--", "/", 1)
            return Source(repo, parts[index + 2], "/".join(parts[index + 3 :]))
    if folder.kind in {"own", "lmstudio"} and len(parts) >= 3 and parts[0] != IMPORTED:
        return Source(f"{parts[0]}/{parts[1]}", "", "/".join(parts[2:]))
    return None


def _blob_hash(path: str) -> str | None:
    """The Hub's cache names a blob in large file storage by its sha256; the model's file is a link to it."""
    try:
        target = os.readlink(path)  # noqa: PTH115 - one for each of thousands
    except OSError:
        return None
    found = _SHA256.search(target)
    return found[1] if found else None


# Ollama keeps a manifest per model and tag that names its blobs by hash.
_MODEL_LAYER = "application/vnd.ollama.image.model"
_PROJECTOR_LAYER = "application/vnd.ollama.image.projector"
_LARGEST_MANIFEST = 1 << 20
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})$")


def _walk_ollama(root: Path) -> Iterator[Found]:
    for manifest in sorted((root / "manifests").rglob("*")):
        try:
            if manifest.is_file() and manifest.stat().st_size <= _LARGEST_MANIFEST:
                yield from _layers(root, manifest)
        except (OSError, msgspec.DecodeError) as error:
            log.info("%s is passed over: %s", manifest, error)


def _layers(root: Path, manifest: Path) -> Iterator[Found]:
    parts = manifest.relative_to(root / "manifests").parts
    if len(parts) < 3:
        return
    host, *names, tag = parts
    shown = [name for name in names if name != "library" or len(names) == 1]
    label = "/".join(([] if host == "registry.ollama.ai" else [host]) + shown) + f":{tag}"
    content = msgspec.json.decode(manifest.read_bytes())
    layers = content.get("layers") if isinstance(content, dict) else None
    for layer in layers if isinstance(layers, list) else []:
        found = _layer(root, layer, label) if isinstance(layer, dict) else None
        if found is not None:
            yield found


def _layer(root: Path, layer: dict[str, Any], label: str) -> Found | None:
    kind, digest = layer.get("mediaType"), _DIGEST.match(str(layer.get("digest")))
    if digest is None or kind not in {_MODEL_LAYER, _PROJECTOR_LAYER}:
        return None
    blob = root / "blobs" / f"sha256-{digest[1]}"
    info = blob.stat()
    projector = kind == _PROJECTOR_LAYER
    return Found(
        path=str(blob),
        name=label + ("-projector" if projector else ""),
        size=info.st_size,
        mtime=info.st_mtime_ns,
        identity=(info.st_dev, info.st_ino),
        kind="ollama",
        sha256=digest[1],
        label=label + ("-projector" if projector else ""),
        projector=projector,
    )


def recognise(path: Path) -> Folder:
    """A folder the user chose, with its kind: somebody else's store is told by what lies in it."""
    kind: FolderKind = "folder"
    try:
        if (path / "manifests").is_dir() and (path / "blobs").is_dir():
            kind = "ollama"
        elif next(path.glob("models--*/snapshots"), None) is not None:
            kind = "huggingface"
    except OSError as error:
        log.info("%s can't be looked into: %s", path, error)
    return Folder(str(path), kind)


def suggestions(environ: Mapping[str, str] = os.environ, home: Path | None = None) -> list[Folder]:
    """Stores of other programs that exist on this machine (documented by each program)."""
    home = home or Path.home()
    cache = Path(
        environ.get("HF_HOME") or Path(environ.get("XDG_CACHE_HOME") or home / ".cache") / "huggingface"
    )
    candidates = [
        Folder(environ.get("HF_HUB_CACHE") or str(cache / "hub"), "huggingface"),
        Folder(str(home / ".lmstudio" / "models"), "lmstudio"),
        Folder(str(home / ".cache" / "lm-studio" / "models"), "lmstudio"),
        Folder(environ.get("OLLAMA_MODELS") or str(home / ".ollama" / "models"), "ollama"),
        Folder("/usr/share/ollama/.ollama/models", "ollama"),
    ]
    return [folder for folder in candidates if Path(folder.path).is_dir()]
