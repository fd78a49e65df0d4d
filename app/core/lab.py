"""What the quantization lab asks of its process, and what it hears back. JSON lines over pipes."""

import os

from msgspec import Struct

from app.core.types import LoadPlan

CHUNK = 512
"""Tokens computed in one piece, as llama-imatrix and llama-perplexity do."""
SLAB = 16 << 20
"""Bytes of a tensor's rows for each thread that quantizes: as they are, as float32 and quantized."""


def slab_bytes(threads: int) -> int:
    """Bytes that quantizing works on at once, with so many threads (0: all). Of a large tensor only so many rows are
    taken apart: what stays in the processor's cache is not fetched twice, and a tensor of 4 GB takes no more memory."""
    return SLAB * max(2, threads or os.cpu_count() or 1)


class QuantizeJob(Struct, frozen=True, tag="quantize", tag_field="job", kw_only=True):
    """Write ``source`` (GGUF) as ``target`` in a file type (``Q4_K_M``). ``matrix`` is an .npz of mean squares by
    tensor name; ``overrides`` are (pattern, tensor type); ``prune`` are layers to leave out; ``threads`` 0: all."""

    source: str
    target: str
    type: str
    matrix: str = ""
    matrix_name: str = ""
    matrix_chunks: int = 0
    overrides: tuple[tuple[str, str], ...] = ()
    embedding: str = ""
    output: str = ""
    pure: bool = False
    requantize: bool = False
    prune: tuple[int, ...] = ()
    threads: int = 0
    dry_run: bool = False


class MatrixJob(Struct, frozen=True, tag="matrix", tag_field="job", kw_only=True):
    """Sum the squares of what enters each matrix multiplication over the tokens of ``text``, into ``target`` (.npz).
    A target that is there is gone on with. ``chunks`` 0 is the whole text."""

    model: str
    text: str
    target: str
    chunks: int = 0
    threads: int = 0
    n_gpu_layers: int = 0
    save_every: int = 32


class ScoreJob(Struct, frozen=True, tag="score", tag_field="job", kw_only=True):
    """Score the tokens of ``text``: perplexity, and with ``write`` the ``top`` log-probabilities of each position for
    later comparisons, or with ``against`` the comparison with such a file (KL divergence and kin)."""

    model: str
    text: str
    write: str = ""
    against: str = ""
    top: int = 8192
    chunks: int = 0
    threads: int = 0
    n_gpu_layers: int = 0
    type_k: str = "f16"
    type_v: str = "f16"
    keep: str = ""
    """Where a comparison is kept as it goes on (.npz); one that is there is gone on with. A reference being written
    (``write`` with ``.part``) is gone on with anyway."""
    keep_every: int = 16
    """Batches of two pieces between two keepings, where they are not slow."""
    ubatch: int = CHUNK
    """Tokens computed at once inside a batch: another number gives the same sums in another order (the noise)."""


class PriceJob(Struct, frozen=True, tag="price", tag_field="job", kw_only=True):
    """Perplexity by position of ``text`` in a context as ``plan`` makes it (length, RoPE, K/V types); ``trained`` is
    the length the model was trained for, 0 to take the file's word. ``threads`` 0: all."""

    plan: LoadPlan
    text: str
    trained: int = 0
    threads: int = 0


LabJob = QuantizeJob | MatrixJob | ScoreJob | PriceJob


def model_of(job: LabJob) -> str:
    """The file that a job is about."""
    if isinstance(job, PriceJob):
        return job.plan.model_path
    return job.source if isinstance(job, QuantizeJob) else job.model


def layers_of(job: LabJob) -> int:
    """How many layers it computes on a device that is not the processor."""
    if isinstance(job, QuantizeJob):
        return 0
    return job.plan.n_gpu_layers if isinstance(job, PriceJob) else job.n_gpu_layers


class LabProgress(Struct, frozen=True, tag="progress"):
    """``done`` of ``total`` tensors or pieces; ``what`` names the tensor. ``crashed``: how the process before this one
    died; the work is done again."""

    done: int
    total: int
    what: str = ""
    crashed: str = ""


class LabDone(Struct, frozen=True, tag="done"):
    """The job's figures (see each job's module); ``facts`` are words (``commit``: llama.cpp's)."""

    figures: dict[str, float]
    notes: list[str] = []
    facts: dict[str, str] = {}


class LabFailed(Struct, frozen=True, tag="failed"):
    """Why it ended; a ``HearthError`` code with its parameters."""

    code: str
    message: str
    params: dict[str, str | int | float]


LabEvent = LabProgress | LabDone | LabFailed
