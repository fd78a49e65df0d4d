"""A chat file that can't be written is told of at the start, and what can be read of a damaged one is saved."""

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from app.chat.store import ChatStore
from app.core.errors import ChatsDamagedError, StoreNewerError
from app.core.events import Bus
from tests.fakes.chat_page import chat_page, until

pytestmark = pytest.mark.echo


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A chat of 120 messages."""
    path = tmp_path / "chats.sqlite"
    store = ChatStore(path, Bus())
    made = store.create("kept")
    with sqlite3.connect(path) as connection:
        rows = [(made.id, "user", f"line {at} " + "x" * 400, 1.0) for at in range(120)]
        sql = "INSERT INTO message (conversation, role, text, created_at) VALUES (?, ?, ?, ?)"
        connection.executemany(sql, rows)
    connection.close()
    store.close()
    return path


@pytest.fixture
def services(services: Any, file: Path, bus: Bus) -> Iterator[Any]:
    """With a file of chats on the disk."""
    services.chats.close()
    services.chats = ChatStore(file, bus)
    yield services
    services.chats.close()


def test_a_newer_file_is_told_of_at_once(qtbot: QtBot, services: Any, file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with chat_page(qtbot, services) as page:
        until(qtbot, lambda: "newer Hearth (format 99" in page._banner.words.text())
        asked: list[str] = []
        page.asked.connect(lambda name, _about: asked.append(name))
        page._banner.button.click()
        assert asked == [StoreNewerError.action]


def test_what_can_be_read_of_a_damaged_file_is_saved(qtbot: QtBot, services: Any, file: Path) -> None:
    raw, rng = bytearray(file.read_bytes()), random.Random(3)
    for page_number in range(8, len(raw) // 4096, 3):
        raw[page_number * 4096 + 100 : page_number * 4096 + 3000] = rng.randbytes(2900)
    file.write_bytes(raw)
    with chat_page(qtbot, services) as page:
        page.open_chat(1)
        until(qtbot, lambda: isinstance(services.chats.problem, ChatsDamagedError))
        until(qtbot, lambda: "is damaged" in page._banner.words.text())
        assert page._banner.button.text() == "Save what can be read"
        page.repair()
        until(qtbot, lambda: "The damaged file is kept as" in page._banner.words.text())
        assert services.chats.problem is None
        until(qtbot, lambda: [row.title for row in page.list.model.rows] == ["kept"])
    assert len(list(file.parent.glob("chats.damaged-*.sqlite"))) == 1
