"""Every option of a load that the first tab has not, from its declaration, with a search over them."""

from collections.abc import Collection

from PySide6.QtCore import QEvent, Signal
from PySide6.QtWidgets import QLineEdit, QScrollArea, QVBoxLayout, QWidget

from app.core.settings import describe
from app.ui.engine_draft import EngineDraft
from app.ui.forms import SettingRow
from app.ui.widgets import Hairline, make_label


class LoadOptions(QWidget):
    """Rows over a draft; ``saved`` when one of them has changed it."""

    saved = Signal()

    def __init__(self, draft: EngineDraft, left_out: Collection[str], parent: QWidget | None = None) -> None:
        """``left_out``: names of the group ``engine`` that stand elsewhere."""
        super().__init__(parent)
        self._draft = draft
        self.rows: dict[str, SettingRow] = {}
        self._lines: dict[str, Hairline] = {}
        self.search = QLineEdit(self)
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._filter)
        self.nothing = make_label("muted", self, wrap=True)
        self.nothing.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.search)
        column.addWidget(self.nothing)
        column.addWidget(self._area(left_out), 1)
        self._retranslate()

    def _area(self, left_out: Collection[str]) -> QScrollArea:
        holder = QWidget(self)
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 8, 0)
        column.setSpacing(0)
        for info in describe():
            if info.group == "engine" and info.key.partition(".")[2] not in left_out:
                row, line = SettingRow(info, self._draft, holder, at_once=True), Hairline(holder)
                row.saved.connect(lambda _key: self.saved.emit())
                self.rows[info.key], self._lines[info.key] = row, line
                column.addWidget(row)
                column.addWidget(line)
        column.addStretch(1)
        area = QScrollArea(self)
        area.setWidgetResizable(True)
        area.setWidget(holder)
        return area

    def _filter(self, text: str) -> None:
        words = text.lower().split()
        for key, row in self.rows.items():
            for widget in (row, self._lines[key]):
                widget.setVisible(row.matches(words))
        self.nothing.setHidden(any(not row.isHidden() for row in self.rows.values()))

    def show_draft(self) -> None:
        """Another draft was taken over."""
        for key, row in self.rows.items():
            row.show_value(self._draft.get(key))

    def flush(self) -> bool:
        """Take over what has not settled yet. Returns False when a field shows what was refused: it has the focus."""
        refused = [row for row in self.rows.values() if not row.flush()]
        if refused:
            self.search.clear()
            refused[0].field.setFocus()
        return not refused

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)

    def _retranslate(self) -> None:
        self.search.setPlaceholderText(self.tr("Find an option"))
        self.search.setAccessibleName(self.tr("Find an option"))
        self.nothing.setText(self.tr("No option has these words."))
