"""The window as a whole: pages, shortcuts, menus, languages, panels, drops, one copy only."""

import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QLockFile, QMimeData, QPointF, QSize, Qt, QUrl
from PySide6.QtGui import QDropEvent, QShortcut
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QSplitter

from app.core.errors import DiskFullError, ModelNotFoundError, UsageError
from app.core.events import InstanceChanged
from app.core.generate import Timings
from app.core.types import Sample
from app.planning.detector import Told
from app.planning.watch import Finding
from app.ui import tasks, theme
from app.ui.dialogs.about import AboutDialog
from app.ui.dialogs.confirm import ConfirmDialog
from app.ui.dialogs.shortcuts import ShortcutsDialog
from app.ui.entries import Entry
from app.ui.layout_memory import first_size, restore_splitter
from app.ui.main_window import MainWindow
from app.ui.page_list import PAGES
from app.ui.single import SingleWindow

ALL_PAGES = [name for name, _icon in PAGES]


def test_the_first_start_opens_the_welcome(qtbot: Any, services: Any) -> None:
    from app.ui.main_window import MainWindow

    window = MainWindow(services)
    qtbot.addWidget(window)
    assert window.stack.currentWidget() is window.pages["welcome"]
    window.pages["welcome"].skip.click()
    assert window.stack.currentWidget() is window.pages["chat"]
    qtbot.waitUntil(lambda: services.settings.value.general.welcomed)
    window.shut()


def test_pages_are_built_when_first_opened(window: Any) -> None:
    assert set(window.pages) == {"chat"}
    window.open_page("server")
    assert set(window.pages) == {"chat", "server"}


def test_shortcuts_open_pages_in_the_rail_s_order(qtbot: Any, window: Any) -> None:
    for number, name in enumerate(ALL_PAGES, 1):
        window.actions_.by_name[f"page_{number}"].trigger()
        assert window.stack.currentWidget() is window.pages[name]
        assert window.rail.buttons[name].isChecked()
        assert window.actions_.keys(f"page_{number}") == f"Ctrl+{number}"


def test_no_two_commands_share_a_key(qtbot: Any, window: Any) -> None:
    for name in ALL_PAGES:
        window.open_page(name)
    keys = [action.shortcut().toString() for action in window.actions_.by_name.values()]
    wide = [s for s in window.findChildren(QShortcut) if s.context() != Qt.ShortcutContext.WidgetShortcut]
    keys += [shortcut.key().toString() for shortcut in wide]
    used = [key for key in keys if key]
    assert len(used) == len(set(used)), sorted(key for key in set(used) if used.count(key) > 1)


def test_the_language_changes_at_once(qtbot: Any, window: Any, services: Any) -> None:
    for name in ALL_PAGES:
        window.open_page(name)
    services.settings.set("general.language", "vi")
    qtbot.waitUntil(lambda: window.rail.buttons["library"].text() == "Thư viện")
    assert window.pages["library"].title.text() == "Thư viện"
    assert window.pages["settings"].rows["general.theme"].title.text() == "Giao diện"
    assert window.actions_.by_name["server_on"].text() == "Máy chủ API cục bộ"
    assert window.actions_.by_name["language_vi"].isChecked()
    services.settings.set("general.language", "en")
    qtbot.waitUntil(lambda: window.rail.buttons["library"].text() == "Library")


def test_the_theme_changes_at_once(qtbot: Any, window: Any, services: Any) -> None:
    window.actions_.by_name["theme_dark"].trigger()
    qtbot.waitUntil(lambda: theme.notifier().scheme == "dark")
    assert QApplication.palette().window().color() == theme.color("window")
    assert services.settings.value.general.theme == "dark"


def test_the_panels_lie_below_in_a_narrow_window(qtbot: Any, window: Any) -> None:
    window.resize(1280, 800)
    qtbot.wait(20)
    assert window.dockWidgetArea(window.panels) == Qt.DockWidgetArea.RightDockWidgetArea
    window.resize(1000, 700)
    qtbot.wait(20)
    assert window.dockWidgetArea(window.panels) == Qt.DockWidgetArea.BottomDockWidgetArea
    window.resize(1280, 800)
    qtbot.wait(20)
    assert window.dockWidgetArea(window.panels) == Qt.DockWidgetArea.RightDockWidgetArea


def test_no_page_presses_the_panels_below_together(qtbot: Any, window: Any) -> None:
    window.resize(1000, 600)
    qtbot.waitUntil(lambda: window.panels.strip)
    qtbot.waitUntil(lambda: window.panels.height() > 100)
    high = window.panels.height()
    for name in ALL_PAGES:
        window.open_page(name)
        QApplication.sendPostedEvents()
        QApplication.processEvents()
        assert window.panels.height() == high, name


def test_the_panels_can_be_closed_and_come_back(qtbot: Any, window: Any) -> None:
    window.actions_.by_name["panels"].trigger()
    assert window.panels.isHidden()
    assert not window.actions_.by_name["panels"].isChecked()
    window.actions_.by_name["panels"].trigger()
    assert not window.panels.isHidden()


def test_size_and_panels_are_remembered(qtbot: Any, window: Any, services: Any) -> None:
    from app.ui.main_window import MainWindow

    window.resize(960, 650)  # the offscreen screen is small
    window.panels.hide()
    window.close()
    again = MainWindow(services)
    qtbot.addWidget(again)
    assert (again.width(), again.height()) == (960, 650)
    assert again.panels.isHidden()
    again.shut()


def test_a_dropped_model_is_imported_and_shown(
    qtbot: Any, window: Any, services: Any, starter: Path, tmp_path: Path
) -> None:
    file = tmp_path / "dropped.gguf"
    file.symlink_to(starter)
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(file)), QUrl.fromLocalFile("/tmp/notes.txt")])
    event = QDropEvent(
        QPointF(10, 10),
        Qt.DropAction.CopyAction,
        mime,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    window.dropEvent(event)
    assert event.isAccepted()
    qtbot.waitUntil(lambda: bool(services.library.records()))
    qtbot.waitUntil(lambda: window.stack.currentWidget() is window.pages.get("library"), timeout=30_000)
    qtbot.waitUntil(lambda: window.pages["library"].table.current() is not None, timeout=30_000)


def test_a_price_that_is_entered_counts(qtbot: Any, window: Any, services: Any) -> None:
    services.settings.set("energy.tariff", "de-average")
    services.settings.set("energy.price", 0.25)
    qtbot.waitUntil(lambda: services.settings.value.energy.tariff == "own/de-average")


def test_an_error_stands_above_the_page_with_its_button(qtbot: Any, window: Any) -> None:
    window.say_error(ModelNotFoundError(name="foo"))
    assert "foo" in window.banner.words.text()
    assert window.banner.button.text() == "Search for a model"
    window.banner.button.click()
    assert window.stack.currentWidget() is window.pages["discover"]


@pytest.mark.parametrize("code", ["throttle_thermal", "gpu_shared", "slow"])
def test_why_a_model_is_slow_is_said_with_a_button_that_mends_it(qtbot: Any, window: Any, code: str) -> None:
    params = {
        "device": "RTX",
        "temperature": 90,
        "others": "9 GiB",
        "share": 99,
        "now": 1,
        "low": 2,
        "high": 3,
    }
    window.watchman._tell(Told("model-1", Finding(code, params)))
    assert "{" not in window.banner.words.text()
    asked: list[Any] = []
    window.models.ask_load = asked.append
    english = window.banner.button.text()
    window.services.settings.set("general.language", "vi")
    qtbot.waitUntil(lambda: window.banner.button.text() not in ("", english))
    window.services.settings.set("general.language", "en")
    qtbot.waitUntil(lambda: window.banner.button.text() == english)
    window.banner.button.click()
    assert asked == ["model-1"] or window.stack.currentWidget() is window.pages["usage"]


def test_an_error_that_can_not_be_kept_is_said(
    qtbot: Any, window: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_key: str, _value: object) -> None:
        raise DiskFullError(path="/x", missing="1 kB")

    monkeypatch.setattr(window.services.settings, "set", fail)
    window.set_setting("general.theme", "dark")
    qtbot.waitUntil(lambda: not window.banner.isHidden())
    assert "no room" in window.banner.words.text()


def test_the_shortcut_list_and_about_open(qtbot: Any, window: Any) -> None:
    for name, kind in (("shortcuts", ShortcutsDialog), ("about", AboutDialog)):
        window.actions_.by_name[name].trigger()
        dialog = window.findChild(kind)
        assert dialog is not None
        assert dialog.isVisible()
        assert dialog.windowTitle()
        dialog.close()


def test_files_brought_in_leave_the_pool_to_others(
    window: MainWindow, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, begun = threading.Event(), list[str]()

    def copying(path: Path, **_more: object) -> None:
        begun.append(path.name)
        gate.wait(30)
        raise UsageError(detail="no model")

    monkeypatch.setattr(window.services.library, "import_file", copying)
    files, got = [tmp_path / f"{number}.gguf" for number in range(tasks.SIZE + 1)], list[int]()
    window.models.import_files(files)
    tasks.run(lambda: 1, got.append)
    try:
        qtbot.waitUntil(lambda: bool(got))
        assert begun == ["0.gguf"]
    finally:
        gate.set()
    qtbot.waitUntil(lambda: begun == [file.name for file in files])


def test_a_second_copy_hands_its_file_to_the_first(qtbot: Any, tmp_path: Path) -> None:
    first, got = SingleWindow(tmp_path / "hearth.lock"), []
    assert first.take()
    first.asked.connect(got.append)
    first.listen()
    second = SingleWindow(tmp_path / "hearth.lock")
    assert not second.take()
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(second.tell("/models/a.gguf")))
    thread.start()
    qtbot.waitUntil(lambda: got == ["/models/a.gguf"])
    thread.join()
    assert answers == [True]
    first.close()
    assert second.take()
    second.close()


def test_where_no_lock_can_be_written_the_socket_tells(
    qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoRoom(QLockFile):
        def tryLock(self, _wait: int = 0) -> bool:
            return False

        def error(self) -> QLockFile.LockError:
            return QLockFile.LockError.UnknownError

    monkeypatch.setattr("app.ui.single.QLockFile", NoRoom)
    first, second = SingleWindow(tmp_path / "hearth.lock"), SingleWindow(tmp_path / "hearth.lock")
    assert first.take()
    first.listen()
    assert not second.take()
    first.close()
    assert second.take()
    second.close()


def test_a_lock_holder_that_does_not_answer_is_reported(
    qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.ui.single.PATIENCE", 0.05)
    assert SingleWindow(tmp_path / "hearth.lock").tell("") is False


def test_the_status_line_keeps_the_speed_of_the_last_answer(qtbot: Any, window: Any, services: Any) -> None:
    status = window.status
    assert status.speed.text() == "– tokens/s"
    assert "No model" in status.speed.toolTip()
    answer = Entry(1, "assistant", "Yes.", model="m", timings=Timings(decode=0.5, decode_tokens=21))
    window.answered.emit(1, answer)
    spoken = f"{answer.timings.decode_per_second:.1f} tokens/s"  # type: ignore[union-attr]
    assert status.speed.text() == spoken
    now = time.monotonic() + 1.0
    services.bus.publish(
        Sample("instance:m", now - 2.0, {"decode_tps": 12.3})
    )  # late: of the answer that ended
    services.bus.publish(Sample("instance:m", now, {"decode_tps": 0.0}))  # what an idle engine says
    services.bus.publish(Sample("instance:m", now + 0.1, {"decode_tps": 55.5}))
    qtbot.waitUntil(lambda: status.speed.text() == "55.5 tokens/s")
    assert "now" in status.speed.toolTip()
    services.bus.publish(Sample("instance:m", now + 0.2, {"decode_tps": 0.0}))
    status._gone_quiet()
    assert status.speed.text() == "55.5 tokens/s"
    assert "last answer" in status.speed.toolTip()


def test_the_status_line_overlooks_what_a_title_is_written_at(qtbot: Any, window: Any, services: Any) -> None:
    status, title = window.status, Future[str]()
    now = time.monotonic() + 1.0

    def read(*readings: tuple[str, float]) -> None:
        for model, speed in readings:
            services.bus.publish(Sample(f"instance:{model}", now, {"decode_tps": speed}))

    window.page("chat").controller.acts.naming.emit("m", title)
    read(("m", 77.7), ("n", 11.1))
    qtbot.waitUntil(lambda: status.speed.text() == "11.1 tokens/s")
    title.set_result("A title")
    read(("m", 66.6), ("m", 5.5))  # the first of them may be of the title's end
    qtbot.waitUntil(lambda: status.speed.text() == "16.6 tokens/s")


def test_the_status_line_keeps_what_clients_were_served_at(qtbot: Any, window: Any, services: Any) -> None:
    status = window.status
    services.bus.publish(Sample("instance:m", time.monotonic() + 1.0, {"decode_tps": 55.5}))
    qtbot.waitUntil(lambda: status.speed.text() == "55.5 tokens/s")
    status._gone_quiet()
    assert status.speed.text() == "55.5 tokens/s"


def test_the_status_line_forgets_the_speed_of_a_model_that_is_gone(
    qtbot: Any, window: Any, services: Any
) -> None:
    status = window.status

    def tell(model: str, state: str) -> None:
        services.bus.publish(InstanceChanged("1", model, state))  # type: ignore[arg-type]

    tell("m", "ready")
    tell("n", "ready")
    window.answered.emit(
        1, Entry(1, "assistant", "Yes.", model="m", timings=Timings(decode=0.5, decode_tokens=21))
    )
    assert status.speed.text() == "42.0 tokens/s"
    tell("n", "stopped")
    qtbot.waitUntil(lambda: status.model.text() == "m")
    assert status.speed.text() == "42.0 tokens/s"  # of the one that is there
    tell("m", "stopped")
    qtbot.waitUntil(lambda: status.speed.text() == "– tokens/s")
    assert "No model" in status.speed.toolTip()


def test_splitters_and_the_page_in_front_are_remembered(qtbot: Any, window: Any, services: Any) -> None:
    from app.ui.main_window import MainWindow

    splitter = window.page("chat").findChild(QSplitter)
    splitter.setSizes([300, 500])
    sizes = splitter.sizes()
    window.open_page("server")
    window.close()
    again = MainWindow(services)
    qtbot.addWidget(again)
    again.show()
    assert again.page_shown() == "server"
    again.open_page("chat")
    qtbot.wait(100)
    assert again.page("chat").findChild(QSplitter).sizes()[0] == sizes[0] == 300
    again.close()
    again.shut()


def test_enter_presses_the_button_that_has_the_keyboard(qtbot: Any, window: Any) -> None:
    window.activateWindow()
    rail = window.rail.buttons["library"]
    rail.setFocus()
    qtbot.keyClick(rail, Qt.Key.Key_Return)
    assert window.page_shown() == "library"
    dialog = ConfirmDialog("Delete it?", "For good.", "Delete", window)
    ended: list[int] = []
    dialog.finished.connect(ended.append)
    dialog.act.setDefault(True)
    dialog.open()
    qtbot.keyClick(dialog.cancel, Qt.Key.Key_Enter)
    assert ended == [ConfirmDialog.DialogCode.Rejected]


@pytest.mark.parametrize(
    ("room", "size"),
    [
        ((1920, 1080), (1280, 800)),
        ((1280, 774), (1280, 734)),
        ((1024, 600), (1024, 600)),
        ((800, 800), (1280, 800)),
    ],
)
def test_the_first_window_fits_its_screen(room: tuple[int, int], size: tuple[int, int]) -> None:
    found = first_size(QSize(*room), QSize(960, 600))
    assert (found.width(), found.height()) == size


def test_the_live_panels_buttons_keep_their_names(qtbot: Any, window: Any) -> None:
    window.setStyleSheet("QLabel { padding: 0 }")
    QApplication.processEvents()
    close = window.panels.findChild(QAbstractButton, "qt_dockwidget_closebutton")
    assert close.accessibleName() == "Close the live panels"


def test_panels_that_a_narrow_window_put_below_stand_at_the_right_again(
    qtbot: Any, window: Any, services: Any
) -> None:
    window.resize(1000, 700)
    window.panels.fill()
    assert window.dockWidgetArea(window.panels) == Qt.DockWidgetArea.BottomDockWidgetArea
    window.layout_memory.keep(window)
    again = MainWindow(services)
    qtbot.addWidget(again)
    again.panels.fill()
    again.resize(1400, 800)
    again.panels.fit(1400)
    assert again.dockWidgetArea(again.panels) == Qt.DockWidgetArea.RightDockWidgetArea
    assert not again.panels._panels.speed.strip
    again.addDockWidget(Qt.DockWidgetArea.TopDockWidgetArea, again.panels)
    assert again.panels._panels.speed.strip  # wherever there is no height for a column
    again.close()
    again.shut()


def test_a_splitter_is_not_wider_than_its_part_takes(qtbot: Any) -> None:
    def made(most: int) -> QSplitter:
        splitter = QSplitter()
        qtbot.addWidget(splitter)
        for _part in range(2):
            splitter.addWidget(QLabel())
        splitter.setStretchFactor(1, 1)
        splitter.widget(0).setMaximumWidth(most)  # type: ignore[union-attr]
        return splitter

    kept, found = made(800), made(400)
    kept.resize(1200, 300)
    kept.show()
    kept.setSizes([600, 600])
    restore_splitter(found, kept.saveState())
    found.resize(900, 300)
    found.show()
    first, second = found.widget(0), found.widget(1)
    assert first is not None
    assert second is not None
    assert second.x() == first.geometry().right() + 1 + found.handleWidth()  # no gap between them


def test_the_menu_takes_back_what_the_page_offered(qtbot: Any, window: Any) -> None:
    page, taken = window.page("chat"), []
    window.open_page("chat")
    page._undo.offer("Chat deleted", lambda: taken.append(1))
    page._undo.hide()
    window.setFocus()
    window.actions_.by_name["undo"].trigger()
    window.actions_.by_name["undo"].trigger()
    assert taken == [1]
