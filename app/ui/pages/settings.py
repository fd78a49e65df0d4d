"""The Settings page, drawn from ``core.settings.describe()``."""

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QLineEdit, QScrollArea, QVBoxLayout, QWidget

from app.core.events import SettingChanged
from app.core.settings import GROUP_TITLES, describe
from app.ui.bridge import Bridge
from app.ui.forms import SettingRow, setting_words
from app.ui.page import Page
from app.ui.widgets import Hairline, make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services

_WIDTH = 760


class SettingsPage(Page):
    """Groups one below the other, a search over all of them, and jumps at the top."""

    def __init__(self, services: "Services", bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(services, bridge, parent)
        self.rows: dict[str, SettingRow] = {}
        self._cards: dict[str, QFrame] = {}
        self._headings: dict[str, QLabel] = {}
        self.search = QLineEdit(self)
        self.search.setClearButtonEnabled(True)
        self.search.setMaximumWidth(320)
        self.search.textChanged.connect(self._filter)
        self.header.addStretch(1)
        self.header.addWidget(self.search, 2)
        self._nothing = make_label("muted", self)
        self._jumps = {
            group: make_button(partial(self._jump, group), "quiet", self, compact=True)
            for group in GROUP_TITLES
        }
        self._build()
        bridge.on(SettingChanged, self._on_setting, self)
        self.retranslate()

    def _build(self) -> None:
        self.body.setContentsMargins(0, 0, 0, 0)
        holder = QWidget(self)
        self._column = QVBoxLayout(holder)
        self._column.setContentsMargins(24, 16, 24, 24)
        self._column.setSpacing(8)
        groups: dict[str, list[SettingRow]] = {}
        for info in describe():
            row = SettingRow(info, self.services.settings, holder)
            self.rows[info.key] = row
            groups.setdefault(info.group, []).append(row)
        for group, rows in groups.items():
            self._add_group(group, rows, holder)
        self._column.addWidget(self._nothing)
        self._column.addStretch(1)
        self._scroll = QScrollArea(self)
        self._scroll.setWidgetResizable(True)
        self._scroll.setWidget(holder)
        self.body.addWidget(self._jump_row())
        self.body.addWidget(self._scroll, 1)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        # Margins, not a maximum width: a layout asks for the height of wrapped text at the width it has itself.
        side = max(24, (self.width() - _WIDTH) // 2)
        self._column.setContentsMargins(side, 16, side, 24)
        self._jump_layout.setContentsMargins(side - 12, 8, side - 12, 0)

    def _jump_row(self) -> QWidget:
        holder = QWidget(self)
        row = self._jump_layout = QHBoxLayout(holder)
        row.setSpacing(4)
        for button in self._jumps.values():
            row.addWidget(button)
        row.addStretch(1)
        return holder

    def _add_group(self, group: str, rows: list[SettingRow], parent: QWidget) -> None:
        heading = make_label("heading", parent)
        card = QFrame(parent)
        card.setProperty("role", "card")
        inside = QVBoxLayout(card)
        inside.setContentsMargins(16, 4, 8, 4)
        inside.setSpacing(0)
        for at, row in enumerate(rows):
            if at:
                inside.addWidget(Hairline(card))
            inside.addWidget(row)
        self._headings[group], self._cards[group] = heading, card
        self._column.addWidget(heading)
        self._column.addWidget(card)
        self._column.addSpacing(12)

    def _filter(self, text: str) -> None:
        words = text.lower().split()
        shown = dict.fromkeys(self._cards, False)
        for row in self.rows.values():
            fits = row.matches(words)
            row.setVisible(fits)
            shown[row.info.group] = shown[row.info.group] or fits
        for group, card in self._cards.items():
            card.setVisible(shown[group])
            self._headings[group].setVisible(shown[group])
        self._nothing.setVisible(not any(shown.values()))

    def _jump(self, group: str) -> None:
        self.search.clear()
        bar = self._scroll.verticalScrollBar()
        bar.setValue(self._headings[group].y() - 12)

    def _on_setting(self, event: SettingChanged) -> None:
        row = self.rows.get(event.key)
        if row is not None and not row.field.hasFocus():
            row.show_value(event.value)

    def focus(self) -> None:
        self.search.setFocus()

    def retranslate(self) -> None:
        self.title.setText(self.tr("Settings"))
        self.search.setPlaceholderText(self.tr("Search settings"))
        self.search.setAccessibleName(self.tr("Search settings"))
        self._nothing.setText(self.tr("No setting has these words."))
        self._nothing.setVisible(False)
        for group, title in GROUP_TITLES.items():
            self._jumps[group].setText(setting_words(title))
            if group in self._headings:
                self._headings[group].setText(setting_words(title))
