"""A model that answers somebody is not taken away without a word."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from PySide6.QtWidgets import QWidget

from app.core.events import InstanceChanged
from app.ui import tasks
from app.ui.dialogs.confirm import ConfirmDialog
from app.ui.unloading import unload


@pytest.mark.parametrize(("active", "asked"), [(0, False), (2, True)])
def test_who_unloads_an_answering_model_is_asked(qtbot: Any, active: int, asked: bool) -> None:
    gone: list[str] = []

    def end(model: str) -> "Future[None]":
        gone.append(model)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    rows = (
        InstanceChanged("1", "busy", "ready", active=active),
        InstanceChanged("2", "other", "ready", active=3),
    )
    supervisor: Any = SimpleNamespace(snapshots=lambda: rows, unload=end)
    parent = QWidget()
    qtbot.addWidget(parent)
    parent.show()
    unload(parent, supervisor, ["busy"], lambda _error: None)
    assert (parent.findChild(ConfirmDialog) is not None) == asked
    if asked:
        assert gone == []
        parent.findChild(ConfirmDialog).act.click()
    qtbot.waitUntil(lambda: gone == ["busy"] and parent.findChild(ConfirmDialog) is None)
    tasks.close()
