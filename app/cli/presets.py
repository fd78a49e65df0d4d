"""``hearth presets``: how models load and answer, kept by name; the files are those of the window."""

from argparse import Namespace
from pathlib import Path

import msgspec

from app.cli.output import emit, table
from app.cli.run import services
from app.core.errors import UsageError
from app.models.presets import Preset, Presets

NEEDS = {"show": ("NAME",), "export": ("NAME", "FILE"), "import": ("FILE",), "remove": ("NAME",)}


def presets(args: Namespace) -> int:
    """List the presets, or show, export, import or remove one. Raises UsageError for what is not there."""
    needed = NEEDS.get(args.act, ())
    if len(args.words) != len(needed):
        raise UsageError(detail=" ".join(("hearth presets", args.act, *needed)))
    with services(args) as running:
        kept, act = running.presets, args.act
        if act == "list":
            found = kept.all()
            emit(found, args.json, "\n".join([_listed(found), *kept.problems]))
        elif act == "export":
            target = Path(args.words[1])
            kept.export_file(args.words[0], target)
            emit({"file": str(target)}, args.json, f"{args.words[0]} is in {target}.")
        else:
            preset = _one(kept, act, args.words[0])
            emit(preset, args.json, _said(act, preset))
    return 0


def _one(kept: Presets, act: str, word: str) -> Preset:
    if act == "import":
        return kept.import_file(Path(word))
    preset = kept.get(word)
    if act == "remove":
        kept.remove(preset.name)
    return preset


def _said(act: str, preset: Preset) -> str:
    if act == "import":
        return f"{preset.name} is kept: use it with --preset {preset.name!r}."
    return f"{preset.name} is removed." if act == "remove" else _shown(preset)


def _listed(found: tuple[Preset, ...]) -> str:
    if not found:
        return "There are no presets: the window makes them, and `hearth presets import FILE` takes one."
    rows = [(preset.name, preset.model or "every model", preset.description or "-") for preset in found]
    return table(("NAME", "FOR", "DESCRIPTION"), rows)


def _shown(preset: Preset) -> str:
    """One fact a line, by the names of the files and of the flags."""
    rows: list[tuple[str, object]] = [("name", preset.name), ("for", preset.model or "every model")]
    if preset.description:
        rows.append(("description", preset.description))
    extra = dict(preset.load.extra)
    rows += [(name, value) for name, value in preset.load.chosen().items() if name != "extra"]
    rows += extra.items()
    if preset.sampling is not None:
        rows += _differences(preset.sampling)
    if preset.system:
        rows.append(("system", preset.system))
    if preset.context_policy:
        rows.append(("context_policy", preset.context_policy))
    rows += preset.template_kwargs.items()
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:{width}}  {value}" for name, value in rows)


def _differences(sampling: msgspec.Struct) -> list[tuple[str, object]]:
    """What is set otherwise than usual, and always the temperature."""
    usual = type(sampling)()
    values = [(name, getattr(sampling, name)) for name in sampling.__struct_fields__]
    return [(name, value) for name, value in values if name == "temperature" or value != getattr(usual, name)]
