"""Files that go with a question: text and code as text, images as they are. Nothing else is taken here."""

from pathlib import Path

from app.chat.store_types import NewAttachment
from app.core import pictures
from app.core.errors import UsageError

LARGEST_TEXT = 4 << 20
PASTE_LINES, PASTE_LETTERS = 60, 6_000  # a longer paste is better an attachment

_CONTROL = frozenset(range(32)) - {9, 10, 12, 13, 27}


def from_file(path: Path) -> NewAttachment:
    """An attachment from a file. Raises UsageError: unreadable, too large, neither text nor image."""
    try:
        size = path.stat().st_size
        if size > pictures.LARGEST_BYTES:
            raise UsageError(detail=f"{path.name} is too large to attach ({size >> 20} MiB).")
        raw = path.read_bytes()
    except (OSError, ValueError) as error:
        raise UsageError(detail=f"{path.name} can't be read.") from error
    return from_bytes(path.name, raw)


def from_bytes(name: str, raw: bytes) -> NewAttachment:
    """An attachment from bytes; the content decides what it is, never the name. Raises UsageError."""
    mime = pictures.kind_of(raw)
    if mime and (mime != "image/bmp" or not _is_text(raw)):
        _check_image(name, raw)
        return NewAttachment(name, "image", mime, data=raw)
    if len(raw) > LARGEST_TEXT:
        raise UsageError(detail=f"{name} is too large to put into the prompt ({len(raw) >> 20} MiB).")
    text = decode(raw)
    if text is None:
        raise UsageError(
            detail=f"{name} is neither text nor an image. Copy its text and paste it, or save it as a text file."
        )
    return NewAttachment(name, "text", "text/plain", text, raw)


def _check_image(name: str, raw: bytes) -> None:
    try:
        found = pictures.measure(raw)
    except ValueError as error:
        raise UsageError(detail=f"{name} can't be attached: {error}.") from error
    if found.pixels > pictures.MOST_PIXELS:
        size = f"{found.width} × {found.height}"
        raise UsageError(detail=f"{name} is too large to attach ({size} pixels).")


def _is_text(raw: bytes) -> bool:
    # A text may begin with BM; a bitmap's header has zeros.
    return b"\0" not in raw[:64]


def decode(raw: bytes) -> str | None:
    """Text in UTF-8, or UTF-16 with its mark, or an older single-byte encoding; None for what is no text."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _try(raw, "utf-16")
    text = _try(raw, "utf-8-sig")
    if text is None and not _CONTROL & set(raw[:65536]):
        text = _try(raw, "cp1258") or _try(
            raw, "latin-1"
        )  # Vietnamese Windows first: it is Latin-1 nearly everywhere
    if text is not None and "\0" in text:
        return None
    return text.replace("\r\n", "\n") if text is not None else None


def _try(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return None


def is_long_paste(text: str) -> bool:
    """Whether a pasted text is better kept as an attachment."""
    return len(text) > PASTE_LETTERS or text.count("\n") > PASTE_LINES


def from_paste(text: str, number: int = 1) -> NewAttachment:
    """A long paste as an attachment."""
    return NewAttachment(f"pasted-{number}.txt", "text", "text/plain", text, text.encode("utf-8", "replace"))
