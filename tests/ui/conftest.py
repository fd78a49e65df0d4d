"""The real window over real services and a Hub on this machine, for the tests of the pages."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from app.compose import Services, compose
from tests.fakes.chat_page import chat_page, chat_services
from tests.fakes.hub_data import demo_repos
from tests.fakes.hub_server import LocalHub

PATIENCE_MS = 30_000
"""Tests wait for what must come, however busy the machine is; what never comes fails all the same."""
for wait in (QtBot.waitUntil, QtBot.waitSignal, QtBot.waitSignals, QtBot.waitExposed, QtBot.waitActive):
    wait.__kwdefaults__["timeout"] = PATIENCE_MS


@pytest.fixture(autouse=True)
def no_desktop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is told to, or asked of, the desktop of whoever runs the tests."""
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)


@pytest.fixture
def local_hub(starter: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """Repositories that look real, and the starter model's bytes."""
    with LocalHub(demo_repos(starter)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


@pytest.fixture
def services(request: pytest.FixtureRequest) -> Iterator[Any]:
    """All services on a home of the test's own; nothing is started. To tests marked ``echo``: what the Chat page needs
    of them, with an engine that echoes."""
    if request.node.get_closest_marker("echo"):
        with chat_services(request.getfixturevalue("tmp_path"), request.getfixturevalue("bus")) as made:
            yield made
        return
    composed = compose(request.getfixturevalue("paths"))
    yield composed
    composed.close()


@pytest.fixture
def page(qtbot: Any, services: Any) -> Iterator[Any]:
    """The shown Chat page (see ``echo``)."""
    with chat_page(qtbot, services) as made:
        yield made


@pytest.fixture
def window(qtbot: Any, services: Services) -> Iterator[Any]:
    """The shown window, past its welcome, in English and light."""
    from app.ui import theme, translate
    from app.ui.main_window import MainWindow

    translate.install("en")
    theme.notifier().apply("light")
    services.settings.set("general.welcomed", True)
    made = MainWindow(services)
    qtbot.addWidget(made)
    made.show()
    qtbot.waitExposed(made)
    yield made
    made.close()
    made.shut()
    translate.install("en")
    theme.notifier().apply("light")
