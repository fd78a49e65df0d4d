"""The first page of the first start: a model in one click, or a search."""

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QLineEdit, QScrollArea, QVBoxLayout, QWidget

from app.core.types import ModelRecord
from app.ui import picks, tasks, theme, words
from app.ui.bridge import Bridge
from app.ui.page import Page
from app.ui.widgets import make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services

_WIDTH = 560


class WelcomePage(Page):
    """Says in three lines what this is and offers the two ways to begin."""

    def __init__(self, services: "Services", bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(services, bridge, parent)
        self._record: ModelRecord | None = None
        self.heading, self.text = make_label("title", self, wrap=True), make_label("muted", self, wrap=True)
        self.starter_title, self.starter_text = (
            make_label("heading", self),
            make_label("muted", self, wrap=True),
        )
        self.search_title, self.search_text = (
            make_label("heading", self),
            make_label("muted", self, wrap=True),
        )
        self.starter = make_button(lambda: self._leave("starter", True), "primary", self)
        self.search = QLineEdit(self)
        self.search.returnPressed.connect(lambda: self._leave("search", self.search.text()))
        self.find_button = make_button(lambda: self._leave("search", self.search.text()), "", self)
        self.skip = make_button(lambda: self._leave("chat", None), "link", self)
        self._marks: dict[str, QLabel] = {}
        self._lay_out()
        self.restyle()
        self.retranslate()

    def restyle(self) -> None:
        for icon, mark in self._marks.items():
            mark.setPixmap(theme.icon(icon, "accent").pixmap(theme.px(20), theme.px(20)))

    def _lay_out(self) -> None:
        holder = QWidget(self)
        column = self._column = QVBoxLayout(holder)
        column.setSpacing(16)
        column.addStretch(1)
        column.addWidget(self.heading)
        column.addWidget(self.text)
        column.addSpacing(8)
        column.addWidget(self._card("chat", self.starter_title, self.starter_text, self.starter))
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.search, 1)
        row.addWidget(self.find_button)
        column.addWidget(self._card("search", self.search_title, self.search_text, row))
        column.addWidget(self.skip, 0, Qt.AlignmentFlag.AlignLeft)
        column.addStretch(2)
        scroll = QScrollArea(self)
        scroll.setWidgetResizable(True)
        scroll.setWidget(holder)
        self.body.setContentsMargins(0, 0, 0, 0)
        self.body.addWidget(scroll, 1)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        side = max(24, (self.width() - theme.px(_WIDTH)) // 2)
        self._column.setContentsMargins(side, 16, side, 16)

    def _card(self, icon: str, title: QLabel, text: QLabel, action: "QWidget | QHBoxLayout") -> QWidget:
        card = QFrame(self)
        card.setProperty("role", "card")
        column = QVBoxLayout(card)
        column.setContentsMargins(16, 16, 16, 16)
        column.setSpacing(8)
        head = QHBoxLayout()
        mark = QLabel(card)
        self._marks[icon] = mark
        head.addWidget(mark)
        head.addWidget(title, 1)
        column.addLayout(head)
        column.addWidget(text)
        if isinstance(action, QHBoxLayout):
            column.addLayout(action)
        else:
            column.addWidget(action, 0, Qt.AlignmentFlag.AlignLeft)
        return card

    def _leave(self, command: str, argument: object) -> None:
        self.asked.emit("welcomed", None)
        self.asked.emit(command, argument)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.starter.setFocus()

    def entered(self) -> None:
        library = self.services.library
        tasks.run(lambda: picks.find_local(library.models(), picks.starter()), self._found, owner=self)

    def _found(self, record: ModelRecord | None) -> None:
        self._record = record
        self._show_starter()

    def _show_starter(self) -> None:
        starter = picks.starter()
        amount = words.size(round(starter.gigabytes * 1e9))
        if self._record is not None:
            self.starter_text.setText(
                self.tr("{name} is on this machine already. It is tiny, so don't expect wonders.").format(
                    name=starter.stem
                )
            )
            self.starter.setText(self.tr("Start chatting"))
        else:
            self.starter_text.setText(
                self.tr("{name} runs on any machine. It is tiny, so don't expect wonders.").format(
                    name=starter.stem
                )
            )
            self.starter.setText(self.tr("Download {size} and start").format(size=amount))

    def retranslate(self) -> None:
        self.title.setText("Hearth")
        self.heading.setText(self.tr("Language models, on your own machine"))
        self.text.setText(
            self.tr("Find a model, download it, talk to it. Nothing you write leaves this computer.")
        )
        self.starter_title.setText(self.tr("Try it at once"))
        self.search_title.setText(self.tr("Choose a model"))
        self.search_text.setText(
            self.tr("Search the Hugging Face Hub, or paste the address of a model's page.")
        )
        self.search.setPlaceholderText(self.tr("For example: Qwen3 4B"))
        self.search.setAccessibleName(self.tr("Search the Hub"))
        self.find_button.setText(self.tr("Search"))
        self.skip.setText(self.tr("Skip, and look around"))
        self._show_starter()
