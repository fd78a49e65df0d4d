"""Translations as Qt's own tables (the ``.qm`` format), made in memory from what ``.ts`` files say.

Qt reads them itself. A translator in Python is asked by any thread of Qt's, at times under a lock of Qt's (an image
plugin says why bytes are not its own), and waits for Python's lock: two threads that each hold one wait for ever.

Format: qtbase/src/corelib/kernel/qtranslator.cpp. Big-endian; sections of a tag, a length and bytes.
"""

import struct
from collections.abc import Iterable, Mapping

Key = tuple[str, str]
"""Context and source text."""
_MAGIC = bytes.fromhex("3cb86418caef9c95cd211cbf60a1bddd")
_HASHES, _MESSAGES, _NUMERUS_RULES = 0x42, 0x69, 0x88
_END, _TRANSLATION, _SOURCE, _CONTEXT = 1, 3, 6, 7
_ONE_OR_MORE = b"\x01\x01"
"""The first form where n equals 1 (Q_EQ, 1), else the second: English's rule."""


def compiled(table: Mapping[Key, tuple[str, ...]]) -> bytes:
    """A table for ``QTranslator.load``: (context, source) -> one text, or the forms for one and for more. A language
    with one form has it twice: the rule is of the file, not of the text."""
    hashes, messages = [], bytearray()
    for (context, source), forms in table.items():
        original = source.encode()
        hashes.append((_hash(original), len(messages)))
        for form in (forms[0], forms[-1]):
            messages += _part(_TRANSLATION, form.encode("utf-16-be"))
        messages += _part(_SOURCE, original) + _part(_CONTEXT, context.encode()) + bytes([_END])
    found = b"".join(struct.pack(">II", *entry) for entry in sorted(hashes))
    sections = ((_HASHES, found), (_MESSAGES, bytes(messages)), (_NUMERUS_RULES, _ONE_OR_MORE))
    return _MAGIC + b"".join(_part(tag, data) for tag, data in sections)


def _part(tag: int, data: bytes) -> bytes:
    return struct.pack(">BI", tag, len(data)) + data


def _hash(text: Iterable[int]) -> int:
    """ELF's hash, as Qt has it: never 0."""
    value = 0
    for byte in text:
        value = (value << 4) + byte
        value = (value ^ (value >> 24 & 0xF0)) & 0x0FFFFFFF
    return value or 1
