"""What all pages share: a title row of 48 px, content below, and the moments they are told about."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app.ui import theme
from app.ui.bridge import Bridge
from app.ui.widgets import Hairline, make_label

if TYPE_CHECKING:
    from app.compose import Services

TITLE_ROW = 48


class Page(QWidget):
    """A page of the window. Subclasses fill ``header`` and ``body`` and override ``retranslate``."""

    asked = Signal(str, object)
    """A command of the window and its argument, such as ("search", "qwen"); see ``MainWindow.obey``."""

    def __init__(self, services: "Services", bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.services, self.bridge = services, bridge
        self.title = make_label("title", self)
        self.header = QHBoxLayout()
        self.header.setContentsMargins(24, 0, 16, 0)
        self.header.setSpacing(8)
        self.header.addWidget(self.title)
        self.bar = bar = QWidget(self)
        bar.setFixedHeight(TITLE_ROW)
        bar.setLayout(self.header)
        self.body = QVBoxLayout()
        self.body.setContentsMargins(24, 16, 24, 16)
        self.body.setSpacing(12)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(bar)
        column.addWidget(Hairline(self))
        column.addLayout(self.body, 1)
        theme.notifier().changed.connect(self.restyle)

    def retranslate(self) -> None:
        """Put every text in place again, in the language in force."""

    def restyle(self) -> None:
        """Fetch colours and icons again."""

    def entered(self) -> None:
        """The page came to the front."""

    def focus(self) -> None:
        """Give the keyboard to what one wants first on this page."""
        self.setFocus()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self.retranslate()
        super().changeEvent(event)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.entered()
