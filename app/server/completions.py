"""OpenAI's older completions: text in, text on, several prompts at once, and the middle between two texts (FIM)."""

from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.types import ASGIApp

from app.core.generate import (
    Delta,
    Finished,
    GenerateRequest,
    ResponseFormat,
    SamplingParams,
    TokenLogprob,
)
from app.core.types import ModelRecord
from app.server import fim
from app.server.answer import Answer, total_usage
from app.server.backend import Backend, new_id, now
from app.server.convert import REASONS, json_format, limited, over_defaults, stops, timings_of, usage_of
from app.server.errors import Api, Problem, bad_field, body_of
from app.server.routes import Endpoint, as_json, live_of, read
from app.server.run import Run, Streamed, whole
from app.server.sse import DONE, MEDIA, PING, around_text, event
from app.server.wire_completions import (
    Completion,
    CompletionChoice,
    CompletionLogprobs,
    CompletionRequest,
    Tokens,
)

_decoder = msgspec.json.Decoder(CompletionRequest)
KIND = "text_completion"
MOST_PROMPTS = 64


def endpoints(backend: Backend) -> list[Endpoint]:
    """The route over one backend."""

    async def complete(request: Request) -> ASGIApp:
        run, wire, echo = await begin(backend, request)
        if wire.stream:
            return stream(run, wire, echo)
        answer = await whole(run, request)
        return as_json(to_completion(run, answer, echo))

    return [
        Endpoint(
            "POST", "/v1/completions", complete, "openai", "Go on with a text",
            body=CompletionRequest, answer=Completion, stream=MEDIA, errors=(404,),
        )
    ]  # fmt: skip


async def begin(backend: Backend, request: Request) -> tuple[Run, CompletionRequest, list[str]]:
    """The run of a completions request, and what each prompt echoes."""
    wire = await read(request, _decoder)
    record = backend.find(wire.model)
    prompts = prompts_of(wire.prompt, "prompt")
    _check(wire, prompts)
    backend.keeper.keep(record.id, wire.ttl)
    sampling = _sampling(wire, backend.defaults(record.id))
    form = _format(wire)
    if wire.suffix:
        prompts = [await _with_suffix(backend, record, prompts, wire.suffix)]
    asked = [_ask(prompt, sampling, form) for prompt in prompts]
    run = Run(backend, record, asked, live_of(request))
    return run, wire, await _echo(backend, record, prompts) if wire.echo else []


async def _with_suffix(
    backend: Backend, record: ModelRecord, prompts: Sequence[str | Tokens], suffix: str
) -> Tokens:
    if len(prompts) != 1 or not isinstance(prompts[0], str):
        raise bad_field("suffix", "A suffix goes with one prompt of text.")
    found = await fim.tokens(backend, record, prompts[0], suffix)
    if found is None:
        raise bad_field("suffix", f"{record.id} can't fill in the middle: it has no tokens for that.")
    return found


def prompts_of(prompt: str | list[Any], param: str) -> list[str | Tokens]:
    """One or many, each text or tokens."""
    if isinstance(prompt, str):
        return [prompt]
    if prompt and all(isinstance(item, int) for item in prompt):
        return [prompt]
    if any(isinstance(item, int) for item in prompt):
        raise bad_field(param, f"{param} mixes tokens with texts.")
    if not prompt:
        raise bad_field(param, f"{param} is empty.")
    return prompt


def _check(wire: CompletionRequest, prompts: Sequence[object]) -> None:
    if len(prompts) > MOST_PROMPTS:
        raise bad_field("prompt", f"At most {MOST_PROMPTS} prompts are taken at once.")
    if wire.best_of is not None and wire.best_of > (wire.n or 1):
        raise bad_field("best_of", "best_of above n is not served.")
    if wire.echo and wire.logprobs is not None:
        raise bad_field("echo", "echo with logprobs is not served: the prompt's own are not computed.")
    if wire.suffix and wire.echo:
        raise bad_field("echo", "echo with a suffix is not served.")


def _sampling(wire: CompletionRequest, defaults: SamplingParams) -> SamplingParams:
    more: dict[str, Any] = {"stop": stops(wire.stop)}
    if wire.logprobs is not None:
        more["logprobs"] = wire.logprobs
    # OpenAI's own default is 16, and 0 with echo only counts: the engine writes one token at least.
    limit = 16 if wire.max_tokens is None else wire.max_tokens or 1
    return over_defaults(wire, defaults, None, **more, **limited(limit, "max_tokens"))


def _format(wire: CompletionRequest) -> ResponseFormat:
    if wire.grammar:
        return ResponseFormat("gbnf", grammar=wire.grammar)
    return json_format(wire.json_schema) if wire.json_schema else ResponseFormat()


def _ask(prompt: str | Tokens, sampling: SamplingParams, form: ResponseFormat) -> GenerateRequest:
    if isinstance(prompt, str):
        return GenerateRequest(new_id(), prompt=prompt, sampling=sampling, response_format=form)
    return GenerateRequest(new_id(), tokens=tuple(prompt), sampling=sampling, response_format=form)


async def _echo(backend: Backend, record: ModelRecord, prompts: Sequence[str | Tokens]) -> list[str]:
    return [
        prompt if isinstance(prompt, str) else await backend.detokenize(record, prompt) for prompt in prompts
    ]


# ------------------------------------------------------------------------------------------ answers


def to_completion(run: Run, answer: Answer, echo: Sequence[str]) -> Completion:
    """The whole response."""
    usage, n = answer.usage, run.asked[0].sampling.n
    choices = []
    for choice in answer.choices:
        head = echo[choice.index // n] if echo else ""
        logprobs = _logprobs(choice.logprobs, 0) if choice.logprobs else None
        choices.append(CompletionChoice(choice.index, head + choice.text, REASONS[choice.reason], logprobs))
    name = completion_id(run)
    return Completion(
        name, now(), run.record.id, choices, KIND, usage_of(usage), timings_of(answer.timings, usage)
    )


def completion_id(run: Run) -> str:
    """OpenAI's form."""
    return f"cmpl-{run.asked[0].id}"


def _logprobs(items: Sequence[TokenLogprob], offset: int) -> CompletionLogprobs:
    found = CompletionLogprobs([], [], [], [])
    for item in items:
        found.tokens.append(item.token)
        found.token_logprobs.append(item.logprob)
        found.top_logprobs.append({token: logprob for token, _, logprob in item.top})
        found.text_offset.append(offset)
        offset += len(item.token)
    return found


def stream(run: Run, wire: CompletionRequest, echo: list[str], api: Api = "openai") -> Streamed:
    """The response as a stream."""
    include = wire.stream_options is not None and bool(wire.stream_options.include_usage)
    return Streamed(run, CompletionWriter(run, echo, include), api)


class CompletionWriter:
    """The events of one stream."""

    media_type = MEDIA

    def __init__(self, run: Run, echo: list[str], include_usage: bool) -> None:
        self._head = (completion_id(run), now(), run.record.id)
        self._echo, self._include_usage = echo, include_usage
        self._n = run.asked[0].sampling.n
        self._offsets: dict[int, int] = {}
        self._ends: list[Finished] = []

    def begin(self) -> bytes:
        """The prompts, when they are echoed."""
        texts = [(index, self._echo[index // self._n]) for index in range(len(self._echo) * self._n)]
        return b"".join(event(self._piece(CompletionChoice(index, text))) for index, text in texts)

    def event(self, item: Delta | Finished) -> bytes:
        """A piece of text, or the reason."""
        if isinstance(item, Finished):
            return self._end(item)
        text = item.reasoning + item.text
        if not text and not item.logprobs:
            return b""
        offset = self._offsets.get(item.choice, 0)
        logprobs = _logprobs(item.logprobs, offset) if item.logprobs else None
        self._offsets[item.choice] = offset + len(text)
        return event(self._piece(CompletionChoice(item.choice, text, None, logprobs)))

    def _end(self, end: Finished) -> bytes:
        self._ends.append(end)
        chunk = self._piece(CompletionChoice(end.choice, "", REASONS[end.reason]))
        chunk.timings = timings_of(end.timings, end.usage)
        out = event(chunk)
        if not end.done:
            return out
        if self._include_usage:
            out += event(Completion(*self._head, [], KIND, usage_of(total_usage(self._ends))))
        return out + DONE

    def failed(self, problem: Problem) -> bytes:
        """An error object in the stream."""
        return b"data: " + body_of("openai", problem) + b"\n\n"

    def ping(self) -> bytes:
        """A comment."""
        return PING

    def around(self) -> tuple[bytes, bytes] | None:
        """Of the only choice's text."""
        return around_text(event(self._piece(CompletionChoice(0, "\0"))))

    def _piece(self, choice: CompletionChoice) -> Completion:
        chunk = Completion(*self._head, [choice], KIND)
        if self._include_usage:
            chunk.usage = None
        return chunk
