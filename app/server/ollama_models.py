"""Ollama's routes about models: tags, show, ps, pull, delete, copy, version."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp

from app.core.errors import ModelNotFoundError
from app.core.events import DownloadChanged, InstanceChanged
from app.core.types import ModelRecord
from app.models.projectors import projector_for
from app.server.backend import Backend, in_thread
from app.server.convert_ollama import capabilities_of, details_of, digest_of, iso
from app.server.errors import Problem, body_of, problem_of
from app.server.routes import Endpoint, as_json, live_of, read
from app.server.sight import sees
from app.server.wire_ollama import (
    CopyRequest,
    Loaded,
    LoadedList,
    NameRequest,
    Progress,
    ShowRequest,
    ShowResult,
    Tag,
    Tags,
    Version,
)

if TYPE_CHECKING:
    from app.models.hub import QuantFile

NDJSON = "application/x-ndjson"
VERSION = "0.12.0"
"""The Ollama whose protocol this is: clients compare it."""
NEVER = 4102444800.0  # 2100, for models that stay
_show = msgspec.json.Decoder(ShowRequest)
_name = msgspec.json.Decoder(NameRequest)
_copy = msgspec.json.Decoder(CopyRequest)
_encode = msgspec.json.Encoder().encode
HOSTS = ("hf.co/", "huggingface.co/")
PREFERRED = ("Q4_K_M", "Q4_0", "Q5_K_M", "Q8_0")
"""Which quant a pull without one means."""


def endpoints(backend: Backend) -> list[Endpoint]:
    """The routes over one backend."""
    api = _Models(backend)
    gone = (404,)
    return [
        Endpoint("GET", "/", api.hello, "ollama", "A word that it is on", media="text/plain", public=True),
        Endpoint("GET", "/api/version", api.version, "ollama", "The protocol's version", answer=Version),
        Endpoint("GET", "/api/tags", api.tags, "ollama", "Models on this machine", answer=Tags),
        Endpoint("GET", "/api/ps", api.loaded, "ollama", "Models that are loaded", answer=LoadedList),
        Endpoint(
            "POST", "/api/show", api.show, "ollama", "One model", body=ShowRequest, answer=ShowResult, errors=gone
        ),
        Endpoint(
            "POST", "/api/pull", api.pull, "ollama", "Download a model",
            body=NameRequest, answer=Progress, stream=NDJSON, errors=(403, 404, 502, 507),
        ),
        Endpoint(
            "DELETE", "/api/delete", api.delete, "ollama", "Put a model into the bin", body=NameRequest, errors=gone
        ),
        Endpoint("POST", "/api/copy", api.copy, "ollama", "Give a model another name", body=CopyRequest, errors=gone),
    ]  # fmt: skip


class _Models:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def hello(self, _request: Request) -> Response:
        """GET /"""
        return PlainTextResponse("Hearth is running")

    async def version(self, _request: Request) -> Response:
        """GET /api/version"""
        return as_json(Version(VERSION))

    async def tags(self, _request: Request) -> Response:
        """GET /api/tags"""
        found = [_tag(record.id, record) for record in self._backend.models()]
        for name in self._backend.aliases():
            try:
                found += [] if "*" in name else [_tag(name, self._backend.find(name))]
            except ModelNotFoundError:
                continue  # an alias of what was deleted
        return as_json(Tags(found))

    async def loaded(self, _request: Request) -> Response:
        """GET /api/ps"""
        ready = [item for item in self._backend.supervisor.snapshots() if item.state == "ready"]
        return as_json(LoadedList([self._loaded(item) for item in ready]))

    def _loaded(self, item: InstanceChanged) -> Loaded:
        record = self._backend.find(item.model)
        left = self._backend.stays_for(item)
        until = NEVER if left is None else time.time() + left
        total = sum(use.total for use in item.memory) or record.bytes
        on_gpu = sum(use.total for use in item.memory if use.device != "CPU")
        return Loaded(
            record.id, record.id, total, digest_of(record), details_of(record), iso(until), on_gpu, item.n_ctx
        )

    async def show(self, request: Request) -> Response:
        """POST /api/show"""
        wire = await read(request, _show)
        record = self._backend.find(_named(wire.model, wire.name))
        summary = record.summary
        return as_json(
            ShowResult(
                modelfile=f"# A model of Hearth\nFROM {record.id}\n",
                parameters="",
                template="{{ .Prompt }}",
                license=summary.license if summary else "",
                details=details_of(record),
                model_info=model_info(record),
                capabilities=capabilities_of(record, sees=sees(self._backend, record)),
                modified_at=iso(record.added_at),
            )
        )

    async def delete(self, request: Request) -> Response:
        """DELETE /api/delete"""
        wire = await read(request, _name)
        name = _named(wire.model, wire.name)
        aliases = self._backend.aliases()
        if name in aliases:
            self._set_aliases({key: value for key, value in aliases.items() if key != name})
            return Response(status_code=200)
        record = self._backend.find(name)
        await self._backend.unload(record.id)
        await in_thread(self._backend.library.remove, record.id)
        return Response(status_code=200)

    async def copy(self, request: Request) -> Response:
        """POST /api/copy"""
        wire = await read(request, _copy)
        record = self._backend.find(wire.source)
        self._set_aliases({wire.destination: record.id, **self._backend.aliases()})
        return Response(status_code=200)

    def _set_aliases(self, aliases: dict[str, str]) -> None:
        text = "\n".join(f"{name} = {model}" for name, model in aliases.items())
        self._backend.settings.set("server.aliases", text)

    # ------------------------------------------------------------------------------ pull

    async def pull(self, request: Request) -> ASGIApp:
        """POST /api/pull"""
        wire = await read(request, _name)
        name = _named(wire.model, wire.name)
        live_of(request).model = ""
        download = enqueue(self._backend, await find_quant(self._backend, name))
        if wire.stream is False:
            async for change in watch(self._backend, download):
                _check(change)
            return as_json(Progress("success"))
        lines = self._lines(download)
        return StreamingResponse(lines, media_type=NDJSON)

    async def _lines(self, download: str) -> AsyncIterator[bytes]:
        yield _line(Progress("pulling manifest"))
        try:
            async for change in watch(self._backend, download):
                _check(change)
                yield _line(_progress(change))
        except Problem as problem:
            yield body_of("ollama", problem) + b"\n"
            return
        yield _line(Progress("writing manifest"))
        yield _line(Progress("success"))


def _line(progress: Progress) -> bytes:
    return _encode(progress) + b"\n"


def _progress(change: DownloadChanged) -> Progress:
    if change.state == "verifying":
        return Progress("verifying sha256 digest")
    line = Progress(f"pulling {change.file}", f"hearth:{change.id}", completed=change.done)
    if change.total is not None:
        line.total = change.total
    return line


def _check(change: DownloadChanged) -> None:
    if change.state == "failed":
        error = change.error
        raise Problem(
            502, error.code if error else "transfer", error.message if error else "The download broke."
        )
    if change.state in ("cancelled", "paused"):
        raise Problem(409, "transfer_cancelled", f"The download was {change.state} in Hearth's window.")


async def find_quant(backend: Backend, name: str) -> "tuple[QuantFile, ...]":
    """The quant that a name means on the Hub: ``owner/repo`` or ``owner/repo:Q4_K_M``, and the vision projector that
    comes with it, if there is one. Raises Problem."""
    if backend.downloads is None or backend.hub is None:
        raise Problem(400, "not_available", "This server can't download.")
    host = next((host for host in HOSTS if name.startswith(host)), "")
    repo, _, wanted = name[len(host) :].partition(":")
    if repo.count("/") != 1:
        raise Problem(404, "model_not_found", f"Name a repository of the Hub (owner/repo:QUANT), not {name}.")
    try:
        detail = await in_thread(backend.hub.repo, repo)
    except Exception as error:
        raise problem_of(error) from error
    quants = [quant for quant in detail.quants if quant.kind in ("text", "embedding", "reranker")]
    for choice in [wanted] if wanted and wanted != "latest" else PREFERRED:
        found = next((quant for quant in quants if quant.quant.casefold() == choice.casefold()), None)
        if found is not None:
            return _with_projector(backend, found, detail.quants)
    if quants and wanted in ("", "latest"):
        return _with_projector(backend, quants[0], detail.quants)
    there = ", ".join(quant.quant for quant in quants) or "none"
    raise Problem(404, "model_not_found", f"{repo} has no {wanted or 'GGUF'}; it has {there}.")


def _with_projector(
    backend: Backend, quant: "QuantFile", quants: "Sequence[QuantFile]"
) -> "tuple[QuantFile, ...]":
    beside = projector_for(quant, quants, backend.library.records())
    return (quant, beside) if beside is not None else (quant,)


def enqueue(backend: Backend, quants: "tuple[QuantFile, ...]") -> str:
    """Begin to download; the id of the first one's download."""
    assert backend.downloads is not None  # find_quant asked
    backend.downloads.start()
    first, *_beside = (backend.downloads.enqueue(quant) for quant in quants)
    return first


def snapshot(backend: Backend, download: str) -> DownloadChanged | None:
    """How far a download is."""
    every = backend.downloads.snapshots() if backend.downloads is not None else ()
    return next((change for change in every if change.id == download), None)


async def watch(backend: Backend, download: str, every: float = 0.2) -> AsyncIterator[DownloadChanged]:
    """Its snapshots, whenever they differ, until it has ended."""
    last = None
    while True:
        change = snapshot(backend, download)
        if change is None:
            return
        if change != last:
            yield change
            last = change
        if change.state in ("done", "failed", "cancelled", "paused"):
            return
        await asyncio.sleep(every)


def _named(model: str, name: str) -> str:
    if not (model or name):
        raise Problem(400, "bad_request", "model is missing.", "model")
    return model or name


def _tag(name: str, record: ModelRecord) -> Tag:
    return Tag(name, name, iso(record.added_at), record.bytes, digest_of(record), details_of(record))


def model_info(record: ModelRecord) -> dict[str, Any]:
    """The header's keys under their GGUF names, as far as they are known."""
    summary = record.summary
    if summary is None:
        return {}
    arch = summary.architecture
    found = {
        "general.architecture": arch,
        "general.basename": summary.name,
        "general.parameter_count": summary.parameters,
        "general.license": summary.license,
        f"{arch}.context_length": summary.context_length,
        f"{arch}.embedding_length": summary.embedding_length,
        f"{arch}.block_count": summary.block_count,
        f"{arch}.attention.head_count": _one(summary.head_count),
        f"{arch}.attention.head_count_kv": _one(summary.head_count_kv),
        f"{arch}.expert_count": summary.expert_count,
        f"{arch}.expert_used_count": summary.expert_used_count,
        f"{arch}.vocab_size": summary.vocab_size,
    }
    return {name: value for name, value in found.items() if value not in (None, "")}


def _one(counts: tuple[int, ...]) -> int | list[int] | None:
    return counts[0] if len(set(counts)) == 1 else list(counts) or None
