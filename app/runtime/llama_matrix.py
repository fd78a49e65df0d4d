"""Importance matrices: the squares of what enters each matrix multiplication, summed over a text's tokens.

llama.cpp calls back for every node of its graph. A dense multiplication has one count; experts (``MUL_MAT_ID``) have
a row and a count each, by what the router chose.
"""

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from app.core.errors import LabRefusedError
from app.core.lab import LabDone, LabProgress, MatrixJob
from app.runtime.llama import ggml, lib
from app.runtime.llama_pieces import Due, Pieces

LEAST_ROWS = 16
"""Multiplications with fewer rows are no prompt's (llama-imatrix leaves them out as well)."""
_F32 = 0  # ggml.h, GGML_TYPE_F32

Floats = npt.NDArray[np.float32]


class Tensor(ctypes.Structure):
    """``ggml_tensor`` (ggml.h), as far as it is read here."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("buffer", ctypes.c_void_p),
        ("ne", ctypes.c_int64 * 4),
        ("nb", ctypes.c_size_t * 4),
        ("op", ctypes.c_int),
        ("op_params", ctypes.c_int32 * 16),
        ("flags", ctypes.c_int32),
        ("src", ctypes.c_void_p * 10),
        ("view_src", ctypes.c_void_p),
        ("view_offs", ctypes.c_size_t),
        ("data", ctypes.c_void_p),
        ("name", ctypes.c_char * 64),
    ]


class Sums:
    """What was collected: per tensor name the sums (float64: rows x columns) and counts (rows)."""

    def __init__(self) -> None:
        self.sums: dict[str, npt.NDArray[np.float64]] = {}
        self.counts: dict[str, npt.NDArray[np.float64]] = {}
        self.chunks = 0

    @classmethod
    def read(cls, path: Path) -> "Sums":
        """What ``write`` kept. Raises OSError, ValueError, KeyError."""
        made = cls()
        with np.load(path) as file:
            for key in file.files:
                kind, _, name = key.partition(":")
                if kind != "chunks":
                    {"sum": made.sums, "count": made.counts}[kind][name] = file[key]
            made.chunks = int(file["chunks"])
        return made

    def write(self, path: Path) -> None:
        """Keep everything, whole or not at all."""
        arrays: dict[str, Any] = {f"sum:{name}": values for name, values in self.sums.items()}
        arrays |= {f"count:{name}": values for name, values in self.counts.items()}
        part = path.with_name(path.name + ".part")
        try:
            with part.open("wb") as file:
                np.savez(file, chunks=np.array(self.chunks), **arrays)
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def rows(self, name: str, rows: int, columns: int) -> tuple[Any, Any]:
        """The sums and counts of a tensor, zeros the first time."""
        if name not in self.sums:
            self.sums[name], self.counts[name] = np.zeros((rows, columns)), np.zeros(rows)
        return self.sums[name], self.counts[name]


class Collector:
    """The callback. An exception in it is kept for ``check``: it must not pass through C."""

    def __init__(self, sums: Sums) -> None:
        self.sums = sums
        self._error: Exception | None = None
        self._plain_op, self._expert_op = _operations("MUL_MAT", "MUL_MAT_ID")
        self.callback = lib.ggml_backend_sched_eval_callback(self._seen)

    def check(self) -> None:
        """Raise what went wrong inside the callback."""
        if self._error is not None:
            raise self._error

    def _seen(self, address: int, ask: bool, _user: object) -> bool:
        node = Tensor.from_address(address)
        if node.op not in {self._plain_op, self._expert_op}:
            return not ask
        try:
            weights, source = Tensor.from_address(node.src[0]), Tensor.from_address(node.src[1])
            if ask:
                return node.op == self._expert_op or _wanted(weights, source)
            self._collect(node, weights, source)
        except Exception as error:  # noqa: BLE001 - see the class
            self._error = self._error or error
        return self._error is None

    def _collect(self, node: Tensor, weights: Tensor, source: Tensor) -> None:
        values = _array(source, np.float32)
        name = _plain(weights.name)
        if node.op == self._expert_op:
            self._experts(name, weights, values[0], _array(Tensor.from_address(node.src[2]), np.int32)[0, 0])
            return
        sums, counts = self.sums.rows(name, 1, source.ne[0])
        flat = values.reshape(-1, source.ne[0])
        sums[0] += np.einsum("ij,ij->j", flat, flat)
        counts[0] += len(flat)

    def _experts(self, name: str, weights: Tensor, values: Floats, chosen: npt.NDArray[np.int32]) -> None:
        """``values`` (tokens, experts used or 1, columns), ``chosen`` (tokens, experts used)."""
        sums, counts = self.sums.rows(name, weights.ne[2], values.shape[-1])
        shared = values.shape[1] == 1
        for expert in np.unique(chosen):
            tokens, places = np.nonzero(chosen == expert)
            rows = values[tokens, 0 if shared else places]
            sums[expert] += np.einsum("ij,ij->j", rows, rows)
            counts[expert] += len(rows)


def collect(job: MatrixJob, tell: Callable[[LabProgress], None]) -> LabDone:
    """Compute the job's matrix; what an earlier run kept is gone on with."""
    target = Path(job.target)
    sums = Sums.read(target) if target.exists() else Sums()
    collector = Collector(sums)
    pieces = Pieces(
        job.model, job.text, threads=job.threads, layers=job.n_gpu_layers, chunks=job.chunks, every=True,
        callback=collector.callback,
    )  # fmt: skip
    due = Due(job.save_every)
    try:
        for done in pieces.run(sums.chunks):
            collector.check()
            sums.chunks = done.stop
            tell(LabProgress(done.stop, pieces.count))
            due(lambda: sums.write(target))
    finally:
        pieces.close()
    _refuse_nonsense(sums)
    sums.write(target)
    return LabDone(
        {"chunks": sums.chunks, "tensors": len(sums.sums), "tokens": len(pieces.tokens)}, _untouched(sums)
    )


def _refuse_nonsense(sums: Sums) -> None:
    for name, values in sums.sums.items():
        if not np.isfinite(values).all():
            raise LabRefusedError(
                detail=f"the activations of {name} are not finite: the model is broken here"
            )


def _untouched(sums: Sums) -> list[str]:
    """Expert tensors that the text never reached in part."""
    missing = {name: int((counts == 0).sum()) for name, counts in sums.counts.items()}
    return [f"{name}: {count} experts without data" for name, count in sorted(missing.items()) if count]


def _operations(*wanted: str) -> list[int]:
    """The numbers of ggml's operations, by name: they move from version to version."""
    found: dict[str, int] = {}
    while not found.keys() >= set(wanted):
        number = len(found)
        found[ggml("ggml_op_name")(number).decode()] = number
    return [found[name] for name in wanted]


def _wanted(weights: Tensor, source: Tensor) -> bool:
    named = _plain(weights.name).startswith("blk.")
    return named and source.ne[1] >= LEAST_ROWS and source.type == _F32


def _plain(name: bytes) -> str:
    """``CUDA0#blk.0.attn_k.weight#0`` -> ``blk.0.attn_k.weight``."""
    parts = name.decode().split("#")
    return parts[1] if len(parts) > 1 else parts[0]


def _array(tensor: Tensor, kind: Any) -> Any:
    """A tensor's values with ggml's dimensions reversed (the first one last): a view, or a copy from a device."""
    size = sum((n - 1) * step for n, step in zip(tensor.ne, tensor.nb, strict=True)) + np.dtype(kind).itemsize
    if ggml("ggml_backend_buffer_is_host")(tensor.buffer):
        memory: Any = (ctypes.c_uint8 * size).from_address(tensor.data)
    else:
        memory = (ctypes.c_uint8 * size)()
        ggml("ggml_backend_tensor_get")(ctypes.addressof(tensor), ctypes.addressof(memory), 0, size)
    return np.ndarray(tuple(tensor.ne)[::-1], kind, buffer=memory, strides=tuple(tensor.nb)[::-1])
