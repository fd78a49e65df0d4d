"""``hearth estimate REPO[:QUANT]|MODEL|FILE``: memory, fit and speed before a download or a load.

Nothing is downloaded but the header: a few megabytes at most, by range requests.
"""

from argparse import Namespace
from pathlib import Path

from app.cli.hub import choose_quant
from app.cli.output import emit, rate, table
from app.cli.run import services, take_preset
from app.compose import Services, current
from app.core.errors import ModelNotFoundError
from app.core.types import Forecast, ModelFile, ModelRecord
from app.models.gguf import read_header
from app.planning.estimate import Estimate, what_if
from app.planning.model_facts import ModelFacts, from_header, from_record
from app.planning.outlook import Record
from app.planning.reasons import size
from app.planning.speed import ENOUGH

FITS = {
    "full_gpu": "runs wholly on the GPU",
    "partly": "runs partly on the GPU",
    "fits_in_memory": "fits in memory, runs on the processor",
    "too_large": "is too large for this machine",
}
UNMEASURED = "This machine's speed has not been measured yet: add --measure (under a minute when idle)."
IMAGINED = "The speed of a GPU that is not here is not known."


def estimate(args: Namespace) -> int:
    """Print the estimate; with ``--measure`` this machine's speed is measured first (under a minute when idle)."""
    with services(args) as running:
        record, facts = find(running, args.target)
        take_preset(running, args, record.id)
        if args.measure:
            running.outlook.measure([found.device for found in running.outlook.devices()])  # known ones too
        wishes = running.planner.wishes(record.id)
        machine = what_if(
            current(running.machine()), gpu=_gib(args.what_if_gpu), memory=_gib(args.what_if_ram)
        )
        estimator = running.outlook.estimator(record, machine, facts=facts)
        found = estimator.estimate(wishes, record.name)
        errors = running.outlook.errors()
        known = running.outlook.rates()
        disturbed = any(rates.disturbed for rates in known.values())
    warned = (
        ["Other programs were busy when this machine was measured: --measure again."] if disturbed else []
    )
    unknown = IMAGINED if args.what_if_gpu and known else UNMEASURED
    emit(found, args.json, "\n".join([text(found, unknown), *_errors(errors), *warned]))
    return 0


def _gib(count: float | None) -> int | None:
    return round(count * 2**30) if count else None


def find(running: Services, target: str) -> tuple[ModelRecord, ModelFacts]:
    """A file, a model of the library, or one on the Hub. Raises ModelError or HubError."""
    path = Path(target)
    if path.suffix.lower() == ".gguf" and path.exists():
        bytes_on_disk = path.stat().st_size
        record = ModelRecord(path.stem, path.stem, (ModelFile(str(path), bytes_on_disk),), bytes_on_disk)
        return record, from_record(record)
    try:
        record = running.library.get(target)
    except ModelNotFoundError:
        if "/" not in target:
            raise
        return remote(running, target)
    return record, from_record(record)


def remote(running: Services, target: str) -> tuple[ModelRecord, ModelFacts]:
    """A model on the Hub, from its header alone."""
    repo, _, quant = target.partition(":")
    chosen = choose_quant(running.hub.repo(repo), quant)
    headers = []
    for part in chosen.files:
        reader = running.hub.open_range(chosen.repo, chosen.revision, part.name)
        headers.append(read_header(reader, name=part.name))
    files = tuple(ModelFile(part.name, part.size or 0) for part in chosen.files)
    return ModelRecord(chosen.id, chosen.id, files, chosen.bytes), from_header(headers[0], headers[1:])


def text(found: Estimate, unknown: str = UNMEASURED) -> str:
    """The estimate for people; ``unknown`` stands where there is no speed."""
    chosen = found.planned.plan
    lines = [
        f"{found.name} ({size(found.bytes)}) {FITS[found.planned.fit]} with {chosen.n_ctx} tokens of context.",
        *[f"  {reason.text}" for reason in found.planned.reasons],
        "",
        _memory_table(found),
        *_refused(found),
        "",
        f"Decode        {_range(found.empty.decode, 'tokens/s')} with an empty context",
        f"              {_range(found.full.decode, 'tokens/s')} with a full one",
        f"Prefill       {_range(found.full.prefill, 'tokens/s')}",
        f"First token   {_range(found.full.first_token, 's')} after a prompt that fills the context",
        f"KV cache      {', '.join(f'{kind} {size(count)}' for kind, count in found.kv.items() if kind in KINDS)}",
        f"Context       {_marks(found)}",
    ]
    if found.empty.decode is not None:
        lines.append(f"Source        a forecast from {found.empty.decode.source} of this machine")
    else:
        lines += ["", unknown]
    return "\n".join(lines)


def _refused(found: Estimate) -> list[str]:
    if found.planned.verdict != "refuse":
        return []
    return ["", "The memory guardrail would refuse this; --guardrail off loads it all the same."]


def _errors(found: Record | None) -> list[str]:
    if found is None:
        return []
    over = f"{found.count} answers" if found.count > 1 else "1 answer"
    more = "" if found.count >= ENOUGH else f"; {ENOUGH} correct the forecast"
    return [f"Our error     {found.median:.0%} (median), {found.worst:.0%} at worst over {over}{more}"]


KINDS = ("f16", "q8_0", "q4_0")


def _memory_table(found: Estimate) -> str:
    rows = []
    for d in found.planned.memory:
        sizes = (d.weights, d.kv, d.compute + d.overhead, d.others, d.left)
        rows.append((d.device, *("-" if count is None else size(count) for count in sizes)))
    return table(("DEVICE", "WEIGHTS", "KV", "COMPUTE", "OTHERS", "LEFT"), rows, frozenset(range(1, 6)))


def _range(forecast: Forecast | None, unit: str) -> str:
    return "not measured" if forecast is None else f"{rate(forecast.low)} to {rate(forecast.high)} {unit}"


def _marks(found: Estimate) -> str:
    marks, parts = found.marks, []
    if marks.full_gpu:
        parts.append(f"up to {marks.full_gpu} at full GPU speed")
    if marks.trained:
        parts.append(f"trained for {marks.trained}")
    parts.append(f"too large from {marks.too_large}" if marks.too_large else "fits at every length")
    return ", ".join(parts)
