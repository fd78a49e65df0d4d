"""Which GPU backend a worker's crash points at, by what its log says.

Two traces are left by a death: ggml's own ``file:line:`` of a failed assertion, and faulthandler's stack of the thread
that died. A crash in the sampler or the tokenizer, or an assertion of the processor's code, is no pack's doing.
"""

import re
from collections.abc import Iterable
from typing import Protocol

from app.runtime.postmortem import is_crash

SOURCES = {"rocm": ("ggml-cuda", "ggml-hip")}
"""Backend -> folders of its sources in llama.cpp, where they are not ``ggml-<backend>``."""
COMPUTING = (
    "llama_context",
    "llama_burst",
    "llama_model",
    "llama_eyes",
    "llama_pieces",
    "llama_long",
    "llama_matrix",
)
"""Modules of ours that call what runs on a GPU: decoding, loading, images, and the lab's own."""
_ABORTED = re.compile(r"^(\S*[/\\])?([\w.-]+\.(?:c|cc|cpp|cu|cuh|h|hpp|m)):\d+: ", re.MULTILINE)
_STACK = re.compile(r"\(most recent call first\):$", re.MULTILINE)
_FRAME = re.compile(r'File "[^"]*app[/\\]runtime[/\\](\w+)\.py"')


class Judge(Protocol):
    """Keeps what became of the backends' packs (``PackStore``)."""

    def crashed(self, backend: str, why: str) -> str:
        """A model ended the engine on it. The name of the pack that was turned off for it, or nothing."""

    def worked(self, backends: Iterable[str]) -> None:
        """A model on them ended in order."""


def kinds_of(devices: Iterable[str]) -> list[str]:
    """The backends of these devices: ``vulkan`` for ``Vulkan0``."""
    return list(dict.fromkeys(device.rstrip("0123456789").lower() for device in devices))


def backend_at_fault(devices: Iterable[str], status: int, details: str) -> str:
    """The backend (``cuda``, ``rocm``, ``vulkan``) of a worker's death: ``devices`` it ran on, its exit ``status``, the
    end of its log. Empty when it did not crash, ran on the processor alone, or the log points elsewhere."""
    kinds = kinds_of(devices)
    if not is_crash(status) or not kinds:
        return ""
    if sources := list(_ABORTED.finditer(details)):
        said = sources[-1][0].replace("\\", "/")
        return next((kind for kind in kinds if _is_of(kind, said)), "")
    if not _while_computing(details):
        return ""
    return kinds[0] if len(kinds) == 1 else _named(kinds, details)


def _is_of(kind: str, source: str) -> bool:
    return any(name in source for name in SOURCES.get(kind, (f"ggml-{kind}",)))


def _while_computing(details: str) -> bool:
    """The thread that died was in such a call, or in no Python at all (a driver's own thread)."""
    found = list(_STACK.finditer(details))
    frame = _FRAME.search(details, found[-1].end()) if found else None
    return frame is None or frame[1] in COMPUTING


def _named(kinds: list[str], details: str) -> str:
    """With several backends in the process: the one whose name stands last in the log, if any."""
    places = {
        kind: max(details.lower().rfind(name) for name in (kind, *SOURCES.get(kind, ()))) for kind in kinds
    }
    best = max(places, key=lambda kind: places[kind])
    return best if places[best] >= 0 else ""
