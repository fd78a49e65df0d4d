"""The Chat page over the real store and an engine that echoes, for the tests of the chat's parts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from PySide6.QtCore import Qt

from app.chat.store import ChatStore
from app.core.events import Bus
from app.core.settings import SettingsStore
from app.core.types import LoadPlan, ModelFile, ModelRecord
from app.models.presets import Presets
from app.ui import tasks, theme
from app.ui.bridge import Bridge
from app.ui.pages.chat import ChatPage
from tests.fakes.engine import RECORD, FakeLibrary, FakeSupervisor

OTHER = ModelRecord("fake/other:Q8_0", "Other", (ModelFile("other.gguf", 1),), 1, added_at=1_600_000_000)


@contextmanager
def chat_services(folder: Path, bus: Bus) -> Iterator[Any]:
    """What the page needs of the services: two models, an empty store, settings in ``folder``."""
    supervisor, store = FakeSupervisor(delay=0.002), ChatStore(None, bus)
    settings = SettingsStore(folder / "settings.toml", bus)
    settings.set("chat.write_titles", False)

    def load(model: str, **_more: object) -> Any:
        return supervisor.ensure_ready(model, LoadPlan("fake.gguf"))

    yield SimpleNamespace(
        bus=bus,
        settings=settings,
        chats=store,
        supervisor=supervisor,
        engine=lambda _source: supervisor,
        library=FakeLibrary((RECORD, OTHER)),
        load=load,
        cancel_load=lambda _model: None,
        paths=SimpleNamespace(config=folder),
        presets=Presets(folder / "presets"),
    )
    supervisor.close()
    store.close()


@contextmanager
def chat_page(qtbot: Any, services: Any) -> Iterator[ChatPage]:
    """The shown page, with the first model chosen."""
    theme.notifier().apply("light")
    bridge = Bridge(services.bus)
    made = ChatPage(services, bridge)
    qtbot.addWidget(made)
    made.resize(1100, 760)
    made.show()
    qtbot.waitUntil(lambda: bool(made.controller.model), timeout=30_000)
    yield made
    made.controller.close()
    bridge.close()
    tasks.close()


def ask(qtbot: Any, page: ChatPage, text: str) -> None:
    """Type a question, send it, and wait until its answer is written."""
    page.composer.set_text(text)
    qtbot.keyClick(page.composer.edit, Qt.Key.Key_Return)
    wait_idle(qtbot, page)


def wait_idle(qtbot: Any, page: ChatPage) -> None:
    """Nothing is being written, and everything shown is stored."""
    until(qtbot, lambda: page.controller.turns.here() is None and _all_stored(page))
    qtbot.wait(40)


def _all_stored(page: ChatPage) -> bool:
    return all(entry.key > 0 for entry in page.transcript.entries)


def until(qtbot: Any, done: Callable[[], object]) -> None:
    """Wait for something to be so."""
    qtbot.waitUntil(lambda: bool(done()), timeout=30_000)
