"""From a header to what people and the planner want to know about a model."""

from collections import Counter
from collections.abc import Mapping

from app.core.types import GgufSummary, ModelKind
from app.models.ggml_types import FILE_TYPE_GUESSED, FILE_TYPES, GGML_TYPES, TYPE_NUMBERS
from app.models.gguf import NEWEST_VERSION, ArrayStub, Header, TensorInfo, Value
from app.models.quants import explain

# Their metadata has no pooling type in older files.
EMBEDDERS = frozenset({
    "bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "modern-bert", "jina-bert-v2", "jina-bert-v3", "eurobert",
    "gemma-embedding", "llama-embed", "t5encoder",
})  # fmt: skip
DRAFTERS = frozenset({"eagle3", "dflash", "dspark"})
_DECLARED: dict[str, ModelKind] = {"imatrix": "imatrix", "adapter": "adapter", "mmproj": "projector"}
POOLING_RANK = 4
_INTEGERS = frozenset({"I8", "I16", "I32", "I64"})
_SAME_TYPE = 0.75
"""Files have more bits than their type at large, for their embeddings, and hardly fewer."""
LARGEST = 1 << 40  # a number above it is a mistake or a lie


def summarize(header: Header, *parts: Header) -> GgufSummary:
    """Sum a header up; ``parts`` are the headers of the other files of a split set. Never raises on odd metadata:
    what makes no sense is left unknown."""
    facts = _Facts(header.metadata)
    tensors = [tensor for part in (header, *parts) for tensor in part.tensors]
    parameters, sizes = _weigh(tensors)
    known = parameters or None
    arch = facts.architecture
    return GgufSummary(
        architecture=arch,
        kind=_kind(facts, parameters),
        name=facts.text("general.name"),
        size_label=facts.text("general.size_label"),
        parameters=known,
        quant=_quant(facts, sizes, parameters),
        bits_per_weight=8 * sum(sizes.values()) / known if known else None,
        tensor_bytes=dict(sizes.most_common()),
        context_length=facts.number(f"{arch}.context_length"),
        embedding_length=facts.number(f"{arch}.embedding_length"),
        block_count=facts.number(f"{arch}.block_count"),
        head_count=facts.numbers(f"{arch}.attention.head_count"),
        head_count_kv=facts.numbers(f"{arch}.attention.head_count_kv"),
        key_length=facts.number(f"{arch}.attention.key_length"),
        value_length=facts.number(f"{arch}.attention.value_length"),
        vocab_size=facts.number(f"{arch}.vocab_size") or facts.count("tokenizer.ggml.tokens"),
        expert_count=facts.number(f"{arch}.expert_count"),
        expert_used_count=facts.number(f"{arch}.expert_used_count"),
        sliding_window=facts.number(f"{arch}.attention.sliding_window"),
        has_template=bool(chat_template(header)),
        license=facts.text("general.license"),
        quantized_by=facts.text("general.quantized_by"),
        split_count=max(facts.number("split.count") or 1, 1),
    )


def chat_template(header: Header) -> str:
    """The model's own chat template, or an empty text."""
    return _Facts(header.metadata).text("tokenizer.chat_template", limit=1 << 22)


def unusable(header: Header) -> str | None:
    """Why llama.cpp could not open a file that is whole, in plain words, or None."""
    if header.big_endian:
        return "it is made for big-endian machines"
    if header.version < NEWEST_VERSION - 1:
        return "it is in the first GGUF format, which llama.cpp no longer reads"
    follows = _Facts(header.metadata).number("split.no")  # only the first part of a set has the general keys
    if not follows and not isinstance(header.metadata.get("general.architecture"), str):
        return "it does not say what architecture it has"
    return None


class _Facts:
    """Metadata that may be anything, asked for by type."""

    def __init__(self, metadata: Mapping[str, Value]) -> None:
        self._metadata = metadata
        self.architecture = self.text("general.architecture")

    def text(self, key: str, limit: int = 512) -> str:
        value = self._metadata.get(key)
        return value[:limit] if isinstance(value, str) else ""

    def number(self, key: str) -> int | None:
        value = self._metadata.get(key)
        return (
            value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST else None
        )

    def numbers(self, key: str) -> tuple[int, ...]:
        value = self._metadata.get(key)
        values = value if isinstance(value, tuple) else (value,)
        kept = tuple(v for v in values if isinstance(v, int) and not isinstance(v, bool) and 0 <= v < LARGEST)
        return kept if len(kept) == len(values) else ()

    def count(self, key: str) -> int | None:
        value = self._metadata.get(key)
        if isinstance(value, ArrayStub):
            return value.count
        return len(value) if isinstance(value, tuple) else None


def _weigh(tensors: list[TensorInfo]) -> tuple[int, Counter[str]]:
    parameters, sizes = 0, Counter[str]()
    for tensor in tensors:
        parameters += tensor.elements
        sizes[tensor.type] += tensor.bytes
    return parameters, sizes


def _kind(facts: _Facts, parameters: int) -> ModelKind:
    arch, declared = facts.architecture, facts.text("general.type")
    if declared in _DECLARED:
        return _DECLARED[declared]
    if arch == "clip":
        return "projector"
    if arch in DRAFTERS:
        return "draft"
    pooling = facts.number(f"{arch}.pooling_type")
    if pooling == POOLING_RANK:
        return "reranker"
    if pooling or arch in EMBEDDERS:
        return "embedding"
    return "text" if arch and parameters else "other"


def _quant(facts: _Facts, sizes: Counter[str], parameters: int) -> str:
    declared = facts.number("general.file_type")
    name = FILE_TYPES.get(declared & ~FILE_TYPE_GUESSED, "") if declared is not None else ""
    least = (explain(name).bits or 0.0) * _SAME_TYPE * parameters
    if (
        name and 8 * sum(sizes.values()) >= least
    ):  # a mix with types of its own is named by what most of it is
        return name
    weights = [
        (size, name) for name, size in sizes.items() if name in TYPE_NUMBERS and not name.startswith("I8")
    ]
    return _as_file_type(max(weights)[1]) if weights else ""


def _as_file_type(tensor_type: str) -> str:
    """llama.cpp's own guess for a file that does not say (``llama_model_loader``): the K types are the M mixes."""
    middle = {"Q3_K", "Q4_K", "Q5_K"}
    return f"{tensor_type}_M" if tensor_type in middle else tensor_type


def effective_bits(type_name: str) -> float | None:
    """Bits per weight of one ggml tensor type, or None for a type this version does not know."""
    number = TYPE_NUMBERS.get(type_name)
    return 8 * GGML_TYPES[number].size / GGML_TYPES[number].block if number is not None else None
