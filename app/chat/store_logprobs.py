"""Probabilities of an answer's tokens, kept beside it: zlib over msgpack, some 20 bytes a token and alternative."""

import sqlite3
import zlib

import msgspec

from app.core.generate import TokenLogprob


def keep(connection: sqlite3.Connection, message: int, tokens: tuple[TokenLogprob, ...]) -> None:
    """Replace what is kept; no tokens leave it as it is."""
    if tokens:
        data = zlib.compress(msgspec.msgpack.encode(tokens), 6)
        connection.execute("INSERT OR REPLACE INTO logprob (message, data) VALUES (?, ?)", (message, data))


def read(connection: sqlite3.Connection, message: int) -> tuple[TokenLogprob, ...]:
    """What was kept, or nothing; a value of another shape counts as nothing."""
    row = connection.execute("SELECT data FROM logprob WHERE message = ?", (message,)).fetchone()
    if row is None:
        return ()
    try:
        return msgspec.msgpack.decode(zlib.decompress(row[0]), type=tuple[TokenLogprob, ...])
    except (msgspec.DecodeError, zlib.error):
        return ()
