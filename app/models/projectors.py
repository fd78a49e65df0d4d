"""The vision projector (mmproj) that comes with a download, so that the model sees from the first start."""

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from app.core.types import ModelRecord
from app.models.hub_types import QuantFile

ORDER = ("F16", "BF16", "Q8_0", "F32")
"""Which of several is taken: projectors are small, and lose more than they save when quantized further."""


def rank(quant: str) -> int:
    """Smaller is better."""
    return ORDER.index(quant) if quant in ORDER else len(ORDER)


def projector_for(
    quant: QuantFile, quants: Sequence[QuantFile], here: Iterable[ModelRecord]
) -> QuantFile | None:
    """The best projector of the repository that ``quant`` (a text model) is from, unless one of it is ``here``."""
    if quant.kind != "text":
        return None
    if any(_is_of(record, quant.repo) for record in here):
        return None
    found = [item for item in quants if item.kind == "projector"]
    folder = PurePosixPath(quant.files[0].name).parent
    beside = [item for item in found if PurePosixPath(item.files[0].name).parent == folder]
    return min(beside or found, key=lambda item: (rank(_type(item)), item.bytes), default=None)


def _is_of(record: ModelRecord, repo: str) -> bool:
    kind = record.summary.kind if record.summary else ""
    return kind == "projector" and record.source is not None and record.source.repo == repo


def _type(item: QuantFile) -> str:
    stem = PurePosixPath(item.files[0].name).stem.upper().replace("-", ".")
    return next((name for name in ORDER if name in stem.split(".")), item.quant.upper())
