"""The rail on the left: one button a page, icon over word, with a count where something goes on."""

from PySide6.QtCore import QEvent, QRect, QSize, Qt, Signal
from PySide6.QtGui import QEnterEvent, QFont, QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QButtonGroup, QSizePolicy, QVBoxLayout, QWidget

from app.ui import theme

WIDTH = 64
_HEIGHT = 56
_LEAST = 30
"""Where there is no room for words, icons alone."""


class RailButton(QAbstractButton):
    """Icon, word, and a small count in the corner. The active one has an accent bar and full-strength text."""

    def __init__(self, icon: str, parent: QWidget) -> None:
        super().__init__(parent)
        self._icon_name, self.count = icon, 0
        self.setCheckable(True)
        self.setAutoExclusive(True)  # so screen readers call it one of several, not a check box
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)

    def set_count(self, count: int) -> None:
        """0 shows no count."""
        if count != self.count:
            self.count = count
            self.update()

    def sizeHint(self) -> QSize:
        words = QFontMetrics(_font()).horizontalAdvance(self.text()) + 14
        return QSize(max(theme.px(WIDTH), words), theme.px(_HEIGHT))

    def minimumSizeHint(self) -> QSize:
        return QSize(self.sizeHint().width(), theme.px(_LEAST))

    def enterEvent(self, event: QEnterEvent) -> None:
        self.update()
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self.update()
        super().leaveEvent(event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        active, box = self.isChecked(), self.rect().adjusted(4, 2, -4, -2)
        painter.setPen(Qt.PenStyle.NoPen)
        if active or self.underMouse():
            painter.setBrush(theme.color("raised"))
            painter.drawRoundedRect(box, 6, 6)
        if active:
            painter.setBrush(theme.color("accent"))
            painter.drawRoundedRect(QRect(0, 10, 3, self.height() - 20), 1.5, 1.5)
        token = "text" if active else "text-2"
        self._paint_face(painter, token)
        if self.count:
            self._paint_count(painter)
        if self.hasFocus():
            self._paint_focus(painter, box)

    def _paint_face(self, painter: QPainter, token: str) -> None:
        side, lines = theme.px(22), theme.px(_HEIGHT - 10)
        roomy = self._lowest() >= lines
        top = (self.height() - (lines if roomy else side)) // 2 + (theme.px(3) if roomy else 0)
        theme.icon(self._icon_name, token).paint(painter, QRect((self.width() - side) // 2, top, side, side))
        painter.setFont(_font())
        painter.setPen(theme.color(token))
        if roomy:
            words = QRect(0, top + theme.px(24), self.width(), theme.px(18))
            painter.drawText(words, Qt.AlignmentFlag.AlignCenter, self.text())

    def _lowest(self) -> int:
        """The height of the lowest of all: pixels that are left over go to some, and words stand under all or none."""
        rail = self.parentWidget()
        shown = [button for button in rail.findChildren(RailButton) if not button.isHidden()] if rail else []
        return min((button.height() for button in shown), default=self.height())

    def _paint_count(self, painter: QPainter) -> None:
        text = str(min(self.count, 99))
        width = max(16, QFontMetrics(_font()).horizontalAdvance(text) + 8)
        box = QRect(self.width() // 2 + 4, 4, width, 16)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.color("accent"))
        painter.drawRoundedRect(box, 8, 8)
        painter.setPen(theme.color("on-accent"))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)

    @staticmethod
    def _paint_focus(painter: QPainter, box: QRect) -> None:
        pen = painter.pen()
        pen.setColor(theme.color("accent"))
        pen.setWidth(2)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(box, 6, 6)


def _font() -> QFont:
    made = theme.font("secondary")
    made.setPixelSize(theme.px(11))
    return made


class Rail(QWidget):
    """All pages, Settings at the bottom. Arrow keys move inside, as in a tab list."""

    chosen = Signal(str)

    def __init__(self, pages: list[tuple[str, str]], parent: QWidget | None = None) -> None:
        """``pages``: (name, icon) from the top; the last one goes to the bottom."""
        super().__init__(parent)
        self._group = QButtonGroup(self)
        theme.notifier().changed.connect(self._resize)
        self.buttons: dict[str, RailButton] = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 8, 0, 8)
        column.setSpacing(2)
        for at, (name, icon) in enumerate(pages):
            if at == len(pages) - 1:
                column.addStretch(1)
            column.addWidget(self._button(name, icon))

    def _button(self, name: str, icon: str) -> RailButton:
        button = RailButton(icon, self)
        button.clicked.connect(lambda: self.chosen.emit(name))
        self._group.addButton(button)
        self.buttons[name] = button
        return button

    def _resize(self) -> None:
        for button in self.buttons.values():
            button.updateGeometry()

    def set_words(self, name: str, words: str, shortcut: str) -> None:
        """The word under the icon, and the tooltip."""
        button = self.buttons[name]
        button.setText(words)
        button.setAccessibleName(words)
        button.setToolTip(f"{words} ({shortcut})" if shortcut else words)
        button.updateGeometry()

    def show_active(self, name: str) -> None:
        """Mark the page that is open; Tab comes to it, arrows to the others."""
        self.buttons[name].setChecked(True)
        for each, button in self.buttons.items():
            policy = Qt.FocusPolicy.StrongFocus if each == name else Qt.FocusPolicy.ClickFocus
            button.setFocusPolicy(policy)
