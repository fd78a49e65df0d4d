"""Files that two copies of the program make at the same moment."""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from app.chat import store_schema
from app.core import wal
from app.models import library_index
from app.planning import usage


def _chats(path: Path) -> sqlite3.Connection:
    connection = store_schema.connect(store_schema.uri(path))
    store_schema.prepare(connection, path)
    return connection


OPEN: dict[str, Callable[[Path], sqlite3.Connection]] = {
    "chats": _chats,
    "library": lambda path: library_index._prepare(str(path)),
    "usage": usage._connect,
}


@pytest.mark.parametrize("name", OPEN)
def test_several_make_a_file_at_once(tmp_path: Path, name: str) -> None:
    for number in range(15):
        errors: list[BaseException] = []
        begin = threading.Barrier(4)

        def make(path: Path = tmp_path / f"{number}.sqlite", begin: threading.Barrier = begin) -> None:
            begin.wait()
            try:
                OPEN[name](path).close()
            except BaseException as error:
                errors.append(error)  # noqa: B023 - the threads end before the next round

        threads = [threading.Thread(target=make) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors


def test_one_that_stays_locked_is_told(tmp_path: Path) -> None:
    holder = sqlite3.connect(tmp_path / "x.sqlite", isolation_level=None)
    holder.execute("CREATE TABLE t (x)")
    holder.execute("BEGIN EXCLUSIVE")
    other = sqlite3.connect(tmp_path / "x.sqlite", timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        wal.switch_on(other, patience=0.05)
    holder.execute("ROLLBACK")
    wal.switch_on(other)
    holder.close()
    other.close()
