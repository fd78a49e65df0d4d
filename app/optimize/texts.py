"""Texts to compute importance matrices from and to measure on: bundled ones, the user's files, and, when the user says
so, their own chats."""

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from app.core.errors import LabRefusedError

FOLDER = Path(__file__).resolve().parents[2] / "resources" / "calibration"
TEXTS = ("en", "vi", "code")
"""The bundled texts to compute matrices from, by key."""
TESTS = ("en-test", "vi-test", "code-test")
"""One of each kind to measure on: no paragraph of them is in ``TEXTS``, so a matrix can't have learned them."""
PARAGRAPH = 4000
"""Characters of one text before the next one's turn, where several are combined."""


class Said(Protocol):
    """A message of a chat."""

    @property
    def text(self) -> str:
        """Its words."""
        ...


def path_of(key: str) -> Path:
    """The file of a bundled text."""
    return FOLDER / f"{key}.txt"


def find(name: str) -> Path:
    """A bundled text by its key, or a file. Raises LabRefusedError naming what there is."""
    if name in (*TEXTS, *TESTS):
        return path_of(name)
    path = Path(name).absolute()
    if not path.is_file():
        raise LabRefusedError(
            detail=f"there is no text {name}: name a file, or one of {', '.join((*TEXTS, *TESTS))}"
        )
    return path


def find_all(names: Sequence[str], folder: Path) -> Path:
    """One text of several names, combined in turn in ``folder``; the file itself when there is only one."""
    if len(names) == 1:
        return find(names[0])
    words = [find(name).read_text(encoding="utf-8", errors="replace") for name in names]
    return write(combined(words), folder, "+".join(Path(name).stem for name in names))


def combined(words: Sequence[str]) -> str:
    """Several texts in turn, piece by piece: a matrix of few pieces has seen them all."""
    cut = [[text[at : at + PARAGRAPH] for at in range(0, len(text), PARAGRAPH)] for text in words]
    return "\n\n".join(piece for turn in itertools.zip_longest(*cut) for piece in turn if piece)


def of_chats(conversations: Iterable[Iterable[Said]]) -> str:
    """What was said in the user's own chats (``ChatStore.messages`` of each), as running text. Only for who asked
    for it: a matrix keeps no words, but the text is written to a file."""
    return "\n\n\n".join(filter(None, ("\n\n".join(_words(chat)) for chat in conversations)))


def _words(chat: Iterable[Said]) -> list[str]:
    return [message.text.strip() for message in chat if message.text.strip()]


def write(text: str, folder: Path, name: str) -> Path:
    """Keep a text in a file whose name changes with its content, so that what was computed from it is found again."""
    folder.mkdir(parents=True, exist_ok=True)
    data = text.encode()
    path = folder / f"{name}.{hashlib.sha256(data).hexdigest()[:8]}.txt"
    if not path.exists():
        part = path.with_name(path.name + ".part")
        part.write_bytes(data)
        part.replace(path)
    return path
