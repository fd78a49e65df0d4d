"""The server page's way in: the addresses with a QR code, and how to call it from the programs people use."""

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app.server.addresses import Address, addresses
from app.server.snippets import NO_KEY, SNIPPETS, YOUR_KEY, Call
from app.ui import tasks, theme
from app.ui.qr_code import QrCode
from app.ui.widgets import IconButton, make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services
    from app.core.events import ServerChanged


_AROUND = 48
"""Pixels of a code box around its lines."""


class ServerConnect(QWidget):
    """Addresses at the left with the code beside them, a snippet below."""

    def __init__(self, services: "Services", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._address, self._guarded = "", False
        self.where, self.how = make_label("heading", self), make_label("heading", self)
        self.addresses = AddressList(self)
        self.code = QrCode(parent=self)
        self.scan = make_label("secondary", self, wrap=True)
        self.scan.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.client, self.model = QComboBox(self), QComboBox(self)
        for snippet in SNIPPETS:
            self.client.addItem(snippet.title, snippet.id)
        self.client.currentIndexChanged.connect(lambda _at: self._show_snippet())
        self.model.currentIndexChanged.connect(lambda _at: self._show_snippet())
        self.place = make_label("secondary", self)
        self.snippet = QPlainTextEdit(self, readOnly=True)
        self.snippet.setProperty("role", "code")
        self.snippet.setFont(theme.font("mono"))
        self.copy = make_button(self._copy, "", self, compact=True)
        self._lay_out()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.where)
        card = QFrame(self)
        card.setProperty("role", "card")
        inside = QHBoxLayout(card)
        inside.setContentsMargins(16, 12, 16, 12)
        inside.setSpacing(24)
        inside.addWidget(self.addresses, 1, Qt.AlignmentFlag.AlignTop)
        right = QVBoxLayout()
        right.setSpacing(4)
        right.addWidget(self.code, 0, Qt.AlignmentFlag.AlignHCenter)
        right.addWidget(self.scan)
        self.scan.setFixedWidth(190)
        inside.addLayout(right)
        column.addWidget(card)
        column.addSpacing(8)
        column.addWidget(self.how)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.model.setMinimumContentsLength(24)
        self.model.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.model.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        for widget in (self.client, self.model, self.place):
            row.addWidget(widget)
        row.addStretch(1)
        row.addWidget(self.copy)
        column.addLayout(row)
        self.snippet.setMinimumHeight(190)
        column.addWidget(self.snippet, 4)
        column.addStretch(1)

    # ------------------------------------------------------------------ state

    def show_state(self, state: "ServerChanged") -> None:
        """The server's newest state: its addresses."""
        server = self._services.settings.value.server
        self._address = state.address or f"http://{server.host}:{server.port}"
        host, url = server.host, state.address
        if url:
            tasks.run(lambda: addresses(url, host), self._show_addresses, lambda _error: None, self)
        else:
            self._show_addresses(())
        self.refresh()

    def _show_addresses(self, found: tuple[Address, ...]) -> None:
        self.addresses.show_all(found)
        network = next((item.url for item in found if item.kind == "network"), "")
        self.code.show_text(f"{network}/v1" if network else "")
        self.code.setVisible(bool(network))
        self.scan.setVisible(bool(network))
        if network:
            self.code.setAccessibleName(f"{self.scan.text()} {network}/v1")

    def refresh(self) -> None:
        """The models there are now, and whether a key is asked for."""
        services = self._services
        tasks.run(self._facts, lambda found: self._show_facts(*found), lambda _error: None, self)
        ready = [item.model for item in services.supervisor.snapshots() if item.state == "ready"]
        last = services.settings.value.general.last_model
        first = ready[0] if ready else last
        names = list(dict.fromkeys([*ready, *([last] if last else []), *self._names()]))
        self._show_models(names or ["MODEL"], self.model.currentData() or first)

    def _names(self) -> list[str]:
        records = self._services.library.records()
        return [record.id for record in records if not record.summary or record.summary.kind == "text"]

    def _show_models(self, names: list[str], chosen: str) -> None:
        if [self.model.itemData(at) for at in range(self.model.count())] != names:
            self.model.blockSignals(True)
            self.model.clear()
            for name in names:
                self.model.addItem(name, name)
            self.model.setCurrentIndex(max(0, self.model.findData(chosen)))
            self.model.blockSignals(False)
        self._show_snippet()

    def _facts(self) -> tuple[bool]:
        server = self._services.server
        return (bool(self._services.settings.value.server.api_key) or server.keys.active,)

    def _show_facts(self, guarded: bool) -> None:
        self._guarded = guarded
        self._show_snippet()

    def _show_snippet(self) -> None:
        snippet = SNIPPETS[max(0, self.client.currentIndex())]
        key = YOUR_KEY if self._guarded else NO_KEY
        text = snippet.text(Call(self._address, self.model.currentData() or "MODEL", key))
        if text != self.snippet.toPlainText():
            self.snippet.setPlainText(text)
            self._fit_snippet()
            self._retranslate_copy()
        self.place.setText(self._place_words(snippet.place))

    def _fit_snippet(self) -> None:
        """As high as its lines, within bounds: a tall window shows no empty box."""
        lines = self.snippet.document().blockCount() * self.snippet.fontMetrics().lineSpacing()
        self.snippet.setMaximumHeight(max(self.snippet.minimumHeight(), lines + theme.px(_AROUND)))

    def _place_words(self, place: str) -> str:
        return {
            "terminal": self.tr("in a terminal"),
            "python": self.tr("in a Python program"),
            "javascript": self.tr("in a page or Node.js"),
            "settings": self.tr("in its settings"),
        }.get(place, place)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.snippet.toPlainText())
        self.copy.setText(self.tr("Copied"))

    def _retranslate_copy(self) -> None:
        self.copy.setText(self.tr("Copy"))

    def retranslate(self) -> None:
        """Put every text in place again."""
        self.where.setText(self.tr("Addresses"))
        self.how.setText(self.tr("How to call it"))
        self.scan.setText(self.tr("Scan it to take the address to a phone"))
        self.client.setAccessibleName(self.tr("Program"))
        self.model.setAccessibleName(self.tr("Model"))
        self.snippet.setAccessibleName(self.tr("Example request"))
        self.addresses.retranslate()
        self._retranslate_copy()
        self._show_snippet()


class AddressList(QWidget):
    """Each address with what it is for and a button that copies it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown: tuple[Address, ...] = ()
        self._rows: list[tuple[QLabel, QLabel, IconButton]] = []
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(12)
        self._grid.setVerticalSpacing(4)
        self._grid.setColumnStretch(3, 1)
        self.none = make_label("muted", self, wrap=True)
        self._grid.addWidget(self.none, 0, 0, 1, 4)

    def show_all(self, found: tuple[Address, ...]) -> None:
        """Show these."""
        if found != self._shown:  # otherwise the rows stay, and the keyboard where it is
            self._shown = found
            self._make_rows()
        self._say()

    def _make_rows(self) -> None:
        for row in self._rows:
            for old in row:
                self._grid.removeWidget(old)
                old.hide()
                old.deleteLater()
        self._rows = [self._made(at, address) for at, address in enumerate(self._shown, 1)]

    def _made(self, at: int, address: Address) -> tuple[QLabel, QLabel, IconButton]:
        what, url = make_label("muted", self), make_label(parent=self)
        url.setText(f"{address.url}/v1")
        url.setFont(theme.font("mono"))
        url.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        copy = IconButton("copy", lambda: QGuiApplication.clipboard().setText(url.text()), self)
        for column, widget in enumerate((what, url, copy)):
            self._grid.addWidget(widget, at, column)
            widget.show()
        return what, url, copy

    def _say(self) -> None:
        self.none.setVisible(not self._shown)
        for address, (what, url, copy) in zip(self._shown, self._rows, strict=True):
            what.setText(self._words(address))
            copy.set_words(self.tr("Copy {address}").format(address=url.text()))

    def _words(self, address: Address) -> str:
        if address.kind == "network":
            return self.tr("On the network")
        if address.kind == "name":
            return self.tr("By name")
        return self.tr("On this machine")

    def retranslate(self) -> None:
        """Put every text in place again."""
        self.none.setText(self.tr("The addresses are shown here while the server is on."))
        self._say()
