"""What all dialogs share: a title, content, a row of buttons, Esc closes, gone when closed."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QDialog, QHBoxLayout, QVBoxLayout, QWidget

from app.ui import theme, zoom
from app.ui.widgets import Hairline, make_label


class Dialog(QDialog):
    """Subclasses fill ``body`` and ``buttons`` (right-aligned, the one that acts last)."""

    def __init__(self, title: str, parent: QWidget | None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(title)
        self.title = make_label("heading", self)
        self.title.setText(title)
        self.body = QVBoxLayout()
        self.body.setSpacing(12)
        self.body.setContentsMargins(24, 16, 24, 16)
        self.buttons = QHBoxLayout()
        self.buttons.setContentsMargins(24, 12, 24, 16)
        self.buttons.setSpacing(8)
        self.buttons.addStretch(1)
        head = QHBoxLayout()
        head.setContentsMargins(24, 16, 24, 0)
        head.addWidget(self.title)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addLayout(self.body, 1)
        column.addWidget(Hairline(self))
        column.addLayout(self.buttons)

    def grow(self) -> None:
        """As high as wrapped texts need that came later."""
        layout = self.layout()
        if layout is not None:
            layout.activate()
            self.resize(self.width(), max(self.height(), layout.totalHeightForWidth(self.width())))

    def showEvent(self, event: QShowEvent) -> None:
        zoom.resize_tree(self, theme.notifier().zoom)
        room = self.screen().availableSize()
        self.resize(self.size().boundedTo(room))  # a large zoom on a small screen
        super().showEvent(event)
