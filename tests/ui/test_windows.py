"""Several windows, tray, quick ask, notifications, the global key: the program around its windows."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from app.core.errors import OutOfMemoryError
from app.core.events import DownloadChanged, ErrorInfo, LoadWaits, ServerChanged
from app.core.generate import Timings
from app.core.types import LoadPlan, ModelRecord
from app.models.presets import Presets
from app.ui import look, tasks, theme, translate
from app.ui.bridge import Bridge
from app.ui.entries import Entry
from app.ui.levels import levels
from app.ui.main_window import MainWindow
from app.ui.notifications import LONG_ANSWER
from app.ui.quick_ask import QuickAsk
from app.ui.windows import Windows
from tests.fakes.engine import FakeSupervisor


@pytest.fixture
def windows(qtbot: Any, services: Any) -> Iterator[Windows]:
    """The program with one window, in English and light."""
    translate.install("en")
    theme.notifier().apply("light")
    services.settings.set("general.welcomed", True)
    made = Windows(services, QApplication.instance())
    qtbot.waitExposed(made.open())
    made.start()
    yield made
    made.close()
    QApplication.setQuitOnLastWindowClosed(True)
    look.apply(services.settings.value.general)
    levels().set_level("full")


def test_a_second_window_shares_the_services(qtbot: Any, windows: Windows) -> None:
    first = windows.open_ones[0]
    first.open_page("library")
    first.actions_.by_name["new_window"].trigger()
    second = windows.open_ones[1]
    assert second.services is first.services
    assert second.page_shown() == "library"
    windows.services.settings.set("general.theme", "dark")
    qtbot.waitUntil(second.actions_.by_name["theme_dark"].isChecked)
    assert first.actions_.by_name["theme_dark"].isChecked()
    windows.services.settings.set("general.theme", "light")
    qtbot.waitUntil(lambda: theme.notifier().scheme == "light")
    second.close()
    assert windows.open_ones == [first]


def test_a_chat_open_in_two_windows_stays_one(qtbot: Any, windows: Windows) -> None:
    store = windows.services.chats
    chat = store.create("Shared", model="m").id
    first_words = store.append(chat, None, "user", "from the first").id
    first, second = windows.open_ones[0], windows.open()
    for window in (first, second):
        window.open_chat(chat)
        page = window.page("chat")
        qtbot.waitUntil(lambda page=page: len(page.transcript.entries) == 1)
    store.append(chat, first_words, "user", "and one more")
    for window in (first, second):
        entries = window.page("chat").transcript
        qtbot.waitUntil(lambda entries=entries: [e.text for e in entries.entries][-1:] == ["and one more"])
    assert len([c for c in store.conversations() if c.title == "Shared"]) == 1


def test_each_window_keeps_its_own_layout(qtbot: Any, windows: Windows) -> None:
    second = windows.open()
    second.resize(1000, 640)
    second.open_page("server")
    second.close()
    again = windows.open()
    assert again.layout_memory.number == 2
    assert (again.height(), again.page_shown()) == (640, "server")
    assert windows.open_ones[0].page_shown() == "chat"


def test_windows_left_open_come_back(qtbot: Any, windows: Windows, monkeypatch: Any) -> None:
    windows.open()
    monkeypatch.setattr(QApplication, "quit", staticmethod(lambda: None))
    windows.quit()
    assert windows.open_ones[0].layout_memory.count() == 2


def test_the_last_window_ends_the_program_and_a_small_one_does_not(
    qtbot: Any, windows: Windows, monkeypatch: Any
) -> None:
    ended: list[int] = []
    windows._application = SimpleNamespace(quit=lambda: ended.append(1))  # type: ignore[assignment]
    windows.ask_quickly()
    assert windows.quick is not None
    windows.quick.close()
    assert ended == []
    windows.open_ones[0].close()
    assert ended == [1]


def test_closing_goes_to_the_tray_only_when_there_is_one(
    qtbot: Any, windows: Windows, monkeypatch: Any
) -> None:
    window = windows.open_ones[0]
    windows.services.settings.set("general.close_to_tray", True)
    assert not windows._stays()  # offscreen has no tray
    monkeypatch.setattr(type(windows.tray), "shown", property(lambda _self: True))
    window.close()
    assert window in windows.open_ones
    assert window.isHidden()
    assert windows.tray is not None
    windows.tray.open.trigger()
    assert window.isVisible()


def test_the_tray_says_and_switches_the_server(qtbot: Any, windows: Windows, monkeypatch: Any) -> None:
    tray, turned = windows.tray, []
    assert tray is not None
    assert tray.serve.text() == "Server: off"
    windows.services.bus.publish(ServerChanged("on", "http://127.0.0.1:8177"))
    qtbot.waitUntil(tray.serve.isChecked)
    assert tray.serve.text() == "Server: 127.0.0.1:8177"
    monkeypatch.setattr(tray.server, "turn", turned.append)
    tray.serve.trigger()
    assert turned == [False]
    translate.install("vi")
    tray.menu.aboutToShow.emit()
    assert tray.ask.text() == "Hỏi nhanh…"
    translate.install("en")


# ---------------------------------------------------------------------- notifications


@pytest.fixture
def told(windows: Windows, monkeypatch: Any) -> list[tuple[str, str, Callable[[], object]]]:
    """What the desktop was asked to show, while Hearth is not in front."""
    found: list[tuple[str, str, Callable[[], object]]] = []
    notifications = windows.notifications
    assert notifications is not None
    monkeypatch.setattr(notifications, "tell", lambda *what: found.append(what))
    monkeypatch.setattr(
        "app.ui.notifications.QGuiApplication.applicationState",
        staticmethod(lambda: Qt.ApplicationState.ApplicationInactive),
    )
    return found


def _answer(seconds: float, **changes: Any) -> Entry:
    timings = Timings(prefill=0.0, decode=seconds, decode_tokens=1)
    return Entry(5, "assistant", "Because it is.", timings=timings, **changes)


def test_long_answers_are_told_and_short_ones_are_not(windows: Windows, told: list[Any]) -> None:
    window = windows.open_ones[0]
    window.answered.emit(1, _answer(LONG_ANSWER / 2))
    window.answered.emit(1, _answer(LONG_ANSWER + 1, reason="cancelled"))
    assert told == []
    window.answered.emit(1, _answer(LONG_ANSWER + 1))
    assert [(title, text) for title, text, _act in told] == [("The answer is there", "Because it is.")]
    window.answered.emit(1, _answer(0.1, error=ErrorInfo("worker_crashed", "It died.")))
    assert told[-1][0] == "The answer broke off"
    windows.services.settings.set("general.notify", False)
    window.answered.emit(1, _answer(LONG_ANSWER + 1))
    assert len(told) == 2


def test_a_finished_download_is_told_once(qtbot: Any, windows: Windows, told: list[Any]) -> None:
    bus = windows.services.bus
    for state in ("running", "verifying", "done", "done"):
        bus.publish(DownloadChanged("1", "org/model", "model.gguf", state, 10, quant="Q4_K_M"))
    qtbot.waitUntil(lambda: bool(told))
    assert [(title, text) for title, text, _act in told] == [("Download finished", "org/model Q4_K_M")]
    told[0][2]()
    assert windows.front().page_shown() == "downloads"


# ---------------------------------------------------------------------- quick ask


def _record(name: str, damaged: str | None = None) -> ModelRecord:
    return ModelRecord(name, name, (), 1, damaged=damaged)


@pytest.fixture
def quick(qtbot: Any, services: Any, tmp_path: Path) -> Iterator[QuickAsk]:
    """The small window over the store and an engine that echoes."""
    translate.install("en")
    supervisor = FakeSupervisor(delay=0.002)
    around = SimpleNamespace(
        chats=services.chats,
        settings=services.settings,
        supervisor=supervisor,
        engine=lambda _source: supervisor,
        library=SimpleNamespace(records=lambda: (_record("fake/model"),)),
        presets=Presets(tmp_path / "presets"),
        load=lambda model, **_more: supervisor.ensure_ready(model, LoadPlan("fake.gguf")),
    )
    bridge = Bridge(services.bus)
    made = QuickAsk(around, bridge)  # type: ignore[arg-type]
    yield made
    made.leave()
    bridge.close()
    tasks.close()
    supervisor.close()


def test_a_quick_question_that_was_not_asked_is_there_again(qtbot: Any, quick: QuickAsk) -> None:
    quick.begin()
    qtbot.keyClicks(quick.question, "half a que")
    quick.close()
    quick.begin()
    assert quick.question.selectedText() == "half a que"


def test_a_quick_question_is_answered_and_kept(qtbot: Any, quick: QuickAsk, services: Any) -> None:
    quick.begin()
    qtbot.keyClicks(quick.question, "one two")
    qtbot.keyClick(quick.question, Qt.Key.Key_Return)
    assert quick.act.text() == "Stop"
    qtbot.waitUntil(lambda: quick.act.text() == "Ask" and bool(quick.answer))
    assert quick.answer.split() == ["one", "two"]
    assert "one two" in quick.view.toPlainText()
    opened: list[int] = []
    quick.open_asked.connect(opened.append)
    assert quick.continue_.text() == "Continue in Hearth"
    quick.continue_.click()
    assert quick.isHidden()
    assert [message.role for message in services.chats.messages(opened[0])] == ["user", "assistant"]


def test_esc_hides_it_and_the_next_question_is_a_new_chat(qtbot: Any, quick: QuickAsk, services: Any) -> None:
    for text in ("first", "second"):
        quick.begin()
        assert quick.question.text() == ""
        qtbot.keyClicks(quick.question, text)
        qtbot.keyClick(quick.question, Qt.Key.Key_Return)
        qtbot.waitUntil(lambda: quick.act.text() == "Ask" and bool(quick.answer))
        qtbot.keyClick(quick.question, Qt.Key.Key_Escape)
        assert quick.isHidden()
    assert len(services.chats.conversations()) == 2


def test_a_question_is_kept_when_its_model_can_not_be_loaded(
    qtbot: Any, quick: QuickAsk, services: Any
) -> None:
    asked = threading.Event()

    def refuse(model: str, **_more: object) -> None:
        assert asked.wait(30)
        raise OutOfMemoryError(model=model, detail="too large")

    quick._services.load = refuse  # type: ignore[method-assign, assignment]
    quick.begin()
    qtbot.keyClicks(quick.question, "keep this")
    qtbot.keyClick(quick.question, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: quick.words.text() == "Waiting for the model")
    services.bus.publish(LoadWaits("fake/model", ("other",)))
    qtbot.waitUntil(lambda: quick.words.text() == "No room for fake/model yet; answering now: other")
    asked.set()
    qtbot.waitUntil(lambda: "too large" in quick.words.text())
    assert quick.continue_.text() == "Continue in Hearth"
    (chat,) = services.chats.conversations()
    assert services.chats.messages(chat.id)[0].text == "keep this"


def test_a_last_model_that_is_gone_is_not_asked(qtbot: Any, quick: QuickAsk, services: Any) -> None:
    services.settings.set("general.last_model", "deleted/model")
    quick._services.library.records = lambda: (  # type: ignore[method-assign]
        _record("broken/model", damaged="cut off"),
        _record("fake/model"),
    )
    quick.begin()
    qtbot.waitUntil(lambda: quick.model.text() == "fake/model")
    qtbot.keyClicks(quick.question, "one two")
    qtbot.keyClick(quick.question, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: quick.act.text() == "Ask" and bool(quick.answer))
    (chat,) = services.chats.conversations()
    assert chat.model == "fake/model"


def test_without_a_model_it_says_so(qtbot: Any, quick: QuickAsk) -> None:
    quick._services.library.records = lambda: ()  # type: ignore[method-assign]
    quick.begin()
    qtbot.keyClicks(quick.question, "hello")
    qtbot.keyClick(quick.question, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "No model here" in quick.words.text())
    assert quick.act.text() == "Ask"


# ---------------------------------------------------------------------- the global key

_CHILD = """
import sys
import threading
from PySide6.QtCore import QTimer
from PySide6.QtGui import QGuiApplication
from app.ui.hotkey import GlobalKey
app = QGuiApplication([])
key, other = GlobalKey(), GlobalKey()
key.take("Ctrl+Alt+Space")
assert not key.problem, key.problem
other.take("Ctrl+Alt+Space")
assert "taken" in other.problem, other.problem
other.take("Ctrl+Alt+F35")
assert other.problem
key.pressed.connect(lambda: (print("pressed", flush=True), key.close(), app.quit()))
print("ready", flush=True)
QTimer.singleShot(15000, app.quit)
app.exec()
"""


@pytest.mark.skipif(not (shutil.which("Xvfb") and shutil.which("xdotool")), reason="needs Xvfb and xdotool")
def test_the_global_key_is_heard_without_any_window(tmp_path: Path) -> None:
    script = tmp_path / "child.sh"
    script.write_text(
        f'exec 3< <("{sys.executable}" -c \'{_CHILD}\')\nread -r line <&3; echo "$line"\n'
        'xdotool key ctrl+alt+space\nread -r line <&3; echo "$line"\n'
    )
    command = ["xvfb-run", "-a", "bash", str(script)]
    environ = {"PATH": "/usr/bin:/bin", "QT_QPA_PLATFORM": "xcb", "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(command, check=False, env=environ, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["ready", "pressed"], done.stdout + done.stderr


def test_where_there_is_no_global_key_the_reason_is_kept(qtbot: Any) -> None:
    from app.ui.hotkey import GlobalKey

    key = GlobalKey()
    key.take("Ctrl+Alt+Space")
    assert "offscreen" in key.problem
    key.take("")
    assert key.problem == "off"


def test_whoever_chooses_a_key_learns_whether_it_can_be_had(qtbot: Any, windows: Windows) -> None:
    banner = windows.front().banner
    windows.services.settings.set("general.quick_key", "Ctrl+Alt+H")
    qtbot.waitUntil(lambda: "no program a key" in banner.words.text())
    windows.services.settings.set("general.quick_key", "")
    qtbot.waitUntil(lambda: windows.key is not None and windows.key.problem == "off")


def test_the_window_asks_for_what_concerns_the_program(qtbot: Any, windows: Windows) -> None:
    window: MainWindow = windows.front()
    window.actions_.by_name["quick_ask"].trigger()
    assert windows.quick is not None
    assert windows.quick.isVisible()
