"""From the Hub's JSON to our types. Every field may be missing or of a wrong kind: what can't be read is None."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from app.core.types import ModelKind
from app.models import quants
from app.models.hub_types import QuantFile, RemotePart, RepoDetail, RepoSummary

EXPAND = (
    "gguf",
    "downloads",
    "likes",
    "lastModified",
    "gated",
    "tags",
    "pipeline_tag",
    "private",
    "trendingScore",
)
_TASK_KINDS: dict[str, ModelKind] = {
    "feature-extraction": "embedding",
    "sentence-similarity": "embedding",
    "text-ranking": "reranker",
}
WEIGHTS = ("text", "embedding", "reranker")


def summary(item: Mapping[str, Any]) -> RepoSummary:
    """One item of a list of models."""
    gguf, tags = _table(item, "gguf"), _tags(item)
    return RepoSummary(
        id=str(item.get("id", "")),
        downloads=_count(item, "downloads"),
        likes=_count(item, "likes"),
        updated=_time(item.get("lastModified")),
        gated=bool(item.get("gated")),
        parameters=_count(gguf, "total"),
        architecture=_text(gguf, "architecture"),
        context_length=_count(gguf, "context_length"),
        license=_license(item, tags),
        tags=tags,
        task=_text(item, "pipeline_tag"),
        private=bool(item.get("private")),
    )


CONVERTED = (".safetensors", ".json", ".jinja", ".model", "vocab.txt", "merges.txt")
"""Ends of the names of what a conversion reads: weights, configuration, tokenizer."""


def detail(item: Mapping[str, Any], tree: Iterable[Mapping[str, Any]]) -> RepoDetail:
    """A repository's page from its information and its list of files."""
    known = summary(item)
    revision = str(item.get("sha") or "main")
    parts = [part for part in map(_part, tree) if part]
    return RepoDetail(
        id=known.id,
        revision=revision,
        quants=group(known, revision, parts),
        weights=_weights(known, revision, parts),
        architecture=known.architecture,
        parameters=known.parameters,
        context_length=known.context_length,
        license=known.license,
        gated=known.gated,
        downloads=known.downloads,
        likes=known.likes,
        updated=known.updated,
        tags=known.tags,
        task=known.task,
        private=known.private,
        base_model=_base_model(known.tags),
        has_template=bool(_text(_table(item, "gguf"), "chat_template")),
    )


def group(repo: RepoSummary, revision: str, parts: list[RemotePart]) -> tuple[QuantFile, ...]:
    """The quants of a repository, weights first and small to large; a split set is one."""
    by_name = {part.name: part for part in parts if part.name.lower().endswith((".gguf", ".imatrix", ".dat"))}
    found: list[QuantFile] = []
    for names in quants.group_split(by_name):
        split = quants.parse_split(names[0])
        if split and split.total != len(names):
            continue  # still being uploaded: llama.cpp could not open it
        files = tuple(by_name[name] for name in names)
        kind = _kind(names[0], repo.task)
        if kind != "other":
            found.append(_quant(repo, revision, files, kind))
    found.sort(key=lambda quant: (quant.kind not in WEIGHTS, quant.bytes, quant.files[0].name))
    return tuple(_unique(found))


def _weights(repo: RepoSummary, revision: str, parts: list[RemotePart]) -> QuantFile | None:
    files = tuple(part for part in parts if part.name.endswith(CONVERTED) and "/" not in part.name)
    # Mistral puts the same weights there twice, the second time in a form of its own.
    files = tuple(part for part in files if not part.name.startswith("consolidated"))
    names = {part.name for part in files}
    if "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        return None
    size = sum(part.size for part in files)
    return QuantFile(f"{repo.id}:safetensors", repo.id, revision, "safetensors", files, size)


def _kind(name: str, task: str | None) -> ModelKind:
    kind = quants.kind_of(name)
    return _TASK_KINDS.get(task or "", kind) if kind == "text" else kind


def _quant(repo: RepoSummary, revision: str, files: tuple[RemotePart, ...], kind: ModelKind) -> QuantFile:
    name = quants.parse_quant(files[0].name) or _stem(files[0].name)
    size = sum(part.size for part in files)
    weighs = repo.parameters if kind in WEIGHTS else None
    bits = size * 8 / weighs if weighs else None
    prefix = "" if kind in WEIGHTS else f"{kind}-"
    return QuantFile(f"{repo.id}:{prefix}{name}", repo.id, revision, name, files, size, kind, bits)


def _unique(found: list[QuantFile]) -> list[QuantFile]:
    seen: dict[str, int] = {}
    for quant in found:
        seen[quant.id] = seen.get(quant.id, 0) + 1
    # Two files of the same quant: both are named by their file, so that neither hides the other.
    return [quant if seen[quant.id] == 1 else _named_by_file(quant) for quant in found]


def _named_by_file(quant: QuantFile) -> QuantFile:
    stem = quant.files[0].name.rsplit(".", 1)[0]
    return QuantFile(
        f"{quant.repo}:{stem}", quant.repo, quant.revision, quant.quant, quant.files, quant.bytes, quant.kind,
        quant.bits_per_weight,
    )  # fmt: skip


def _stem(name: str) -> str:
    return name.rsplit("/", 1)[-1].rsplit(".", 1)[0]


def _part(entry: Mapping[str, Any]) -> RemotePart | None:
    path, size = entry.get("path"), entry.get("size")
    if entry.get("type") == "directory" or not isinstance(path, str) or not isinstance(size, int):
        return None
    lfs = _table(entry, "lfs")
    return RemotePart(path, _count(lfs, "size") or size, _hash(lfs.get("oid")), _hash(entry.get("xetHash")))


def _hash(value: object) -> str | None:
    text = str(value or "").removeprefix("sha256:").lower()
    return text if len(text) == 64 and all(digit in "0123456789abcdef" for digit in text) else None


def _table(item: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = item.get(key)
    return value if isinstance(value, Mapping) else {}


def _count(item: Mapping[str, Any], key: str) -> int | None:
    value = item.get(key)
    return (
        int(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else None
    )


def _text(item: Mapping[str, Any], key: str) -> str | None:
    value = item.get(key)
    return value if isinstance(value, str) and value else None


def _tags(item: Mapping[str, Any]) -> tuple[str, ...]:
    tags = item.get("tags")
    return tuple(str(tag) for tag in tags) if isinstance(tags, list) else ()


def _license(item: Mapping[str, Any], tags: tuple[str, ...]) -> str | None:
    tagged = next((tag.removeprefix("license:") for tag in tags if tag.startswith("license:")), None)
    return tagged or _text(_table(item, "cardData"), "license")


def _base_model(tags: tuple[str, ...]) -> str | None:
    named = [tag.removeprefix("base_model:") for tag in tags if tag.startswith("base_model:")]
    return next((name for name in named if name.count(":") == 0), None)


def _time(value: object) -> float | None:
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except ValueError:
        return None
