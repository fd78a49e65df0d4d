"""The Settings page, drawn from ``core.settings.describe()``.

Rows are built when they are needed: the first ones before the page is seen, the others one at a time while the event
loop has nothing else to do, those that people seldom change when they are asked for. The search reads the
declarations, so it finds what is not built yet.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer
from PySide6.QtGui import QHideEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QLineEdit, QScrollArea, QVBoxLayout, QWidget

from app.core.events import SettingChanged
from app.core.settings import GROUP_TITLES, SettingInfo, describe
from app.ui import theme
from app.ui.account_row import AccountRow
from app.ui.bridge import Bridge
from app.ui.engines_card import EnginesCard
from app.ui.forms import SettingRow, matches, setting_words
from app.ui.levels import levels
from app.ui.machine_card import MachineCard
from app.ui.page import Page
from app.ui.updates_card import UpdatesCard
from app.ui.widgets import Hairline, make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services

_WIDTH = 760
_SETTLED_MS = 60
_AT_ONCE = 5
"""Rows that are built before the page is seen: what a low window shows."""


class GroupCard(QFrame):
    """A heading's card with its rows, built as they are asked for, in the order of their declaration."""

    def __init__(self, infos: list[SettingInfo], services: "Services", parent: QWidget) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self._services = services
        self.infos = {info.key: info for info in infos}
        self.rows: dict[str, SettingRow] = {}
        self._lines: dict[str, Hairline] = {}
        self._open, self._words = False, list[str]()
        self.more = make_button(self._unfold, "link", self, compact=True)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(16, 4, 8, 4)
        self._column.setSpacing(0)
        self._column.addWidget(self.more)
        self._name_more()

    @property
    def folded(self) -> list[SettingInfo]:
        """Settings that are shown on request."""
        return [info for info in self.infos.values() if info.advanced]

    def waiting(self) -> Iterator[str]:
        """Keys whose rows are wanted and not built."""
        for key, info in self.infos.items():
            if key not in self.rows and (self.opened or not info.advanced):
                yield key

    @property
    def opened(self) -> bool:
        """Whether everything is shown: asked for here, or by who wants to see all there is."""
        return self._open or levels().allows("developer")

    def reveal(self, key: str) -> SettingRow:
        """The row of a setting, shown even if it was folded away."""
        if self.infos[key].advanced and not self.opened:
            self._unfold()
        return self.row(key)

    def row(self, key: str) -> SettingRow:
        """The row of a setting, built if it is not there."""
        if key not in self.rows:
            self._build(key)
        return self.rows[key]

    def _build(self, key: str) -> None:
        row, line = SettingRow(self.infos[key], self._services.settings, self), Hairline(self)
        self.rows[key], self._lines[key] = row, line
        before = [name for name in self.infos if name in self.rows]
        at = 2 * before.index(key)
        self._column.insertWidget(at, line)
        self._column.insertWidget(at + 1, row)
        self._show_one(key)
        self._show_lines()

    def _unfold(self) -> None:
        self._open = True
        self.more.hide()
        for key in list(self.waiting()):
            self._build(key)
        self.filter(self._words)

    def fits(self, info: SettingInfo) -> bool:
        """Whether a setting is to be seen now: found by the search, or not folded away."""
        if self._words:
            return matches(info, self._words)
        return self.opened or not info.advanced

    def filter(self, words: list[str]) -> bool:
        """Show what has every word; whether there is any."""
        self._words = words
        for key, info in self.infos.items():
            if words and key not in self.rows and matches(info, words):
                self._build(key)
            self._show_one(key)
        self._show_lines()
        self.more.setVisible(not words and not self.opened and bool(self.folded))
        shown = any(self.fits(info) for info in self.infos.values())
        self.setVisible(shown)
        return shown

    def _show_one(self, key: str) -> None:
        row = self.rows.get(key)
        if row is not None:
            row.setVisible(self.fits(self.infos[key]))

    def _show_lines(self) -> None:
        shown = [key for key in self.infos if key in self.rows and not self.rows[key].isHidden()]
        for key, line in self._lines.items():
            line.setVisible(key in shown[1:])

    def _name_more(self) -> None:
        count = len(self.folded)
        self.more.setText(self.tr("%n more setting(s)", "", count))
        self.more.setVisible(bool(count) and not self.opened and not self._words)

    def retranslate(self) -> None:
        """Put the texts in place again; rows do it themselves."""
        self._name_more()


class Rows(Mapping[str, SettingRow]):
    """Every row by its setting's key; taking one builds it."""

    def __init__(self, cards: Mapping[str, GroupCard]) -> None:
        self._cards = cards

    def __getitem__(self, key: str) -> SettingRow:
        card = self._cards.get(key.partition(".")[0])
        if card is None or key not in card.infos:
            raise KeyError(key)
        return card.row(key)

    def __iter__(self) -> Iterator[str]:
        return (key for card in self._cards.values() for key in card.infos)

    def __len__(self) -> int:
        return sum(len(card.infos) for card in self._cards.values())


class SettingsPage(Page):
    """Groups one below the other, a search over all of them, and jumps at the top."""

    def __init__(self, services: "Services", bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(services, bridge, parent)
        self.cards: dict[str, GroupCard] = {}
        self.rows = Rows(self.cards)
        self._headings: dict[str, QLabel] = {}
        self.account = AccountRow(services, self)
        self.account.asked.connect(lambda: self.asked.emit("add_token", None))
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
        self._idle = QTimer(self, interval=0)
        self._group = ""
        # The page's own: one made for the moment would outlive a page that closes within it.
        self._settled = QTimer(self, singleShot=True, interval=_SETTLED_MS)
        self._settled.timeout.connect(lambda: self._jump(self._group))
        self._idle.timeout.connect(self._build_one)
        self._build()
        bridge.on(SettingChanged, self._on_setting, self)
        levels().changed.connect(self._show_level)
        self.retranslate()

    def _build(self) -> None:
        self.body.setContentsMargins(0, 0, 0, 0)
        self._scroll = QScrollArea(self)
        self._scroll.setWidgetResizable(True)
        holder = self._holder = QWidget(self._scroll)
        self._column = QVBoxLayout(holder)
        self._column.setContentsMargins(24, 16, 24, 24)
        self._column.setSpacing(8)
        self._scroll.setWidget(holder)
        groups: dict[str, list[SettingInfo]] = {}
        for info in describe():
            groups.setdefault(info.group, []).append(info)
        for group, infos in groups.items():
            self._add_group(group, infos, holder)
        self.engines = EnginesCard(self.services, holder)
        self._column.insertWidget(self._column.indexOf(self.cards["engine"]) + 1, self.engines)
        self.updates = UpdatesCard(self.services, holder)
        self.updates.asked.connect(self.asked)
        self._column.insertWidget(self._column.indexOf(self.cards["updates"]) + 1, self.updates)
        self.machine = MachineCard(self.services, holder)
        self._column.addWidget(self.machine)
        self._column.addWidget(self._nothing)
        self._column.addStretch(1)
        self.body.addWidget(self._jump_row())
        self.body.addWidget(self._scroll, 1)

    def _add_group(self, group: str, infos: list[SettingInfo], parent: QWidget) -> None:
        self._headings[group] = make_label("heading", parent)
        self._headings[group].setContentsMargins(0, 12 if len(self._headings) > 1 else 0, 0, 0)
        self.cards[group] = GroupCard(infos, self.services, parent)
        self._column.addWidget(self._headings[group])
        if group == "hub":
            self._column.addWidget(self.account)
        self._column.addWidget(self.cards[group])

    def _jump_row(self) -> QWidget:
        holder = QWidget(self)
        row = self._jump_layout = QHBoxLayout(holder)
        row.setSpacing(4)
        for button in self._jumps.values():
            row.addWidget(button)
        row.addStretch(1)
        return holder

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        # Margins, not a maximum width: a layout asks for the height of wrapped text at the width it has itself.
        side = max(24, (self.width() - theme.px(_WIDTH)) // 2)
        self._column.setContentsMargins(side, 16, side, 24)
        self._jump_layout.setContentsMargins(side - 12, 8, side - 12, 0)

    # ------------------------------------------------------------------ building on the way

    def _waiting(self) -> Iterator[tuple[GroupCard, str]]:
        return ((card, key) for card in self.cards.values() for key in card.waiting())

    def _build_one(self) -> None:
        found = next(self._waiting(), None)
        if found is None:
            self._idle.stop()
            self._holder.setMinimumHeight(0)
            return
        card, key = found
        card.row(key)
        # The scroll area grows what it holds one event late: until then the rows above would be squeezed for this one.
        self._holder.setMinimumHeight(self._column.heightForWidth(self._holder.width()))

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        built = sum(len(card.rows) for card in self.cards.values())
        for _ in range(built, _AT_ONCE):
            self._build_one()
        self._idle.start()

    def hideEvent(self, event: QHideEvent) -> None:
        self._idle.stop()
        super().hideEvent(event)

    def _show_level(self) -> None:
        self._filter(self.search.text())
        if self.isVisible():
            self._idle.start()

    def build_all(self) -> None:
        """Build every row that is not folded away, now."""
        for card, key in list(self._waiting()):
            card.row(key)

    # ------------------------------------------------------------------ searching

    def _filter(self, text: str) -> None:
        words = text.lower().split()
        self._holder.setMinimumHeight(0)
        found = False
        for group, card in self.cards.items():
            shown = card.filter(words)
            self._headings[group].setVisible(shown)
            found = found or shown
        account = self.account.matches(words)
        self.account.setVisible(account)
        self._headings["hub"].setVisible(account or not self.cards["hub"].isHidden())
        found = found or account
        self._nothing.setVisible(not found)
        self.machine.setVisible(not words)
        self.engines.setVisible(not words)
        self.updates.setVisible(not words)

    def _jump(self, group: str) -> None:
        self.search.clear()
        self.build_all()
        # What was just built has no place before the layout has run.
        self._column.activate()
        bar = self._scroll.verticalScrollBar()
        place = self.engines if group == "engines" else self._headings[group]
        bar.setValue(place.y() - 12)

    def show_group(self, group: str) -> None:
        """Bring a group to the top; an unknown one leaves the page as it is."""
        if group in self._headings or group == "engines":
            self._jump(group)
            # Of a page that was never seen nothing has its height yet.
            self._group = group
            self._settled.start()

    def show_setting(self, key: str) -> None:
        """Bring one setting into view and give it the keyboard."""
        self.search.clear()
        card = self.cards.get(key.partition(".")[0])
        if card is not None and key in card.infos:
            self.build_all()
            row = card.reveal(key)
            self._column.activate()
            self._scroll.ensureWidgetVisible(row)
            row.field.setFocus()

    def _on_setting(self, event: SettingChanged) -> None:
        card = self.cards.get(event.key.partition(".")[0])
        row = card.rows.get(event.key) if card else None
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
                self.cards[group].retranslate()
