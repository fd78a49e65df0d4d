"""What a repository's files would mean on this machine: a quick look by their sizes, a closer one by a header. No Qt.

The closer look reads the header of one file over the network (by ranges, a few megabytes at most) and carries it over
to the others, which differ in the types of their weights only.
"""

import logging
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from app.core.errors import HearthError, HubNotFoundError, ModelError
from app.core.types import Forecast, GgufSummary, ModelFile, ModelRecord
from app.models.hub_types import QuantFile, RepoDetail

if TYPE_CHECKING:
    from app.compose import Services
    from app.models.gguf import Header
    from app.planning.model_facts import ModelFacts

log = logging.getLogger(__name__)

MODELS = ("text", "embedding", "reranker")
"""Kinds that are loaded by themselves."""
_TRIES = 4


class Prospect(Struct, frozen=True):
    """One file on this machine. ``needed``: bytes with the context of the settings; ``speed``: tokens per second."""

    fit: str = ""
    needed: int | None = None
    speed: Forecast | None = None


class Prospects(Struct, frozen=True):
    """By quant id; ``summary`` is what the header of one of them said, None before it was read."""

    of: dict[str, Prospect] = {}
    summary: GgufSummary | None = None
    measured: bool = True
    """Whether this machine's speed was ever measured: without that there are no forecasts."""


def quick_look(services: "Services", detail: RepoDetail) -> Prospects:
    """Fit by size alone (blocks: asks for the hardware)."""
    from app.planning.fit import Fitter  # noqa: PLC0415 - not before someone looks at a repository

    fitter = Fitter(services.machine(), services.settings.value.engine.n_ctx)
    labels = {quant.id: fitter.label(quant.bytes, detail.parameters) for quant in _models(detail)}
    return Prospects({key: Prospect(label) for key, label in labels.items()})


def closer_look(services: "Services", detail: RepoDetail, first: str = "") -> Prospects:
    """Fit, memory and speed from a header (blocks: the network): that of the quant ``first``, or of another where that
    one can't be read. Raises HubError or ModelError."""
    from app.models.summary import summarize  # noqa: PLC0415 - see quick_look
    from app.planning.model_facts import from_header  # noqa: PLC0415
    from app.planning.variants import requantized, weight_type  # noqa: PLC0415

    quant, headers = _read_one(services, detail, first)
    facts = from_header(headers[0], headers[1:])
    found = {}
    for other in _models(detail):
        same = other.id == quant.id
        of = facts if same else requantized(facts, other.bytes, weight_type(other.quant))
        found[other.id] = _prospect(services, other, of)
    return Prospects(found, summarize(headers[0], *headers[1:]), bool(services.outlook.rates()))


def _read_one(services: "Services", detail: RepoDetail, first: str) -> "tuple[QuantFile, list[Header]]":
    problem: HearthError = HubNotFoundError(what=f"{detail.id}:GGUF")
    for quant in sorted(_models(detail), key=lambda item: (item.id != first, item.bytes))[:_TRIES]:
        try:
            return quant, [_header(services, quant, part.name) for part in quant.files]
        except (HubNotFoundError, ModelError) as error:
            problem = error
    raise problem


def _header(services: "Services", quant: QuantFile, name: str) -> "Header":
    from app.models.gguf import read_header  # noqa: PLC0415

    return read_header(services.hub.open_range(quant.repo, quant.revision, name), name=name)


def _models(detail: RepoDetail) -> list[QuantFile]:
    return [quant for quant in detail.quants if quant.kind in MODELS]


def _prospect(services: "Services", quant: QuantFile, facts: "ModelFacts") -> Prospect:
    from app.hardware.sampler import refresh  # noqa: PLC0415 - see quick_look
    from app.planning.wishes import from_settings  # noqa: PLC0415

    files = tuple(ModelFile(part.name, part.size) for part in quant.files)
    record = ModelRecord(quant.id, quant.id, files, quant.bytes)
    try:
        estimator = services.outlook.estimator(record, refresh(services.machine()), facts=facts)
        planned = estimator.plan(from_settings(services.settings.value.engine))
        speed = estimator.speed(planned.plan, 0).decode if quant.kind == "text" else None
    except HearthError as error:
        log.info("no forecast for %s: %s", quant.id, error)
        return Prospect()
    return Prospect(planned.fit, planned.needed, speed)


def merged(quick: Prospects, close: Prospects) -> Prospects:
    """The closer look, with the quick one where it has nothing."""
    of = {key: close.of.get(key, Prospect()) for key in quick.of}
    kept = {key: found if found.fit else quick.of[key] for key, found in of.items()}
    return msgspec.structs.replace(close, of=kept)
