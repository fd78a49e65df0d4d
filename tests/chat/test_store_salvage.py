"""A damaged chat file gives back what can be read."""

import os
import random
import sqlite3
from pathlib import Path

import pytest

from app.chat.store import ChatStore
from app.chat.store_salvage import repair
from app.core.errors import StoreDamagedError, UsageError
from app.core.events import Bus

CHATS, MESSAGES = 5, 60


@pytest.fixture
def file(tmp_path: Path, bus: Bus) -> Path:
    path = tmp_path / "chats.sqlite"
    store = ChatStore(path, bus)
    for number in range(CHATS):
        made = store.create(f"chat {number}")

        def fill(connection: sqlite3.Connection, chat: int = made.id) -> None:
            parent = None
            for line in range(MESSAGES):
                sql = "INSERT INTO message (conversation, parent, role, text, created_at) VALUES (?, ?, 'user', ?, 1)"
                message = connection.execute(sql, (chat, parent, f"line {line} " + "x" * 400)).lastrowid
                if parent is None:
                    connection.execute(
                        "UPDATE conversation SET active_root = ? WHERE id = ?", (message, chat)
                    )
                else:
                    connection.execute("UPDATE message SET active_child = ? WHERE id = ?", (message, parent))
                parent = message

        store.transaction(fill)
    store.close()
    return path


def test_a_file_with_torn_pages_is_saved_in_part(file: Path, bus: Bus) -> None:
    raw = bytearray(file.read_bytes())
    rng = random.Random(3)
    for page in rng.sample(range(20, len(raw) // 4096), 6):
        raw[page * 4096 : page * 4096 + 4096] = rng.randbytes(4096)
    file.write_bytes(raw)
    saved = repair(file)
    assert saved.conversations == CHATS
    assert saved.messages > CHATS * MESSAGES * 0.5
    assert saved.damaged.exists()
    store = ChatStore(file, bus)
    assert store.problem is None
    shown = [len(store.messages(item.id)) for item in store.conversations()]
    assert sum(shown) > CHATS * MESSAGES * 0.3
    assert sum(len(store.tree(item.id)) for item in store.conversations()) == saved.messages
    assert store.search("line")
    store.append(1, store.leaf(1), "user", "and on it goes")
    store.close()
    check = sqlite3.connect(file)
    assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    check.close()


def test_a_whole_file_loses_nothing(file: Path, bus: Bus) -> None:
    saved = repair(file)
    assert (saved.conversations, saved.messages, saved.lost) == (CHATS, CHATS * MESSAGES, 0)
    store = ChatStore(file, bus)
    assert [len(store.messages(item.id)) for item in store.conversations()] == [MESSAGES] * CHATS
    store.close()


def test_nothing_to_save_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "chats.sqlite"
    path.write_bytes(os.urandom(50_000))
    before = path.read_bytes()
    with pytest.raises(StoreDamagedError):
        repair(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_store_repairs_itself(file: Path, bus: Bus) -> None:
    sound = ChatStore(file, bus)
    with pytest.raises(UsageError):
        sound.repair()
    sound.close()
    raw = bytearray(file.read_bytes())
    page = raw.index(b"line 40")
    raw[page // 4096 * 4096 : page // 4096 * 4096 + 4096] = bytes(4096)
    file.write_bytes(raw)
    store = ChatStore(file, bus)
    for number in range(1, CHATS + 1):
        store.messages(number)
    store.search("line")
    assert isinstance(store.problem, StoreDamagedError)
    with pytest.raises(StoreDamagedError):
        store.create("x")
    saved = store.repair()
    assert saved.lost > 0
    assert store.problem is None
    assert store.create("again").title == "again"
    store.close()


def test_a_backup_is_a_whole_store(file: Path, bus: Bus, tmp_path: Path) -> None:
    store = ChatStore(file, bus)
    store.backup(tmp_path / "copy.sqlite")
    store.create("later")
    store.close()
    copy = ChatStore(tmp_path / "copy.sqlite", bus)
    assert len(copy.conversations()) == CHATS
    copy.close()
    assert not list(tmp_path.glob("*.part"))
