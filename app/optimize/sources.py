"""What to quantize from: the best file of a repository on the Hub, or its original weights to convert."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from app.core.errors import HubNoSuchFileError, TransferCancelledError
from app.core.lab import LabProgress
from app.models.downloads_store import target
from app.models.hub_types import QuantFile, RemotePart, RepoDetail
from app.models.quants import explain
from app.optimize.process import LabCancelledError

if TYPE_CHECKING:
    from app.models.hub import Hub
    from app.models.transfer import Transfer

BEST = ("BF16", "F16", "F32", "Q8_0")
"""What is taken first: F32 is twice as large as F16 and hardly ever holds more."""
MIB = 1 << 20

Tell = Callable[[LabProgress], None]


def best_source(detail: RepoDetail, quant: str = "") -> QuantFile:
    """The file to quantize from: ``quant`` when named (``safetensors``: the original weights), else the best GGUF in
    16 or 8 bits, else the original weights, else the finest there is. Raises HubNoSuchFileError."""
    usable = [item for item in detail.quants if item.kind in ("text", "embedding", "reranker")]
    whole = {item.quant: item for item in usable}
    if quant:
        named = detail.weights if quant.lower() == "safetensors" else None
        named = named or next((item for item in usable if item.quant.lower() == quant.lower()), None)
        if named is None:
            raise HubNoSuchFileError(repo=detail.id, wanted=quant, found=", ".join(whole) or "—")
        return named
    chosen = next((whole[name] for name in BEST if name in whole), None) or detail.weights
    if chosen is None and usable:
        chosen = max(usable, key=lambda item: (explain(item.quant).bits or 0.0, item.bytes))
    if chosen is None:
        raise HubNoSuchFileError(repo=detail.id, wanted="GGUF, safetensors", found="—")
    return chosen


def fetch(
    hub: "Hub",
    chosen: QuantFile,
    models: Path,
    *,
    tell: Tell = lambda _progress: None,
    cancel: threading.Event | None = None,
) -> Path:
    """Download a source with our own transfer, into ``models/owner/repo``; what was there goes on. The folder of
    original weights, or the (first) GGUF file. Raises what ``Transfer`` raises, and LabCancelledError."""
    done, total = 0, sum(part.size for part in chosen.files)
    for part in chosen.files:
        place = target(models, chosen.repo, part)
        if not (place.is_file() and place.stat().st_size == part.size):
            _fetch_one(hub, chosen, part, place, _Told(tell, part.name, done, total), cancel)
        done += part.size
        tell(LabProgress(done // MIB, total // MIB, part.name))
    first = target(models, chosen.repo, chosen.files[0])
    return first.parent if chosen.quant == "safetensors" else first


class _Told:
    """Says how far one file of several is."""

    def __init__(self, tell: Tell, name: str, before: int, total: int) -> None:
        self._tell, self._name, self._before, self._total = tell, name, before, total

    def __call__(self, transfer: "Transfer") -> None:
        bytes_here = self._before + transfer.progress().done
        self._tell(LabProgress(bytes_here // MIB, self._total // MIB, self._name))


def _fetch_one(
    hub: "Hub", chosen: QuantFile, part: RemotePart, place: Path, told: _Told, cancel: threading.Event | None
) -> None:
    from app.models.transfer import Transfer  # noqa: PLC0415 - sockets and TLS, 25 ms

    transfer = Transfer(
        place, lambda: hub.locate(chosen.repo, chosen.revision, part.name), size=part.size, sha256=part.sha256,
        distrust=hub.distrust,
    )  # fmt: skip
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(transfer, told, cancel, over), name="lab-fetch")
    watcher.start()
    try:
        transfer.run()
    except TransferCancelledError:
        raise LabCancelledError from None
    finally:
        over.set()
        watcher.join()


def _watch(transfer: "Transfer", told: _Told, cancel: threading.Event | None, over: threading.Event) -> None:
    while not over.wait(0.2):
        told(transfer)
        if cancel is not None and cancel.is_set():
            transfer.cancel()
            return
