"""Importance matrices as files: llama.cpp's GGUF form, which its own tools read and write (tools/imatrix)."""

import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from app.core.errors import BadHeaderError, BadMatrixError, TruncatedModelError
from app.core.lab import CHUNK
from app.models.gguf import MAGIC, read_header

ALIGNMENT = 32
_U32, _STRING, _ARRAY, _F32 = 4, 8, 9, 0
SUMS, COUNTS = ".in_sum2", ".counts"


class Matrix(Struct, frozen=True):
    """``sums`` (rows, columns) and ``counts`` (rows,) by tensor name; one row, or one for each expert."""

    sums: dict[str, npt.NDArray[np.float32]]
    counts: dict[str, npt.NDArray[np.float32]]
    chunks: int
    datasets: tuple[str, ...] = ()

    def means(self) -> dict[str, npt.NDArray[np.float32]]:
        """What quantizing weighs by: mean squares, 1 where an expert was never reached (tools/quantize)."""
        found = {}
        for name, sums in self.sums.items():
            counts = self.counts[name][:, None]
            found[name] = np.where(counts > 0, sums / np.maximum(counts, 1), 1).astype(np.float32).ravel()
        return found


def from_collected(path: Path, dataset: str) -> Matrix:
    """What the lab's process collected (.npz, see ``runtime.llama_matrix.Sums``)."""
    with np.load(path) as file:
        names = [key.removeprefix("sum:") for key in file.files if key.startswith("sum:")]
        sums = {name: file[f"sum:{name}"].astype(np.float32) for name in names}
        counts = {name: file[f"count:{name}"].astype(np.float32) for name in names}
        return Matrix(sums, counts, int(file["chunks"]), (dataset,))


def is_matrix(path: Path) -> bool:
    """Whether a file is a matrix (GGUF or the older form), not a text to compute one from."""
    with path.open("rb") as file:
        start = file.read(4)
    return start == MAGIC or (path.suffix.lower() in (".dat", ".imatrix") and b"\0" in start)


def read(path: Path) -> Matrix:
    """A matrix, ours or llama-imatrix's, GGUF or the older form. Raises BadMatrixError, OSError."""
    with path.open("rb") as file:
        if file.read(4) != MAGIC:
            file.seek(0)
            return _read_older(file, path.name)
    try:
        header = read_header(path)
    except (BadHeaderError, TruncatedModelError) as error:
        raise BadMatrixError(path=path.name, detail="it is no importance matrix, or cut short") from error
    if header.metadata.get("general.type") != "imatrix":
        raise BadMatrixError(path=path.name, detail="it is no importance matrix")
    arrays: dict[str, npt.NDArray[np.float32]] = {}
    with path.open("rb") as file:
        for tensor in header.tensors:
            file.seek(header.data_offset + tensor.offset)
            data = np.frombuffer(file.read(tensor.bytes), np.float32)
            arrays[tensor.name] = data.reshape(tuple(tensor.shape)[::-1])
    sums = {name.removesuffix(SUMS): array for name, array in arrays.items() if name.endswith(SUMS)}
    counts = {name: arrays[name + COUNTS].reshape(-1) for name in sums if name + COUNTS in arrays}
    if not sums or sums.keys() != counts.keys():
        raise BadMatrixError(path=path.name, detail="sums and counts don't belong together")
    chunks, said = header.metadata.get("imatrix.chunk_count", 0), header.metadata.get("imatrix.datasets", ())
    return Matrix(sums, counts, int(str(chunks)), tuple(map(str, said)) if isinstance(said, tuple) else ())


def _read_older(file: BinaryIO, name: str) -> Matrix:
    """llama-imatrix's form before GGUF (``--output-format dat``): for each tensor its calls and its sums, experts in
    one row; then the chunks and the text's name."""
    sums: dict[str, npt.NDArray[np.float32]] = {}
    counts: dict[str, npt.NDArray[np.float32]] = {}
    try:
        for _ in range(_number(file, 1 << 20)):
            tensor = file.read(_number(file, 1 << 10)).decode()
            calls = max(1, _number(file, 1 << 30))
            data = file.read(4 * (length := _number(file, 1 << 30)))
            sums[tensor] = np.frombuffer(data, np.float32).reshape(1, length)
            counts[tensor] = np.array([calls], np.float32)
        chunks = _number(file, 1 << 30)
        dataset = file.read(_number(file, 1 << 16)).decode("utf-8", "replace")
    except (struct.error, ValueError) as error:
        raise BadMatrixError(path=name, detail="it is no importance matrix, or cut short") from error
    return Matrix(sums, counts, chunks, (dataset,))


def _number(file: BinaryIO, most: int) -> int:
    (value,) = struct.unpack("<i", file.read(4))
    if not 0 <= value <= most:
        raise ValueError(value)
    return int(value)


def write(matrix: Matrix, path: Path) -> None:
    """Write GGUF version 3, whole or not at all."""
    part = path.with_name(path.name + ".part")
    arrays: list[tuple[str, tuple[int, ...], Any]] = []
    for name in sorted(matrix.sums):
        sums = matrix.sums[name]
        arrays.append((name + SUMS, (sums.shape[1], sums.shape[0]), sums))
        arrays.append((name + COUNTS, (1, sums.shape[0]), matrix.counts[name]))
    with part.open("wb") as file:
        _write_head(file, matrix, arrays)
        for _name, _shape, array in arrays:
            _pad(file)
            file.write(np.ascontiguousarray(array, np.float32).data)
        _pad(file)
    part.replace(path)


def _write_head(file: BinaryIO, matrix: Matrix, arrays: list[tuple[str, tuple[int, ...], Any]]) -> None:
    file.write(struct.pack("<4sIQQ", b"GGUF", 3, len(arrays), 4))
    file.write(_text("general.type") + struct.pack("<I", _STRING) + _text("imatrix"))
    file.write(_text("imatrix.datasets") + struct.pack("<IIQ", _ARRAY, _STRING, len(matrix.datasets)))
    file.write(b"".join(map(_text, matrix.datasets)))
    file.write(_text("imatrix.chunk_count") + struct.pack("<II", _U32, matrix.chunks))
    file.write(_text("imatrix.chunk_size") + struct.pack("<II", _U32, CHUNK))
    offset = 0
    for name, shape, array in arrays:
        file.write(
            _text(name)
            + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
            + struct.pack("<IQ", _F32, offset)
        )
        offset += -(-4 * array.size // ALIGNMENT) * ALIGNMENT


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _pad(file: BinaryIO) -> None:
    file.write(b"\0" * (-file.tell() % ALIGNMENT))
