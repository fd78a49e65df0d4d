"""Making quants: one job at a time for a file, and the recipe kept beside the result, to make the same bytes again."""

import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct, structs

from app.core.errors import (
    ForeignMatrixError,
    LabRefusedError,
    NoRecipeMatrixError,
    RecipeBytesError,
    RecipeMatrixError,
    RecipeSourceError,
    TargetTakenError,
)
from app.core.lab import LabDone, LabProgress, MatrixJob, QuantizeJob
from app.models.gguf import read_header
from app.models.quants import parse_quant, split_prefix
from app.models.summary import summarize
from app.models.transfer_sidecar import FileLock
from app.optimize import matrix_file
from app.optimize.process import CPU, Devices, run_job
from app.optimize.recipes import Recipe, recipe_path, sha256_of
from app.optimize.sizes import bits_of, refuse_layers, refuse_patterns
from app.runtime.kvstore import fingerprint

Tell = Callable[[LabProgress], None]
BEST_SOURCES = ("F32", "F16", "BF16", "Q8_0")


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
    """Quantize. Raises LabRefusedError (a type that needs a matrix, a file another job writes), DiskFullError,
    QuantizeFailedError, LabStoppedError, LabCancelledError, and ModelErrors of a source that is no GGUF or cut short.
    Nothing half is left."""
    with _alone(Path(job.target)), tempfile.TemporaryDirectory() as work, ThreadPoolExecutor(1) as pool:
        _refuse(job)
        source = pool.submit(sha256_of, Path(job.source))  # meanwhile: it reads what is read anyway
        given = job if matrix is None else _with_matrix(job, matrix, Path(work))
        done = run_job(given, tell, cancel)
        recipe = _recipe(job, matrix, engine, done, source.result())
    target = Path(job.target)
    recipe_path(target).write_bytes(msgspec.json.format(msgspec.json.encode(recipe)))
    bits = bits_of(read_header(target).tensors)
    return Made(str(target), target.stat().st_size, bits, tuple(done.notes), recipe)


def repeat(
    recipe: Recipe,
    source: Path,
    target: Path,
    *,
    engine: str,
    matrix: Path | None = None,
    tell: Tell = lambda _progress: None,
    cancel: threading.Event | None = None,
) -> Made:
    """Make a quant again from its recipe; the bytes are the same. Raises RecipeSourceError and RecipeMatrixError when
    they are others, RecipeBytesError when another llama.cpp made other bytes of them (they are removed); and what
    ``make`` raises."""
    if sha256_of(source) != recipe.source_sha256:
        raise RecipeSourceError(file=source.name, name=recipe.source)
    if matrix is None and recipe.matrix_sha256:
        raise NoRecipeMatrixError(name=recipe.matrix or "-")
    given = sha256_of(matrix) if matrix is not None else ""
    if given != recipe.matrix_sha256:
        raise RecipeMatrixError(file=matrix.name if matrix else "-", name=recipe.matrix or "-")
    job = QuantizeJob(
        source=str(source), target=str(target), type=recipe.type, overrides=recipe.overrides,
        embedding=recipe.embedding, output=recipe.output, pure=recipe.pure, prune=recipe.prune, requantize=True,
        matrix_name=recipe.matrix,
    )  # fmt: skip
    made = make(job, engine=engine, matrix=matrix, tell=tell, cancel=cancel)
    if made.recipe.result_sha256 != recipe.result_sha256:
        target.unlink()
        recipe_path(target).unlink()
        theirs, ours = f"{recipe.engine} ({recipe.commit})", f"{engine} ({made.recipe.commit})"
        raise RecipeBytesError(file=target.name, theirs=theirs, ours=ours)
    return made


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """One job at a time for a file. A folder that was made for nothing goes again."""
    made = not target.parent.exists()
    target.parent.mkdir(parents=True, exist_ok=True)
    path = target.with_name(f".{target.name}.lock")
    lock = FileLock(path)
    if not lock.held:
        raise TargetTakenError(file=target.name)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()
        if made:
            with suppress(OSError):  # not empty: the result is there
                target.parent.rmdir()


def _refuse(job: QuantizeJob) -> None:
    if Path(job.target).resolve() == Path(job.source).resolve():
        raise LabRefusedError(detail="the result would replace its own source")
    refuse_patterns(job)
    refuse_layers(job)


def _recipe(job: QuantizeJob, matrix: Path | None, engine: str, done: LabDone, source: str) -> Recipe:
    return Recipe(
        source=Path(job.source).name, source_sha256=source, type=job.type, overrides=job.overrides,
        embedding=job.embedding, output=job.output, pure=job.pure, prune=job.prune,
        matrix=(job.matrix_name or matrix.name) if matrix else "",
        matrix_sha256=sha256_of(matrix) if matrix else "", engine=engine, commit=done.facts.get("commit", ""),
        result_sha256=sha256_of(Path(job.target)),
    )  # fmt: skip


def _refuse_foreign(matrix: matrix_file.Matrix, name: str, source: str) -> None:
    """llama.cpp would find out after half the work."""
    shapes = {tensor.name: tensor.shape for tensor in read_header(Path(source)).tensors}
    known = {tensor: sums for tensor, sums in matrix.sums.items() if tensor in shapes}
    wrong = [tensor for tensor, sums in known.items() if sums.size % shapes[tensor][0]]
    if not known or wrong:
        raise ForeignMatrixError(matrix=name, model=Path(source).name)


def _with_matrix(job: QuantizeJob, path: Path, work: Path) -> QuantizeJob:
    matrix = matrix_file.read(path)
    _refuse_foreign(matrix, path.name, job.source)
    np.savez(work / "means.npz", **matrix.means())  # type: ignore[arg-type]
    return structs.replace(
        job,
        matrix=str(work / "means.npz"),
        matrix_name=job.matrix_name or path.name,
        matrix_chunks=matrix.chunks,
    )


def make_matrix(
    model: Path,
    text: Path,
    target: Path,
    *,
    chunks: int = 0,
    threads: int = 0,
    on: Devices = CPU,
    tell: Tell = lambda _progress: None,
    cancel: threading.Event | None = None,
) -> LabDone:
    """Compute an importance matrix. What a cancelled or killed run had is gone on with when model, text and pieces are
    the same: one that got further than is asked now would count too many. Raises TextTooShortError, LabStoppedError,
    LabCancelledError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{fingerprint(model)[:8]}{fingerprint(text)[:8]}{chunks}.npz")
    job = MatrixJob(
        model=str(model), text=str(text), target=str(part), chunks=chunks, threads=threads, n_gpu_layers=on.layers
    )  # fmt: skip
    done = run_job(job, tell, cancel, on)
    matrix_file.write(matrix_file.from_collected(part, text.name), target)
    part.unlink()
    return done


def types_of(text: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """``PATTERN=TYPE`` pairs. Raises LabRefusedError."""
    pairs = [item.rpartition("=") for item in text]
    if bad := [item for item, (pattern, _, kind) in zip(text, pairs, strict=True) if not pattern or not kind]:
        raise LabRefusedError(detail=f"{bad[0]} is not PATTERN=TYPE, as in ffn_down=Q6_K")
    return tuple((pattern, kind) for pattern, _, kind in pairs)
