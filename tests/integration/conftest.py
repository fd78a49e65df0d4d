"""The whole program in this process: its services, its window, and a local Hub over HTTP."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.fakes.hub_data import starter_repo
from tests.fakes.hub_server import LocalHub


@pytest.fixture
def hub(home: Path, starter: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    with LocalHub([starter_repo(starter)]) as local:
        monkeypatch.setenv("HF_ENDPOINT", local.url)
        yield local


@pytest.fixture
def program(hub: LocalHub, qtbot) -> Iterator[SimpleNamespace]:
    """services, window, and ``until(condition, seconds)``."""
    pytest.importorskip("PySide6")
    from PySide6.QtWidgets import QApplication

    from app.compose import compose
    from app.ui import tasks, theme
    from app.ui.main_window import MainWindow

    services = compose()
    services.settings.set("engine.n_ctx", 1024)
    services.settings.set("chat.max_tokens", 24)
    theme.notifier().apply("light")
    window = MainWindow(services)
    qtbot.addWidget(window)
    services.start()
    window.show()

    def until(done: Callable[[], object], seconds: float = 60.0) -> None:
        qtbot.waitUntil(lambda: bool(done()), timeout=int(seconds * 1000))

    yield SimpleNamespace(services=services, window=window, until=until, hub=hub)
    window.close()
    window.shut()
    services.close()
    tasks.close()
    window.deleteLater()
    QApplication.processEvents()
