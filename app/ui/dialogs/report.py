"""Shows a crash report, to read and to copy. Nothing is sent anywhere."""

from pathlib import Path

from PySide6.QtWidgets import QApplication, QPlainTextEdit, QWidget

from app.ui import tasks
from app.ui.dialogs.base import Dialog
from app.ui.widgets import make_button, make_label


class ReportDialog(Dialog):
    """The text, a button that copies it, a button that closes."""

    def __init__(self, path: Path, parent: QWidget) -> None:
        super().__init__(self.tr("Crash report"), parent)
        self.resize(720, 480)
        words = make_label("secondary", self, wrap=True)
        words.setText(
            self.tr(
                "What Hearth was doing when it ended. Nothing of your chats is in it, and nothing was sent."
            )
        )
        self.text = QPlainTextEdit(self)
        self.text.setReadOnly(True)
        self.text.setProperty("role", "field")
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setAccessibleName(self.tr("Crash report"))
        self.text.setTabChangesFocus(True)
        self.body.addWidget(words)
        self.body.addWidget(self.text, 1)
        self.copy = make_button(self._copy, "", self)
        self.copy.setText(self.tr("Copy"))
        self.shut = make_button(self.accept, "primary", self)
        self.shut.setText(self.tr("Close"))
        self.buttons.addWidget(self.copy)
        self.buttons.addWidget(self.shut)
        tasks.run(lambda: path.read_text("utf-8", "replace"), self.text.setPlainText, owner=self)

    def _copy(self) -> None:
        QApplication.clipboard().setText(self.text.toPlainText())
