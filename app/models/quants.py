"""What file names of quantized models mean: quant names, split sets, projectors and other companions.

``explain`` puts a type into plain words as an English template with parameters, so that a view can translate it.
Bits per weight are those of a large model (llama.cpp's ``tools/quantize/README.md``); a small one has more, since
its embeddings weigh more: show a file's real ``GgufSummary.bits_per_weight`` where it is known.
"""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

from msgspec import Struct

from app.core.types import ModelKind

_QUANT = re.compile(
    r"(?<![A-Za-z0-9])(?P<prefix>UD-|APEX-|i1-)?"
    r"(?P<name>I?Q[1-8]_(?:K(?:_(?:XXS|XS|S|M|L|XL|P))?|XXS|XS|NL|S|M|L|XL|[01](?:_(?:4_4|4_8|8_8|XL))?)"
    r"|TQ[12]_0|Q[12]_0|MXFP4(?:_MOE|_XL)?|NVFP4|BF16|F16|FP16|F32|FP32|F64)"
    r"(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_LOOSE = re.compile(r"(?<![A-Za-z0-9])(?P<name>I?Q[2-8])$", re.IGNORECASE)
_SPLIT = re.compile(r"^(?P<prefix>.+)-(?P<index>\d{5})-of-(?P<count>\d{5})(?P<end>\.gguf)$", re.IGNORECASE)
_PROJECTOR = re.compile(r"mmproj|(?:^|[-_.])clip[-_.]", re.IGNORECASE)
_IMATRIX = re.compile(r"(?:^|[^a-z0-9])i-?matrix|\.imatrix$|imatrix[-_.]?\w*\.(?:dat|gguf)", re.IGNORECASE)
_DRAFT = re.compile(
    r"^(?:mtp|eagle3|dflash|dspark|draft)[-_.]|[-_.](?:mtp[-_.]?(?:head|draft|only)|eagle-?3|dflash|dspark|draft(?:er)?)(?:[-_.]|$)",
    re.IGNORECASE,
)
_ADAPTER = re.compile(r"(?:^|[-_.])(?:lora|adapter)(?:[-_.]|$)", re.IGNORECASE)
_EMBEDDING = re.compile(
    r"(?:^|[-_.])(?:embed(?:ding|dings)?|(?:bge|gte|e5|minilm|nomic-embed|jina-embeddings)(?=[-_.]))",
    re.IGNORECASE,
)
_RERANKER = re.compile(r"rerank", re.IGNORECASE)

_KINDS: tuple[tuple[re.Pattern[str], ModelKind], ...] = (
    (_PROJECTOR, "projector"),
    (_DRAFT, "draft"),
    (_ADAPTER, "adapter"),
    (_RERANKER, "reranker"),
    (_EMBEDDING, "embedding"),
)


def parse_quant(name: str) -> str | None:
    """The quant in a file's name (or, failing that, in its folder's): ``Q4_K_M``, ``UD-Q4_K_XL``, ``BF16``, ...

    The last one in the name counts; the spelling is made uniform. None when there is none.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    stem = split_prefix(path.name)
    stem = stem[:-5] if stem.lower().endswith(".gguf") else stem
    found = _last_quant(stem)
    if found is None and (loose := _LOOSE.search(stem)):
        return loose["name"].upper()
    if found is None and len(path.parts) > 1:
        return _last_quant(path.parts[-2])
    return found


def _last_quant(text: str) -> str | None:
    matches = list(_QUANT.finditer(text))
    if not matches:
        return None
    prefix, name = matches[-1]["prefix"] or "", matches[-1]["name"].upper()
    name = {"FP16": "F16", "FP32": "F32"}.get(name, name)
    return name if prefix.lower() == "i1-" else prefix.upper() + name


class Split(NamedTuple):
    """A part of a split set: ``prefix-00001-of-00003.gguf`` is number 1 of 3."""

    prefix: str
    number: int
    total: int


def parse_split(name: str) -> Split | None:
    """The place of a file in its split set (``number`` counts from 1), or None for a file on its own."""
    match = _SPLIT.match(name)
    if not match or not 1 <= int(match["index"]) <= int(match["count"]):
        return None
    return Split(match["prefix"], int(match["index"]), int(match["count"]))


def split_prefix(name: str) -> str:
    """A file's name without its place in a split set; other names are unchanged."""
    split = parse_split(name)
    return f"{split.prefix}.gguf" if split else name


def split_names(name: str) -> list[str]:
    """The names of every part of the set ``name`` belongs to, in order; itself when it stands alone."""
    split = parse_split(name)
    if split is None:
        return [name]
    end = name[-5:]
    return [f"{split.prefix}-{index:05d}-of-{split.total:05d}{end}" for index in range(1, split.total + 1)]


def group_split(names: Iterable[str]) -> list[list[str]]:
    """Names in groups: the parts of one split set together and in order, every other file alone. Parts may be
    missing: compare a group's length with ``parse_split(group[0]).total``."""
    groups: dict[tuple[str, int], list[str]] = {}
    for name in names:
        split = parse_split(name)
        groups.setdefault((split.prefix, split.total) if split else (name, 0), []).append(name)
    return [sorted(group) for group in groups.values()]


def is_gguf(name: str) -> bool:
    """Whether the name ends like a GGUF."""
    return name.lower().endswith(".gguf")


def kind_of(name: str) -> ModelKind:
    """What a file is, by its name alone; the header knows better (``summary.summarize``)."""
    path = PurePosixPath(name.replace("\\", "/"))
    base = path.name.lower()
    if _IMATRIX.search(base):
        return "imatrix"
    if not is_gguf(base):
        return "other"
    stem = split_prefix(base)[:-5]
    if len(path.parts) > 1 and path.parts[-2].lower() in {"mtp", "draft"} and not _PROJECTOR.search(stem):
        return "draft"
    return next((kind for pattern, kind in _KINDS if pattern.search(stem)), "text")


Loss = Literal["none", "tiny", "small", "moderate", "large", "very large", "unknown"]


class QuantInfo(Struct, frozen=True):
    """Plain words about a quant. ``template`` is English with ``{bits}``, ``{loss}`` and ``{note}`` to fill in."""

    name: str
    bits: float | None
    """Nominal bits per weight, over all weights of a large model."""
    loss: Loss
    note: str
    family: Literal["float", "legacy", "k", "i", "ternary", "microscaling", "other"]
    dynamic: bool = False
    """Unsloth's UD or similar: layers get different types by their importance."""


DESCRIPTION = "{bits}-bit, {note}; loss of quality: {loss}."

_NOTES: dict[str, tuple[float, Loss, str]] = {
    "F64": (64.0, "none", "double precision"),
    "F32": (32.0, "none", "full precision, for converting rather than running"),
    "BF16": (16.0, "none", "as most models are published"),
    "F16": (16.0, "none", "as most models are published"),
    "Q8_0": (8.5, "none", "practically the original at half its size"),
    "Q6_K": (6.56, "tiny", "very close to the original"),
    "Q5_K_M": (5.68, "tiny", "close to the original, larger than most need"),
    "Q5_K_S": (5.52, "small", "close to the original"),
    "Q5_1": (6.0, "small", "an older kind, quick on a CPU"),
    "Q5_0": (5.5, "small", "an older kind, quick on a CPU"),
    "Q4_K_M": (4.85, "small", "balanced: the usual choice"),
    "Q4_K_S": (4.58, "small", "a little smaller and less exact than Q4_K_M"),
    "Q4_1": (5.0, "moderate", "an older kind, quick on a CPU"),
    "Q4_0": (4.55, "moderate", "an older kind, quick on a CPU and made for models trained for it"),
    "IQ4_NL": (4.5, "small", "small for its quality, slower on a CPU"),
    "IQ4_XS": (4.25, "small", "small for its quality, slower on a CPU"),
    "Q3_K_L": (4.27, "moderate", "for little memory"),
    "Q3_K_M": (3.91, "moderate", "for little memory"),
    "Q3_K_S": (3.5, "large", "for very little memory"),
    "IQ3_M": (3.66, "moderate", "for little memory, slower on a CPU"),
    "IQ3_S": (3.44, "moderate", "for little memory, slower on a CPU"),
    "IQ3_XS": (3.3, "large", "for little memory, slower on a CPU"),
    "IQ3_XXS": (3.06, "large", "for very little memory, slower on a CPU"),
    "Q2_K": (2.96, "large", "only when nothing else fits"),
    "Q2_K_S": (2.79, "very large", "only when nothing else fits"),
    "IQ2_M": (2.7, "large", "only for very large models"),
    "IQ2_S": (2.5, "very large", "only for very large models"),
    "IQ2_XS": (2.31, "very large", "only for very large models"),
    "IQ2_XXS": (2.06, "very large", "only for very large models"),
    "IQ1_M": (1.75, "very large", "an experiment"),
    "IQ1_S": (1.56, "very large", "an experiment"),
    "TQ1_0": (1.69, "unknown", "for models trained with three values per weight"),
    "TQ2_0": (2.06, "unknown", "for models trained with three values per weight"),
    "Q1_0": (1.13, "unknown", "for models trained with one bit per weight"),
    "Q2_0": (2.25, "unknown", "for models trained with two bits per weight"),
    "MXFP4": (4.25, "small", "the format its makers trained it for"),
    "NVFP4": (4.5, "small", "the format of recent NVIDIA GPUs"),
}

_LIKE = {
    "Q2_K_L": "Q2_K", "Q2_K_M": "Q2_K", "Q2_K_XL": "Q2_K", "Q3_K": "Q3_K_M", "Q3_K_XL": "Q3_K_L", "Q4_K": "Q4_K_M",
    "Q4_K_L": "Q4_K_M", "Q4_K_XL": "Q4_K_M", "Q5_K": "Q5_K_M", "Q5_K_L": "Q5_K_M", "Q5_K_XL": "Q5_K_M",
    "Q6_K_L": "Q6_K", "Q6_K_XL": "Q6_K", "Q6_K_S": "Q6_K", "Q6_K_M": "Q6_K", "Q8_K_XL": "Q8_0", "Q8_0_XL": "Q8_0",
    "Q8_K": "Q8_0", "Q8_K_P": "Q8_0", "Q6_K_P": "Q6_K", "Q5_K_P": "Q5_K_M", "Q4_K_P": "Q4_K_M", "Q3_K_P": "Q3_K_M",
    "Q2_K_P": "Q2_K", "IQ2_K_XL": "IQ2_M", "IQ4_K": "IQ4_NL", "MXFP4_MOE": "MXFP4", "MXFP4_XL": "MXFP4",
    "Q4_0_4_4": "Q4_0", "Q4_0_4_8": "Q4_0", "Q4_0_8_8": "Q4_0", "Q8": "Q8_0", "Q6": "Q6_K", "Q5": "Q5_K_M",
    "Q4": "Q4_K_M", "Q3": "Q3_K_M", "Q2": "Q2_K", "IQ4": "IQ4_XS", "IQ3": "IQ3_M", "IQ2": "IQ2_M",
}  # fmt: skip


def explain(quant: str) -> QuantInfo:
    """Plain words for a quant name, known or not."""
    plain = quant.upper().removeprefix("UD-").removeprefix("APEX-")
    known = _NOTES.get(plain) or _NOTES.get(_LIKE.get(plain, ""))
    dynamic = plain != quant.upper()
    if known is None:
        return QuantInfo(quant, None, "unknown", "a kind this version does not know", "other", dynamic)
    bits, loss, note = known
    return QuantInfo(quant, bits, loss, note, _family(plain), dynamic)


def _family(plain: str) -> Literal["float", "legacy", "k", "i", "ternary", "microscaling", "other"]:
    if plain.startswith(("F", "BF")):
        return "float"
    if plain.startswith(("TQ", "Q1_0", "Q2_0")):
        return "ternary"
    if plain.startswith(("MXFP", "NVFP")):
        return "microscaling"
    if plain.startswith("IQ"):
        return "i"
    return "k" if "_K" in plain else "legacy"


def sentence(info: QuantInfo) -> str:
    """The English sentence: "Q4_K_M: 4.85-bit, balanced: the usual choice; loss of quality: small."."""
    if info.bits is None:
        return f"{info.name}: {info.note}."
    text = DESCRIPTION.format(bits=f"{info.bits:g}", note=info.note, loss=info.loss)
    return f"{info.name}: {text}" + (" Important layers are kept finer." if info.dynamic else "")


def all_notes() -> dict[str, str]:
    """Every note and loss word a view must be able to translate."""
    words: tuple[Loss, ...] = ("none", "tiny", "small", "moderate", "large", "very large", "unknown")
    return {note: note for _, _, note in _NOTES.values()} | {word: word for word in words}
