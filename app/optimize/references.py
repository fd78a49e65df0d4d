"""What a quant is measured against: the finest file of the same model that is here; and what a repository of the Hub
has of a model, here or still to be fetched."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct

from app.core.errors import HearthError
from app.core.types import GgufSummary, ModelFile, ModelRecord
from app.models.downloads_store import target
from app.models.gguf import read_header
from app.models.hub_types import QuantFile, RepoDetail
from app.models.quants import explain, parse_quant, split_prefix
from app.models.summary import summarize
from app.optimize.recipes import find_ingredients, read_recipe

NEAR = 0.12
"""Share by which the number of weights of two files of a model may differ: some leave an output tensor out."""
FINER = 1.03
"""So many times the bits per weight, or it is not a finer file."""
COMPUTING = ("text", "embedding", "reranker")


def related(reference: ModelRecord, records: Iterable[ModelRecord]) -> list[ModelRecord]:
    """Models with the reference's architecture, vocabulary and about its number of weights: quants of it, it
    itself last."""
    mine = reference.summary
    if mine is None:
        return [reference]
    found = []
    for record in records:
        other = record.summary
        if other is None or record.id == reference.id:
            continue
        near = abs((other.parameters or 0) - (mine.parameters or 0)) <= NEAR * (mine.parameters or 1)
        if (other.architecture, other.vocab_size) == (mine.architecture, mine.vocab_size) and near:
            found.append(record)
    return [*sorted(found, key=lambda record: -record.bytes), reference]


def best_reference(model: ModelRecord, records: Sequence[ModelRecord]) -> ModelRecord | None:
    """The finest of ``records`` that holds the same model with more bits: what its recipe was made from, or one of the
    same name or repository. None when there is none. Reads the recipe beside it."""
    source = _source(model, records)
    same = [
        record
        for record in related(model, records)
        if record.path == source or _names(record) & _names(model)
    ]
    finer = [record for record in same if _bits(record) > FINER * _bits(model) and not record.damaged]
    return max(finer, key=_bits, default=None)


def record_at(path: Path, records: Iterable[ModelRecord]) -> ModelRecord:
    """A file as the library knows it, or read now. Raises ModelErrors and OSError."""
    known = next((record for record in records if Path(record.path) == path), None)
    size = path.stat().st_size
    return known or ModelRecord(
        path.stem, path.stem, (ModelFile(str(path), size),), size, summarize(read_header(path))
    )


def _source(model: ModelRecord, records: Sequence[ModelRecord]) -> str:
    try:
        return find_ingredients(read_recipe(Path(model.path)), records, Path()).source
    except HearthError:
        return ""


def _names(record: ModelRecord) -> set[str]:
    """What two files of one model have in common: the name inside, the file's name without its type, the repository."""
    stem = split_prefix(Path(record.path).name).removesuffix(".gguf")
    quant = parse_quant(Path(record.path).name)
    if quant and stem.upper().endswith(quant.upper()):
        stem = stem[: -len(quant)].rstrip("-._")
    inside = record.summary.name if record.summary else ""
    repo = record.source.repo if record.source else ""
    return {name.casefold() for name in (inside, stem, repo) if name}


def _bits(record: ModelRecord) -> float:
    return (record.summary.bits_per_weight if record.summary else None) or 0.0


# ------------------------------------------------------------------ a repository


class Offered(Struct, frozen=True):
    """A quant of a repository: ``path`` is where its (first) file is or will be, ``missing`` the bytes to fetch."""

    file: QuantFile
    path: str
    missing: int = 0


def offered(detail: RepoDetail, models: Path, records: Iterable[ModelRecord]) -> list[Offered]:
    """What a repository has, the finest first; files of the library count as here, wherever they lie."""
    here = {record.id.casefold(): record.path for record in records if not record.damaged}
    usable = [file for file in detail.quants if file.kind in COMPUTING and file.files]
    ordered = sorted(usable, key=lambda file: (-(explain(file.quant).bits or 0.0), -file.bytes))
    return [offer(file, models, here.get(file.id.casefold(), "")) for file in ordered]


def offer(file: QuantFile, models: Path, path: str = "") -> Offered:
    """One quant; ``path`` when it is here already. Raises UsageError for a name that leads out of ``models``."""
    places = [(target(models, file.repo, part), part.size) for part in file.files]
    missing = sum(size for place, size in places if not (place.is_file() and place.stat().st_size == size))
    return Offered(file, path, 0) if path else Offered(file, str(places[0][0]), missing)


def as_record(one: Offered, detail: RepoDetail, records: Iterable[ModelRecord]) -> ModelRecord:
    """A quant for a list of models: the library's own record, or what the Hub says of a file that is not here."""
    known = next((record for record in records if record.path == one.path), None)
    if known is not None:
        return known
    summary = GgufSummary(
        detail.architecture or "", quant=one.file.quant, parameters=detail.parameters,
        bits_per_weight=explain(one.file.quant).bits,
    )  # fmt: skip
    first = Path(one.path)
    files = tuple(ModelFile(str(first.with_name(Path(part.name).name)), part.size) for part in one.file.files)
    name = detail.id.rpartition("/")[2]
    return ModelRecord(one.file.id, name, files, one.file.bytes, summary)
