"""Files that go with the next question, as chips above the text; each can be taken out again."""

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QLocale, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QResizeEvent
from PySide6.QtWidgets import QToolButton, QWidget

from app.chat.store_types import NewAttachment
from app.ui import theme
from app.ui.flow import FlowLayout
from app.ui.picture_chip import PictureChip

_CHIP = """
QToolButton {{ background: {raised}; color: {text}; border: 1px solid {line}; border-radius: 6px; padding: 2px 6px; }}
QToolButton:hover {{ border-color: {text_2}; }}
QToolButton:focus {{ border: 2px solid {accent}; padding: 1px 5px; }}
"""
_WIDEST = 200


class AttachmentBar(QWidget):
    """Hidden while empty. Clicking a chip (or Delete on it) takes its file out."""

    changed = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.items: list[NewAttachment] = []
        self._row = FlowLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._chips: list[QToolButton] = []
        self._of: dict[int, tuple[NewAttachment, QToolButton]] = {}
        """The chips of what is attached, by the attachment's id(): a picture that stays is not decoded again."""
        theme.notifier().changed.connect(self._renew)
        self.hide()

    def set_tokens(self, tokens: Sequence[int | None]) -> None:
        """What each picture takes of the context, in their order; None: not known."""
        chips = [chip for chip in self._chips if isinstance(chip, PictureChip)]
        for chip, count in zip(chips, tokens, strict=False):
            chip.set_tokens(count)
        self._fit()

    def add(self, attachments: list[NewAttachment]) -> None:
        """Put these beside what is there."""
        self.items += attachments
        self._show()
        self.changed.emit()

    def put(self, attachments: Sequence[NewAttachment]) -> None:
        """Hold these and no others (a draft's); who calls knows."""
        if self.items != [*attachments]:
            self.items = [*attachments]
            self._show()

    def _remove(self, item: NewAttachment) -> None:
        self.items = [kept for kept in self.items if kept is not item]
        self._show()
        self.changed.emit()

    def _renew(self) -> None:
        """Make every chip anew: in other colours, or another language."""
        for _item, chip in self._of.values():
            _drop(chip)
        self._of = {}
        self._show()

    def _show(self) -> None:
        before = self._of
        self._of = {
            id(item): before[id(item)] if id(item) in before else (item, self._chip(item))
            for item in self.items
        }
        self._row.release()
        for key in before.keys() - self._of.keys():
            _drop(before[key][1])
        self._chips = [self._of[id(item)][1] for item in self.items]
        for chip in self._chips:
            self._row.addWidget(chip)
            chip.show()
        self._fit()
        self.setVisible(bool(self.items))

    def _fit(self) -> None:
        if self._chips:
            self.setFixedHeight(self._row.heightForWidth(self.width()))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._fit()

    def _chip(self, item: NewAttachment) -> QToolButton:
        if item.kind == "image":
            picture = PictureChip(item, self)
            picture.clicked.connect(lambda: self._remove(item))
            return picture
        chip = QToolButton(self)
        names = ("raised", "text", "line", "text-2", "accent")
        chip.setStyleSheet(
            _CHIP.format(**{name.replace("-", "_"): theme.color(name).name() for name in names})
        )
        chip.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        chip.setIcon(theme.icon("close"))
        chip.setIconSize(QSize(12, 12))
        chip.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
        size = QLocale().formattedDataSize(len(item.data) or len(item.text.encode()))
        middle = Qt.TextElideMode.ElideMiddle
        chip.setText(QFontMetrics(self.font()).elidedText(item.name, middle, _WIDEST))
        words = self.tr("Take out {name} ({size})").format(name=item.name, size=size)
        chip.setToolTip(words)
        chip.setAccessibleName(words)
        chip.clicked.connect(lambda: self._remove(item))
        return chip

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._renew()
        super().changeEvent(event)


def _drop(chip: QToolButton) -> None:
    chip.hide()
    chip.deleteLater()
