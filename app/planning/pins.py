"""Models that stay loaded whatever comes: a list in a file, so that it outlives the program."""

import logging
import os
from pathlib import Path

import msgspec

log = logging.getLogger(__name__)


class Pins:
    """Ids of models; thread-safe, as a set is replaced whole. Without a file (None) they are kept in memory only; a
    file that can't be read counts as empty, one that can't be written is logged."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._models: frozenset[str] | None = None

    def __contains__(self, model: str) -> bool:
        return model in self._read()

    def set(self, model: str, on: bool) -> None:
        """Pin it, or let it go."""
        self._models = self._read() | {model} if on else self._read() - {model}
        if self._path is None:
            return
        part = self._path.with_name(f"{self._path.name}.{os.getpid()}.part")
        try:
            part.write_bytes(msgspec.json.encode(sorted(self._models)))
            part.replace(self._path)
        except OSError as error:
            log.info("the pinned models are not remembered: %s", error)

    def _read(self) -> frozenset[str]:
        if self._models is None:
            self._models = self._on_disk()
        return self._models

    def _on_disk(self) -> frozenset[str]:
        try:
            return (
                msgspec.json.decode(self._path.read_bytes(), type=frozenset[str])
                if self._path
                else frozenset()
            )
        except FileNotFoundError:
            return frozenset()
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            log.info("the pinned models are not known: %s", error)
            return frozenset()
