"""Reading forward through a GGUF header, local or remote, with a sliding window that stays small."""

import re
import struct
from typing import Any, NoReturn, Protocol, runtime_checkable

from app.core.errors import BadHeaderError, TruncatedModelError

MAX_HEADER = 256 << 20  # bytes walked; the largest real headers have about 25 MB
FIRST_CHUNK = 64 << 10
LARGEST_CHUNK = 2 << 20
_NEXT_KEY = re.compile(rb"([\x0b-\x7f])\0{7}(tokenizer\.[a-z0-9_.]+)[\x00-\x0c]\0\0\0")


@runtime_checkable
class RangeReader(Protocol):
    """Anything that can read bytes at an offset: a local file, or a remote one by Range requests."""

    def read_at(self, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes from ``offset``; fewer only at the end of the file."""


class Cursor:
    """Reads forward through a sliding window of the source; never holds more than a chunk or one string."""

    def __init__(self, reader: RangeReader, label: str) -> None:
        self._reader = reader
        size = getattr(reader, "size", None)
        self.size: int | None = size if isinstance(size, int) else None
        self.label = label
        self.buffer = b""
        self._base = 0  # file offset of the window
        self.at = 0  # position inside the window
        self._chunk = int(getattr(reader, "first_chunk", FIRST_CHUNK))
        self.adopt(3, big_endian=False)

    def adopt(self, version: int, big_endian: bool) -> None:
        """Use the widths and the byte order of this file from now on."""
        self.order = ">" if big_endian else "<"
        self.u32 = struct.Struct(self.order + "I")
        self.u64 = struct.Struct(self.order + "Q")
        self.length = self.u32 if version == 1 else self.u64

    @property
    def offset(self) -> int:
        """Where it stands in the file."""
        return self._base + self.at

    def seek(self, offset: int) -> None:
        """Move to a file offset, keeping the window when it lies inside."""
        inside = offset - self._base
        if 0 <= inside <= len(self.buffer):
            self.at = inside
        else:
            self.buffer, self._base, self.at = b"", offset, 0

    def bad(self, detail: str) -> NoReturn:
        """Raise BadHeaderError."""
        raise BadHeaderError(path=self.label, detail=detail)

    def truncated(self, expected: int) -> NoReturn:
        """Raise TruncatedModelError."""
        found = self.size if self.size is not None else self._base + len(self.buffer)
        raise TruncatedModelError(path=self.label, found=found, expected=expected)

    def need(self, count: int) -> int:
        """Make the next ``count`` bytes lie in the window and return where they begin in it."""
        if self.at + count > len(self.buffer):
            self._refill(count)
        return self.at

    def _refill(self, count: int) -> None:
        end = self.offset + count
        if end > MAX_HEADER:
            self.bad("it is larger than any real header")
        if self.size is not None and end > self.size:
            self.truncated(end)
        self.buffer = self.buffer[self.at :]
        self._base, self.at = self._base + self.at, 0
        while len(self.buffer) < count:
            wanted = max(count - len(self.buffer), self._chunk)
            got = self._reader.read_at(self._base + len(self.buffer), wanted)
            if not got:
                self.truncated(end)
            self.buffer += got[:wanted]
            self._chunk = min(self._chunk * 2, max(LARGEST_CHUNK, self._chunk))

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        at = self.need(count)
        self.at = at + count
        return self.buffer[at : at + count]

    def skip(self, count: int) -> None:
        """Step over bytes without reading them."""
        end = self.offset + count
        if end > MAX_HEADER:
            self.bad("it is larger than any real header")
        if self.size is not None and end > self.size:
            self.truncated(end)
        self.seek(end)

    def unpack(self, form: struct.Struct) -> Any:
        """One value of a compiled format."""
        at = self.need(form.size)
        self.at = at + form.size
        return form.unpack_from(self.buffer, at)[0]

    def raw_string(self, limit: int) -> bytes:
        """A string with its length in front."""
        length = self.unpack(self.length)
        if length > limit:
            self.bad(f"a text of {length} bytes where at most {limit} make sense")
        return self.take(length)

    def walk_strings(self, count: int) -> None:
        """Step over ``count`` strings, each with its length in front."""
        width, form = self.length.size, self.length.unpack_from
        while count:
            at, buffer = self.need(width), self.buffer
            room = len(buffer) - width
            while count and at <= room:
                at += width + form(buffer, at)[0]
                count -= 1
            self.skip(at - self.at)

    def find_key(self, least: int) -> int | None:
        """File offset of the next tokenizer key that begins at least ``least`` bytes from here."""
        start, chunk = self.offset + least, self._chunk
        if self.size is not None and start > self.size:
            return None
        inside = start - self._base
        buffer = self.buffer[inside:] if inside < len(self.buffer) else b""
        if buffer and (found := _next_key(buffer)) is not None:
            return start + found
        while start < MAX_HEADER:
            piece = self._reader.read_at(start + len(buffer), chunk)
            chunk = min(chunk * 2, LARGEST_CHUNK)
            buffer += piece
            found = _next_key(buffer)
            if found is not None:
                return start + found
            if not piece:
                return None
            start, buffer = start + max(len(buffer) - 128, 0), buffer[-128:]
        return None


def _next_key(buffer: bytes) -> int | None:
    at = buffer.find(b"\0\0\0\0\0\0\0tokenizer.")
    while at > 0:
        match = _NEXT_KEY.match(buffer, at - 1)
        if match and match[1][0] == len(match[2]):
            return at - 1
        at = buffer.find(b"\0\0\0\0\0\0\0tokenizer.", at + 1)
    return None
