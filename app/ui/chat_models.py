"""Which models the chat can use and the state of the one that answers, from library and supervisor to the picker."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QLocale

from app.core.events import InstanceChanged
from app.core.types import ModelRecord
from app.ui.model_picker import ModelChoice, State

if TYPE_CHECKING:
    from collections.abc import Sequence

_CHATTING = frozenset({"text"})


def choices(records: "Sequence[ModelRecord]", instances: "Sequence[InstanceChanged]") -> list[ModelChoice]:
    """Every model that can answer, last used first."""
    states = {instance.id: instance for instance in instances}
    fitting = [r for r in records if r.summary is None or r.summary.kind in _CHATTING]
    ordered = sorted(fitting, key=lambda r: (-(r.last_used_at or r.added_at), r.name))
    return [_choice(record, states.get(record.id)) for record in ordered]


def first(found: "Sequence[ModelChoice]", last: str) -> str:
    """Whom to ask when nobody was chosen: the last one used when it is still here, else one that is loaded, else one
    that can be; "" for none."""
    if any(choice.id == last for choice in found):
        return last
    loaded = next((choice.id for choice in found if choice.state == "loaded"), "")
    return loaded or next((choice.id for choice in found if choice.state != "damaged"), "")


def _choice(record: ModelRecord, instance: InstanceChanged | None) -> ModelChoice:
    state: State = "damaged" if record.damaged else "disk"
    if instance is not None and instance.state == "ready":
        state = "loaded"
    elif instance is not None and instance.state in {"starting", "loading"}:
        state = "loading"
    return ModelChoice(record.id, record.name, _note(record, instance, state), state)


def _note(record: ModelRecord, instance: InstanceChanged | None, state: State) -> str:
    if record.damaged:
        return record.damaged
    quant = record.summary.quant if record.summary else ""
    size = QCoreApplication.translate("Models", "{size} GB")
    parts = [quant, size.format(size=QLocale().toString(record.bytes / 1e9, "f", 1))]
    if record.projector:
        parts.append(QCoreApplication.translate("Models", "sees images"))
    if state == "loaded" and instance is not None:
        text = QCoreApplication.translate("Models", "{count} tokens of context")
        parts += [instance.device, text.format(count=QLocale().toString(instance.n_ctx))]
    return "  ·  ".join(part for part in parts if part)
