"""How a quant was made: all that decides its bytes, kept beside it, to be shown and to make the same bytes again."""

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from app.core.errors import NoRecipeError
from app.core.types import ModelRecord
from app.models.quants import split_names

LARGEST = 1_000_000
"""Bytes of a recipe at most."""


class Recipe(Struct, frozen=True, kw_only=True):
    """All that decides a quant's bytes. ``source`` and ``matrix`` are names, beside their SHA-256 (of a split set: of
    all parts in order); ``result_sha256`` is what came of it."""

    source: str
    source_sha256: str
    type: str
    overrides: tuple[tuple[str, str], ...] = ()
    embedding: str = ""
    output: str = ""
    pure: bool = False
    prune: tuple[int, ...] = ()
    matrix: str = ""
    matrix_sha256: str = ""
    engine: str = ""
    commit: str = ""
    result_sha256: str = ""


class Ingredients(Struct, frozen=True):
    """Files of this machine for a recipe; empty where none was found. Whether they are the right ones is known when
    they were read."""

    source: str = ""
    matrix: str = ""


def recipe_path(target: Path) -> Path:
    """Where a quant's recipe lies."""
    return target.with_suffix(".recipe.json")


def read_recipe(path: Path) -> Recipe:
    """A recipe, or the one beside a quant. Raises NoRecipeError."""
    found = recipe_path(path) if path.suffix.lower() == ".gguf" else path
    try:
        with found.open("rb") as file:
            return msgspec.json.decode(file.read(LARGEST), type=Recipe)
    except (OSError, msgspec.MsgspecError) as error:
        raise NoRecipeError(file=str(found), detail=str(error)) from error


def sha256_of(path: Path) -> str:
    """Of a file, or of all parts of a split set in order; read once as long as the files stay as they are."""
    parts = [path.with_name(name) for name in split_names(path.name)]
    return _sha256(tuple((str(part), part.stat().st_size, part.stat().st_mtime_ns) for part in parts))


@functools.lru_cache(maxsize=64)
def _sha256(parts: tuple[tuple[str, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for name, _size, _changed in parts:
        with Path(name).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def find_ingredients(recipe: Recipe, records: Iterable[ModelRecord], folder: Path) -> Ingredients:
    """The recipe's source among the models of the library, by its hash where it is known, else by its name; and its
    matrix among those that were computed here (``folder``)."""
    known = list(records)
    first = {record.path: record.files[0].sha256 for record in known if len(record.files) == 1}
    right = [path for path, digest in first.items() if digest == recipe.source_sha256]
    named = [r.path for r in known if Path(r.path).name == recipe.source and not first.get(r.path)]
    return Ingredients(next(iter([*right, *named]), ""), _find_matrix(recipe, folder))


def _find_matrix(recipe: Recipe, folder: Path) -> str:
    if not recipe.matrix_sha256:
        return ""
    kept = sorted(folder.glob("*.imatrix.gguf"), key=lambda path: (path.name != recipe.matrix, path.name))
    return next((str(path) for path in kept if sha256_of(path) == recipe.matrix_sha256), "")
