"""The few widgets every page is made of: labels and buttons with a role, a banner for what happened here, hairlines."""

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QSize, Qt, Signal
from PySide6.QtGui import (
    QFontMetrics,
    QGuiApplication,
    QHideEvent,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QShowEvent,
)
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QCheckBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QRadioButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.ui import theme
from app.ui.errors import Described, again
from app.ui.errors import about as about_of


def set_property(widget: QWidget, name: str, value: object) -> None:
    """Set a dynamic property the style sheet looks at, and dress the widget again when it changed."""
    if widget.property(name) == value:
        return
    widget.setProperty(name, value)
    widget.style().unpolish(widget)
    widget.style().polish(widget)


def make_label(role: str = "", parent: QWidget | None = None, *, wrap: bool = False) -> QLabel:
    """A plain-text label: nothing in it is ever read as HTML."""
    label = QLabel(parent)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(wrap)
    if role:
        label.setProperty("role", role)
    return label


def press_by_enter(widget: QWidget | None, event: QKeyEvent) -> bool:
    """Enter presses the button that has the keyboard, as Space does; False: it was another key, or no button."""
    enter = event.key() in {Qt.Key.Key_Return, Qt.Key.Key_Enter} and not event.isAutoRepeat()
    if not enter or not isinstance(widget, QAbstractButton) or isinstance(widget, QCheckBox | QRadioButton):
        return False
    if isinstance(widget, QToolButton) and widget.popupMode() == QToolButton.ToolButtonPopupMode.InstantPopup:
        widget.showMenu()
    else:
        widget.click()
    return True


class Button(QPushButton):
    """Enter presses it, not the dialog's usual button."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if not press_by_enter(self, event):
            super().keyPressEvent(event)


def make_button(
    clicked: Callable[[], object], role: str = "", parent: QWidget | None = None, *, compact: bool = False
) -> QPushButton:
    """A push button that calls ``clicked`` without arguments."""
    button = Button(parent)
    if role:
        button.setProperty("role", role)
    if compact:
        button.setProperty("compact", True)
    button.setAutoDefault(False)
    button.clicked.connect(lambda: clicked())  # noqa: PLW0108 - drops Qt's argument
    return button


def pad_spin(box: QAbstractSpinBox) -> None:
    """Room left of a spin box's number: style sheets don't reach the line edit inside."""
    box.lineEdit().setTextMargins(7, 0, 0, 0)


class IconButton(QToolButton):
    """An icon with a tooltip and the same words for screen readers."""

    def __init__(self, icon: str, clicked: Callable[[], object], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._icon, self._token = icon, "text-2"
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.clicked.connect(lambda: clicked())  # noqa: PLW0108 - drops Qt's argument
        theme.notifier().changed.connect(self._restyle)
        self._restyle()

    def _restyle(self) -> None:
        self.setIcon(theme.icon(self._icon, self._token))

    def show_icon(self, icon: str, token: str = "text-2") -> None:
        """Another picture on the same button."""
        self._icon, self._token = icon, token
        self._restyle()

    def set_words(self, words: str) -> None:
        """Tooltip and accessible name."""
        self.setToolTip(words)
        self.setAccessibleName(words)


class Hairline(QFrame):
    """One pixel between two regions."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "hairline")
        self.setFixedHeight(1)


class Elided(QWidget):
    """One line of text that gives up its end (or its middle) when there is no room; the tooltip has all of it."""

    def __init__(self, token: str = "text", parent: QWidget | None = None, *, middle: bool = False) -> None:
        super().__init__(parent)
        self._text, self._token = "", token
        self._mode = Qt.TextElideMode.ElideMiddle if middle else Qt.TextElideMode.ElideRight
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def setText(self, text: str) -> None:
        """Show another text."""
        if text != self._text:
            self._text = text
            self.setToolTip(text)
            self.setAccessibleName(text)
            self.updateGeometry()
            self.update()

    def text(self) -> str:
        """The whole text."""
        return self._text

    def sizeHint(self) -> QSize:
        metrics = QFontMetrics(self.font())
        hint = super().sizeHint()
        hint.setWidth(metrics.horizontalAdvance(self._text) + 2)
        hint.setHeight(metrics.height() + 2)
        return hint

    def minimumSizeHint(self) -> QSize:
        hint = self.sizeHint()
        hint.setWidth(min(hint.width(), 40))
        return hint

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setPen(theme.color(self._token))
        shown = QFontMetrics(self.font()).elidedText(self._text, self._mode, self.width())
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown)


Words = str | Callable[[], str]
"""A text, or what makes it in the language in force."""


def _said(words: Words) -> str:
    return words if isinstance(words, str) else words()


_NARROW = 400


class Banner(QFrame):
    """What happened, where it happened: one sentence, what to do, the button that does it, details to fold out. It
    follows a change of language, and Esc closes it when nothing inside it wants the key."""

    triggered = Signal(str)
    """The action's name was clicked."""

    def __init__(self, parent: QWidget | None = None, *, closable: bool = True) -> None:
        super().__init__(parent)
        self.setProperty("role", "banner")
        self._action, self._icon_name, self._tone = "", "error", "bad"
        self._said: tuple[Words, Words] = ("", "")
        self._error: Described | None = None
        self._about = ""
        self.topic: object = None
        """See ``Described.topic``."""
        self._closable, self._narrow = closable, False
        self.icon = QLabel(self)
        self.words = make_label(parent=self, wrap=True)
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.button = make_button(lambda: self.triggered.emit(self._action), parent=self, compact=True)
        self.more = make_button(self._toggle, "link", self, compact=True)
        self.copy = make_button(self._copy, "link", self, compact=True)
        self.close_button = IconButton("close", self.hide, self)
        self.close_button.setVisible(closable)
        self.details = QPlainTextEdit(self, readOnly=True)
        self.details.setProperty("role", "code")
        self.details.setFont(theme.font("mono"))
        self.details.setMaximumHeight(140)
        self._lay_out()
        theme.notifier().changed.connect(self._restyle)
        self.hide()

    def _lay_out(self) -> None:
        row, self._below = QHBoxLayout(), QHBoxLayout()
        self._row = row
        row.setSpacing(8)
        row.addWidget(self.icon, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.words, 1)
        for widget in (self.more, self.copy, self.button, self.close_button):
            row.addWidget(widget, 0, Qt.AlignmentFlag.AlignTop)
        self._below.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 8, 8, 8)
        column.addLayout(row)
        column.addLayout(self._below)
        column.addWidget(self.details)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._set_narrow(self.width() < theme.px(_NARROW))
        single = self.words.heightForWidth(self.words.width()) < 2 * self.words.fontMetrics().height()
        side = Qt.AlignmentFlag.AlignVCenter if single else Qt.AlignmentFlag.AlignTop
        self._row.setAlignment(self.icon, side)  # beside the first line, also where buttons make it higher

    def _set_narrow(self, narrow: bool) -> None:
        """In a narrow place the buttons stand under the words, which would have no room beside them."""
        if narrow == self._narrow:
            return
        self._narrow = narrow
        for at, widget in enumerate((self.more, self.copy, self.button)):
            if narrow:
                self._below.addWidget(widget)
            else:
                self._row.insertWidget(2 + at, widget, 0, Qt.AlignmentFlag.AlignTop)

    def show_error(self, error: Described) -> None:
        """Show an error of the core."""
        self.show_words(error.sentence, "bad", error.label, error.action, error.details)
        self._error, self.topic = error, error.topic

    def show_words(
        self,
        words: Words,
        tone: str = "",
        label: Words = "",
        action: str = "",
        details: str = "",
        about: str = "",
    ) -> None:
        """Any sentence; ``tone`` is good, warn, bad or nothing. Texts given as functions follow the language."""
        self._action, self._tone, self._error, self._said = action, tone, None, (words, label)
        self._about, self.topic = about, None
        self._icon_name = {"bad": "error", "warn": "warning", "good": "check"}.get(tone, "info")
        self.details.setPlainText(details)
        self.details.hide()
        self.more.setVisible(bool(details))
        self.copy.setVisible(bool(details) or tone == "bad")  # an error always has a button
        self._retranslate()
        set_property(self, "tone", tone)
        self._restyle()
        self.show()

    def move_on(self, now: object) -> None:
        """What is said of another topic of this kind is past."""
        if isinstance(self.topic, type(now)) and self.topic != now:
            self.hide()

    @property
    def about(self) -> str:
        """The file or folder that the button is for."""
        return self._about or about_of(self._error)

    def _retranslate(self) -> None:
        self._speak()
        self.more.setText(self.tr("Details"))
        self.copy.setText(self.tr("Copy"))
        self.close_button.set_words(self.tr("Close this message"))

    def _speak(self) -> None:
        words, label = (_said(part) for part in self._said)
        if self._error is not None:
            described = again(self._error)
            words, label = described.sentence, described.label
        self.words.setText(words)
        self.setAccessibleName(words)
        self.button.setText(label)
        self.button.setVisible(bool(label))

    def _restyle(self) -> None:
        token = self._tone or "text-2"
        self.icon.setPixmap(theme.icon(self._icon_name, token).pixmap(18, 18))

    def _toggle(self) -> None:
        self.details.setVisible(self.details.isHidden())

    def _copy(self) -> None:
        text = f"{self.words.text()}\n\n{self.details.toPlainText()}".strip()
        QGuiApplication.clipboard().setText(text)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._closable:  # the last one shown is asked first
            self.window().installEventFilter(self)

    def hideEvent(self, event: QHideEvent) -> None:
        self.window().removeEventFilter(self)
        super().hideEvent(event)

    def eventFilter(self, _window: QObject, event: QEvent) -> bool:
        escapes = isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress
        if escapes and event.key() == Qt.Key.Key_Escape:  # type: ignore[attr-defined]
            self.hide()
            return True
        return False
