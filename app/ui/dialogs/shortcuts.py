"""Every shortcut of the window in one list."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QWidget

from app.ui.dialogs.base import Dialog
from app.ui.widgets import make_button, make_label


class ShortcutsDialog(Dialog):
    """Opened by F1."""

    def __init__(self, shortcuts: list[tuple[str, str]], parent: QWidget | None) -> None:
        super().__init__("", parent)
        self.title.setText(self.tr("Keyboard shortcuts"))
        self.setWindowTitle(self.title.text())
        grid = QGridLayout()
        grid.setHorizontalSpacing(32)
        grid.setVerticalSpacing(8)
        half = (len(shortcuts) + 1) // 2
        for at, (words, keys) in enumerate(shortcuts):
            column = 0 if at < half else 2
            name, key = make_label(parent=self), make_label("chip", self)
            name.setText(words)
            key.setText(keys)
            grid.addWidget(name, at % half, column)
            grid.addWidget(key, at % half, column + 1, Qt.AlignmentFlag.AlignLeft)
        self.body.addLayout(grid)
        close = make_button(self.accept, "primary", self)
        close.setText(self.tr("Close"))
        self.buttons.addWidget(close)
