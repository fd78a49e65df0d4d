"""The Hub over LM Studio's sockets: search, what a repository offers with how it fits this machine, and downloads."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from app.server.backend import Backend, in_thread
from app.server.errors import Problem, problem_of
from app.server.ollama_models import enqueue, find_quant, snapshot, watch
from app.server.wire_socket import FoundName, SearchOptions

if TYPE_CHECKING:
    from app.core.events import DownloadChanged
    from app.models.hub import Hub
    from app.models.hub_types import QuantFile, RepoDetail

USUAL = 10
"""Results when the client names no limit."""
FITS = {
    "full_gpu": "fullGPUOffload",
    "partly": "partialGPUOffload",
    "fits_in_memory": "fitWithoutGPU",
    "too_large": "willNotFit",
}


async def search(backend: Backend, wanted: SearchOptions) -> dict[str, Any]:
    """Repositories with GGUF files. Raises Problem."""
    if wanted.compatibility_types and "gguf" not in wanted.compatibility_types:
        return {"results": []}
    limit = wanted.limit or USUAL
    hub = _hub(backend)
    try:
        page = await in_thread(lambda: hub.search(wanted.search_term, limit=limit))
    except Exception as error:
        raise problem_of(error) from error
    found = [
        {
            "name": item.id,
            "identifier": {"type": "hf", "identifier": item.id},
            "exact": item.id == wanted.search_term,
        }
        for item in page.items[:limit]
    ]
    return {"results": found}


async def options(backend: Backend, found: FoundName) -> dict[str, Any]:
    """What a repository has to download. Raises Problem."""
    if found.type != "hf":
        raise Problem(404, "not_found", "There is no catalog here: search gives repositories of the Hub.")
    hub = _hub(backend)
    try:
        detail = await in_thread(hub.repo, found.identifier)
        return {"results": await in_thread(_options, backend, detail)}
    except Exception as error:
        raise problem_of(error) from error


def _options(backend: Backend, detail: "RepoDetail") -> list[dict[str, Any]]:
    quants = [quant for quant in detail.quants if quant.kind in ("text", "embedding", "reranker")]
    fitter = backend.fitter() if backend.fitter is not None else None
    best = fitter.recommend([quant.bytes for quant in quants], detail.parameters) if fitter else None
    found = []
    for at, quant in enumerate(quants):
        label = fitter.label(quant.bytes, detail.parameters) if fitter else "fits_in_memory"
        found.append(_option(quant) | {"fitEstimation": FITS[label], "recommended": at == best})
    return found


def _option(quant: "QuantFile") -> dict[str, Any]:
    return {
        "name": quant.id,
        "sizeBytes": quant.bytes,
        "downloadIdentifier": quant.id,
        "indexedModelIdentifier": quant.id,
        "quantization": quant.quant,
    }


async def begin(backend: Backend, name: str) -> str:
    """Begin to download what ``options`` offered; the download's id. Raises Problem."""
    return enqueue(backend, await find_quant(backend, name))


def pause(backend: Backend, job: str) -> None:
    """The client has changed its mind: what is there stays, and can be gone on with."""
    if backend.downloads is not None:
        backend.downloads.pause(job)


async def messages(backend: Backend, job: str) -> AsyncIterator[dict[str, Any]]:
    """What the channel tells until the download has ended. Raises Problem when it failed."""
    finalizing = False
    async for change in watch(backend, job):
        yield {"type": "downloadProgress", "update": _update(change)}
        if change.state == "verifying" and not finalizing:
            finalizing = True
            yield {"type": "startFinalizing"}
    last = snapshot(backend, job)
    if last is None or last.state != "done":
        why = last.error.message if last is not None and last.error is not None else "it was stopped"
        raise Problem(409, "download_failed", f"{job} was not downloaded: {why}.".replace("..", "."))
    if not finalizing:
        yield {"type": "startFinalizing"}
    yield {"type": "success", "defaultIdentifier": job}


def _update(change: "DownloadChanged") -> dict[str, Any]:
    return {
        "downloadedBytes": change.done,
        "totalBytes": change.total or 0,
        "speedBytesPerSecond": change.speed or 0.0,
    }


def _hub(backend: Backend) -> "Hub":
    if backend.hub is None:
        raise Problem(400, "not_available", "This server can't search the Hub.")
    return backend.hub
