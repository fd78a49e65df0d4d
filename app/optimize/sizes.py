"""What a job of the lab will take before it starts: the size by a dry run, memory and disk by counting."""

import re
import shutil
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from app.core.errors import LabRefusedError
from app.core.lab import CHUNK, QuantizeJob, slab_bytes
from app.models.gguf import Header, TensorInfo, read_header
from app.models.summary import summarize
from app.optimize.process import run_job
from app.runtime.kvstore import fingerprint

WRITABLE = (
    "F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q5_1", "Q5_0", "Q4_K_M", "Q4_K_S", "Q4_1", "Q4_0",
    "IQ4_NL", "IQ4_XS", "MXFP4_MOE", "Q3_K_L", "Q3_K_M", "Q3_K_S", "IQ3_M", "IQ3_S", "IQ3_XS", "IQ3_XXS",
    "Q2_K", "Q2_K_S", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "TQ2_0", "TQ1_0", "Q2_0", "Q1_0", "IQ1_M", "IQ1_S",
)  # fmt: skip
"""File types llama.cpp can write, the finest first."""
USUAL = ("F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "IQ4_XS", "Q3_K_M", "IQ3_XXS", "Q2_K", "IQ2_XXS")
"""What is offered first."""
TENSOR_TYPES = (
    "F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K", "Q5_1", "Q5_0", "Q4_K", "Q4_1", "Q4_0", "IQ4_NL", "IQ4_XS", "Q3_K",
    "IQ3_S", "IQ3_XXS", "Q2_K", "IQ2_S", "IQ2_XS", "IQ2_XXS", "TQ2_0", "TQ1_0", "IQ1_M", "IQ1_S", "MXFP4", "NVFP4",
)  # fmt: skip
"""Types a single tensor can be given."""
NEED_MATRIX = frozenset({"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "Q2_K_S", "IQ3_XXS"})
"""Those that llama.cpp refuses, or that are poor, without an importance matrix; a dry run says it for one model."""
AT_ONCE = 2 * CHUNK
LETTERS = 3.6
"""Bytes of text for one token, about."""
_TOP, _SCORED, _ENTRY = 8192, CHUNK // 2, 6


class Sized(Struct, frozen=True):
    """A dry run's answer for one type: bytes of the file, real bits per weight, tensors that must take another type."""

    type: str
    bytes: int
    bits: float
    fallbacks: tuple[str, ...] = ()
    needs_matrix: bool = False


_known: dict[tuple[str, QuantizeJob], Sized] = {}
_lock = threading.Lock()


def dry_run(job: QuantizeJob, cancel: threading.Event | None = None) -> Sized:
    """The size of what ``job`` would write; kept for this source and these options. llama.cpp counts weights alone: the
    vocabulary and the names before them stay as they are in the source. Raises HearthError, LabCancelledError."""
    refuse_patterns(job)
    refuse_layers(job)
    asked = replace(job, dry_run=True, matrix="", matrix_name="", target="dry", requantize=True)
    key = (fingerprint(Path(job.source)), asked)
    with _lock:
        if key in _known:
            return _known[key]
    done = run_job(asked, cancel=cancel)
    figures = done.figures
    sized = Sized(
        job.type, int(figures["quant_bytes"]) + read_header(Path(job.source)).data_offset, _bits(job, figures),
        tuple(done.notes), bool(figures["needs_matrix"]),
    )  # fmt: skip
    with _lock:
        _known[key] = sized
    return sized


def refuse_patterns(job: QuantizeJob) -> None:
    """Refuse what stands for no tensor: it would be passed over without a word. Raises LabRefusedError and what reading
    the source raises."""
    if not job.overrides:
        return
    header = read_header(Path(job.source))
    if header.metadata.get("split.count", 1) != 1:  # the other tensors stand in the other files
        return
    names = [tensor.name for tensor in header.tensors]
    for pattern in (pattern for pattern, _ in job.overrides if "[:" not in pattern):  # [:digit:] is C++ alone
        try:
            found = any(re.search(pattern, name) for name in names)
        except re.error as error:
            raise LabRefusedError(detail=f"{pattern} is no pattern: {error}") from error
        if not found:
            raise LabRefusedError(detail=f"no tensor of {Path(job.source).name} is called like {pattern}")


def refuse_layers(job: QuantizeJob) -> None:
    """Refuse to prune layers that are not there. Raises LabRefusedError and what reading the source raises."""
    if not job.prune:
        return
    count = summarize(read_header(Path(job.source))).block_count or 0
    if wrong := [layer for layer in job.prune if not 0 <= layer < count]:
        raise LabRefusedError(
            detail=f"there is no layer {wrong[0]} to prune: {Path(job.source).name} has {count}"
        )


def _bits(job: QuantizeJob, figures: Mapping[str, float]) -> float:
    """llama.cpp divides by the source's weights, those of pruned layers too."""
    if not job.prune:
        return figures["quant_bits"]
    gone = tuple(f"blk.{layer}." for layer in job.prune)
    tensors = read_header(Path(job.source)).tensors
    left = sum(tensor.elements for tensor in tensors if not tensor.name.startswith(gone))
    return 8 * figures["quant_bytes"] / max(1, left)


def bits_of(tensors: Iterable[TensorInfo]) -> float:
    """Real bits per weight of a file."""
    found = list(tensors)
    return 8 * sum(tensor.bytes for tensor in found) / max(1, sum(tensor.elements for tensor in found))


def free_space(folder: Path) -> int:
    """Free bytes where a folder is or will be."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return shutil.disk_usage(there).free


def short_of(missing: int) -> str:
    """Bytes that a disk lacks, in words: never nothing."""
    return f"{max(1, round(missing / 1e6))} MB"


def quantizing_memory(header: Header) -> int:
    """Bytes: the largest tensor as it is, and the rows of it that are worked on at once: as float32, and quantized at
    worst as large (llama-quant.cpp)."""
    most = slab_bytes(0)
    return max((tensor.bytes + min(8 * tensor.elements, most) for tensor in header.tensors), default=0)


def computing_memory(model: Path, header: Header, *, every: bool) -> int:
    """Bytes: weights, the logits of a batch (half of them when only scored), a cache for 1,024 tokens."""
    summary = summarize(header)
    rows = AT_ONCE if every else AT_ONCE // 2
    width = summary.embedding_length or 0
    heads, kv = summary.head_count or (1,), summary.head_count_kv or summary.head_count or (1,)
    cache = 2 * 2 * AT_ONCE * (summary.block_count or 0) * width * max(kv) // max(1, *heads)
    return model.stat().st_size + rows * (summary.vocab_size or 0) * 4 + cache + AT_ONCE * width * 4 * 8


def computing_memory_far(size: int) -> int:
    """The same for a file that is still to be fetched, of which only the size is known: a usual cache, a large
    vocabulary."""
    return size + (AT_ONCE // 2) * 150_000 * 4 + (128 << 20)


def reference_bytes(header: Header | None, pieces: int) -> int:
    """Bytes of a reference's log-probabilities on disk; at most so many when its header is not known yet."""
    top = min(_TOP, (summarize(header).vocab_size if header else None) or _TOP)
    return pieces * _SCORED * (top * _ENTRY + 8)


def pieces_of(text: Path, chunks: int) -> int:
    """Pieces of 512 tokens in a text, about."""
    whole = max(1, int(text.stat().st_size / LETTERS) // CHUNK)
    return min(whole, chunks) if chunks else whole
