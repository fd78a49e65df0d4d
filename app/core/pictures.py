"""What an encoded image is, read from its first bytes: the type and the size, before anything decodes it.

A few kilobytes can hold an image of a billion pixels: sizes are checked here, not by the decoder. Formats: PNG
(RFC 2083), JPEG (ITU T.81, B.1), GIF89a, BMP, WebP (RFC 9649).
"""

import struct

from msgspec import Struct

LARGEST_BYTES = 32 << 20
MOST_PIXELS = 64_000_000
"""Of one image (192 MB decoded); a phone's camera makes 50 million at most, as yet."""
MOST_PIXELS_TOGETHER = 128_000_000
"""Of all images of one request."""
MOST_IMAGES = 64
"""In one request."""
DECODED = frozenset({"image/png", "image/jpeg", "image/gif", "image/bmp"})
"""The types that the engine can decode (stb_image's)."""


class Picture(Struct, frozen=True):
    """An encoded image's type and size in pixels."""

    mime: str
    width: int
    height: int

    @property
    def pixels(self) -> int:
        """Width by height."""
        return self.width * self.height


def kind_of(raw: bytes) -> str | None:
    """The type by the first bytes, or None for what is no image."""
    if raw[:4] == b"RIFF" and raw[8:12] == b"WEBP":
        return "image/webp"
    return next((mime for magic, mime in _MAGIC if raw.startswith(magic)), None)


def measure(raw: bytes) -> Picture:
    """Type and size. Raises ValueError, in words for the user, for what is no image or has no readable size."""
    mime = kind_of(raw)
    if mime is None:
        raise ValueError("it is not an image (PNG, JPEG, GIF, BMP or WebP)")
    try:
        width, height = _SIZES[mime](raw)
    except (struct.error, IndexError, ValueError) as error:
        raise ValueError("its beginning is damaged") from error
    if width < 1 or height < 1:
        raise ValueError("its beginning is damaged")
    return Picture(mime, width, height)


def check(raw: bytes) -> Picture:
    """``measure``, and what the engine can take: the format, the bytes, the pixels. Raises ValueError in words."""
    if len(raw) > LARGEST_BYTES:
        raise ValueError(f"it has {len(raw) >> 20} MiB; {LARGEST_BYTES >> 20} MiB are the most")
    found = measure(raw)
    if found.mime not in DECODED:
        raise ValueError("it is a WebP image, which the engine can't decode; save it as PNG or JPEG")
    if found.pixels > MOST_PIXELS:
        size = f"{found.width} x {found.height}"
        raise ValueError(f"it is {size} pixels; {MOST_PIXELS // 1_000_000} million in all are the most")
    return found


def orientation(raw: bytes) -> int:
    """How a camera held a JPEG, as EXIF says it: 1 (upright) to 8; 1 where it says nothing readable."""
    try:
        return _orientation(raw) if raw.startswith(b"\xff\xd8") else 1
    except (struct.error, IndexError):
        return 1


def _orientation(raw: bytes) -> int:
    at = 2
    while raw[at] == 0xFF and raw[at + 1] != 0xDA:  # up to the pixels
        size = int(struct.unpack_from(">H", raw, at + 2)[0])
        if raw[at + 1] == 0xE1 and raw[at + 4 : at + 10] == b"Exif\0\0":
            return _turned(raw[at + 10 : at + 2 + size])
        at += 2 + size
    return 1


def _turned(tiff: bytes) -> int:
    order = "<" if tiff[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    for at in range(start + 2, start + 2 + 12 * min(count, 200), 12):
        tag, _kind, _length, value = struct.unpack_from(f"{order}HHIH", tiff, at)
        if tag == 0x0112:
            return int(value) if 1 <= value <= 8 else 1
    return 1


_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
)


def _png(raw: bytes) -> tuple[int, int]:
    if raw[12:16] != b"IHDR":
        raise ValueError("no IHDR")
    return struct.unpack_from(">II", raw, 16)


def _gif(raw: bytes) -> tuple[int, int]:
    return struct.unpack_from("<HH", raw, 6)


def _bmp(raw: bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", raw, 14)[0] == 12:
        return struct.unpack_from("<HH", raw, 18)
    width, height = struct.unpack_from("<ii", raw, 18)
    return width, abs(height)


def _jpeg(raw: bytes) -> tuple[int, int]:
    at = 2
    while True:
        if raw[at] != 0xFF:
            raise ValueError("no marker")
        marker = raw[at + 1]
        if marker == 0xFF:  # fill bytes
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", raw, at + 5)
            return width, height
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
        else:
            at += 2 + int(struct.unpack_from(">H", raw, at + 2)[0])


def _webp(raw: bytes) -> tuple[int, int]:
    form = raw[12:16]
    if form == b"VP8X":
        return 1 + int.from_bytes(raw[24:27], "little"), 1 + int.from_bytes(raw[27:30], "little")
    if form == b"VP8L":
        bits = int(struct.unpack_from("<I", raw, 21)[0])
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if form == b"VP8 ":
        width, height = struct.unpack_from("<HH", raw, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError("no VP8")


_SIZES = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/gif": _gif,
    "image/bmp": _bmp,
    "image/webp": _webp,
}
