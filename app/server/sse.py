"""Server-sent events by hand (source: WHATWG HTML, "Server-sent events")."""

DONE = b"data: [DONE]\n\n"


def event(data: bytes, name: str = "") -> bytes:
    """One event of JSON on a single line, with a name for APIs that use names."""
    head = b"event: " + name.encode() + b"\n" if name else b""
    return head + b"data: " + data + b"\n\n"
