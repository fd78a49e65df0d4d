"""Brings a backend pack from where the user has it (a folder, an archive, an address) into a folder of ours, unjudged.

Archives are ``.tar.xz``, ``.tar.gz`` or ``.zip`` with the pack at the top or in one folder. Nothing is written
outside of the folder, and nothing larger than ``MOST_BYTES``.
"""

import hashlib
import shutil
import tarfile
import urllib.parse
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from app.runtime.packs import MANIFEST, PackError

MOST_BYTES = 6 << 30
MOST_PARTS = 6
"""Of a file's path in an archive: what a library loads at run time lies in folders of its own (``rocblas/library``)."""
_BLOCK = 1 << 20
Progress = Callable[[int, int | None], None]
"""Bytes so far, and in all when that is known."""


def is_address(source: str) -> bool:
    """Whether this names something on the network."""
    return source.partition("://")[0].lower() in {"http", "https"}


def bring(source: str, folder: Path, progress: Progress | None = None) -> Path:
    """Put what ``source`` names below ``folder`` (empty, ours); returns the folder that holds the manifest.
    An address may end in ``#sha256=HEX``. Raises PackError."""
    try:
        if is_address(source):
            return _found(_unpack(_fetch(source, folder / "download", progress), folder / "pack"))
        path = Path(source).expanduser().absolute()
        if not path.exists():
            raise PackError("there is no such file")
        return _found(path if path.is_dir() else _unpack(path, folder / "pack"))
    except OSError as error:
        raise PackError(error.strerror or str(error)) from error


def _fetch(source: str, target: Path, progress: Progress | None) -> Path:
    import ssl  # noqa: PLC0415 - only for this
    import urllib.error  # noqa: PLC0415
    import urllib.request  # noqa: PLC0415

    import certifi  # noqa: PLC0415

    address, _, fragment = source.partition("#")
    wanted = fragment.removeprefix("sha256=").lower()
    _check_address(address, wanted)
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    try:
        with (
            urllib.request.urlopen(address, timeout=30, context=context) as answer,
            target.open("wb") as file,
        ):
            total = int(answer.headers.get("Content-Length") or 0) or None
            found = _copy(answer, file, lambda done: progress(done, total) if progress else None)
    except (urllib.error.URLError, ValueError) as error:
        raise PackError(f"it can't be fetched: {getattr(error, 'reason', error)}") from error
    if wanted and found != wanted:
        raise PackError("what was fetched is not what #sha256= names")
    named = target.with_name(Path(urllib.parse.urlsplit(address).path).name or "pack")
    return target.replace(named)


def _check_address(address: str, wanted: str) -> None:
    """Code that will run comes encrypted, from this machine, or with its hash."""
    parts = urllib.parse.urlsplit(address)
    if parts.scheme != "https" and parts.hostname not in {"127.0.0.1", "localhost", "::1"} and not wanted:
        raise PackError("an http address needs #sha256=HEX at its end, or use https")


def _copy(source: IO[bytes], target: IO[bytes], progress: Callable[[int], object]) -> str:
    """Copy up to ``MOST_BYTES``; returns the sha256."""
    digest, done = hashlib.sha256(), 0
    while block := source.read(_BLOCK):
        done += len(block)
        if done > MOST_BYTES:
            raise PackError(f"it is larger than {MOST_BYTES >> 30} GiB")
        digest.update(block)
        target.write(block)
        progress(done)
    return digest.hexdigest()


def _unpack(archive: Path, folder: Path) -> Path:
    folder.mkdir()
    if zipfile.is_zipfile(archive):
        _unzip(archive, folder)
    elif tarfile.is_tarfile(archive):
        _untar(archive, folder)
    else:
        raise PackError("it is neither a folder nor a .tar.xz, .tar.gz or .zip archive")
    return folder


def _unzip(archive: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as file:
            for item in file.infolist():
                if not item.is_dir():
                    with file.open(item) as source:
                        _write(item.filename, source, folder)
    except zipfile.BadZipFile as error:
        raise PackError(f"the archive is damaged: {error}") from error


def _untar(archive: Path, folder: Path) -> None:
    try:
        with tarfile.open(archive) as file:
            for item in file:
                source = file.extractfile(item) if item.isfile() else None
                if source is not None:
                    _write(item.name, source, folder)
    except (tarfile.TarError, EOFError) as error:
        raise PackError(f"the archive is damaged: {error}") from error


def _write(name: str, source: IO[bytes], folder: Path) -> None:
    """Files only, not too deep: no links, no ways out."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in {"", "."}]
    if ".." in parts or len(parts) > MOST_PARTS or name.startswith("/") or any(":" in part for part in parts):
        raise PackError(f"the archive has {name}, which is not in a pack")
    path = folder.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as target:
        _copy(source, target, lambda _done: None)


def _found(folder: Path) -> Path:
    if (folder / MANIFEST).is_file():
        return folder
    inside = [path.parent for path in folder.glob(f"*/{MANIFEST}")]
    if len(inside) != 1:
        raise PackError(f"it has no {MANIFEST}: it is no backend pack")
    return inside[0]


def copy_pack(source: Path, names: list[str], target: Path) -> None:
    """The manifest and the files it names, and nothing else: what lies beside a library may be loaded with it."""
    target.mkdir(parents=True)
    for name in [MANIFEST, *names]:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
