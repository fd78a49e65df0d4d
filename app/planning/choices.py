"""A model's own way of being loaded: what of the engine's settings it has its own value for, kept in a preset.

``LoadChoices.extra`` holds further settings by their names in ``core.engine_settings``; lists are texts there.
"""

from collections.abc import Collection

import msgspec

from app.core.engine_settings import Engine
from app.models.presets import LoadChoices

NAMED = tuple(name for name in LoadChoices.__struct_fields__ if name != "extra")
NEVER = ("idle_minutes", "packs")
"""Settings of the program, not of a load."""


def choices_from(engine: Engine, usual: Engine) -> LoadChoices:
    """What ``engine`` has otherwise than ``usual``."""
    chosen, plain = msgspec.structs.asdict(engine), msgspec.structs.asdict(usual)
    changed = {name: value for name, value in chosen.items() if value != plain[name] and name not in NEVER}
    own = {name: changed.pop(name) for name in NAMED if name in changed}
    return LoadChoices(**own, extra=changed)


def with_choices(engine: Engine, choices: LoadChoices, without: Collection[str] = ()) -> Engine:
    """The settings with a preset's choices in force, but for those named in ``without``. A value that is no longer
    understood is left out: a preset from elsewhere must not stop a load."""
    wanted = {name: value for name, value in choices.chosen().items() if name != "extra"} | dict(
        choices.extra
    )
    for name, value in wanted.items():
        if name in Engine.__struct_fields__ and name not in NEVER and name not in without:
            engine = _with(engine, name, _as_text(name, value))
    return engine


def _with(engine: Engine, name: str, value: object) -> Engine:
    values = {**msgspec.structs.asdict(engine), name: value}
    try:
        return msgspec.convert(values, Engine)
    except msgspec.ValidationError:
        return engine


def _as_text(name: str, value: object) -> object:
    """Lists as the settings write them: presets made by hand may have real ones."""
    if not isinstance(value, list | tuple):
        return value
    mark = "=" if name == "tensor_overrides" else ":"
    return ",".join(mark.join(str(part) for part in item) if isinstance(item, list | tuple) else str(item)
                    for item in value)  # fmt: skip
