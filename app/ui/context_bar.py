"""The thin picture above the composer: how full the context is, in the colours of the panel."""

from PySide6.QtCore import QEvent, QLocale, Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QWidget

from app.ui import theme
from app.ui.chat_style import COLUMN, make_style
from app.ui.context_use import ContextUse, context_parts
from app.ui.live_plot import StackBar
from app.ui.message_parts import tint

_SHOWN_FROM = 0.02


class ContextBar(QWidget):
    """Hidden while there is nothing worth saying; turns into words when it is nearly full."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._use = ContextUse()
        self._bar, self._words = StackBar(self), QLabel(self)
        self._bar.setFixedHeight(6)
        self._words.setTextFormat(Qt.TextFormat.PlainText)
        row = QHBoxLayout(self)
        row.setContentsMargins(4, 0, 4, 0)
        row.setSpacing(8)
        row.addWidget(self._bar, 1)
        row.addWidget(self._words)
        self.setMaximumWidth(COLUMN)
        theme.notifier().changed.connect(self._restyle)
        self._restyle()

    def show_use(self, use: ContextUse) -> None:
        """Show what fills the context; hidden when that is unknown or next to nothing."""
        self._use = use
        known = use.limit is not None and use.used >= _SHOWN_FROM * use.limit
        self.setVisible(known)
        if not known or use.limit is None:
            return
        count = QLocale().toString
        self._bar.show_parts(context_parts(use), float(use.limit))
        self._bar.setAccessibleName(self.tr("Context"))
        words = self.tr("{used} of {limit} tokens").format(used=count(use.used), limit=count(use.limit))
        nearly_full = use.used >= 0.9 * use.limit
        self._words.setText(self.tr("Nearly full: {words}").format(words=words) if nearly_full else words)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self.show_use(self._use)
        super().changeEvent(event)

    def _restyle(self) -> None:
        tint(self._words, make_style())
