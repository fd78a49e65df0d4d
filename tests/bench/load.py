"""A load of streaming chat completions: raw asyncio, so that it costs the servers on the same cores little."""

import asyncio
import json
import time
from urllib.parse import urlsplit

from msgspec import Struct


class Stream(Struct):
    """One client's stream, in seconds on one clock: when it asked, and when each piece of text came."""

    asked: float
    pieces: list[float]
    prompt_tokens: int = 0
    cached_tokens: int = 0
    tokens: int = 0
    text: str = ""

    @property
    def ttft(self) -> float:
        """To the first piece."""
        return self.pieces[0] - self.asked

    @property
    def gaps(self) -> list[float]:
        """Between pieces."""
        return [after - before for before, after in zip(self.pieces, self.pieces[1:], strict=False)]


async def stream(address: str, body: dict[str, object]) -> Stream:
    """POST one streaming chat completion and time its pieces. Raises RuntimeError unless it is answered 200."""
    where = urlsplit(address)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    data = json.dumps({**body, "stream": True, "stream_options": {"include_usage": True}}).encode()
    found = Stream(time.perf_counter(), [])
    writer.write(_head(where.netloc, len(data)) + data)
    status = await reader.readline()
    if b" 200 " not in status:
        raise RuntimeError(f"{status!r} {await reader.read(2000)!r}")
    async for line in reader:
        if line.startswith(b"data: {"):
            _take(found, json.loads(line[6:]))
        elif line.startswith(b"data: [DONE]"):
            break
    writer.close()
    return found


def _head(host: str, length: int) -> bytes:
    lines = ["POST /v1/chat/completions HTTP/1.1", f"Host: {host}", "Content-Type: application/json"]
    return "\r\n".join([*lines, f"Content-Length: {length}", "Connection: close", "", ""]).encode()


def _take(found: Stream, chunk: dict[str, object]) -> None:
    usage = chunk.get("usage")
    if isinstance(usage, dict):
        found.prompt_tokens, found.tokens = usage["prompt_tokens"], usage["completion_tokens"]
        found.cached_tokens = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    for choice in chunk.get("choices") or []:  # type: ignore[attr-defined]
        text = choice["delta"].get("content")
        if text:
            found.pieces.append(time.perf_counter())
            found.text += text


def together(address: str, bodies: list[dict[str, object]]) -> list[Stream]:
    """All of them at once."""

    async def run() -> list[Stream]:
        return await asyncio.gather(*(stream(address, body) for body in bodies))

    return asyncio.run(run())
