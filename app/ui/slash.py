"""What a slash at the beginning of the composer offers: the reader's prompts and some commands of the chat.

The list stands above the composer while a command's name is typed; arrow keys choose, Enter or Tab takes, Esc closes.
"""

from collections.abc import Sequence

from msgspec import Struct
from PySide6.QtCore import QEvent, QObject, QPoint, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from app.ui import theme
from app.ui.composer import ComposerEdit

_MOST = 8
_ROW = 28
_STYLE = """
QFrame#slash {{ background: {surface}; border: 1px solid {line}; border-radius: 10px; }}
QListWidget {{ background: transparent; border: none; }}
"""


class SlashCommand(Struct, frozen=True):
    """One entry: ``/name`` and what it does. ``prompt``: it fills the composer."""

    name: str
    about: str
    prompt: bool = True


class SlashList(QFrame):
    """Watches the composer's field. ``chosen`` carries the command's name."""

    chosen = Signal(str)

    def __init__(self, edit: ComposerEdit, over: QWidget) -> None:
        super().__init__(over)
        self._edit, self._over = edit, over
        self._commands: Sequence[SlashCommand] = ()
        self.setObjectName("slash")
        self.list = QListWidget(self)
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.itemClicked.connect(self._take)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addWidget(self.list)
        edit.textChanged.connect(self._typed)
        edit.installEventFilter(self)
        over.installEventFilter(self)
        theme.notifier().changed.connect(self._restyle)
        self._restyle()
        self.hide()

    def set_commands(self, commands: Sequence[SlashCommand]) -> None:
        """What is offered from now on."""
        self._commands = commands
        if self.isVisible():
            self._typed()

    def _typed(self) -> None:
        text = self._edit.toPlainText()
        wanted = text[1:].casefold()
        asks = text.startswith("/") and " " not in text and "\n" not in text
        found = [c for c in self._commands if asks and wanted in c.name.casefold()]
        found.sort(key=lambda c: not c.name.casefold().startswith(wanted))
        self.list.clear()
        for command in found[:_MOST]:
            item = QListWidgetItem(f"/{command.name}    {command.about}")
            item.setData(Qt.ItemDataRole.UserRole, command.name)
            item.setSizeHint(QSize(0, theme.px(_ROW)))
            self.list.addItem(item)
        self.setVisible(bool(found) and self._edit.hasFocus())
        if found:
            self.list.setCurrentRow(0)
            self._settle()

    def _settle(self) -> None:
        height = self.list.count() * theme.px(_ROW) + 12
        place = self._edit.parentWidget() or self._edit
        at = place.mapTo(self._over, QPoint(0, 0))
        self.setGeometry(at.x(), at.y() - height - 6, min(560, place.width()), height)
        self.raise_()

    def _take(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            self.hide()
            self.chosen.emit(str(item.data(Qt.ItemDataRole.UserRole)))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self._over:
            if event.type() == QEvent.Type.Resize and self.isVisible():
                QTimer.singleShot(0, self, self._settle)  # once the composer has its new place
            return False
        if event.type() == QEvent.Type.FocusOut:
            self.hide()
        if not self.isVisible() or not isinstance(event, QKeyEvent) or event.type() != QEvent.Type.KeyPress:
            return False
        return self._key(Qt.Key(event.key()))

    def _key(self, key: Qt.Key) -> bool:
        if key in {Qt.Key.Key_Up, Qt.Key.Key_Down}:
            step = 1 if key == Qt.Key.Key_Down else -1
            self.list.setCurrentRow((self.list.currentRow() + step) % self.list.count())
        elif key in {Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Tab}:
            self._take(self.list.currentItem())
        elif key == Qt.Key.Key_Escape:
            self.hide()
        else:
            return False
        return True

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._restyle()
        super().changeEvent(event)

    def _restyle(self) -> None:
        named = {token: theme.color(token).name() for token in ("surface", "line")}
        self.setStyleSheet(_STYLE.format(**named))
        self.setAccessibleName(self.tr("Commands"))
        self.list.setAccessibleName(self.tr("Commands"))
