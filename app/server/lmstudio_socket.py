# size: everything that one socket can be asked
"""The sockets of LM Studio's own clients: models, predictions and vectors over WebSocket.

A browser may open a socket to any address without asking first, so Host and Origin are checked here too; a key comes
in the ``Authorization`` header of the handshake, or as the passkey of the greeting.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from app import __version__
from app.core.errors import HearthError
from app.core.generate import Delta, Failed, GenerateRequest
from app.core.types import ModelRecord
from app.server import convert_socket as convert
from app.server import lmstudio_hub as hub
from app.server import wire_socket as wire
from app.server.answer import Answer
from app.server.backend import Backend, new_id
from app.server.convert import limited, over_defaults, to_request
from app.server.errors import Problem, from_failed, problem_of
from app.server.keys import Checker
from app.server.live import Live, Registry
from app.server.lmstudio import why_stopped
from app.server.lmstudio_files import Files
from app.server.lmstudio_loading import Say, load
from app.server.run import HangUpError, Run
from app.server.sight import check_sight, sees

PATHS = ("/llm", "/embedding", "/system", "/files", "/repository")
GREETING_TIME = 20.0
MOST_SOCKETS = 128
MOST_AT_ONCE = 64
"""Calls and channels of one socket."""

UNREADABLE = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)

_auth = msgspec.json.Decoder(wire.Auth)
_incoming = msgspec.json.Decoder(wire.Incoming)
Ended = Callable[[Live, float], None]
Send_ = Callable[[dict[str, Any]], Awaitable[None]]


class Sockets:
    """All sockets of one server."""

    def __init__(
        self,
        backend: Backend,
        registry: Registry,
        checker: Checker,
        refuse: Callable[[dict[str, str]], None],
        ended: Ended,
    ) -> None:
        """``refuse`` raises Problem for a Host or Origin that may not; ``ended`` is told of each prediction's end."""
        self.backend, self.registry, self.checker, self.ended = backend, registry, checker, ended
        self.files = Files()
        self._refuse, self._open = refuse, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket until its client goes."""
        socket = WebSocket(scope, receive, send)
        try:
            self._refuse(dict(socket.headers))
        except Problem:
            await socket.close()  # before the handshake: 403
            return
        if scope["path"] not in PATHS or self._open >= MOST_SOCKETS or self.backend.closing:
            await socket.close()
            return
        self._open += 1
        try:
            await socket.accept()
            await _Session(self, socket, scope["path"][1:]).run()
        except (WebSocketDisconnect, RuntimeError, TimeoutError):
            return  # gone, or closed while something was to be sent
        finally:
            self._open -= 1


class _Session:
    """One socket."""

    def __init__(self, sockets: Sockets, socket: WebSocket, namespace: str) -> None:
        self._all, self._socket, self._namespace = sockets, socket, namespace
        self._backend = sockets.backend
        self._headers: dict[str, str] = {}
        self._key = ("", "")
        self._tasks: set[asyncio.Task[None]] = set()
        self._runs: dict[int, Run] = {}
        self._cancels: dict[int, Callable[[], object]] = {}
        """How to end what a channel does."""

    @property
    def _client(self) -> str:
        return self._socket.client.host if self._socket.client else ""

    async def run(self) -> None:
        """Greet, then answer until it closes; what is still running is then cancelled."""
        if not await self._greet():
            await self._socket.close()
            return
        try:
            while True:
                self._take(await self._socket.receive_text())
        finally:
            for run in self._runs.values():
                run.hang_up()
            for task in self._tasks:
                task.cancel()

    async def _greet(self) -> bool:
        text = await asyncio.wait_for(self._socket.receive_text(), GREETING_TIME)
        try:
            given = _auth.decode(text)
            self._headers = {"x-api-key": given.client_passkey, **dict(self._socket.headers)}
            self._key = self._all.checker.check(self._headers, self._client)
        except (*UNREADABLE, Problem) as error:
            await self._send({"success": False, "error": str(error)})
            return False
        await self._send({"success": True})
        return True

    def _check(self) -> None:
        """The key again: it may have been revoked meanwhile, and each request counts for its rate."""
        self._key = self._all.checker.check(self._headers, self._client)

    async def _send(self, message: dict[str, Any]) -> None:
        await self._socket.send_text(msgspec.json.encode(message).decode())

    def _take(self, text: str) -> None:
        try:
            message = _incoming.decode(text)
        except UNREADABLE as error:
            self._spawn(self._send({"type": "communicationWarning", "warning": str(error)}))
            return
        if isinstance(message, wire.ChannelSend):
            self._heard(message)
        elif isinstance(message, wire.RpcCall):
            self._spawn(self._call(message))
        elif isinstance(message, wire.ChannelCreate):
            self._spawn(self._channel(message))
        elif isinstance(message, wire.KeepAlive):
            self._spawn(self._send({"type": "keepAliveAck"}))

    def _heard(self, message: wire.ChannelSend) -> None:
        if message.ack_id is not None:
            ack = {"type": "channelAck", "channelId": message.channel_id, "ackId": message.ack_id}
            self._spawn(self._send(ack))
        cancel = self._cancels.get(message.channel_id)
        if cancel is not None and message.message.get("type") == "cancel":
            cancel()

    def _spawn(self, work: Any) -> None:
        if len(self._tasks) >= MOST_AT_ONCE:
            work.close()
            raise WebSocketDisconnect(1008)
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # the client is gone: seen, and nothing to do

    # ------------------------------------------------------------------------------ calls

    async def _call(self, message: wire.RpcCall) -> None:
        answer: dict[str, Any] = {"callId": message.call_id}
        try:
            self._check()
            known = _CALLS.get(message.endpoint)
            if known is None:
                raise Problem(404, "not_found", f"There is no call {message.endpoint} here.")
            result = await known(self, message.parameter or {})
            answer |= {"type": "rpcResult"} if result is None else {"type": "rpcResult", "result": result}
        except Exception as error:  # noqa: BLE001 - becomes the answer
            answer |= {"type": "rpcError", "error": convert.error_of(problem_of(error))}
        await self._send(answer)

    async def _downloaded(self, _given: dict[str, Any]) -> list[dict[str, Any]]:
        return [self._info(record) for record in self._backend.models()]

    async def _loaded(self, _given: dict[str, Any]) -> list[dict[str, Any]]:
        records = [record for record in self._backend.models() if self._backend.is_ready(record.id)]
        infos = [self._instance(record) for record in records]
        wanted = {"llm": "llm", "embedding": "embedding"}.get(self._namespace)
        return [info for info in infos if wanted in (None, info["type"])]

    def _info(self, record: ModelRecord) -> dict[str, Any]:
        return convert.info_of(record, sees=sees(self._backend, record))

    async def _model_info(self, given: dict[str, Any]) -> dict[str, Any] | None:
        ask = msgspec.convert(given, wire.Ask)
        record = self._backend.find(ask.name)
        if self._backend.is_ready(record.id):
            return self._instance(record)
        if ask.throw_if_not_found:
            raise Problem(404, "model_not_found", f"{record.id} is not loaded.")
        return None

    async def _load_config(self, given: dict[str, Any]) -> dict[str, Any]:
        record = self._backend.find(msgspec.convert(given, wire.Ask).name)
        return self._load_fields(record)

    async def _tokenize(self, given: dict[str, Any]) -> dict[str, Any]:
        ask = msgspec.convert(given, wire.Ask)
        return {"tokens": list(await self._backend.tokenize(self._backend.find(ask.name), ask.input_string))}

    async def _count(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"tokenCount": len((await self._tokenize(given))["tokens"])}

    async def _embed(self, given: dict[str, Any]) -> dict[str, Any]:
        ask = msgspec.convert(given, wire.Ask)
        record = self._backend.find(ask.name)
        with self._noted(record) as live:
            found = await self._backend.embed(record, [ask.input_string])
            live.prompt_tokens, live.status = found.tokens, 200
        return {"embedding": found.vectors[0]}

    async def _template(self, given: dict[str, Any]) -> dict[str, Any]:
        ask = msgspec.convert(given, wire.Template)
        record = self._backend.find(ask.specifier.name)
        chat = convert.chat_of(ask, record.id, self._all.files.url)
        asked = to_request(chat, "", self._backend.defaults(record.id))
        rendered = await self._backend.render(record, asked.messages, asked.tools)
        return {"formatted": rendered.prompt}

    async def _version(self, _given: dict[str, Any]) -> dict[str, Any]:
        return {"version": __version__, "build": 1}

    async def _processing(self, given: dict[str, Any]) -> dict[str, Any]:
        record = self._backend.find(msgspec.convert(given, wire.Ask).name)
        queued = self._backend.running(record.id)
        return {"status": "generating" if queued else "idle", "queued": queued}

    async def _unload(self, given: dict[str, Any]) -> None:
        await self._backend.unload(self._backend.find(msgspec.convert(given, wire.Unload).identifier).id)

    async def _upload(self, given: dict[str, Any]) -> dict[str, Any]:
        ask = msgspec.convert(given, wire.Upload)
        return self._all.files.take(ask.content_base64, ask.name)

    async def _search(self, given: dict[str, Any]) -> dict[str, Any]:
        return await hub.search(self._backend, msgspec.convert(given, wire.Search).opts)

    async def _options(self, given: dict[str, Any]) -> dict[str, Any]:
        found = msgspec.convert(given, wire.Options).model_search_result_identifier
        return await hub.options(self._backend, found)

    # ------------------------------------------------------------------------------ channels

    async def _channel(self, message: wire.ChannelCreate) -> None:
        number = message.channel_id

        async def say(**fields: Any) -> None:
            await self._send({"type": "channelSend", "channelId": number, "message": fields})

        try:
            self._check()
            given = message.creation_parameter or {}
            if message.endpoint in ("loadModel", "getOrLoad"):
                new = message.endpoint == "loadModel"
                await self._load(number, msgspec.convert(given, wire.Load), say, new=new)
            elif message.endpoint == "predict":
                await self._predict(number, msgspec.convert(given, wire.Predict), say)
            elif message.endpoint == "downloadModel":
                await self._download(number, msgspec.convert(given, wire.Download), say)
            else:
                raise Problem(404, "not_found", f"There is no channel {message.endpoint} here.")
            await self._send({"type": "channelClose", "channelId": number})
        except HangUpError:
            return
        except Exception as error:  # noqa: BLE001 - becomes the answer
            problem = convert.error_of(problem_of(error))
            await self._send({"type": "channelError", "channelId": number, "error": problem})

    async def _load(self, number: int, given: wire.Load, say: Say, *, new: bool) -> None:
        # (A socket's client takes no other kind of model; what this one can't do is said when it is asked for it.)
        kind = {"type": self._namespace} if self._namespace in ("llm", "embedding") else {}

        def told(record: ModelRecord) -> tuple[dict[str, Any], dict[str, Any]]:
            return self._info(record) | kind, self._instance(record) | kind

        try:
            keep = partial(self._cancels.__setitem__, number)
            await load(self._backend, given, say, told, keep, new=new)
        finally:
            self._cancels.pop(number, None)

    async def _download(self, number: int, given: wire.Download, say: Say) -> None:
        job = await hub.begin(self._backend, given.download_identifier)
        self._cancels[number] = lambda: hub.pause(self._backend, job)
        try:
            async for message in hub.messages(self._backend, job):
                await say(**message)
        finally:
            del self._cancels[number]

    async def _predict(self, number: int, given: wire.Predict, say: Say) -> None:
        record = self._backend.find(given.model_specifier.name)
        asked = self._request(given, record)
        with self._noted(record) as live:
            run = self._runs[number] = Run(self._backend, record, [asked], live)
            self._cancels[number] = run.cancel
            answer = Answer()
            run.begin()
            try:
                await self._events(run, answer, say)
                live.status = 200
            finally:
                del self._runs[number], self._cancels[number]
                run.end(answer.done)
        await say(type="success", **self._result(record, answer))

    def _request(self, given: wire.Predict, record: ModelRecord) -> GenerateRequest:
        chat = convert.chat_of(given, record.id, self._all.files.url)
        defaults = self._backend.defaults(record.id)
        if not given.prediction_config_stack.completes:
            asked = to_request(chat, new_id(), defaults)
            check_sight(self._backend, record, asked.messages, "history")
            return asked
        stop = (chat.stop,) if isinstance(chat.stop, str) else tuple(chat.stop or ())
        sampling = over_defaults(chat, defaults, None, stop=stop, **limited(chat.max_tokens, "maxTokens"))
        return GenerateRequest(new_id(), prompt=convert.text_of(given), sampling=sampling)

    async def _events(self, run: Run, answer: Answer, say: Say) -> None:
        while not answer.done:
            for event in await run.batch():
                if isinstance(event, Failed):
                    raise from_failed(event)
                answer.add(event)
                if isinstance(event, Delta):
                    for message in convert.messages_of(event):
                        await say(**message)
        for call in answer.first.tool_calls:
            arguments = msgspec.json.decode(call.arguments or "{}")
            request = {"type": "function", "id": call.id, "name": call.name, "arguments": arguments}
            await say(type="toolCallGenerationEnd", toolCallRequest=request)

    def _result(self, record: ModelRecord, answer: Answer) -> dict[str, Any]:
        usage, timings = answer.usage, answer.timings
        reason = why_stopped(answer, self._backend.instance(record.id))
        stats = {
            "stopReason": reason,
            "tokensPerSecond": timings.decode_per_second,
            "timeToFirstTokenSec": timings.ttft,
            "promptTokensCount": usage.prompt,
            "predictedTokensCount": usage.completion,
            "totalTokensCount": usage.prompt + usage.completion,
        }
        info = self._instance(record)
        return {
            "stats": stats,
            "modelInfo": info,
            "loadModelConfig": self._load_fields(record),
            "predictionConfig": {"fields": []},
        }

    # ------------------------------------------------------------------------------ what is told

    def _instance(self, record: ModelRecord) -> dict[str, Any]:
        instance = self._backend.instance(record.id)
        found = self._info(record)
        if instance is not None and instance.plan is not None and instance.plan.embeddings:
            found["type"] = "embedding"
        length = instance.n_ctx if instance else 0
        return found | {"identifier": record.id, "instanceReference": record.id, "contextLength": length}

    def _load_fields(self, record: ModelRecord) -> dict[str, Any]:
        instance = self._backend.instance(record.id)
        kind = self._namespace if self._namespace in ("llm", "embedding") else "llm"
        fields = [{"key": f"{kind}.load.contextLength", "value": instance.n_ctx}] if instance else []
        return {"fields": fields}

    def _noted(self, record: ModelRecord) -> "_Noted":
        live = self._all.registry.add("WS", f"/{self._namespace}", self._client, time.monotonic())
        live.key, live.key_id = self._key
        live.model = record.id
        return _Noted(live, self._all.ended)


class _Noted:
    """A request of a socket in the list of live ones and in the log (``with``)."""

    def __init__(self, live: Live, ended: Ended) -> None:
        self._live, self._ended = live, ended

    def __enter__(self) -> Live:
        return self._live

    def __exit__(self, kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, Exception) and not self._live.status:
            self._live.status = problem_of(error).status if isinstance(error, Problem | HearthError) else 500
        self._ended(self._live, self._live.began)


_CALLS: dict[str, Callable[[_Session, dict[str, Any]], Awaitable[Any]]] = {
    "listDownloadedModels": _Session._downloaded,
    "listLoaded": _Session._loaded,
    "getModelInfo": _Session._model_info,
    "getLoadConfig": _Session._load_config,
    "tokenize": _Session._tokenize,
    "countTokens": _Session._count,
    "embedString": _Session._embed,
    "applyPromptTemplate": _Session._template,
    "uploadFileBase64": _Session._upload,
    "searchModels": _Session._search,
    "getModelDownloadOptions": _Session._options,
    "unloadModel": _Session._unload,
    "getInstanceProcessingState": _Session._processing,
    "version": _Session._version,
}
