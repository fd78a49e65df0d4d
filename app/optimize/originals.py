"""A Hugging Face folder of original weights: whether it is whole, and can be converted."""

import json
from contextlib import suppress
from pathlib import Path

from app.core.errors import NotConvertibleError

_LARGEST_HEADER = 100_000_000
"""Bytes, as the format of safetensors has it."""


def check_folder(source: Path) -> None:
    """Refuse what can't be converted, and what would run code of its own. Raises NotConvertibleError."""
    if not (source / "config.json").is_file():
        raise NotConvertibleError(
            folder=str(source), detail="it is no Hugging Face model, it has no config.json"
        )
    if not any(source.glob("*.safetensors")):
        raise NotConvertibleError(
            folder=str(source),
            detail="it has no safetensors, and other weights can hold programs and are not read",
        )
    for name in ("config.json", "tokenizer_config.json"):
        with suppress(OSError, ValueError):
            if "auto_map" in json.loads((source / name).read_text("utf-8")) and any(source.glob("*.py")):
                raise NotConvertibleError(
                    folder=str(source),
                    detail="it brings programs of its own, which the converter would run. Read its *.py files, and"
                    " delete them to convert without",
                )
    for path in sorted({*source.glob("*.safetensors"), *_listed(source)}):
        if problem := _cut_short(path):
            raise NotConvertibleError(folder=str(source), detail=problem)


def _listed(source: Path) -> set[Path]:
    """The files that weights in several parts are said to be in."""
    with suppress(OSError, ValueError, AttributeError, TypeError):
        index = json.loads((source / "model.safetensors.index.json").read_text("utf-8"))
        return {source / str(name) for name in index["weight_map"].values()}
    return set()


def _cut_short(path: Path) -> str:
    """Why a file of weights is not whole; empty when it is. Its header says where the last tensor ends."""
    if not path.is_file():
        return f"its part {path.name} is missing"
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            header = json.loads(file.read(length if length <= _LARGEST_HEADER else 0))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, LookupError, TypeError, AttributeError):
            return f"its file {path.name} is no safetensors, or cut short"
    short = path.stat().st_size < 8 + length + max(ends, default=0)
    return f"its file {path.name} is cut short" if short else ""
