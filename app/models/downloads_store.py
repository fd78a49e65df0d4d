"""The queue on disk: what was asked for and how far it is. The bytes themselves speak through their sidecars."""

import logging
import os
import tempfile
from pathlib import Path, PurePosixPath

import msgspec
from msgspec import Struct

from app.core.errors import UsageError
from app.core.events import DownloadState, ErrorInfo
from app.models.hub_types import QuantFile, RemotePart

log = logging.getLogger(__name__)

VERSION = 1
_RESERVED = {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(10)), *(f"lpt{n}" for n in range(10))}


class Entry(Struct, omit_defaults=True):
    """One download as it is kept between starts."""

    quant: QuantFile
    added_at: float
    state: DownloadState = "queued"
    finished: dict[str, str] = {}
    """sha256 by name of the files that are in place."""
    error: ErrorInfo | None = None
    revision: str = ""
    """What the bytes came from, when the Hub had moved on since it was asked for."""
    model: str | None = None

    @property
    def id(self) -> str:
        """The quant's."""
        return self.quant.id


class _Document(Struct, omit_defaults=True):
    version: int = VERSION
    entries: list[Entry] = []


def read(path: Path) -> list[Entry]:
    """The queue as it was left; a damaged file is put aside and the queue begins empty."""
    try:
        document = msgspec.json.decode(path.read_bytes(), type=_Document)
    except FileNotFoundError:
        return []
    except (OSError, msgspec.MsgspecError) as error:
        log.info("the download queue %s can't be read: %s", path, error)
        _put_aside(path)
        return []
    return document.entries if document.version <= VERSION else []


def write(path: Path, entries: list[Entry]) -> None:
    """Replace the file atomically. On a full disk the old one stays, and the program goes on."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".downloads-")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(_Document(VERSION, entries)), indent=1))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        log.info("the download queue can't be written: %s", error)


def _put_aside(path: Path) -> None:
    try:
        path.replace(path.with_suffix(".damaged.json"))
    except OSError as error:
        log.info("the damaged queue stays where it is: %s", error)


def target(models: Path, repo: str, part: RemotePart) -> Path:
    """Where a file of a repository belongs: ``models/owner/repo/name``. Raises UsageError for a name that would lead
    out of there (a hostile Hub) or that the system reserves."""
    name = PurePosixPath(repo, part.name)
    parts = name.parts
    if name.is_absolute() or any(not _harmless(piece) for piece in parts):
        raise UsageError(detail=f"The Hub names a file in a way that is not safe: {part.name!r}.")
    return models.joinpath(*parts)


def _harmless(piece: str) -> bool:
    return not (
        piece in {"", ".", ".."}
        or any(sign in piece for sign in '\\:*?"<>|\0')
        or piece != piece.rstrip(". ")
        or piece.partition(".")[0].lower() in _RESERVED
    )
