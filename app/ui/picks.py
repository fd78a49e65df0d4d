"""The short list offered when nobody has searched yet, kept as data in ``resources/picks.json``."""

from collections.abc import Iterable
from functools import lru_cache

import msgspec
from msgspec import Struct

from app.core.types import ModelRecord
from app.ui.resources import resource


class Pick(Struct, frozen=True):
    """One recommendation: what it is good for (a key the window translates), the size of its file, and the memory of
    the smallest computer that runs it well beside a browser; both in GB."""

    repo: str
    quant: str
    purpose: str
    gigabytes: float
    memory: int
    starter: bool = False

    @property
    def stem(self) -> str:
        """The model's name without the publisher and what repositories add to it."""
        return self.repo.split("/")[-1].removesuffix("-GGUF").removesuffix("-gguf")


@lru_cache(maxsize=1)
def all_picks() -> tuple[Pick, ...]:
    """Every pick, smallest first."""
    return msgspec.json.decode(resource("picks.json").read_bytes(), type=tuple[Pick, ...])


def starter() -> Pick:
    """The one that runs anywhere."""
    return next(pick for pick in all_picks() if pick.starter)


def find_local(records: Iterable[ModelRecord], pick: Pick) -> ModelRecord | None:
    """The pick's model among those on this machine, whatever quant it has."""
    stem = pick.stem.lower()
    for record in records:
        if stem in f"{record.id} {record.name} {record.path}".lower() and not record.damaged:
            return record
    return None
