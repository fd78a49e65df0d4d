"""Making quants: the size known before, the space checked, the recipe kept beside the result."""

import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct, structs

from app.core.errors import BadRequestError, DiskFullError
from app.core.lab import LabDone, LabProgress, MatrixJob, QuantizeJob
from app.models.gguf import MAGIC, read_header
from app.models.quants import parse_quant, split_prefix
from app.models.summary import summarize
from app.optimize import matrix_file
from app.optimize.process import run_job
from app.optimize.sizes import Sized, dry_run
from app.runtime.kvstore import fingerprint

Tell = Callable[[LabProgress], None]
BEST_SOURCES = ("F32", "F16", "BF16", "Q8_0")
ROOM = 64 << 20
"""Bytes that stay free beside a result."""


class Recipe(Struct, frozen=True):
    """All that decides a quant's bytes. ``source`` and ``matrix`` are names, the others their fingerprints."""

    source: str
    source_print: str
    type: str
    overrides: tuple[tuple[str, str], ...] = ()
    embedding: str = ""
    output: str = ""
    pure: bool = False
    prune: tuple[int, ...] = ()
    matrix: str = ""
    matrix_print: str = ""
    engine: str = ""


class Made(Struct, frozen=True):
    """A finished quant: real bits per weight, and the tensors that had to take another type."""

    path: str
    bytes: int
    bits: float
    fallbacks: tuple[str, ...]
    recipe: Recipe


def target_for(folder: Path, source: Path, kind: str) -> Path:
    """``folder/Name-Q4_K_M/Name-Q4_K_M.gguf`` for a source named ``Name.F16.gguf`` or ``Name-F16.gguf``."""
    stem = split_prefix(source.name)
    stem = stem.removesuffix(".gguf")
    quant = parse_quant(source.name)
    if quant and stem.upper().endswith(quant.upper()):
        stem = stem[: -len(quant)].rstrip("-._") or "model"
    name = f"{stem}-{kind.upper()}"
    return folder / name / f"{name}.gguf"


def quality_warning(source: Path) -> str:
    """Why this source is a poor one; empty when it is a good one."""
    quant = summarize(read_header(source)).quant
    if quant in BEST_SOURCES:
        return ""
    return f"{source.name} is {quant}: what it lost is lost. Quantize from F16, BF16 or Q8_0 when you can get it."


def make(
    job: QuantizeJob,
    *,
    engine: str,
    matrix: Path | None = None,
    tell: Tell = lambda _progress: None,
    cancel: threading.Event | None = None,
) -> Made:
    """Quantize. Raises BadRequestError (a type that needs a matrix), DiskFullError, QuantizeFailedError,
    LabCancelledError."""
    target = Path(job.target)
    if target.resolve() == Path(job.source).resolve():
        raise BadRequestError(detail="the result would replace its own source")
    with tempfile.TemporaryDirectory() as work:
        if matrix is not None:
            job = _with_matrix(job, matrix, Path(work))
        _check(job, dry_run(job, cancel))
        target.parent.mkdir(parents=True, exist_ok=True)
        done = run_job(job, tell, cancel)
    recipe = recipe_of(job, matrix, engine)
    target.with_suffix(".recipe.json").write_bytes(msgspec.json.format(msgspec.json.encode(recipe)))
    size = target.stat().st_size
    return Made(str(target), size, done.figures["quant_bits"], tuple(done.notes), recipe)


def recipe_of(job: QuantizeJob, matrix: Path | None, engine: str) -> Recipe:
    """The recipe of a job with this matrix and llama.cpp version."""
    return Recipe(
        Path(job.source).name, fingerprint(Path(job.source)), job.type, job.overrides, job.embedding, job.output,
        job.pure, job.prune, matrix.name if matrix else "", fingerprint(matrix) if matrix else "", engine,
    )  # fmt: skip


def _with_matrix(job: QuantizeJob, path: Path, work: Path) -> QuantizeJob:
    matrix = matrix_file.read(path)
    np.savez(work / "means.npz", **matrix.means())  # type: ignore[arg-type]
    return structs.replace(
        job, matrix=str(work / "means.npz"), matrix_name=path.name, matrix_chunks=matrix.chunks
    )


def _check(job: QuantizeJob, dry: Sized) -> None:
    if dry.needs_matrix and not job.matrix:
        raise BadRequestError(
            detail=f"{job.type} needs an importance matrix: give a text or a matrix file with --imatrix"
        )
    folder = next(parent for parent in Path(job.target).parents if parent.exists())
    missing = dry.bytes + ROOM - shutil.disk_usage(folder).free
    if missing > 0:
        raise DiskFullError(path=str(folder), missing=f"{missing / 1e6:.0f} MB")


def is_matrix(path: Path) -> bool:
    """Whether a file is a GGUF (a finished matrix), not a text to compute one from."""
    with path.open("rb") as file:
        return file.read(4) == MAGIC


def make_matrix(
    model: Path,
    text: Path,
    target: Path,
    *,
    chunks: int = 0,
    threads: int = 0,
    n_gpu_layers: int = 0,
    tell: Tell = lambda _progress: None,
    cancel: threading.Event | None = None,
) -> LabDone:
    """Compute an importance matrix. What a cancelled or killed run had is gone on with when model and text are the
    same. Raises TextTooShortError, LabStoppedError, LabCancelledError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{fingerprint(model)[:8]}{fingerprint(text)[:8]}.npz")
    job = MatrixJob(
        model=str(model), text=str(text), target=str(part), chunks=chunks, threads=threads, n_gpu_layers=n_gpu_layers
    )  # fmt: skip
    done = run_job(job, tell, cancel)
    matrix_file.write(matrix_file.from_collected(part, text.name), target)
    part.unlink()
    return done


def types_of(text: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """``PATTERN=TYPE`` pairs. Raises BadRequestError."""
    pairs = [item.rpartition("=") for item in text]
    if bad := [item for item, (pattern, _, kind) in zip(text, pairs, strict=True) if not pattern or not kind]:
        raise BadRequestError(detail=f"{bad[0]} is not PATTERN=TYPE, as in ffn_down=Q6_K")
    return tuple((pattern, kind) for pattern, _, kind in pairs)
