"""LM Studio's routes about models, version 1: list, load, unload, download and how far it is."""

import time
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from app.core.types import ModelRecord
from app.server.backend import Backend
from app.server.convert_ollama import capabilities_of, iso, size_label
from app.server.errors import Problem
from app.server.ollama_models import enqueue, find_quant, snapshot
from app.server.routes import Endpoint, as_json, live_of, read
from app.server.sight import sees
from app.server.wire_lmstudio import (
    V1Capabilities,
    V1DownloadRequest,
    V1Instance,
    V1Job,
    V1LoadRequest,
    V1LoadResult,
    V1Model,
    V1Models,
    V1Quantization,
    V1UnloadRequest,
    V1UnloadResult,
)

if TYPE_CHECKING:
    from app.core.events import DownloadChanged
    from app.core.types import LoadPlan

_load = msgspec.json.Decoder(V1LoadRequest)
_unload = msgspec.json.Decoder(V1UnloadRequest)
_download = msgspec.json.Decoder(V1DownloadRequest)
STATES = {
    "queued": "downloading",
    "running": "downloading",
    "waiting": "downloading",
    "verifying": "downloading",
    "paused": "paused",
    "done": "completed",
    "failed": "failed",
    "cancelled": "failed",
}


def endpoints(backend: Backend) -> list[Endpoint]:
    """The routes over one backend."""
    api = _Models(backend)
    return [
        Endpoint("GET", "/api/v1/models", api.models, "lmstudio", "Models on this machine", answer=V1Models),
        Endpoint(
            "POST", "/api/v1/models/load", api.load, "lmstudio", "Load a model",
            body=V1LoadRequest, answer=V1LoadResult, errors=(404,),
        ),
        Endpoint(
            "POST", "/api/v1/models/unload", api.unload, "lmstudio", "Unload a model",
            body=V1UnloadRequest, answer=V1UnloadResult, errors=(404,),
        ),
        Endpoint(
            "POST", "/api/v1/models/download", api.download, "lmstudio", "Download a model",
            body=V1DownloadRequest, answer=V1Job, errors=(403, 404, 502, 507),
        ),
        Endpoint(
            "GET", "/api/v1/models/download/status/{job_id}", api.status, "lmstudio", "How far a download is",
            answer=V1Job, errors=(404,),
        ),
    ]  # fmt: skip


class _Models:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def models(self, _request: Request) -> Response:
        """GET /api/v1/models"""
        return as_json(V1Models([self._card(record) for record in self._backend.models()]))

    def _card(self, record: ModelRecord) -> V1Model:
        summary, instance = record.summary, self._backend.instance(record.id)
        loaded = []
        if instance is not None and instance.state == "ready" and instance.plan is not None:
            loaded.append(V1Instance(record.id, config_of(instance.plan)))
        able = capabilities_of(record, ("embedding", "reranker"), sees=sees(self._backend, record))
        return V1Model(
            type="embedding" if "embedding" in able else "llm",
            publisher=record.source.repo.partition("/")[0] if record.source else "",
            key=record.id,
            display_name=record.name,
            architecture=summary.architecture if summary else None,
            quantization=V1Quantization(summary.quant, summary.bits_per_weight) if summary else None,
            size_bytes=record.bytes,
            params_string=size_label(summary.parameters) or None if summary else None,
            loaded_instances=loaded,
            max_context_length=(summary.context_length if summary else None) or 0,
            format="gguf",
            capabilities=V1Capabilities("vision" in able, "tools" in able),
        )

    async def load(self, request: Request) -> Response:
        """POST /api/v1/models/load"""
        wire = await read(request, _load)
        record = self._backend.find(wire.model)
        live_of(request).model = record.id
        began = time.monotonic()
        loaded = await self._backend.load(record, **_changes(wire))
        seconds = time.monotonic() - began
        result = V1LoadResult(_kind(record), record.id, seconds, "loaded")
        if wire.echo_load_config and loaded.plan is not None:
            result.load_config = config_of(loaded.plan)
        return as_json(result)

    async def unload(self, request: Request) -> Response:
        """POST /api/v1/models/unload"""
        wire = await read(request, _unload)
        record = self._backend.find(wire.instance_id)
        if not self._backend.is_ready(record.id):
            raise Problem(404, "not_loaded", f"{record.id} is not loaded.", "instance_id")
        await self._backend.unload(record.id)
        return as_json(V1UnloadResult(record.id))

    async def download(self, request: Request) -> Response:
        """POST /api/v1/models/download"""
        wire = await read(request, _download)
        name = wire.model.removeprefix("https://")
        quant = f":{wire.quantization}" if wire.quantization else ""
        job = enqueue(self._backend, await find_quant(self._backend, name + quant))
        found = snapshot(self._backend, job)
        if found is not None and found.state == "done":
            return as_json(V1Job("already_downloaded"))
        return as_json(_job(job, found))

    async def status(self, request: Request) -> Response:
        """GET /api/v1/models/download/status/{job_id}"""
        job = request.path_params["job_id"]
        found = snapshot(self._backend, job)
        if found is None:
            raise Problem(404, "not_found", f"There is no download {job}.")
        return as_json(_job(job, found))


def _job(job: str, change: "DownloadChanged | None") -> V1Job:
    if change is None:
        return V1Job("downloading", job)
    found = V1Job(STATES[change.state], job, downloaded_bytes=change.done)
    if change.total is not None:
        found.total_size_bytes = change.total
    if change.speed is not None:
        found.bytes_per_second = change.speed
    if change.added_at:
        found.started_at = iso(change.added_at)
    if change.error is not None:
        found.error = change.error.message
    return found


def _changes(wire: V1LoadRequest) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if wire.context_length is not None:
        changes["n_ctx"] = wire.context_length
    if wire.eval_batch_size is not None:
        changes["n_batch"] = wire.eval_batch_size
    if wire.flash_attention is not None:
        changes["flash_attn"] = "on" if wire.flash_attention else "off"
    if wire.offload_kv_cache_to_gpu is not None:
        changes["offload_kqv"] = wire.offload_kv_cache_to_gpu
    return changes


def config_of(plan: "LoadPlan") -> dict[str, Any]:
    """A plan under LM Studio's names."""
    return {
        "context_length": plan.n_ctx,
        "eval_batch_size": plan.n_batch,
        "parallel": plan.n_parallel,
        "flash_attention": plan.flash_attn != "off",
        "offload_kv_cache_to_gpu": plan.offload_kqv,
    }


def _kind(record: ModelRecord) -> str:
    return "embedding" if record.summary and record.summary.kind in ("embedding", "reranker") else "llm"
