"""A model as the Library lists it: what each column shows and sorts by, and which models a view keeps."""

import time
from collections.abc import Callable, Mapping

from msgspec import Struct
from PySide6.QtCore import QCoreApplication

from app.core.events import InstanceChanged
from app.core.types import ModelRecord
from app.models.library_care import Facts
from app.ui import words
from app.ui.damage_words import damage_words
from app.ui.figures import DASH
from app.ui.table_model import Column

LIVE = ("starting", "loading", "ready", "stopping")
RUNS = ("text", "embedding", "reranker")
WIDTHS = {"added": 960, "context": 840, "used": 740, "parameters": 640, "quant": 500}
"""Width of the table below which a column gives way, in the order in which they go."""

translate = QCoreApplication.translate


class Row(Struct, frozen=True):
    """A record with what its user noted."""

    record: ModelRecord
    facts: Facts = Facts()

    @property
    def id(self) -> str:
        """The model's id."""
        return self.record.id

    @property
    def damaged(self) -> str | None:
        """Why it can't be loaded."""
        return self.record.damaged

    @property
    def runs(self) -> bool:
        """Whether it can be loaded."""
        summary = self.record.summary
        return not self.damaged and (summary is None or summary.kind in RUNS)


class States:
    """What the engine says of each model now."""

    def __init__(self, instances: tuple[InstanceChanged, ...], pinned: Callable[[str], bool]) -> None:
        self.instances = {item.model: item for item in instances}
        self._pinned = pinned

    def of(self, row: Row) -> str:
        """damaged, a live state, failed, or nothing."""
        if row.damaged:
            return "damaged"
        instance = self.instances.get(row.id)
        return instance.state if instance is not None and instance.state in {*LIVE, "failed"} else ""

    def live(self, row: Row) -> bool:
        """Whether a worker holds it or is about to."""
        return self.of(row) in LIVE

    def words(self, row: Row) -> str:
        """The state in one or two words."""
        state = self.of(row)
        if state == "loading":
            share = round(self.instances[row.id].progress * 100)
            return translate("Library", "Loading {share} %").format(share=share)
        return {
            "damaged": translate("Library", "Damaged"),
            "starting": translate("Library", "Starting"),
            "ready": translate("Library", "Loaded"),
            "stopping": translate("Library", "Unloading"),
            "failed": translate("Library", "Failed"),
        }.get(state, translate("Library", "On disk"))

    def token(self, row: Row) -> str:
        """Its colour."""
        return {"damaged": "bad", "failed": "bad", "ready": "good"}.get(self.of(row), "text-2")

    def icon(self, row: Row) -> str:
        """Its shape: never colour alone."""
        return {"damaged": "error", "failed": "error", "ready": "check"}.get(self.of(row), "")

    def note(self, row: Row) -> str:
        """Memory and idle time of a loaded model."""
        instance = self.instances.get(row.id)
        if instance is None or instance.state != "ready":
            return ""
        held = sum(device.total for device in instance.memory)
        parts = [words.memory(held)] if held else []
        return "  ·  ".join([*parts, self.idle(instance)])

    def idle(self, instance: InstanceChanged) -> str:
        """What it is doing, or since when nothing."""
        if instance.active or instance.waiting:
            return translate("Library", "answering")
        if self._pinned(instance.model) or instance.pinned:
            return translate("Library", "kept loaded")
        passed = max(0.0, time.time() - instance.last_used)
        if not instance.last_used or passed < 5:
            return translate("Library", "ready")
        return translate("Library", "idle {time}").format(time=words.duration(passed))


def columns(states: States) -> list[Column[Row]]:
    """Every column; ``WIDTHS`` says which of them give way."""
    return [*_what(), *_when(states)]


def _what() -> list[Column[Row]]:
    return [
        Column(
            lambda: translate("Library", "Model"),
            lambda r: shown_name(r.record),
            sort=lambda r: (shown_name(r.record).casefold(), r.record.bytes),
            note=_note,
            icon=_icon,
            token=_token,
            tip=lambda r: "\n".join(part for part in (reason(r), r.record.path) if part),
        ),
        Column(
            lambda: translate("Library", "Quant"),
            lambda r: quant(r.record),
            width=84,
            tip=lambda r: words.quant_tip(quant(r.record)),
        ),
        _number("Parameters", lambda r: words.parameters(_parameters(r)) or DASH, _parameters, 84),
        _number("Size (GB)", lambda r: words.gigabytes(r.record.bytes), lambda r: r.record.bytes, 80),
        _number("Context", lambda r: words.tokens(trained(r.record)), lambda r: trained(r.record), 76),
    ]


def _when(states: States) -> list[Column[Row]]:
    return [
        Column(
            lambda: translate("Library", "Added"),
            lambda r: words.ago(r.record.added_at),
            sort=lambda r: r.record.added_at,
            width=110,
        ),
        Column(
            lambda: translate("Library", "Used"),
            used,
            sort=lambda r: float(r.record.last_used_at or 0),
            width=110,
            tip=times_used,
        ),
        Column(
            lambda: translate("Library", "State"),
            states.words,
            width=140,
            token=states.token,
            icon=states.icon,
            note=states.note,
            tip=lambda r: "\n".join(part for part in (states.words(r), states.note(r)) if part),
        ),
    ]


ORDER = ("model", "quant", "parameters", "size", "context", "added", "used", "state")


def _number(
    title: str, text: Callable[[Row], str], value: Callable[[Row], float | None], width: int
) -> Column[Row]:
    titles = {
        "Parameters": lambda: translate("Library", "Parameters"),
        "Size (GB)": lambda: translate("Library", "Size (GB)"),
        "Context": lambda: translate("Library", "Context"),
    }
    return Column(titles[title], text, sort=lambda r: float(value(r) or 0), right=True, width=width)


def shown_name(record: ModelRecord) -> str:
    """What people call it."""
    return record.name or record.id


def quant(record: ModelRecord) -> str:
    """The file type's name, or a dash."""
    return (record.summary.quant if record.summary else "") or DASH


def trained(record: ModelRecord) -> int | None:
    """Tokens of context it was trained for."""
    return record.summary.context_length if record.summary else None


def _parameters(row: Row) -> int | None:
    return row.record.summary.parameters if row.record.summary else None


def used(row: Row) -> str:
    """When it was used last."""
    moment = row.record.last_used_at
    return words.ago(moment) if moment else translate("Library", "never")


def times_used(row: Row) -> str:
    """How often it was loaded."""
    times = row.record.times_used
    return translate("Library", "Used %n time(s)", "", times)


def reason(row: Row) -> str:
    """Why it can't be loaded, in the language in force."""
    return damage_words(row.damaged) if row.damaged else ""


def _note(row: Row) -> str:
    if row.damaged:
        return reason(row)
    record = row.record
    place = record.source.repo.split("/")[0] if record.source else record.path
    kind = record.summary.kind if record.summary else "text"
    parts = ["" if kind == "text" else words.kind_words(kind), place, *(f"#{tag}" for tag in row.facts.tags)]
    return "  ·  ".join(part for part in parts if part)


def _icon(row: Row) -> str:
    if row.damaged:
        return "error"
    return "star-full" if row.facts.favourite else "model"


def _token(row: Row) -> str:
    return "bad" if row.damaged else ""


def haystack(row: Row) -> str:
    """Everything a search may name."""
    record, summary = row.record, row.record.summary
    parts = [record.id, record.name, record.path, row.facts.notes, *(f"#{tag}" for tag in row.facts.tags)]
    if summary is not None:
        parts += [summary.architecture, summary.quant, summary.license, summary.name, summary.kind]
    return " ".join(parts).lower()


def tests(states: States, tags: Mapping[str, int]) -> dict[str, Callable[[Row], bool]]:
    """The views by name: ``#tag`` for a tag."""
    found: dict[str, Callable[[Row], bool]] = {
        "": lambda _row: True,
        "favourites": lambda row: row.facts.favourite,
        "loaded": states.live,
        "text": lambda row: _kind(row) == "text" and not row.damaged,
        "embedding": lambda row: _kind(row) in {"embedding", "reranker"},
        "vision": lambda row: _kind(row) == "projector" or row.record.projector is not None,
        "never": lambda row: not row.record.last_used_at,
        "damaged": lambda row: bool(row.damaged),
    }
    for tag in tags:
        found[f"#{tag}"] = lambda row, tag=tag: tag in row.facts.tags  # type: ignore[misc]
    return found


def _kind(row: Row) -> str:
    return row.record.summary.kind if row.record.summary else ""


def view_words(name: str) -> str:
    """A view's name as it stands in the list."""
    return {
        "": translate("Library", "All models"),
        "favourites": translate("Library", "Favourites"),
        "loaded": translate("Library", "Loaded"),
        "text": translate("Library", "Text models"),
        "embedding": translate("Library", "Embedding models"),
        "vision": translate("Library", "With vision"),
        "never": translate("Library", "Never used"),
        "damaged": translate("Library", "Damaged"),
    }.get(name, name)
