"""A backend pack as a folder: one ggml library and ``manifest.json``, which says what it was built from.

``app/runtime/packs.py`` reads the manifest and refuses a library that does not match it.
"""

import json
import platform
import re
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from devkit.folders import cache_dir
from devkit.say import Problem
from devkit.stamps import remove, sha256_of, write_text

MANIFEST = "manifest.json"
FORMAT = 1
NOTHING: Mapping[str, Path] = MappingProxyType({})
COMMIT = Path(".git/modules/vendor/llama.cpp/HEAD")
API = Path("vendor/llama.cpp/ggml/src/ggml-backend-impl.h")


def llama_commit(source: Path) -> str:
    """The llama.cpp commit that our source archive carries. Raises Problem when it does not say."""
    try:
        found = (source / COMMIT).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        found = ""
    if not re.fullmatch(r"[0-9a-f]{40}", found):
        raise Problem("The engine's source archive does not say which llama.cpp commit it carries.")
    return found


def locked_commit() -> str | None:
    """The commit of the engine's source archive in the cache, read without unpacking it; None when it is not there."""
    for archive in sorted((cache_dir() / "sources").glob("*.tar.gz")):
        with tarfile.open(archive) as file:
            for member in file:
                if member.name.endswith(str(COMMIT)) and (found := file.extractfile(member)):
                    return found.read().decode("ascii", "replace").strip()
    return None


def api_version(source: Path) -> int | None:
    """ggml's version of the interface between it and a backend: ggml refuses any other."""
    text = (source / API).read_text(encoding="utf-8", errors="replace")
    found = re.search(r"#define GGML_BACKEND_API_VERSION (\d+)", text)
    return int(found[1]) if found else None


def manifest(
    backend: str, source: Path, library: Path, built_from: str, beside: Mapping[str, Path] = NOTHING
) -> dict[str, object]:
    """What the pack is; ``built_from`` names the locked source and the switches, ``beside`` its runtime libraries by
    their places in the pack, as POSIX paths."""
    return {
        "format": FORMAT,
        "backend": backend,
        "llama_cpp": llama_commit(source),
        "ggml_backend_api": api_version(source),
        "library": library.name,
        "files": {name: _entry(path) for name, path in {library.name: library, **beside}.items()},
        "built_for": {"system": platform.system(), "machine": platform.machine(), "libc": platform.libc_ver()[1]},
        "built_from": built_from,
    }  # fmt: skip


def _entry(path: Path) -> dict[str, object]:
    return {"sha256": sha256_of(path), "bytes": path.stat().st_size}


def keep(
    library: Path, facts: Mapping[str, object], folder: Path, beside: Mapping[str, Path] = NOTHING
) -> Path:
    """Copy the libraries, then the manifest: a folder without one counts as empty."""
    remove(folder)
    folder.mkdir(parents=True)
    for name, path in {library.name: library, **beside}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, folder / name)
    write_text(folder / MANIFEST, json.dumps(facts, indent=2) + "\n")
    return folder


def find(backend: str, built_from: str) -> Path | None:
    """The kept pack of this backend and source whose files are what its manifest says, or None."""
    for path in sorted((cache_dir() / "packs").glob(f"{backend}-*/{MANIFEST}")):
        facts = read(path)
        if facts.get("built_from") == built_from and intact(path.parent, facts):
            return path.parent
    return None


def read(path: Path) -> dict[str, object]:
    """The manifest; empty when it is damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def intact(folder: Path, facts: Mapping[str, object]) -> bool:
    """Whether every file has the size and hash that the manifest gives."""
    files = facts.get("files")
    if not isinstance(files, dict) or not files:
        return False
    return all(_same(folder / name, entry) for name, entry in files.items())


def _same(path: Path, entry: Mapping[str, object]) -> bool:
    return path.is_file() and sha256_of(path) == entry.get("sha256")
