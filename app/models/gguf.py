"""Read the header of a GGUF file, on disk or far away, without its weights (format: ggml's ``docs/gguf.md``).

The reader is capped and lazy. Counts, lengths and nesting have limits, so that a hostile header costs at most a few
megabytes and about a second. Vocabulary arrays are stepped over and kept as counted ``ArrayStub``; read one with
``read_strings``. Whatever llama.cpp's own reader (``ggml/src/gguf.cpp``) would refuse is refused here, with a reason.
"""

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from msgspec import Struct

from app.core.errors import BadHeaderError, TruncatedModelError, WrongMagicError
from app.models.ggml_types import GGML_TYPES, REMOVED_TYPES
from app.models.gguf_cursor import Cursor, RangeReader

MAGIC = b"GGUF"
NEWEST_VERSION = 3
DEFAULT_ALIGNMENT = 32

MAX_KEYS = 16_384
MAX_TENSORS = 100_000
MAX_ELEMENTS = 8_000_000  # strings stepped over one by one: about a second
MAX_STRING = 4 << 20  # a chat template has 100 kB at most
MAX_KEPT = 16 << 20  # bytes of keys, names and texts kept in memory
MAX_KEPT_ARRAY = 4_096  # longer arrays become stubs
MAX_KEPT_STRINGS = 512
MAX_KEY = 1_024
MAX_NAME = 64  # GGML_MAX_NAME
MAX_DIMS = 4  # GGML_MAX_DIMS
MAX_NESTING = 4
NESTED_COST = 50  # an array inside an array takes as long to step over as this many strings
JUMP_FROM = 512  # elements from which the end of a string array is searched for before it is walked

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_KIND_NAMES = {
    0: "u8",
    1: "i8",
    2: "u16",
    3: "i16",
    4: "u32",
    5: "i32",
    6: "f32",
    7: "bool",
    8: "str",
    9: "array",
    10: "u64",
    11: "i64",
    12: "f64",
}
_STRING, _ARRAY = 8, 9


class ArrayStub(Struct, frozen=True):
    """An array that was stepped over: its element kind (``str``, ``f32``, ...), length and place in the file."""

    kind: str
    count: int
    offset: int


Value = bool | int | float | str | tuple[bool | int | float | str, ...] | ArrayStub


class TensorInfo(Struct, frozen=True, gc=False):
    """One tensor: ``offset`` counts from ``Header.data_offset``; ``shape`` is in ggml's order (row length first).
    ``bytes`` of a type this version does not know is the room up to the next tensor."""

    name: str
    shape: tuple[int, ...]
    type: str
    offset: int
    bytes: int

    @property
    def elements(self) -> int:
        """Number of weights."""
        total = 1
        for length in self.shape:
            total *= length
        return total


class Header(Struct, frozen=True):
    """All that stands before the weights. ``metadata`` keeps the file's order."""

    path: str
    version: int
    big_endian: bool
    metadata: Mapping[str, Value]
    tensors: tuple[TensorInfo, ...]
    data_offset: int
    alignment: int
    size: int | None = None
    """Bytes of the whole file, when known."""
    complete: bool = True
    """False when ``read_header(..., tensors=False)`` stopped at the vocabulary."""


class FileReader:
    """``RangeReader`` over a local file; a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb", buffering=0)
        self.size = self._file.seek(0, 2)

    def read_at(self, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes from ``offset``."""
        self._file.seek(offset)
        return self._file.read(size) or b""

    def close(self) -> None:
        """Close the file; calling it again does nothing."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None
    ) -> None:
        self.close()


def read_header(source: Path | RangeReader, *, name: str = "", tensors: bool = True) -> Header:
    """Read the header of a local file or of a reader. ``name`` stands for the file in error messages.

    With ``tensors=False`` it stops at the vocabulary: enough for the general and architecture keys, and usually one
    read. Raises WrongMagicError, TruncatedModelError (the file is shorter than its header or its tensors),
    BadHeaderError, or OSError when the file can't be read.
    """
    if isinstance(source, Path):
        with FileReader(source) as reader:
            return read_header(reader, name=name or str(source), tensors=tensors)
    label = name or str(getattr(source, "name", "") or "the file")
    parser = _Parser(Cursor(source, label), jump=tensors)
    try:
        return parser.parse(tensors)
    except (BadHeaderError, TruncatedModelError):
        if not parser.jumped:
            raise
        # A jump over a vocabulary may have landed wrong: read once more, element by element, before saying so.
        return _Parser(Cursor(source, label), jump=False).parse(tensors)


def read_strings(source: Path | RangeReader, header: Header, key: str) -> Iterator[str]:
    """The elements of a string array, one at a time, whether it is a stub or was kept."""
    value = header.metadata.get(key)
    if isinstance(value, tuple):
        yield from (str(item) for item in value)
    elif isinstance(value, ArrayStub) and value.kind == "str":
        if isinstance(source, Path):
            with FileReader(source) as reader:
                yield from _iter_strings(reader, header, value)
        else:
            yield from _iter_strings(source, header, value)


def _iter_strings(reader: RangeReader, header: Header, stub: ArrayStub) -> Iterator[str]:
    cursor = Cursor(reader, header.path)
    cursor.adopt(header.version, header.big_endian)
    cursor.seek(stub.offset)
    for _ in range(stub.count):
        yield cursor.raw_string(MAX_STRING).decode("utf-8", "replace")


class _Parser:
    """One pass over one header."""

    def __init__(self, cursor: Cursor, *, jump: bool) -> None:
        self._cursor = cursor
        self._jump = jump
        self._kept = 0
        self._walked = 0
        self.jumped = False

    def parse(self, tensors: bool) -> Header:
        cursor = self._cursor
        version, big_endian = self._preamble()
        tensor_count, key_count = cursor.unpack(cursor.length), cursor.unpack(cursor.length)
        self._check_counts(tensor_count, key_count)
        if not tensor_count:
            self._jump = False  # nothing would tell a wrong landing
        metadata = self._metadata(key_count, stop_early=not tensors)
        alignment = self._alignment(metadata)
        infos = self._tensors(tensor_count) if tensors else []
        data = cursor.offset + (-cursor.offset % alignment)
        if tensors:
            infos = self._check_layout(infos, data, alignment)
        return Header(
            path=cursor.label,
            version=version,
            big_endian=big_endian,
            metadata=metadata,
            tensors=tuple(infos),
            data_offset=data,
            alignment=alignment,
            size=cursor.size,
            complete=tensors,
        )

    def _preamble(self) -> tuple[int, bool]:
        cursor = self._cursor
        if cursor.size == 0:
            raise WrongMagicError(path=cursor.label, found="nothing")
        magic = cursor.take(min(4, cursor.size) if cursor.size is not None else 4)
        if magic != MAGIC[: len(magic)]:
            raise WrongMagicError(path=cursor.label, found=ascii(magic)[1:])
        raw = cursor.take(4)
        # A file written on a big-endian machine shows its small version number in the high bytes.
        order: Literal["little", "big"] = "big" if raw[:2] == b"\0\0" else "little"
        version = int.from_bytes(raw, order)
        if not 1 <= version <= NEWEST_VERSION:
            cursor.bad(f"it is of GGUF version {version}, and 1 to {NEWEST_VERSION} are known")
        cursor.adopt(version, order == "big")
        return version, order == "big"

    def _check_counts(self, tensor_count: int, key_count: int) -> None:
        if tensor_count > MAX_TENSORS:
            self._cursor.bad(f"it promises {tensor_count} tensors")
        if key_count > MAX_KEYS:
            self._cursor.bad(f"it promises {key_count} keys")

    def _metadata(self, count: int, stop_early: bool) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for _ in range(count):
            key = self._text(MAX_KEY)
            if not key or key in found:
                self._cursor.bad(f"the key {key[:80]!r} is " + ("there twice" if key else "empty"))
            found[key] = value = self._value(self._cursor.unpack(self._cursor.u32), key, stop_early)
            if stop_early and isinstance(value, ArrayStub) and value.kind == "str":
                break
        return found

    def _text(self, limit: int) -> str:
        raw = self._cursor.raw_string(limit)
        self._keep(len(raw) + 64)
        return raw.decode("utf-8", "replace")

    def _keep(self, size: int) -> None:
        self._kept += size
        if self._kept > MAX_KEPT:
            self._cursor.bad("its texts take more room than any real header's")

    def _value(self, kind: int, key: str, stop_early: bool = False) -> Value:
        cursor = self._cursor
        if kind == _STRING:
            return self._text(MAX_STRING)
        if kind == _ARRAY:
            return self._array(stop_early)
        form = _SCALARS.get(kind)
        if form is None:
            cursor.bad(f"the key {key[:80]!r} has the unknown type {kind}")
        value: Value = cursor.unpack(struct.Struct(cursor.order + form))
        return value

    def _array(self, stop_early: bool) -> Value:
        cursor = self._cursor
        kind, count = cursor.unpack(cursor.u32), cursor.unpack(cursor.length)
        start = cursor.offset
        if kind in _SIZES:
            return self._numbers(kind, count, start)
        if kind == _STRING and count <= MAX_KEPT_STRINGS:
            return self._short_strings(count, start)
        stub = ArrayStub(_KIND_NAMES.get(kind, str(kind)), count, start)
        if not (stop_early and kind == _STRING):
            self._step_over(kind, count, 1)
        return stub

    def _numbers(self, kind: int, count: int, start: int) -> Value:
        cursor = self._cursor
        if count > MAX_KEPT_ARRAY:
            cursor.skip(count * _SIZES[kind])
            return ArrayStub(_KIND_NAMES[kind], count, start)
        self._keep(count * 32)
        raw = cursor.take(count * _SIZES[kind])
        return struct.unpack(f"{cursor.order}{count}{_SCALARS[kind]}", raw)

    def _short_strings(self, count: int, start: int) -> Value:
        """Keep the texts while they are short; a list of long ones becomes a stub like a vocabulary."""
        cursor, texts, room = self._cursor, [], 256 << 10
        for _ in range(count):
            raw = cursor.raw_string(MAX_STRING)
            room -= len(raw) + 64
            if room < 0:
                cursor.seek(start)
                self._step_over(_STRING, count, 1)
                return ArrayStub("str", count, start)
            texts.append(raw.decode("utf-8", "replace"))
        self._keep(sum(map(len, texts)) + 64 * count)
        return tuple(texts)

    def _step_over(self, kind: int, count: int, depth: int) -> None:
        cursor = self._cursor
        if kind in _SIZES:
            cursor.skip(count * _SIZES[kind])
            return
        if (
            kind == _STRING
            and self._jump
            and count >= JUMP_FROM
            and cursor.length.size == 8
            and cursor.order == "<"
        ):
            landing = cursor.find_key(count * 8)
            if landing is not None:
                cursor.seek(landing)
                self.jumped = True
                return
        self._walked += count * (NESTED_COST if kind == _ARRAY else 1)
        if self._walked > MAX_ELEMENTS:
            cursor.bad(f"an array of {count} elements")
        if kind == _STRING:
            cursor.walk_strings(count)
        elif kind == _ARRAY and depth < MAX_NESTING:
            for _ in range(count):
                self._step_over(cursor.unpack(cursor.u32), cursor.unpack(cursor.length), depth + 1)
        else:
            cursor.bad("arrays nested too deep" if kind == _ARRAY else f"an array of the unknown type {kind}")

    def _alignment(self, metadata: Mapping[str, Value]) -> int:
        value = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        if not isinstance(value, int) or not 1 <= value <= 1 << 24 or value & (value - 1):
            self._cursor.bad(f"the alignment {str(value)[:40]} is not a power of two")
        return value

    def _tensors(self, count: int) -> list[TensorInfo]:
        """Read tensor descriptions, two reads of the window each: these loops are the cost of a scan."""
        cursor, found, seen = self._cursor, [], set[str]()
        forms = [struct.Struct(f"{cursor.order}{n}{cursor.length.format[-1]}Iq") for n in range(MAX_DIMS + 1)]
        for _ in range(count):
            name = self._text(MAX_NAME - 1)
            dims = cursor.unpack(cursor.u32)
            if dims > MAX_DIMS or name in seen:
                cursor.bad(
                    f"the tensor {name!r} " + ("is there twice" if name in seen else f"has {dims} dimensions")
                )
            seen.add(name)
            form = forms[dims]
            at = cursor.need(form.size)
            *shape, kind, offset = form.unpack_from(cursor.buffer, at)
            cursor.at = at + form.size
            found.append(self._tensor(name, tuple(shape), kind, offset))
        return found

    def _tensor(self, name: str, shape: tuple[int, ...], kind: int, offset: int) -> TensorInfo:
        known = GGML_TYPES.get(kind)
        elements = 1
        for length in shape:
            elements *= length
        if elements >= 1 << 63 or offset < 0:
            self._cursor.bad(f"the tensor {name!r} is larger than any memory")
        if known is None:
            if kind in REMOVED_TYPES or kind > 255:
                self._cursor.bad(f"the tensor {name!r} has the type {kind}, which is no longer read")
            return TensorInfo(name, shape, f"type {kind}", offset, -1)
        if shape and shape[0] % known.block:
            self._cursor.bad(f"the rows of {name!r} ({shape[0]}) can't be {known.name}")
        return TensorInfo(name, shape, known.name, offset, elements // known.block * known.size)

    def _check_layout(self, infos: list[TensorInfo], data: int, alignment: int) -> list[TensorInfo]:
        """Tensors follow one another without holes, as llama.cpp demands; the file must hold the last one."""
        cursor, end, checked = self._cursor, 0, []
        for index, info in enumerate(infos):
            if info.offset != end:
                cursor.bad(f"the tensor {info.name!r} lies at {info.offset} where {end} was expected")
            size = info.bytes if info.bytes >= 0 else self._room(infos, index, data)
            checked.append(
                info if size == info.bytes else TensorInfo(info.name, info.shape, info.type, end, size)
            )
            end += size + (-size % alignment)
        last = data + (checked[-1].offset + checked[-1].bytes if checked else 0)
        if checked and cursor.size is not None and last > cursor.size:
            cursor.truncated(last)
        return checked

    def _room(self, infos: list[TensorInfo], index: int, data: int) -> int:
        following = infos[index + 1].offset if index + 1 < len(infos) else (self._cursor.size or 0) - data
        return max(following - infos[index].offset, 0)
