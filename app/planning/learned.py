"""What backends were seen to take for themselves: bytes beside our buffers, by backend, kept in the cache.

A backend's context and kernels take memory that no header tells. Once a worker runs, the driver says what the process
holds and llama.cpp says what it allocated: the difference is remembered and used in the next forecast.
"""

import logging
import statistics
from collections.abc import Iterable
from pathlib import Path

import msgspec

from app.core.events import MemoryUse

log = logging.getLogger(__name__)

KEPT = 8
LARGEST = 4 << 30  # more than this is another model in the same process, not a context


class Overheads:
    """The store. A damaged file is as good as none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._read()

    def note(self, device: str, held: int, reported: Iterable[MemoryUse]) -> None:
        """``held``: bytes the driver says the worker has on ``device`` (``CUDA0``); ``reported``: llama.cpp's own
        account. Nonsense (less held than allocated) is left out."""
        ours = sum(use.total for use in reported if use.device.startswith(device))
        difference = held - ours
        if not ours or not 0 <= difference < LARGEST:
            return
        name = device.rstrip("0123456789")
        self._seen[name] = [*self._seen.get(name, []), difference][-KEPT:]
        self._write()

    def get(self) -> dict[str, int]:
        """The median by backend name, for ``planner.plan(overhead=...)``."""
        return {name: int(statistics.median(seen)) for name, seen in self._seen.items() if seen}

    def _read(self) -> dict[str, list[int]]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, list[int]])
        except (OSError, msgspec.MsgspecError) as error:
            log.info("nothing learned of backends yet: %s", error)
            return {}

    def _write(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._path.with_suffix(".new")
            temporary.write_bytes(msgspec.json.encode(self._seen))
            temporary.replace(self._path)
        except OSError as error:
            log.info("what was learned of backends is not kept: %s", error)
