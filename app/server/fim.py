"""Fill in the middle: the prompt for models that were taught it, from the special tokens they have."""

from app.core.types import ModelRecord
from app.server.backend import Backend

# (before, after, middle), as the families write them (source: their tokenizers and llama.cpp's llama-vocab.cpp).
FAMILIES = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
    ("<PRE>", "<SUF>", "<MID>"),
    ("▁<PRE>", "▁<SUF>", "▁<MID>"),
)

_known: dict[str, tuple[int, int, int] | None] = {}


async def tokens(backend: Backend, record: ModelRecord, before: str, after: str) -> list[int] | None:
    """The prompt in tokens (prefix, suffix, then the middle is written), or None for a model without such tokens."""
    if record.id not in _known:
        _known[record.id] = await _find(backend, record)
    marks = _known[record.id]
    if marks is None:
        return None
    start = await backend.tokenize(record, "", special=True)
    texts = [await backend.tokenize(record, text) for text in (before, after)]
    return [*start, marks[0], *texts[0], marks[1], *texts[1], marks[2]]


async def _find(backend: Backend, record: ModelRecord) -> tuple[int, int, int] | None:
    start = len(await backend.tokenize(record, "", special=True))
    for family in FAMILIES:
        found = [await backend.tokenize(record, mark, special=True) for mark in family]
        if all(len(ids) == start + 1 for ids in found):
            first, second, third = (ids[-1] for ids in found)
            return first, second, third
    return None
