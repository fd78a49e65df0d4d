"""Asks before something that can't be taken back from here; the button says what will happen."""

from collections.abc import Callable

from PySide6.QtWidgets import QWidget

from app.ui.dialogs.base import Dialog
from app.ui.widgets import make_button, make_label


class ConfirmDialog(Dialog):
    """``accepted`` when the act was confirmed. The keyboard stands on Cancel."""

    def __init__(self, title: str, text: str, button: str, parent: QWidget | None) -> None:
        super().__init__(title, parent)
        words = make_label(parent=self, wrap=True)
        words.setText(text)
        words.setMinimumWidth(360)
        self.title.setWordWrap(True)
        self.body.addWidget(words)
        self.cancel = make_button(self.reject, "", self)
        self.cancel.setText(self.tr("Cancel"))
        self.act = make_button(self.accept, "danger", self)
        self.act.setText(button)
        self.buttons.addWidget(self.cancel)
        self.buttons.addWidget(self.act)
        self.cancel.setFocus()


def ask(parent: QWidget, title: str, text: str, button: str, then: Callable[[], object]) -> ConfirmDialog:
    """Ask, and do ``then`` when it was confirmed. Returns the open dialog."""
    dialog = ConfirmDialog(title, text, button, parent)
    dialog.accepted.connect(lambda: then())  # noqa: PLW0108 - drops what ``then`` returns
    dialog.open()
    return dialog
