"""The server page's keys: who may use the server, and what each has used."""

from typing import TYPE_CHECKING, Any

from msgspec import Struct
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QLineEdit, QSpinBox, QVBoxLayout, QWidget

from app.ui import tasks, theme, words
from app.ui.dialogs import confirm
from app.ui.errors import describe
from app.ui.figures import DASH
from app.ui.polled import Polled
from app.ui.table_model import Column, Table, TableModel
from app.ui.widgets import Banner, make_button, make_label, pad_spin

if TYPE_CHECKING:
    from app.compose import Services
    from app.server.keys import ApiKey
    from app.server.usage import KeyUsage

_POLL_MS = 2000


class KeyRow(Struct, frozen=True):
    """One key, or those who come without one, and what they have used."""

    id: str
    name: str
    start: str
    created_at: float | None
    last_at: float | None
    revoked: bool
    rate: int
    requests: int
    prompt_tokens: int
    completion_tokens: int
    joules: float | None


class ServerKeys(Polled):
    """Create, copy once, revoke, remove."""

    changed = Signal()
    """A key was made or revoked."""

    def __init__(self, services: "Services", parent: QWidget | None = None) -> None:
        super().__init__(_POLL_MS, parent)
        self._services = services
        self._text = ""
        self.banner = Banner(self)
        self.intro = make_label("muted", self, wrap=True)
        self.name, self.rate = QLineEdit(self), QSpinBox(self)
        self.rate_words = make_label("secondary", self)
        self.make = make_button(self._create, "primary", self)
        self.fresh = FreshKey(self)
        self.model: TableModel[KeyRow] = TableModel(self._columns(), lambda row: row.id, self)
        self.table = Table(self.model, self)
        self.table.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        self.revoke = make_button(self._revoke, "danger", self, compact=True)
        self.forget = make_button(self._forget, "", self, compact=True)
        self.pick = make_label("secondary", self)
        self._lay_out()
        self.name.textChanged.connect(lambda _text: self._enable())
        self.name.returnPressed.connect(self._create)
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._enable())

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        column.addWidget(self.banner)
        column.addWidget(self.intro)
        self.name.setMaxLength(60)
        self.name.setMinimumWidth(220)
        pad_spin(self.rate)
        self.rate.setRange(0, 1_000_000)
        self.rate.setFixedWidth(120)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.name, 1)
        row.addWidget(self.rate_words)
        row.addWidget(self.rate)
        row.addWidget(self.make)
        column.addLayout(row)
        column.addWidget(self.fresh)
        column.addWidget(self.table, 1)
        acts = QHBoxLayout()
        acts.setSpacing(8)
        acts.addStretch(1)
        acts.addWidget(self.pick)
        acts.addWidget(self.forget)
        acts.addWidget(self.revoke)
        column.addLayout(acts)

    # ------------------------------------------------------------------ rows

    def refresh(self) -> None:
        """Read the keys and their sums again."""
        tasks.run(self._read, self._show, lambda _error: None, self, order=self)

    def _read(self) -> list[KeyRow]:
        server = self._services.server
        used = {row.key_id: row for row in server.usage()}
        rows = [_key_row(key, used.pop(key.id, None)) for key in server.keys.all()]
        return [*rows, *(_used_row(row) for row in used.values())]

    def _show(self, rows: list[KeyRow]) -> None:
        self.model.set_rows(rows)
        self._enable()

    def _enable(self) -> None:
        row = self.table.current()
        kept = row is not None and row.created_at is not None
        self.make.setEnabled(bool(self.name.text().strip()))
        self.revoke.setVisible(kept and not row.revoked)
        self.forget.setVisible(kept and row.revoked)
        self.pick.setVisible(not kept)

    # ------------------------------------------------------------------ acts

    def propose(self, name: str) -> None:
        """Make a key of this name at once and show it."""
        self.name.setText(name)
        self._create()

    def _create(self) -> None:
        name, rate = self.name.text().strip(), self.rate.value()
        if name:
            keys = self._services.server.keys
            tasks.run(lambda: keys.create(name, rate), self._created, self._say, self)

    def _created(self, made: "tuple[ApiKey, str]") -> None:
        key, text = made
        self.fresh.show_key(key.name, text)
        self.name.clear()
        self.rate.setValue(0)
        self._after()

    def _revoke(self) -> None:
        row = self.table.current()
        if row is not None:
            confirm.ask(
                self,
                self.tr("Revoke the key {name}?").format(name=row.name),
                self.tr("Programs that use it are refused from now on; it can't be taken back."),
                self.tr("Revoke"),
                lambda: self._act(self._services.server.keys.revoke),
            )

    def _forget(self) -> None:
        self._act(self._services.server.keys.forget)

    def _act(self, act: Any) -> None:
        row = self.table.current()
        if row is not None:
            tasks.run(lambda: act(row.id), lambda _none: self._after(), self._say, self, order="keys")

    def _after(self) -> None:
        self.refresh()
        self.changed.emit()

    def _say(self, error: Exception) -> None:
        self.banner.show_error(describe(error))

    # ------------------------------------------------------------------ columns

    def _columns(self) -> list[Column[KeyRow]]:
        return [
            Column(lambda: self.tr("Name"), self._name, tip=self._name),
            Column(lambda: self.tr("Key"), lambda r: f"{r.start}…" if r.start else DASH, width=124),
            Column(lambda: self.tr("State"), self._state, width=130, token=_state_token),
            Column(
                lambda: self.tr("Last used"),
                lambda r: words.ago(r.last_at),
                sort=lambda r: r.last_at or 0,
                width=124,
            ),
            Column(
                lambda: self.tr("Requests"),
                lambda r: words.number(r.requests),
                sort=lambda r: r.requests,
                right=True,
                width=84,
            ),
            Column(
                lambda: self.tr("Tokens in / out"),
                lambda r: f"{words.number(r.prompt_tokens)} / {words.number(r.completion_tokens)}",
                sort=lambda r: r.prompt_tokens + r.completion_tokens,
                right=True,
                width=130,
            ),
            Column(
                lambda: self.tr("Energy (Wh)"),
                lambda r: _energy(r.joules),
                sort=lambda r: r.joules or 0.0,
                right=True,
                width=100,
                tip=lambda r: (
                    ""
                    if r.joules is not None
                    else self.tr("Not measurable: this machine does not tell its power.")
                ),
            ),
        ]

    def _name(self, row: KeyRow) -> str:
        if row.created_at is not None:
            return row.name
        if not row.id:
            return self.tr("Without a key")
        return self.tr("The key of the settings") if row.id == "settings" else row.name

    def _state(self, row: KeyRow) -> str:
        if row.created_at is None:
            return self.tr("removed") if row.id not in {"", "settings"} else DASH
        if row.revoked:
            return self.tr("revoked")
        return (
            self.tr("{count} a minute").format(count=words.number(row.rate)) if row.rate else self.tr("valid")
        )

    # ------------------------------------------------------------------ Qt

    def retranslate(self) -> None:
        """Put every text in place again."""
        self.intro.setText(
            self.tr(
                "As long as there is no key, everyone who reaches the server may use it. With one, only those who "
                "send it. Keys are kept as hashes: a key is seen once, when it is made."
            )
        )
        self.name.setPlaceholderText(self.tr("Who is it for? For example: laptop, home assistant"))
        self.name.setAccessibleName(self.tr("Name of the new key"))
        self.rate_words.setText(self.tr("Requests a minute"))
        self.rate.setSpecialValueText(self.tr("no limit"))
        self.rate.setAccessibleName(self.tr("Requests a minute"))
        self.make.setText(self.tr("Create key"))
        self.revoke.setText(self.tr("Revoke"))
        self.revoke.setToolTip(self.tr("It is refused from now on"))
        self.forget.setText(self.tr("Remove from the list"))
        self.pick.setText(self.tr("Choose a key to revoke it."))
        self.table.setAccessibleName(self.tr("Keys"))
        self.fresh.retranslate()
        self.model.refresh()
        self.table.fit_columns()
        self._enable()


class FreshKey(QFrame):
    """A key that was just made: the only time its text is seen."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "banner")
        self.setProperty("tone", "good")
        self._name = ""
        self.words = make_label(parent=self, wrap=True)
        self.key = QLineEdit(self, readOnly=True)
        self.key.setFont(theme.font("mono"))
        self.copy = make_button(self._copy, "primary", self, compact=True)
        self.done = make_button(self._done, "", self, compact=True)
        self.icon = QLabel(self)
        row = QHBoxLayout()
        row.setSpacing(8)
        for widget in (self.key, self.copy, self.done):
            row.addWidget(widget)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 10, 12, 10)
        column.setSpacing(8)
        column.addWidget(self.words)
        column.addLayout(row)
        self.icon.hide()
        self.hide()

    def show_key(self, name: str, text: str) -> None:
        """Show it until it is copied and done with."""
        self._name = name
        self.key.setText(text)
        self.key.setCursorPosition(0)
        self.retranslate()
        self.show()
        self.copy.setFocus()

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.key.text())
        self.copy.setText(self.tr("Copied"))

    def _done(self) -> None:
        self.key.clear()
        self.hide()

    def retranslate(self) -> None:
        """Put every text in place again."""
        text = self.tr("The key “{name}”. Copy it now: it is not shown again.")
        self.words.setText(text.format(name=self._name))
        self.key.setAccessibleName(self.tr("The new key"))
        self.copy.setText(self.tr("Copy"))
        self.done.setText(self.tr("Done"))


def _key_row(key: "ApiKey", used: "KeyUsage | None") -> KeyRow:
    seen = max(key.last_used_at or 0.0, used.last_at if used else 0.0) or None
    return KeyRow(
        key.id, key.name, key.start, key.created_at, seen, key.revoked_at is not None, key.rate_limit,
        used.requests if used else 0, used.prompt_tokens if used else 0, used.completion_tokens if used else 0,
        used.joules if used else None,
    )  # fmt: skip


def _used_row(used: "KeyUsage") -> KeyRow:
    return KeyRow(
        used.key_id, used.name, "", None, used.last_at, False, 0, used.requests, used.prompt_tokens,
        used.completion_tokens, used.joules,
    )  # fmt: skip


def _state_token(row: KeyRow) -> str:
    if row.created_at is None:
        return "text-2"
    return "bad" if row.revoked else "good"


def _energy(joules: float | None) -> str:
    if joules is None:
        return DASH
    hours = joules / 3600
    return words.number(hours, 0 if hours >= 100 else 1 if hours >= 1 else 3)
