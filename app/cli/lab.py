"""``hearth quantize``, ``imatrix``, ``measure`` and ``compare``: the quantization lab without its page."""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from app.cli.output import emit, size, table
from app.cli.run import services
from app.compose import Services
from app.core.errors import UsageError
from app.core.lab import LabProgress, QuantizeJob
from app.optimize import quantize as making
from app.optimize.measure import Measured, Measurer, sentence


def quantize(args: Namespace) -> int:
    """Make one or more quants of a model, each with its recipe, and list them in the library."""
    with services(args) as running:
        source = _file(running, args.source)
        if args.output and len(args.types) > 1:
            raise UsageError(detail="-o names one file: give one TYPE with it.")
        if warning := making.quality_warning(source):
            print(f"hearth: {warning}", file=sys.stderr)
        matrix = _matrix(running, args, source) if args.imatrix else None
        made = [_make(running, args, source, kind, matrix) for kind in args.types]
    emit(made, args.json, "\n".join(map(_said, made)))
    return 0


def _make(running: Services, args: Namespace, source: Path, kind: str, matrix: Path | None) -> making.Made:
    folder = running.paths.models / "lab"
    target = Path(args.output).absolute() if args.output else making.target_for(folder, source, kind)
    if target.exists() and not args.force:
        raise UsageError(detail=f"{target} is there already: add --force to write it again.")
    job = QuantizeJob(
        source=str(source), target=str(target), type=kind.upper(), overrides=making.types_of(args.override),
        embedding=args.embedding, output=args.output_type, pure=args.pure, requantize=True,
        prune=tuple(args.prune), threads=args.threads,
    )  # fmt: skip
    show = _Progress(f"{kind.upper()}:", not args.json)
    made = making.make(job, engine=_engine_version(), matrix=matrix, tell=show)
    show.end()
    running.library.adopt([target]) if not args.output else running.library.rescan()
    return made


def _said(made: making.Made) -> str:
    lines = [f"{made.path}: {size(made.bytes)}, {made.bits:.2f} bits per weight"]
    if made.fallbacks:
        lines.append(
            f"  {len(made.fallbacks)} tensors have rows that {made.recipe.type} can't take and fell back, as"
            f" {made.fallbacks[0]}"
        )
    return "\n".join(lines)


def imatrix(args: Namespace) -> int:
    """Compute an importance matrix from a text."""
    with services(args) as running:
        model = _file(running, args.model)
        target = Path(args.output or f"{model.stem}.imatrix.gguf").absolute()
        done = _compute(running, args, model, Path(args.text), target)
    emit({"path": str(target), **done}, args.json, f"{target}: {done['chunks']:.0f} pieces of 512 tokens")
    return 0


def _matrix(running: Services, args: Namespace, model: Path) -> Path:
    given = _existing(args.imatrix)
    if making.is_matrix(given):
        return given
    target = running.paths.data / "lab" / f"{model.stem}.{given.stem}.imatrix.gguf"
    _compute(running, args, model, given, target)
    return target


def _compute(running: Services, args: Namespace, model: Path, text: Path, target: Path) -> dict[str, float]:
    show = _Progress("Matrix:", not args.json)
    done = making.make_matrix(
        model, _existing(text), target, chunks=args.chunks, threads=args.threads, n_gpu_layers=_layers(running),
        tell=show,
    )  # fmt: skip
    show.end()
    return done.figures


def measure(args: Namespace) -> int:
    """Perplexity, and with --against what the model lost."""
    with services(args) as running:
        against = _file(running, args.against) if args.against else None
        found = _measure(running, args, [_file(running, args.model)], against)
    emit(found[0], args.json, "\n".join([_table(found), "", *map(sentence, found)]))
    return 0


def compare(args: Namespace) -> int:
    """Several quants against the first one named (the best one there is)."""
    with services(args) as running:
        reference, *others = [_file(running, name) for name in args.models]
        found = _measure(running, args, others, reference)
    emit(found, args.json, "\n".join([_table(found), "", *map(sentence, found)]))
    return 0


def _measure(
    running: Services, args: Namespace, models: Sequence[Path], reference: Path | None
) -> list[Measured]:
    show = _Progress("", not args.json)
    measurer = Measurer(
        running.paths.cache / "lab", chunks=args.chunks, threads=args.threads, n_gpu_layers=_layers(running),
        kv=(args.kv, args.kv), tell=show.about,
    )  # fmt: skip
    found = [measurer.measure(model, _existing(args.text), reference) for model in models]
    show.end()
    return found


def _table(found: Sequence[Measured]) -> str:
    rows = [
        (one.model, size(one.bytes), _pair(one, "ppl", 3), _pair(one, "kl", 4), _pair(one, "kl_p99", 3),
         _pair(one, "same_top", 3), _pair(one, "rms_change", 4))
        for one in found
    ]  # fmt: skip
    header = ("MODEL", "SIZE", "PERPLEXITY", "KL", "KL 99 %", "SAME TOP", "RMS CHANGE")
    return table(header, rows, frozenset(range(1, 7)))


def _pair(one: Measured, name: str, digits: int) -> str:
    value, error = one.figures.get(name), one.figures.get(f"{name}_error")
    if value is None:
        return "-"
    return f"{value:.{digits}f}" + (f" ±{error:.{digits}f}" if error is not None else "")


class _Progress:
    """A line on a terminal that is written over; nothing elsewhere."""

    def __init__(self, what: str, wanted: bool) -> None:
        self._what, self._shown = what, wanted and sys.stderr.isatty()

    def __call__(self, progress: LabProgress) -> None:
        self.about(self._what, progress)

    def about(self, what: str, progress: LabProgress) -> None:
        """Show it with these words before."""
        if self._shown:
            text = f"{what} {progress.done} of {progress.total} {progress.what}"
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Wipe the line."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _file(running: Services, name: str) -> Path:
    path = Path(name)
    if path.suffix.lower() == ".gguf" and path.exists():
        return path.absolute()
    return Path(running.library.get(name).files[0].path)


def _existing(path: str | Path) -> Path:
    found = Path(path).absolute()
    if not found.is_file():
        raise UsageError(detail=f"There is no file {found}.")
    return found


def _layers(running: Services) -> int:
    """On the processor unless the engine has a device: a matrix is the same on both, only later."""
    return 999 if any(not gpu.software for gpu in running.machine().gpus) else 0


def _engine_version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - 10 ms, lab only

    try:
        return f"llama-cpp-python {version('llama-cpp-python')}"
    except PackageNotFoundError:
        return ""
