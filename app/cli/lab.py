"""``hearth quantize``, ``imatrix``, ``measure``, ``compare`` and ``lab``: the quantization lab without its page."""

import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from app.cli.lab_sources import Progress, agree, compared, existing, source_of, text_of
from app.cli.output import emit, size, table
from app.cli.run import services
from app.compose import Services, current
from app.core.errors import UnknownTypeError, UsageError
from app.core.lab import QuantizeJob
from app.core.types import LoadPlan, ModelRecord
from app.optimize import quantize as making
from app.optimize import recipes, references, wishes
from app.optimize.cards import Measurements
from app.optimize.converter import Converter
from app.optimize.matrix_file import is_matrix
from app.optimize.measure import Measured, Measurer, price_sentence, sentence
from app.optimize.orders import FULL_CACHE, MeasureOrder
from app.optimize.sensitivity import Sensitivity
from app.optimize.sizes import WRITABLE, Sized, dry_run
from app.optimize.work import engine_name, keep_price, matrix_path, point_of

NONE = "none"

# ------------------------------------------------------------------ quantize


def quantize(args: Namespace) -> int:
    """Make one or more quants of a model, each with its recipe, and list them in the library."""
    with services(args) as running:
        if args.recipe:
            return _repeat(running, args)
        if not args.source or bool(args.types) == bool(args.wish):
            raise UsageError(detail="Name a model, and either types as Q4_K_M or a --wish.")
        if args.output and len(args.types) > 1:
            raise UsageError(detail="-o names one file: give one TYPE with it.")
        _refuse_words(running, args)
        source = source_of(running, args.source, quiet=args.json)
        if warning := making.quality_warning(source):
            print(f"hearth: {warning}", file=sys.stderr)
        matrix = _matrix(running, args, source) if args.imatrix else None
        jobs = [_job(running, args, source, kind) for kind in args.types] or [
            _wished(running, args, source, matrix)
        ]
        if args.dry_run:
            sizes = [dry_run(job) for job in jobs]
            emit(sizes, args.json, "\n".join(map(_would, jobs, sizes)))
            return 0
        _refuse_taken(jobs, args)
        made = [_make(running, args, job, matrix) for job in jobs]
    if args.json:
        emit(made, True, "")
    return 0


def _refuse_words(running: Services, args: Namespace) -> None:
    """What can't be right whatever the source is, before it is fetched."""
    if wrong := [kind for kind in args.types if kind.upper() not in WRITABLE]:
        raise UnknownTypeError(type=wrong[0], known=", ".join(sorted(WRITABLE)))
    making.types_of(args.override)
    if args.wish:
        wishes.parse(args.wish)
    if args.imatrix and not Path(args.imatrix).is_file():
        text_of(running, args.imatrix)


def _refuse_taken(jobs: Sequence[QuantizeJob], args: Namespace) -> None:
    """Before the first of several is made."""
    taken = [job.target for job in jobs if Path(job.target).exists()]
    if taken and not args.force:
        raise UsageError(detail=f"{taken[0]} is there already: add --force to write it again.")


def _job(running: Services, args: Namespace, source: Path, kind: str) -> QuantizeJob:
    target = making.target_for(running.paths.models / "lab", source, kind)
    return QuantizeJob(
        source=str(source), target=str(Path(args.output).absolute() if args.output else target), type=kind.upper(),
        overrides=making.types_of(args.override), embedding=args.embedding, output=args.output_type, pure=args.pure,
        requantize=True, prune=tuple(args.prune), threads=args.threads,
    )  # fmt: skip


def _make(running: Services, args: Namespace, job: QuantizeJob, matrix: Path | None) -> making.Made:
    """Make one of the quants, and say so at once: the next one may fail."""
    target = Path(job.target)
    show = Progress(f"{job.type}:", not args.json)
    made = making.make(job, engine=engine_name(), matrix=matrix, tell=show)
    show.end()
    running.library.adopt([target]) if not args.output else running.library.rescan()
    if not args.json:
        print(_said(made), flush=True)
    return made


def _said(made: making.Made) -> str:
    lines = [f"{made.path}: {size(made.bytes)}, {made.bits:.2f} bits per weight"]
    if made.fallbacks:
        kind = "their type" if made.recipe.overrides else made.recipe.type
        lines.append(
            f"  {_tensors(len(made.fallbacks))} with rows that {kind} can't take got another type, as"
            f" {made.fallbacks[0]}"
        )
    return "\n".join(lines)


def _tensors(count: int) -> str:
    return "1 tensor" if count == 1 else f"{count} tensors"


def _would(job: QuantizeJob, sized: Sized) -> str:
    name = f"{sized.type} with {len(job.overrides)} overrides" if len(job.overrides) > 1 else sized.type
    needs = ", needs an importance matrix" if sized.needs_matrix else ""
    fell = f", {_tensors(len(sized.fallbacks))} in another type" if sized.fallbacks else ""
    return f"{name}: {size(sized.bytes)}, {sized.bits:.2f} bits per weight{fell}{needs}"


def _repeat(running: Services, args: Namespace) -> int:
    recipe = recipes.read_recipe(existing(args.recipe))
    here = recipes.find_ingredients(recipe, running.library.records(), running.paths.data / "lab")
    source = source_of(running, args.source or here.source or Path(recipe.source).stem, quiet=args.json)
    target = Path(
        args.output or making.target_for(running.paths.models / "lab", source, recipe.type)
    ).absolute()
    if target.exists() and not args.force:
        raise UsageError(detail=f"{target} is there already: add --force to write it again, or -o.")
    kept = args.imatrix or here.matrix
    matrix = existing(kept) if kept else None
    show = Progress(f"{recipe.type}:", not args.json)
    made = making.repeat(recipe, source, target, engine=engine_name(), matrix=matrix, tell=show)
    show.end()
    running.library.adopt([target]) if not args.output else running.library.rescan()
    emit(
        made,
        args.json,
        f"{_said(made)}\n  the same bytes as the recipe's: sha256 {made.recipe.result_sha256}",
    )
    return 0


def _wished(running: Services, args: Namespace, source: Path, matrix: Path | None) -> QuantizeJob:
    wish = wishes.parse(args.wish)
    chosen = wishes.plan_wish(
        source, wish, speed=_speed(running, source, wish), has_matrix=matrix is not None,
        sensitivity=_sensitivity(running, args, source, matrix, wish),
    )  # fmt: skip
    print("\n".join(reason.text for reason in chosen.reasons), file=sys.stderr)
    if not (chosen.reached or args.dry_run):
        raise UsageError(
            detail=f"Nothing was made. What comes nearest is made when it is named: {chosen.types[0]}"
        )
    job = _job(running, args, source, chosen.types[0])
    if not chosen.overrides:
        return job
    name = making.target_for(running.paths.models / "lab", source, "MIX").name.removesuffix(".gguf")
    mixed = f"{name}-{chosen.bits:.2f}bpw"
    target = running.paths.models / "lab" / mixed / f"{mixed}.gguf"
    return replace(
        job, overrides=(*job.overrides, *chosen.overrides), target=job.target if args.output else str(target)
    )


def _speed(running: Services, source: Path, wish: wishes.Wish) -> wishes.SpeedOf | None:
    if not isinstance(wish, wishes.AtLeastSpeed):
        return None
    if running.outlook.missing():
        print("hearth: measuring this machine's speed first, under a minute", file=sys.stderr)
        running.outlook.measure()
    if any(rates.disturbed for rates in running.outlook.rates().values()):
        print(
            "hearth: other programs were busy when this machine was measured: hearth estimate --measure does it again",
            file=sys.stderr,
        )
    record = wishes.record_of(source)
    return wishes.speed_here(
        running.outlook, current(running.machine()), record, running.planner.wishes(record.id)
    )


def _sensitivity(
    running: Services, args: Namespace, source: Path, matrix: Path | None, wish: wishes.Wish
) -> Sensitivity | None:
    if not (isinstance(wish, wishes.AtMostLoss) or (args.mix and isinstance(wish, wishes.AtMostBytes))):
        return None
    return Sensitivity(
        source, text_of(running, args.text), running.paths.cache / "lab", matrix=matrix, chunks=args.chunks or 4,
        threads=args.threads, on=running.lab_devices(), tell=Progress("", not args.json).about,
    )  # fmt: skip


# ------------------------------------------------------------------ matrices


def imatrix(args: Namespace) -> int:
    """Compute an importance matrix from a text."""
    with services(args) as running:
        text = text_of(running, args.text)
        model = source_of(running, args.model, quiet=args.json)
        target = Path(args.output or f"{model.stem}.imatrix.gguf").absolute()
        done = _compute(running, args, model, text, target)
    emit({"path": str(target), **done}, args.json, f"{target}: {_pieces(int(done['chunks']))} of 512 tokens")
    return 0


def _pieces(count: int) -> str:
    return "1 piece" if count == 1 else f"{count} pieces"


def _matrix(running: Services, args: Namespace, model: Path) -> Path:
    if Path(args.imatrix).is_file() and is_matrix(Path(args.imatrix)):
        return Path(args.imatrix).absolute()
    text = text_of(running, args.imatrix)
    target = matrix_path(running.paths, model, text, text.stem, args.chunks)
    if not target.exists():
        _compute(running, args, model, text, target)
    return target


def _compute(running: Services, args: Namespace, model: Path, text: Path, target: Path) -> dict[str, float]:
    show = Progress("Matrix:", not args.json)
    done = making.make_matrix(
        model, text, target, chunks=args.chunks, threads=args.threads, on=running.lab_devices(), tell=show
    )  # fmt: skip
    show.end()
    for note in done.notes:
        print(f"hearth: {note}", file=sys.stderr)
    return done.figures


# ------------------------------------------------------------------ measuring


def measure(args: Namespace) -> int:
    """Perplexity and what the model lost against the finest version of it, with --ctx what a longer context costs."""
    with services(args) as running:
        model = source_of(running, args.model, quiet=args.json)
        if args.ctx:
            return _price(running, args, model)
        against = _against(running, args, model)
        found = _measure(running, args, [model], against)
    emit(found[0] if len(found) == 1 else found, args.json, _report(found))
    return 0


def _against(running: Services, args: Namespace, model: Path) -> Path | None:
    """The file that --against names, or the best one there is: with other K/V types the model itself."""
    if args.against:
        return source_of(running, args.against, quiet=args.json) if args.against != NONE else None
    if args.kv != FULL_CACHE:
        print(f"hearth: measured against {model.name} itself with a full K/V cache", file=sys.stderr)
        return model
    records = running.library.records()
    record = references.record_at(model, records)
    best = references.best_reference(record, records)
    print(f"hearth: {_which(record, best)}", file=sys.stderr)
    return Path(best.path) if best else None


def _which(model: ModelRecord, best: ModelRecord | None) -> str:
    """What a model is measured against, and how to have it otherwise."""
    if best is not None:
        quant = best.summary.quant if best.summary else ""
        return (
            f"measured against {Path(best.path).name} ({quant}, {size(best.bytes)}), the finest version of it in the"
            f" library; --against names another one, --against {NONE} measures perplexity alone"
        )
    made_here = model.source is not None and model.source.repo.startswith("lab/")
    fetch = (
        f": --against {model.source.repo} fetches the best one there"
        if model.source and not made_here
        else ": --against names one"
    )
    return (
        f"no finer version of {Path(model.path).name} is in the library, so this is perplexity alone{fetch}"
    )


def compare(args: Namespace) -> int:
    """Several quants against the first one named (the best one there is), or those of a repository."""
    with services(args) as running:
        reference, *others = compared(running, args.models, yes=args.yes, quiet=args.json)
        found = _measure(running, args, others, reference)
    emit(found, args.json, _report(found))
    return 0


def _measure(
    running: Services, args: Namespace, models: Sequence[Path], reference: Path | None
) -> list[Measured]:
    show = Progress("", not args.json)
    measurer = _measurer(running, args, show)
    texts = [text_of(running, name) for name in args.text or ("en-test", "code-test")]
    found = [
        _kept(running, args, measurer.measure(model, text, reference), (model, text, reference))
        for text in texts
        for model in models
    ]
    show.end()
    return found


def _kept(
    running: Services, args: Namespace, found: Measured, of: tuple[Path, Path, Path | None]
) -> Measured:
    """Kept with what the window has measured, for its table and its picture."""
    model, text, reference = of
    if reference is not None:
        order = MeasureOrder(models=(), texts=(), reference=str(reference), chunks=args.chunks)
        point = point_of(found, model, text, text.stem, order, args.kv)
        with suppress(OSError):  # a full disk: the figures are told all the same
            Measurements(running.paths.data / "lab" / "measurements.json").add([point])
    return found


def _measurer(running: Services, args: Namespace, show: Progress) -> Measurer:
    return Measurer(
        running.paths.cache / "lab", chunks=args.chunks, threads=args.threads, on=running.lab_devices(),
        kv=args.kv, tell=show.about,
    )  # fmt: skip


def _price(running: Services, args: Namespace, model: Path) -> int:
    k, v = args.kv
    plan = LoadPlan(
        str(model), n_ctx=args.ctx, n_gpu_layers=running.lab_devices().layers, type_k=k, type_v=v,
        rope_scaling=args.rope_scaling, rope_freq_scale=args.rope_freq_scale,
    )  # fmt: skip
    show = Progress("", not args.json)
    (name,) = args.text or ("en+vi+code",)
    figures = _measurer(running, args, show).price(plan, text_of(running, name))
    show.end()
    with suppress(OSError):  # a full disk: told all the same
        keep_price(running.paths, plan, figures)
    emit(figures, args.json, price_sentence(model.name, figures))
    return 0


def _report(found: Sequence[Measured]) -> str:
    lines = [_table(found), "", *(f"{one.text}: {sentence(one)}" for one in found)]
    noise = {one.text: one.figures["noise"] for one in found if "noise" in one.figures}
    lines += [f"{text}: the noise of this backend is a KL of {kl:.5f}." for text, kl in noise.items()]
    cut = [one.figures["truncation"] for one in found if "truncation" in one.figures]
    if cut:
        lines.append(
            f"Keeping the likeliest tokens alone makes KL too small by at most about {max(cut):.5f}."
        )
    return "\n".join(lines)


def _table(found: Sequence[Measured]) -> str:
    rows = [
        (one.model, one.text, size(one.bytes), _pair(one, "ppl", 3), _pair(one, "kl", 4), _pair(one, "kl_p99", 3),
         _pair(one, "kl_max", 2), _pair(one, "same_top", 3), _pair(one, "rms_change", 4))
        for one in found
    ]  # fmt: skip
    header = ("MODEL", "TEXT", "SIZE", "PERPLEXITY", "KL", "KL 99 %", "KL MAX", "SAME TOP", "RMS CHANGE")
    return table(header, rows, frozenset(range(2, 9)))


def _pair(one: Measured, name: str, digits: int) -> str:
    value, error = one.figures.get(name), one.figures.get(f"{name}_error")
    if value is None:
        return "-"
    return f"{value:.{digits}f}" + (f" ±{error:.{digits}f}" if error is not None else "")


# ------------------------------------------------------------------ converting


def lab(args: Namespace) -> int:
    """Make, show or remove the environment that converts original weights."""
    with services(args) as running:
        converter = Converter(running.paths.data / "lab" / "converter")
        if args.what == "remove":
            converter.remove()
        elif args.what == "setup" and not converter.state().ready:
            before = converter.state()
            print(
                f"About {size(before.download)} to fetch, {size(before.disk)} on the disk in {before.folder}, and"
                f" {before.seconds[0] // 60 + 1} to {before.seconds[1] // 60} minutes.",
                file=sys.stderr,
            )
            if not args.yes and not agree():
                return 1
            archive = existing(args.archive) if args.archive else None
            converter.set_up(lambda text: print(text, file=sys.stderr), torch=args.torch, archive=archive)
        state = converter.state()
    text = (
        f"ready, with PyTorch {state.torch}, {size(state.disk)} in {state.folder}"
        if state.ready
        else "not set up"
    )
    emit(state, args.json, f"The converter of {state.version} is {text}.")
    return 0
