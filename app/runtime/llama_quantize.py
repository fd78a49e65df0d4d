"""Quantizing through llama.cpp's own function, with every option it has (llama.h, llama_model_quantize_params)."""

import ctypes
import math
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from app.core.errors import LabDiskFullError, NeedsMatrixError, QuantizeFailedError, UnknownTypeError
from app.core.lab import LabDone, LabProgress, QuantizeJob, slab_bytes
from app.runtime.llama import fast, lib
from app.runtime.llama_packs import engine_commit

FILE_TYPES: dict[str, int] = {
    name.removeprefix("LLAMA_FTYPE_").removeprefix("MOSTLY_").removeprefix("ALL_"): value
    for name, value in vars(lib).items()
    if name.startswith("LLAMA_FTYPE_") and isinstance(value, int) and name != "LLAMA_FTYPE_GUESSED"
}
FILE_TYPES.pop("NVFP4", None)  # a single tensor's type, which llama-quant.cpp does not know for a whole file
_NOT_WEIGHTS = {"COUNT", "I8", "I16", "I32", "I64", "F64", "Q8_1", "Q8_K"}
"""ggml types that nothing is quantized to: llama.cpp aborts when asked."""
TENSOR_TYPES: dict[str, int] = {
    name.removeprefix("GGML_TYPE_"): value
    for name, value in vars(lib).items()
    if name.startswith("GGML_TYPE_") and name.removeprefix("GGML_TYPE_") not in _NOT_WEIGHTS
} | {"BF16": 30, "TQ1_0": 34, "TQ2_0": 35}  # which the binding leaves out (ggml.h)
_HUNGRY = ("IQ1", "IQ2", "IQ3_XXS")  # llama-quant.cpp, tensor_requires_imatrix
_INT, _STR = 0, 3  # llama.h, llama_model_kv_override_type
_STEP = re.compile(r"^\[\s*(\d+)/\s*(\d+)\]\s+(\S+)")
_SIZE = re.compile(r"(model|quant) size\s*=\s*([\d.]+) MiB \(([\d.]+) BPW\)")
_FALLBACK = re.compile(r"warning: (\S+)\s+- ncols.*type\s+(\w+)\).*-> falling back to\s+(\w+)")
_SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf$")

EVERY = 0.02
"""Seconds between two reports."""
ROOM = 64 << 20
"""Bytes that stay free beside a result."""
_quantize = fast("llama_model_quantize", ctypes.c_uint32, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)


def quantize(job: QuantizeJob, lines: "Lines", tell: Callable[[LabProgress], None]) -> LabDone:
    """Run the job: where room may lack first dry, to know the size, then for good; the target is renamed last. Raises
    NeedsMatrixError, UnknownTypeError, LabDiskFullError, QuantizeFailedError."""
    params, alive = _params(job)
    if job.dry_run:
        return _run(job, lines, params, dry=True)
    if (room := _room(job)) < _most(job):
        _refuse(job, _run(job, lines, params, dry=True), room)
    lines.on_line = _Reporter(tell).line
    done = _run(job, lines, params, dry=False)
    del alive
    Path(job.target + ".part").replace(job.target)
    return done


def _run(job: QuantizeJob, lines: "Lines", params: Any, *, dry: bool) -> LabDone:
    lines.clear()
    params.dry_run = dry
    part = Path(job.target + ".part")
    if _quantize(job.source.encode(), str(part).encode(), ctypes.byref(params)):
        missing = part.stat().st_size if part.exists() else 0
        part.unlink(missing_ok=True)
        _say_why(job, lines.reason(), missing)
    return LabDone(_figures(lines.text()), _fallbacks(lines.text()), {"commit": commit()})


def _say_why(job: QuantizeJob, reason: str, written: int) -> NoReturn:
    if "requires an imatrix" in reason:  # found before anything is written
        raise NeedsMatrixError(type=_hungry(job))
    if "iostream" in reason or "basic_ios" in reason:  # the C++ library's words for a write that failed
        reason = (
            f"its result could not be written after {written / 1e6:.0f} MB: the disk, or a limit, is full"
        )
    raise QuantizeFailedError(model=Path(job.source).name, detail=reason)


def _hungry(job: QuantizeJob) -> str:
    """The type that can't do without a matrix: a single tensor's, if one was given such a type."""
    kinds = [*(kind for _, kind in job.overrides), job.embedding, job.output]
    return next((kind.upper() for kind in kinds if kind.upper().startswith(_HUNGRY)), job.type)


def _room(job: QuantizeJob) -> int:
    return shutil.disk_usage(_folder(job)).free - ROOM


def _folder(job: QuantizeJob) -> Path:
    return next(parent for parent in Path(job.target).absolute().parents if parent.exists())


def _most(job: QuantizeJob) -> float:
    """Bytes that no result exceeds: every weight as F32, though it may have had a bit. Unknown for a split source."""
    path = Path(job.source)
    return math.inf if _SPLIT.search(path.name) or not path.exists() else 32 * path.stat().st_size


def _refuse(job: QuantizeJob, dry: LabDone, room: int) -> None:
    if dry.figures["needs_matrix"] and not job.matrix:
        raise NeedsMatrixError(type=_hungry(job))
    if (missing := int(dry.figures["quant_bytes"]) - room) > 0:
        raise LabDiskFullError(path=str(_folder(job)), missing=f"{max(1, round(missing / 1e6))} MB")


def commit() -> str:
    """The llama.cpp commit of this engine."""
    return engine_commit(lib._lib)


class Lines:
    """llama.cpp's log: the beginning of each tensor's line to ``on_line``, all of it kept."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.on_line: Callable[[bytes], None] = lambda _line: None
        self._callback = lib.llama_log_callback(self._take)
        lib.llama_log_set(self._callback, ctypes.c_void_p(0))

    def _take(self, _level: int, text: bytes, _user: object) -> None:
        # A thousand times for a small model: nothing is taken apart here that is not a tensor's beginning.
        self._parts.append(text)
        if text.startswith(b"["):
            self.on_line(text)

    def clear(self) -> None:
        """Forget what was said so far."""
        self._parts.clear()

    def text(self) -> str:
        """All that was said."""
        return b"".join(self._parts).decode("utf-8", "replace")

    def reason(self) -> str:
        """The line that says why it failed."""
        lines = [
            line
            for line in self.text().splitlines()
            if "failed to quantize" in line or "error" in line.lower()
        ]
        return lines[-1].split("failed to quantize: ")[-1].strip() if lines else "llama.cpp gave no reason"


class _Reporter:
    """Tells which tensor is being quantized, at most so often that a reader can follow (small ones take 3 ms each)."""

    def __init__(self, tell: Callable[[LabProgress], None]) -> None:
        self._tell, self._next = tell, 0.0

    def line(self, line: bytes) -> None:
        """A line of the log that may be a tensor's."""
        now = time.monotonic()
        if now >= self._next and (found := _STEP.match(line.decode("utf-8", "replace"))):
            self._next = now + EVERY
            self._tell(LabProgress(int(found[1]), int(found[2]), found[3]))


def _figures(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for kind, size, bits in _SIZE.findall(text):
        found |= {f"{kind}_bytes": float(size) * 1024 * 1024, f"{kind}_bits": float(bits)}
    found["needs_matrix"] = float("will require an imatrix" in text)
    return found


def _fallbacks(text: str) -> list[str]:
    return [f"{name}: {wanted} -> {got}" for name, wanted, got in _FALLBACK.findall(text)]


def _params(job: QuantizeJob) -> tuple[Any, list[Any]]:
    params, alive = lib.llama_model_quantize_default_params(), list[Any]()
    params.ftype = _known(FILE_TYPES, job.type)
    params.nthread, params.max_buf_size = job.threads, slab_bytes(job.threads)
    params.allow_requantize, params.pure = job.requantize, job.pure
    if job.embedding:
        params.token_embedding_type = _known(TENSOR_TYPES, job.embedding)
    if job.output:
        params.output_tensor_type = _known(TENSOR_TYPES, job.output)
    if job.overrides:
        pairs = [(pattern.encode(), _known(TENSOR_TYPES, kind)) for pattern, kind in job.overrides]
        params.tt_overrides = _array(lib.llama_model_tensor_override, [*pairs, (None, 0)], alive)
    if job.prune:
        params.prune_layers = _array(ctypes.c_int32, [*sorted(job.prune), -1], alive)
    if job.matrix:
        _add_matrix(params, job, alive)
    return params, alive


def _array(kind: Any, items: list[Any], alive: list[Any]) -> Any:
    made = (kind * len(items))(*items)
    alive.append(made)
    return ctypes.cast(made, ctypes.POINTER(kind))


def _known(table: dict[str, int], name: str) -> int:
    if name.upper() not in table:
        raise UnknownTypeError(type=name, known=", ".join(sorted(table)))
    return table[name.upper()]


def _add_matrix(params: Any, job: QuantizeJob, alive: list[Any]) -> None:
    import numpy as np  # noqa: PLC0415 - only with a matrix

    with np.load(job.matrix) as file:
        means = {name: np.ascontiguousarray(file[name], np.float32) for name in file.files}
    alive.append(means)
    floats = ctypes.POINTER(ctypes.c_float)
    entries = [(name.encode(), values.ctypes.data_as(floats), values.size) for name, values in means.items()]
    params.imatrix = _array(lib.llama_model_imatrix_data, [*entries, (None, None, 0)], alive)
    # The same keys that llama-quantize writes, so that its own tools can tell where a file is from.
    said: list[tuple[str, int | str]] = [
        ("file", Path(job.matrix_name).name), ("entries_count", len(means)), ("chunks_count", job.matrix_chunks),
    ]  # fmt: skip
    overrides = [_key(f"quantize.imatrix.{key}", value) for key, value in said if value]
    params.kv_overrides = _array(lib.llama_model_kv_override, [*overrides, _key("", 0)], alive)


def _key(key: str, value: int | str) -> Any:
    made = lib.llama_model_kv_override()
    made.key = key.encode()
    if isinstance(value, str):
        made.tag, made.value.val_str = _STR, value.encode()[:127]
    else:
        made.tag, made.value.val_i64 = _INT, value
    return made
