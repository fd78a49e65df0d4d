"""The stream of a chat completion, as OpenAI's clients read it."""

import time

from app.core.generate import Delta, Finished, ToolCallDelta
from app.server.answer import total_usage
from app.server.convert import REASONS, completion_id, logprobs_of, timings_of, usage_of
from app.server.errors import Problem, body_of
from app.server.sse import DONE, MEDIA, PING, around_text, event, json
from app.server.wire import CallPiece, ChatChunk, ChunkChoice, PromptProgress, WireAnswer, WireLogprobs

CHUNK = "chat.completion.chunk"


class ChatWriter:
    """The chunks of one stream, in order: each choice's role first, pieces, its reason, then usage if asked for."""

    media_type = MEDIA

    def __init__(
        self, request_id: str, created: int, model: str, n: int, include_usage: bool, progress: bool = False
    ) -> None:
        self._head = (completion_id(request_id), created, model)
        self._n, self._include_usage = n, include_usage
        self._progress, self._began = progress, time.monotonic()
        self._ends: list[Finished] = []
        self._around: dict[int, tuple[bytes, bytes]] = {}
        """What stands before and behind the text in a choice's chunks."""

    def begin(self) -> bytes:
        """The chunks that name the role."""
        roles = [self._chunk(index, WireAnswer(role="assistant", content="")) for index in range(self._n)]
        return b"".join(event(chunk) for chunk in roles)

    def event(self, item: Delta | Finished) -> bytes:
        """Chunks with what is new; of prefill progress only where the client wants to know."""
        if isinstance(item, Finished):
            return self._end(item)
        more = item.reasoning or item.tool_calls or item.logprobs or item.dropped or item.prompt_tokens
        if item.text and not more:
            return self._text(item.choice, item.text)
        out = self._progressed(item) if self._progress and item.prompt_tokens else b""
        if item.dropped:
            left_out = self._chunk(item.choice, WireAnswer())
            left_out.dropped_messages = list(item.dropped)
            out += event(left_out)
        if item.reasoning:
            out += event(self._chunk(item.choice, WireAnswer(reasoning_content=item.reasoning)))
        logprobs = logprobs_of(item.logprobs) if item.logprobs else None
        if item.text or (logprobs and not item.tool_calls):
            out += event(self._chunk(item.choice, WireAnswer(content=item.text), logprobs=logprobs))
        for call in item.tool_calls:
            out += event(self._chunk(item.choice, WireAnswer(tool_calls=[_piece(call)])))
        return out

    def around(self) -> tuple[bytes, bytes] | None:
        """Of the only choice's text."""
        return self._around_text(0)

    def _text(self, index: int, text: str) -> bytes:
        head, tail = self._around_text(index)
        return head + json(text) + tail

    def _around_text(self, index: int) -> tuple[bytes, bytes]:
        # For each token: only what changes is encoded.
        around = self._around.get(index)
        if around is None:
            chunk = event(self._chunk(index, WireAnswer(content="\0")))
            around = self._around[index] = around_text(chunk)
        return around

    def _progressed(self, item: Delta) -> bytes:
        chunk = self._chunk(item.choice, WireAnswer())
        passed = int((time.monotonic() - self._began) * 1000)
        chunk.prompt_progress = PromptProgress(item.prompt_tokens, 0, item.prefilled, passed)
        return event(chunk)

    def _end(self, end: Finished) -> bytes:
        self._ends.append(end)
        chunk = self._chunk(end.choice, WireAnswer(), REASONS[end.reason])
        chunk.timings = timings_of(end.timings, end.usage)
        out = event(chunk)
        if not end.done:
            return out
        if self._include_usage:
            out += event(ChatChunk(*self._head, [], CHUNK, usage_of(total_usage(self._ends))))
        return out + DONE

    def failed(self, problem: Problem) -> bytes:
        """The status line is gone already: OpenAI's clients read an error object in the stream."""
        return b"data: " + body_of("openai", problem) + b"\n\n"

    def ping(self) -> bytes:
        """A comment, which clients skip."""
        return PING

    def _chunk(
        self, index: int, answer: WireAnswer, reason: str | None = None, logprobs: WireLogprobs | None = None
    ) -> ChatChunk:
        # With include_usage every chunk but the last carries usage: null.
        chunk = ChatChunk(*self._head, [ChunkChoice(index, answer, reason, logprobs)], CHUNK)
        if self._include_usage:
            chunk.usage = None
        return chunk


def _piece(call: ToolCallDelta) -> CallPiece:
    piece = CallPiece({"arguments": call.arguments}, index=call.index)
    if call.id or call.name:
        piece.id, piece.type = call.id, "function"
        piece.function = {"name": call.name, "arguments": call.arguments}
    return piece
