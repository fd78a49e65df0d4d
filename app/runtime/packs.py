"""Backend packs: a folder with one ggml library and a ``manifest.json`` that says what it was built from.

``{"backend": "vulkan", "llama_cpp": commit, "library": name, "files": {name: {"sha256", "bytes"}}, ...}``; written by
``packaging/devkit/packs.py``. Nothing here knows the engine: ``llama_packs`` loads what was checked here.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

MANIFEST = "manifest.json"
VARIABLE = "HEARTH_PACKS"
"""Names the packs to a worker: folders, separated as PATH is."""
_LEAST_COMMIT = 7


class PackError(Exception):
    """A pack that must not be loaded; the text says why, in words."""


class PackFile(msgspec.Struct, frozen=True):
    """One file of a pack; its name in the manifest is its place in the folder, as a POSIX path."""

    sha256: str
    bytes: int


class Cuda(msgspec.Struct, frozen=True):
    """``architectures`` as cmake wrote them: ``75-real;90-virtual``."""

    architectures: str = ""


class Rocm(msgspec.Struct, frozen=True):
    """``targets`` as the compiler names GPUs: ``gfx1100``, ``gfx90a:xnack-``."""

    targets: tuple[str, ...] = ()


class Manifest(msgspec.Struct, frozen=True):
    """What a pack says of itself; further fields are for people."""

    backend: str
    llama_cpp: str
    library: str
    files: dict[str, PackFile]
    ggml_backend_api: int | None = None
    built_for: dict[str, str] = {}
    """``system``, ``machine`` and ``libc``, as Python's ``platform`` names them."""
    driver_floor: dict[str, str] = {}
    """Vendor (``nvidia``, ``amd``) to the oldest driver that runs it."""
    cuda: Cuda = Cuda()
    rocm: Rocm = Rocm()


def split(text: str) -> tuple[str, ...]:
    """Folders written one after the other with PATH's separator or on lines of their own."""
    parts = re.split(rf"[{re.escape(os.pathsep)}\n]", text)
    return tuple(part.strip() for part in parts if part.strip())


def installed(folder: Path) -> tuple[str, ...]:
    """The packs in this folder, by name."""
    return tuple(str(path.parent) for path in sorted(folder.glob(f"*/{MANIFEST}")))


def working(packs: Iterable[str], refused: Iterable[str]) -> str:
    """``VARIABLE``'s value for a worker: without those that the probe could not use."""
    bad = set(refused)
    return os.pathsep.join(pack for pack in packs if pack not in bad)


def check_pack(folder: Path, engine_commit: str = "", *, whole: bool = True) -> Manifest:
    """The manifest of a pack whose files are what it says, built for ``engine_commit`` (empty or not a commit: not
    compared). Not ``whole``: of the libraries beside the backend (cuBLAS has 600 MB) the sizes only, for what the probe
    has just seen whole. Raises PackError."""
    manifest = read_manifest(folder)
    found = re.match(rf"[0-9a-f]{{{_LEAST_COMMIT},}}", engine_commit)
    if found and not manifest.llama_cpp.startswith(found[0]):
        built = manifest.llama_cpp[:9]
        raise PackError(f"it was built for llama.cpp {built}, and the engine is {found[0]}")
    for name, entry in manifest.files.items():
        check = _check_file if whole or name == manifest.library else _check_size
        check(folder / name, entry)
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """A pack's manifest. Raises PackError when it is missing, damaged, or names files outside of the folder."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except OSError as error:
        raise PackError(f"its {MANIFEST} can't be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise PackError(f"its {MANIFEST} is damaged: {error}") from error
    for name in (manifest.backend, manifest.llama_cpp):  # a folder of ours is named by them
        if not re.fullmatch(r"[\w-]+", name):
            raise PackError(f"its {MANIFEST} has {name!r} where a plain name must be")
    if manifest.library not in manifest.files:
        raise PackError(f"its {MANIFEST} does not list its library")
    if outside := [name for name in manifest.files if not _inside(name)]:
        raise PackError(f"its {MANIFEST} names {outside[0]}, which is not in the pack")
    return manifest


def _inside(name: str) -> bool:
    """A file of the pack, in its folder or one below, as POSIX writes it."""
    parts = name.split("/")
    return not ({"", ".", ".."} & set(parts) or "\\" in name or ":" in name)


def _check_file(path: Path, entry: PackFile) -> None:
    import hashlib  # noqa: PLC0415 - OpenSSL: no engine process needs it but the one that probes

    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PackError(f"{path.name} can't be read: {error.strerror}") from error
    if found != entry.sha256:
        raise PackError(f"{path.name} is not the file that its manifest names (its hash differs)")


def _check_size(path: Path, entry: PackFile) -> None:
    try:
        found = path.stat().st_size
    except OSError as error:
        raise PackError(f"{path.name} can't be read: {error.strerror}") from error
    if found != entry.bytes:
        raise PackError(f"{path.name} is not the file that its manifest names (its size differs)")
