"""Opening, searching and writing long chats."""

import random
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from app.chat.store import ChatStore
from app.core.events import Bus
from tests.bench.figures import Figure, median

CHATS, MESSAGES = 20, 1000
COMMON = (
    "tiếng việt đường phố nước bánh học máy model token the of and answer question memory graph layer".split()
)
QUERIES = ("tieng viet", "duong pho", "the answer", "w100", "w1", "t")


def run() -> list[Figure]:
    """20,000 messages: search (the slowest query), opening 1,000 messages, a turn's writes, opening the file."""
    with tempfile.TemporaryDirectory(prefix="hearth-bench-") as folder:
        path = Path(folder) / "chats.sqlite"
        store = ChatStore(path, Bus())
        store.transaction(fill)
        slowest = max((_times(lambda query=query: store.search(query)) for query in QUERIES), key=min)  # type: ignore[misc]
        figures = [
            median(
                "chats: slowest of six searches",
                slowest,
                "ms",
                goal=30.0,
                note=f"{CHATS * MESSAGES} messages",
            ),
            median("chats: read one of 1,000 messages", _times(lambda: store.messages(3)), "ms", goal=50.0),
            median("chats: append a message", _times(lambda: _append(store)), "ms"),
        ]
        store.close()
        return [*figures, median("chats: open and list", _times(lambda: _open(path)), "ms", goal=20.0)]


def fill(connection: sqlite3.Connection) -> None:
    """Chats of 60-word messages: half common words, half rare ones."""
    rng = random.Random(1)
    rare = [f"w{number}" for number in range(3000)]
    for chat in range(CHATS):
        sql = "INSERT INTO conversation (key, title, created_at, updated_at) VALUES (?, ?, 1, 1)"
        conversation = connection.execute(sql, (f"key{chat}", f"chat {chat}")).lastrowid
        parent = None
        for number in range(MESSAGES):
            text = " ".join(rng.choice(COMMON if rng.random() < 0.5 else rare) for _ in range(60))
            role = "assistant" if number % 2 else "user"
            sql = "INSERT INTO message (conversation, parent, role, text, created_at) VALUES (?, ?, ?, ?, 1)"
            message = connection.execute(sql, (conversation, parent, role, text)).lastrowid
            table, key = ("message", parent) if parent else ("conversation", conversation)
            field = "active_child" if parent else "active_root"
            connection.execute(f"UPDATE {table} SET {field} = ? WHERE id = ?", (message, key))
            parent = message


def _append(store: ChatStore) -> None:
    store.append(1, store.leaf(1), "user", "one more line")


def _open(path: Path) -> None:
    store = ChatStore(path, Bus())
    store.conversations()
    store.close()


def _times(work: Callable[[], object], rounds: int = 7) -> list[float]:
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        found.append((time.perf_counter() - began) * 1e3)
    return found
