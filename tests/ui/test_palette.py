"""The palette: what it finds, how it ranks, keys alone; and the matching by a few letters."""

from typing import Any

import pytest
import shiboken6
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import Qt

from app.ui.fuzzy import folded, score
from app.ui.palette import Found, Palette, rank


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("tieng viet", "Tiếng Việt"),
        ("TIẾNG", "Hỏi về tiếng Việt"),
        ("dong", "Đóng cửa sổ"),
        ("ns", "New shortcut"),
        ("nwn", "New window"),
        ("zoom set", "Settings: Zoom"),
    ],
)
def test_letters_find_words(query: str, text: str) -> None:
    assert score(query, text) > 0


@pytest.mark.parametrize(("query", "text"), [("xyz", "New chat"), ("chat new x", "New chat"), ("tc", "cat")])
def test_what_is_not_there_is_not_found(query: str, text: str) -> None:
    assert score(query, text) == 0


def test_beginnings_come_before_middles_and_middles_before_scattered_letters() -> None:
    texts = ["Open the server page", "Server: off", "Observer", "Save every row"]
    order = sorted(texts, key=lambda text: -score("server", text))
    assert order[:3] == ["Server: off", "Open the server page", "Observer"]


@given(st.text(max_size=30), st.text(max_size=10))
def test_matching_takes_any_text(text: str, query: str) -> None:
    assert score(query, text) >= 0
    assert folded(folded(text)) == folded(text)


@given(st.text(alphabet="abc dđêế", min_size=1, max_size=12))
def test_every_text_finds_itself(text: str) -> None:
    assert score(text, text) > 0


def test_equal_matches_are_ordered_by_weight() -> None:
    items = [Found("Chat", "Chat", lambda: None, weight=2), Found("Chat", "Page", lambda: None, weight=6)]
    assert [item.kind for item in rank(items, "chat")] == ["Page", "Chat"]


# ---------------------------------------------------------------------- the window's


@pytest.fixture
def palette(qtbot: Any, window: Any, services: Any) -> Any:
    services.chats.create("Tiếng Việt có dấu", model="m")
    window.actions_.by_name["palette"].trigger()
    made = window.findChild(Palette)
    qtbot.waitUntil(lambda: any(item.kind == "Chat" for item in made._items))
    yield made
    if shiboken6.isValid(made):
        made.close()


def _words(palette: Palette) -> list[str]:
    return [item.words for item in palette.model.items]


def test_it_has_every_shown_command_page_and_setting(window: Any, palette: Any) -> None:
    everything = {item.words for item in palette._items}
    assert {"New chat", "Settings", "Theme: Dark", "General: Zoom", "Tiếng Việt có dấu"} <= everything
    assert "Paste" not in everything
    assert next(item for item in palette._items if item.words == "New chat").keys == "Ctrl+N"


def test_keys_alone_open_a_page(qtbot: Any, window: Any, palette: Any) -> None:
    qtbot.keyClicks(palette.line, "libr")
    assert _words(palette)[0] == "Library"
    qtbot.keyClick(palette.line, Qt.Key.Key_Return)
    assert window.page_shown() == "library"


def test_a_chat_is_found_without_its_diacritics(qtbot: Any, window: Any, palette: Any, services: Any) -> None:
    qtbot.keyClicks(palette.line, "tieng viet co dau")
    assert _words(palette) == ["Tiếng Việt có dấu"]
    qtbot.keyClick(palette.line, Qt.Key.Key_Return)
    chat = services.chats.conversations()[0].id
    qtbot.waitUntil(lambda: window.page("chat").controller.chat == chat)


def test_a_setting_is_brought_into_view(qtbot: Any, window: Any, palette: Any) -> None:
    qtbot.keyClicks(palette.line, "reduce motion")
    qtbot.keyClick(palette.line, Qt.Key.Key_Return)
    assert window.page_shown() == "settings"
    row = window.pages["settings"].rows["general.reduced_motion"]
    qtbot.waitUntil(lambda: not row.visibleRegion().isEmpty())


def test_arrows_go_round_and_nothing_found_is_said(qtbot: Any, palette: Any) -> None:
    last = len(palette.model.items) - 1
    qtbot.keyClick(palette.line, Qt.Key.Key_Up)
    assert palette.view.currentIndex().row() == last
    qtbot.keyClick(palette.line, Qt.Key.Key_Down)
    assert palette.view.currentIndex().row() == 0
    qtbot.keyClicks(palette.line, "qqqqq")
    assert not palette.nothing.isHidden()
    qtbot.keyClick(palette.line, Qt.Key.Key_Return)  # nothing to do, nothing done
    assert palette.isVisible()
    qtbot.keyClick(palette.line, Qt.Key.Key_Escape)
    assert not palette.isVisible()
