"""Server-sent events by hand (source: WHATWG HTML, "Server-sent events")."""

import msgspec

DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"
MEDIA = "text/event-stream; charset=utf-8"

json = msgspec.json.Encoder().encode


def around_text(chunk: bytes) -> tuple[bytes, bytes]:
    """What stands before and behind the JSON of a text in an event that was made with the text "\\0"."""
    head, _, tail = chunk.partition(json("\0"))
    return head, tail


def event(data: object, name: str = "") -> bytes:
    """One event of JSON on a single line, with a name for APIs that use names."""
    if name:
        return b"event: " + name.encode() + b"\ndata: " + json(data) + b"\n\n"
    return b"data: " + json(data) + b"\n\n"
