"""Zoom, levels, motion: the settings that change the whole window."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QHBoxLayout, QLabel, QWidget

from app.ui import look, theme, zoom
from app.ui.dialogs.shortcuts import ShortcutsDialog
from app.ui.levels import Levels, levels


@pytest.fixture(autouse=True)
def usual(services: Any) -> Iterator[None]:
    """Leave the program as it was."""
    yield
    for key in ("zoom", "level", "reduced_motion", "theme"):
        services.settings.reset(f"general.{key}")
    look.apply(services.settings.value.general)
    theme.notifier().apply("light")


def _set(services: Any, **values: object) -> None:
    for name, value in values.items():
        services.settings.set(f"general.{name}", value)
    look.apply(services.settings.value.general)


def test_steps_of_the_zoom_end_at_75_and_200() -> None:
    assert [zoom.step(100, 1), zoom.step(100, -1)] == [110, 90]
    assert [zoom.step(200, 1), zoom.step(75, -1)] == [200, 75]
    assert [zoom.step(107, 1), zoom.step(107, -1)] == [110, 100]


def test_the_keys_change_the_setting_and_the_whole_window(qtbot: Any, window: Any, services: Any) -> None:
    rail = window.rail.sizeHint().width()
    window.actions_.by_name["zoom_in"].trigger()
    qtbot.waitUntil(lambda: services.settings.value.general.zoom == 110)
    qtbot.waitUntil(lambda: QApplication.font().pixelSize() == round(13 * 1.1))
    assert window.rail.sizeHint().width() > rail
    window.actions_.by_name["zoom_reset"].trigger()
    qtbot.waitUntil(lambda: QApplication.font().pixelSize() == 13)
    assert window.rail.sizeHint().width() == rail


def test_a_window_that_begins_enlarged_has_the_measures_of_one_that_was_enlarged(
    qtbot: Any, window: Any, services: Any
) -> None:
    from app.ui.main_window import MainWindow

    _set(services, zoom=125)
    other = MainWindow(services, 2)
    qtbot.addWidget(other)
    assert other.status.maximumHeight() == window.status.maximumHeight() == round(26 * 1.25)
    assert other.panels.minimumWidth() == window.panels.minimumWidth()
    margins = [made.status.findChild(QHBoxLayout).contentsMargins() for made in (window, other)]
    assert margins[0] == margins[1]
    _set(services, zoom=100)
    assert other.status.maximumHeight() == 26
    other.close()
    other.leave()


def test_keys_pressed_faster_than_a_setting_is_written_all_count(
    qtbot: Any, window: Any, services: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, gate = services.settings.set, threading.Event()

    def slow(key: str, value: object) -> None:
        assert gate.wait(60)
        put(key, value)

    monkeypatch.setattr(services.settings, "set", slow)
    for _ in range(3):
        window.actions_.by_name["zoom_in"].trigger()
    window.actions_.by_name["zoom_out"].trigger()
    gate.set()
    wanted = zoom.step(zoom.step(100, 1), 1)
    qtbot.waitUntil(lambda: QApplication.font().pixelSize() == round(13 * wanted / 100))
    qtbot.waitUntil(
        lambda: window._writer.newest("general.zoom") == wanted == services.settings.value.general.zoom
    )


def _tree(qtbot: Any) -> tuple[QWidget, QLabel, QWidget, QHBoxLayout]:
    root = QWidget()
    qtbot.addWidget(root)
    row = QHBoxLayout(root)
    row.setContentsMargins(10, 20, 30, 40)
    row.setSpacing(8)
    label, button = QLabel("a", root), QWidget(root)
    font = label.font()
    font.setPixelSize(20)
    label.setFont(font)
    button.setFixedHeight(32)
    row.addWidget(label)
    row.addWidget(button)
    return root, label, button, row


@pytest.mark.parametrize("way", [(200,), (150, 75, 200), (200, 200)])
def test_own_measures_and_fonts_follow_whatever_the_way(qtbot: Any, services: Any, way: Any) -> None:
    root, label, button, row = _tree(qtbot)
    root.show()
    for percent in way:
        _set(services, zoom=percent)
    assert label.font().pixelSize() == 40
    assert (button.minimumHeight(), button.maximumHeight()) == (64, 64)
    assert row.contentsMargins().left() == pytest.approx(20, abs=1)
    assert row.spacing() == pytest.approx(16, abs=1)
    _set(services, zoom=100)
    assert label.font().pixelSize() == 20
    assert button.maximumHeight() == 32


def test_a_dialog_opened_at_another_zoom_is_sized_once(qtbot: Any, window: Any, services: Any) -> None:
    _set(services, zoom=200)
    dialog = ShortcutsDialog(window.actions_, services.settings, window)
    dialog.open()
    assert 56 <= dialog.search.minimumHeight() <= 64
    assert dialog.reset_all.height() <= 80
    dialog.close()


def test_a_page_built_at_another_zoom_is_sized_once(qtbot: Any, window: Any, services: Any) -> None:
    _set(services, zoom=200)
    page = window.open_page("library")
    title = page.title.parentWidget()
    assert title.minimumHeight() == 96
    assert page.title.font().pixelSize() == 40
    _set(services, zoom=100)
    assert title.minimumHeight() == 48


def test_the_sheet_keeps_thin_lines_thin() -> None:
    sheet = theme.stylesheet(theme.PALETTES["light"], "/icons", "light", zoom=2.0, still=True)
    assert "border: 1px solid" in sheet
    assert "font-size: 40px" in sheet
    assert "widget-animation-duration: 0" in sheet


def test_levels_show_and_hide_what_is_marked(qtbot: Any) -> None:
    own, parent = Levels(), QWidget()
    qtbot.addWidget(parent)
    simple, full, developer = (QLabel(name, parent) for name in ("a", "b", "c"))
    own.mark(full, "full")
    own.mark(developer, "developer")
    assert [w.isHidden() for w in (simple, full, developer)] == [False, False, True]
    own.set_level("simple")
    assert [w.isHidden() for w in (simple, full, developer)] == [False, True, True]
    own.set_level("developer")
    assert [w.isHidden() for w in (simple, full, developer)] == [False, False, False]


def test_the_simple_window_has_no_server_figures_or_panels(qtbot: Any, window: Any, services: Any) -> None:
    _set(services, level="simple")
    assert window.rail.buttons["server"].isHidden()
    assert window.panels.isHidden()
    assert window.status.speed.isHidden()
    shown = {name for name, action in window.actions_.by_name.items() if action.isVisible()}
    assert {"new_chat", "page_1", "palette", "level_full", "quit"} <= shown
    assert not shown & {"panels", "server_on", "copy_address", "logs", "page_5"}
    _set(services, level="full")
    assert not window.rail.buttons["server"].isHidden()
    assert not window.panels.isHidden()
    assert not window.status.speed.isHidden()
    assert levels().level == "full"


def test_under_a_message_the_simple_window_has_what_everybody_needs(qtbot: Any, services: Any) -> None:
    from app.core.generate import Timings
    from app.ui.chat_style import make_style
    from app.ui.entries import Entry
    from app.ui.footer import Footer

    root = QWidget()
    qtbot.addWidget(root)
    footer = Footer(make_style(), root)
    footer.setGeometry(0, 0, 700, 28)
    entry = Entry(1, "assistant", "Yes.", timings=Timings(decode=1.0, decode_tokens=30), reason="stop")
    footer.show_entry(entry, is_last=True)

    def shown() -> set[str]:
        return {name for name, button in footer._buttons.items() if not button.isHidden()}

    assert "raw" in shown()
    assert not footer._figures.isHidden()
    _set(services, level="simple")
    assert shown() == {"copy", "regenerate", "edit", "delete"}
    assert footer._figures.isHidden()


def test_panels_that_were_closed_stay_closed_through_the_levels(window: Any, services: Any) -> None:
    window.panels.hide()
    _set(services, level="simple")
    _set(services, level="full")
    assert window.panels.isHidden()


def test_reduced_motion_stops_effects_and_the_caret(qtbot: Any, services: Any) -> None:
    blinking = QApplication.cursorFlashTime()
    _set(services, reduced_motion=True)
    assert theme.reduced_motion()
    assert QApplication.cursorFlashTime() == 0
    assert not QApplication.isEffectEnabled(Qt.UIEffect.UI_AnimateMenu)
    _set(services, reduced_motion=False)
    assert QApplication.cursorFlashTime() == blinking
    assert not theme.reduced_motion()


def test_the_chat_s_text_grows_too(qtbot: Any, window: Any, services: Any) -> None:
    from app.ui.chat_style import make_style

    _set(services, zoom=200)
    assert make_style().body.pixelSize() == 30
    assert make_style().column == 1520


def test_the_simple_window_tells_of_the_context_only_when_it_fills(qtbot: Any, services: Any) -> None:
    from app.ui.context_bar import ContextBar
    from app.ui.context_use import ContextUse

    bar = ContextBar()
    qtbot.addWidget(bar)
    bar.show_use(ContextUse(history=300, limit=1000))
    assert not bar.isHidden()
    _set(services, level="simple")
    assert bar.isHidden()
    bar.show_use(ContextUse(history=900, limit=1000))
    assert not bar.isHidden()
