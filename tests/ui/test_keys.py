"""Keys a person may change: the map, the dialog, conflicts by name, going back."""

from collections.abc import Iterator
from typing import Any

import pytest
from PySide6.QtGui import QKeySequence

from app.ui.dialogs.confirm import ConfirmDialog
from app.ui.dialogs.shortcuts import ShortcutsDialog
from app.ui.keys import PAGE_KEYS, PageKey, conflict, keymap, sequences, text_of


@pytest.fixture
def dialog(qtbot: Any, window: Any) -> Iterator[ShortcutsDialog]:
    made = ShortcutsDialog(window.actions_, window.services.settings, window)
    made.open()
    yield made
    made.close()
    keymap().set_own({})


def _press(dialog: ShortcutsDialog, name: str, keys: str) -> None:
    field = dialog.rows[name].field
    field.setKeySequence(QKeySequence(keys))
    field.editingFinished.emit()


def test_keys_are_read_and_written_as_text() -> None:
    assert text_of(sequences("Ctrl++; Ctrl+=")) == "Ctrl++; Ctrl+="
    assert sequences("") == []
    assert sequences("no key at all") == []


def test_a_conflict_is_named_also_for_the_first_of_two() -> None:
    taken = {"one": sequences("Ctrl+K"), "two": sequences("Ctrl+J; F5")}
    assert conflict(QKeySequence("F5"), taken, "one") == "two"
    assert conflict(QKeySequence("F5"), taken, "two") == ""
    assert conflict(QKeySequence("F6"), taken, "one") == ""
    assert conflict(QKeySequence("Ctrl+K, Ctrl+L"), taken, "two") == "one"


def test_one_key_may_do_different_things_on_different_pages() -> None:
    taken = {name: sequences(keys) for name, keys in PAGE_KEYS.items()}
    assert not any(conflict(key, taken, name) for name, keys in taken.items() for key in keys)
    assert conflict(QKeySequence("F2"), taken, "chat_delete") == "chat_rename"
    assert conflict(QKeySequence("Alt+Up"), taken, "find")


def test_the_key_of_a_list_is_another_at_once(qtbot: Any, window: Any, dialog: ShortcutsDialog) -> None:
    page = window.open_page("downloads")
    _press(dialog, "queue_remove", "Ctrl+Del")
    shortcut = page.table.findChild(PageKey, "queue_remove")
    qtbot.waitUntil(lambda: shortcut.key().toString() == "Ctrl+Del", timeout=30_000)
    assert window.page("chat").list.view.findChild(PageKey, "chat_delete").key().toString() == "Del"


def test_every_command_and_page_key_is_listed(window: Any, dialog: ShortcutsDialog) -> None:
    assert set(dialog.rows) == {*window.actions_.by_name, *PAGE_KEYS}
    assert all(row.words for row in dialog.rows.values())


def test_a_changed_key_works_at_once_and_is_kept(qtbot: Any, window: Any, dialog: ShortcutsDialog) -> None:
    _press(dialog, "new_chat", "Ctrl+Alt+N")
    qtbot.waitUntil(lambda: window.actions_.taken()["new_chat"] == "Ctrl+Alt+N")
    assert window.services.settings.value.general.shortcuts == {"new_chat": "Ctrl+Alt+N"}
    _press(dialog, "chat_model", "Ctrl+Alt+M")
    shortcut = window.page("chat").findChild(PageKey, "chat_model")
    qtbot.waitUntil(lambda: shortcut.key().toString() == "Ctrl+Alt+M")
    dialog.rows["new_chat"].reset.click()
    qtbot.waitUntil(lambda: window.actions_.taken()["new_chat"] == "Ctrl+N")
    dialog.reset_all.click()
    dialog.findChild(ConfirmDialog).act.click()
    qtbot.waitUntil(lambda: window.services.settings.value.general.shortcuts == {})
    assert shortcut.key().toString() == "Ctrl+L"


def test_a_taken_key_is_refused_by_name_or_taken_over(
    qtbot: Any, window: Any, dialog: ShortcutsDialog
) -> None:
    _press(dialog, "new_chat", "Ctrl+K")
    assert "Find a command" in dialog.problem.text()
    assert "Ctrl+K" in dialog.problem.text()
    assert dialog.rows["new_chat"].field.keySequence().toString() == "Ctrl+N"
    assert window.actions_.taken()["palette"] == "Ctrl+K"
    dialog.take.click()
    qtbot.waitUntil(lambda: window.actions_.taken()["new_chat"] == "Ctrl+K")
    assert window.actions_.taken()["palette"] == ""
    dialog.rows["palette"].reset.click()  # its own key comes back to it
    qtbot.waitUntil(lambda: window.actions_.taken()["palette"] == "Ctrl+K")
    assert window.actions_.taken()["new_chat"] == ""


def test_a_key_can_be_taken_away(qtbot: Any, window: Any, dialog: ShortcutsDialog) -> None:
    _press(dialog, "about", "Ctrl+Alt+B")
    qtbot.waitUntil(lambda: window.actions_.taken()["about"] == "Ctrl+Alt+B")
    _press(dialog, "about", "")
    qtbot.waitUntil(lambda: window.actions_.taken()["about"] == "")


def test_searching_finds_words_and_keys(dialog: ShortcutsDialog) -> None:
    dialog.search.setText("window")
    shown = {name for name, row in dialog.rows.items() if not row.label.isHidden()}
    assert shown == {"new_window", "close_window"}
    holder = dialog.rows["new_window"].label.parentWidget()
    assert holder.layout().sizeHint().height() < 500  # what is not found takes no room
    dialog.search.setText("ctrl+shift+n")
    assert [name for name, row in dialog.rows.items() if not row.label.isHidden()] == ["new_window"]
