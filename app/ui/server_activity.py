"""The server page's activity: what is loaded, what is being answered, and what was."""

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.core.events import InstanceChanged, RequestLogged
from app.ui import keys, theme, words
from app.ui.bridge import Bridge
from app.ui.figures import DASH, seconds_text, speed_text
from app.ui.polled import Polled
from app.ui.table_model import Column, Table, TableModel
from app.ui.turn_view import room_text
from app.ui.unloading import unload
from app.ui.widgets import Elided, IconButton, make_button, make_label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.compose import Services
    from app.server.live import LiveRequest

_KEPT = 500
_FLUSH_MS = 100
_POLL_MS = 500
_LIVE_ROWS = 3
"""More are scrolled to."""
Logged = tuple[int, RequestLogged]


class ServerActivity(Polled):
    """Follows the server while it is shown; requests that have ended are noted all the time."""

    def __init__(self, services: "Services", bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(_POLL_MS, parent)
        self._services = services
        self._count = 0
        self._waits: Mapping[str, Sequence[str]] = {}
        """Models whose load waits for room, and for whom."""
        self._loading: frozenset[str] = frozenset()
        self._new: list[Logged] = []
        self._flush = QTimer(self, singleShot=True, interval=_FLUSH_MS)
        self._flush.timeout.connect(self._take_new)
        self.headings = {name: make_label("heading", self) for name in ("loaded", "live", "log")}
        self.loaded = LoadedModels(services, self)
        self.live: TableModel[LiveRequest] = TableModel(self._live_columns(), lambda row: row.id, self)
        self.live_table = Table(self.live, self, sortable=False)
        self.idle = make_label("muted", self, wrap=True)
        self.cancel = make_button(self._cancel, "", self, compact=True)
        self.model: TableModel[Logged] = TableModel(self._log_columns(), lambda row: str(row[0]), self)
        self.table = Table(self.model, self)
        self.table.sortByColumn(0, Qt.SortOrder.DescendingOrder)
        self.filter = QLineEdit(self, clearButtonEnabled=True)
        self.empty = make_label("muted", self, wrap=True)
        self.prompt = make_label("secondary", self, wrap=True)
        self.prompt.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._lay_out()
        self._connect(bridge)
        for request in services.server.log():
            self._on_request(request)
        self._take_new()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.headings["loaded"])
        column.addWidget(self.loaded)
        column.addSpacing(8)
        column.addLayout(_row(self.headings["live"], self.cancel))
        column.addWidget(self.live_table)
        column.addWidget(self.idle)
        column.addSpacing(8)
        self.filter.setFixedWidth(280)
        column.addLayout(_row(self.headings["log"], self.filter))
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        card = QFrame(self)
        card.setProperty("role", "card")
        QVBoxLayout(card).addWidget(self.empty)
        self.stack = QStackedWidget(self)
        self.stack.addWidget(card)
        self.stack.addWidget(self.table)
        self.stack.setMinimumHeight(108)
        column.addWidget(self.stack, 1)
        column.addWidget(self.prompt)
        self.prompt.hide()

    def _connect(self, bridge: Bridge) -> None:
        bridge.on(RequestLogged, self._on_request, self)
        bridge.on(InstanceChanged, lambda _event: self._show_loaded(), self)
        self.filter.textChanged.connect(self._filter)
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._show_prompt())
        self.live_table.selectionModel().selectionChanged.connect(lambda *_: self._enable())
        keys.bind(self.live_table, "server_cancel", self._cancel, Qt.ShortcutContext.WidgetShortcut)

    # ------------------------------------------------------------------ now

    def refresh(self) -> None:
        """What is loaded and being answered at this moment."""
        self._show_loaded()
        self._waits = self._services.residency.waits()
        loading = (item for item in self._services.supervisor.snapshots() if item.state in _LOADING)
        self._loading = frozenset(item.model for item in loading)
        rows = self._services.server.live()
        self.live.set_rows(rows)
        if rows and not self.live_table.selectionModel().hasSelection():
            self.live_table.selectRow(0)
        self.live_table.setFixedHeight((1 + min(len(rows), _LIVE_ROWS)) * theme.ROW_HEIGHT + 2)
        self.live_table.setVisible(bool(rows))
        self.idle.setVisible(not rows)
        self.cancel.setVisible(bool(rows))
        self.headings["live"].setText(self._live_words(rows))
        self._enable()

    def _live_words(self, rows: "list[LiveRequest]") -> str:
        waiting = sum(row.phase in {"waiting", "loading"} for row in rows)
        if not rows:
            return self.tr("Requests now")
        text = self.tr("Requests now: {active} being answered, {waiting} waiting")
        return text.format(active=words.number(len(rows) - waiting), waiting=words.number(waiting))

    def _show_loaded(self) -> None:
        self.loaded.show_rows([i for i in self._services.supervisor.snapshots() if i.state in _PRESENT])

    def _enable(self) -> None:
        self.cancel.setEnabled(self.live_table.current() is not None)

    def _cancel(self) -> None:
        row = self.live_table.current()
        if row is not None:
            self._services.server.cancel(row.id)
            self.refresh()

    # ------------------------------------------------------------------ what was

    def _on_request(self, request: RequestLogged) -> None:
        self._count += 1
        self._new.append((self._count, request))
        if not self._flush.isActive():
            self._flush.start()

    def _take_new(self) -> None:
        self._flush.stop()
        self._new, new = [], self._new
        if not new:
            return
        rows = [*reversed(new), *self.model.rows][:_KEPT]
        self.model.beginResetModel()
        self.model.rows = rows
        self.model.endResetModel()
        self._show_stack()

    def _filter(self, text: str) -> None:
        assert self.table.proxy is not None
        self.table.proxy.set_words(text)
        self._show_stack()

    def _show_stack(self) -> None:
        shown = self.table.model().rowCount()
        self.filter.setVisible(bool(self.model.rows))
        self.stack.setCurrentIndex(1 if shown else 0)
        self.empty.setText(
            self.tr("No request holds these words.") if self.model.rows and not shown else self._nothing()
        )

    def _nothing(self) -> str:
        if self._services.settings.value.server.log_prompts:
            return self.tr("Requests to the server are listed here, with the beginning of each prompt.")
        return self.tr("Requests to the server are listed here; prompts and answers are never kept.")

    def _show_prompt(self) -> None:
        row = self.table.current()
        text = row[1].prompt if row else ""
        self.prompt.setText(self.tr("Prompt: {text}").format(text=text[:600]) if text else "")
        self.prompt.setVisible(bool(text))

    # ------------------------------------------------------------------ columns

    def _live_columns(self) -> "list[Column[LiveRequest]]":
        return [
            Column(lambda: self.tr("Model"), lambda r: r.model, tip=lambda r: f"{r.model}\n{r.path}"),
            Column(lambda: self.tr("Client"), _client, width=150, tip=_client),
            Column(lambda: self.tr("Doing"), self._doing, width=128, tip=self._doing_at_length),
            Column(lambda: self.tr("Prompt"), _prompt_progress, right=True, width=110),
            Column(lambda: self.tr("Written"), lambda r: words.number(r.tokens), right=True, width=80),
            Column(
                lambda: self.tr("Prefill/s"), lambda r: speed_text(r.prefill_per_second), right=True, width=84
            ),
            Column(
                lambda: self.tr("Tokens/s"), lambda r: speed_text(r.decode_per_second), right=True, width=84
            ),
            Column(lambda: self.tr("Time (s)"), lambda r: seconds_text(r.seconds), right=True, width=80),
        ]

    def _doing(self, row: "LiveRequest") -> str:
        if row.phase == "loading" and row.model in self._waits:
            return self.tr("waits for room")
        return self._phase(self._now(row))

    def _now(self, row: "LiveRequest") -> str:
        """While another model's load takes its memory first, one's own has not begun."""
        return "waiting" if row.phase == "loading" and row.model not in self._loading else row.phase

    def _doing_at_length(self, row: "LiveRequest") -> str:
        if row.phase == "loading" and row.model in self._waits:
            return room_text(row.model, self._waits[row.model])
        return self._phase(self._now(row))

    def _phase(self, phase: str) -> str:
        return {
            "reading": self.tr("receiving"),
            "loading": self.tr("loading"),
            "waiting": self.tr("waiting"),
            "prefill": self.tr("reading"),
            "writing": self.tr("writing"),
        }[phase]

    def _log_columns(self) -> list[Column[Logged]]:
        return [
            Column(lambda: self.tr("Time"), lambda r: _clock(r[1].at), sort=lambda r: r[0], width=80),
            Column(
                lambda: self.tr("Request"),
                lambda r: f"{r[1].method} {r[1].path}",
                width=206,
                tip=lambda r: _who(r[1]),
            ),
            Column(
                lambda: self.tr("Status"),
                lambda r: str(r[1].status),
                right=True,
                width=70,
                token=lambda r: "good" if r[1].status < 400 else "bad",
            ),
            Column(lambda: self.tr("Key"), lambda r: r[1].key or DASH, width=90, tip=lambda r: _who(r[1])),
            Column(lambda: self.tr("Model"), lambda r: r[1].model or DASH, tip=lambda r: r[1].model),
            Column(
                lambda: self.tr("Time (s)"),
                lambda r: seconds_text(r[1].seconds),
                sort=lambda r: r[1].seconds,
                right=True,
                width=80,
            ),
            Column(
                lambda: self.tr("Tokens in / out"),
                lambda r: _tokens(r[1]),
                sort=lambda r: r[1].completion_tokens,
                right=True,
                width=110,
            ),
            Column(
                lambda: self.tr("Tokens/s"),
                lambda r: speed_text(r[1].decode_per_second),
                sort=lambda r: r[1].decode_per_second or 0.0,
                right=True,
                width=80,
            ),
        ]

    # ------------------------------------------------------------------ Qt

    def retranslate(self) -> None:
        """Put every text in place again."""
        self.headings["loaded"].setText(self.tr("Loaded models"))
        self.headings["log"].setText(self.tr("History"))
        self.idle.setText(self.tr("No model is being asked at the moment."))
        self.cancel.setText(self.tr("Cancel this request"))
        self.cancel.setToolTip(self.tr("Its client gets what was written so far"))
        self.filter.setPlaceholderText(self.tr("Filter: model, path, key, status"))
        self.filter.setAccessibleName(self.tr("Filter the history"))
        self.table.setAccessibleName(self.tr("History"))
        self.live_table.setAccessibleName(self.tr("Requests being answered"))
        self.loaded.retranslate()
        for model, table in ((self.model, self.table), (self.live, self.live_table)):
            model.refresh()
            table.fit_columns()
        self.refresh()
        self._show_stack()


_LOADING = frozenset({"starting", "loading"})
_PRESENT = frozenset({"starting", "loading", "ready", "stopping"})


def _row(heading: QWidget, *others: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(8)
    row.addWidget(heading)
    row.addStretch(1)
    for other in others:
        row.addWidget(other)
    return row


class LoadedModels(QFrame):
    """One line for each loaded model, with the button that unloads it."""

    def __init__(self, services: "Services", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self._services = services
        self._shown: list[InstanceChanged] = []
        self.none = make_label("muted", self, wrap=True)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(16, 8, 8, 8)
        self._grid.setHorizontalSpacing(16)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(0, 1)
        self._grid.addWidget(self.none, 0, 0)
        self.buttons: list[IconButton] = []

    def show_rows(self, rows: list[InstanceChanged]) -> None:
        """Show these instances."""
        if rows == self._shown:
            return
        self._shown = rows
        self._rebuild()

    def _rebuild(self) -> None:
        for at in reversed(range(self._grid.count())):
            item = self._grid.itemAt(at)
            widget = item.widget() if item is not None else None
            if widget is not None and widget is not self.none:
                self._grid.removeWidget(widget)
                widget.deleteLater()
        self.buttons = []
        self.none.setVisible(not self._shown)
        for at, row in enumerate(self._shown):
            self._add(at, row)

    def _add(self, at: int, row: InstanceChanged) -> None:
        name = Elided(parent=self, middle=True)
        name.setText(row.model)
        facts = make_label("secondary", self)
        facts.setText(self._facts(row))
        eject = IconButton("eject", lambda: self._unload(row.model), self)
        eject.set_words(self.tr("Unload {model}").format(model=row.model))
        eject.setEnabled(row.state == "ready")
        self.buttons.append(eject)
        for column, widget in enumerate((name, facts, eject)):
            self._grid.addWidget(widget, at, column)

    def _facts(self, row: InstanceChanged) -> str:
        if row.state != "ready":
            return {"stopping": self.tr("Unloading…")}.get(row.state, self.tr("Loading…"))
        parts = [self.tr("context {tokens}").format(tokens=words.tokens(row.n_ctx))]
        if row.plan is not None and row.plan.embeddings:
            parts.append(self.tr("for embeddings"))
        elif row.plan is not None:
            parts.append(self.tr("up to {count} at once").format(count=words.number(row.plan.n_parallel)))
        used = sum(item.total for item in row.memory)
        if used:
            parts.append(words.memory(used))
        return "  ·  ".join(parts)

    def _unload(self, model: str) -> None:
        unload(self, self._services.supervisor, [model], lambda _error: None)

    def retranslate(self) -> None:
        """Put every text in place again."""
        self.none.setText(self.tr("None. The first request that names a model loads it."))
        self._rebuild()


def _client(row: "LiveRequest") -> str:
    return f"{row.client} · {row.key}" if row.key else row.client


def _prompt_progress(row: "LiveRequest") -> str:
    if not row.prompt_tokens:
        return DASH
    if row.phase == "prefill":
        return f"{words.number(row.prefilled)} / {words.number(row.prompt_tokens)}"
    return words.number(row.prompt_tokens)


def _clock(moment: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(moment))


def _who(row: RequestLogged) -> str:
    return f"{row.client} · {row.key}" if row.key else row.client


def _tokens(row: RequestLogged) -> str:
    if not row.prompt_tokens:
        return DASH
    return f"{words.number(row.prompt_tokens)} / {words.number(row.completion_tokens)}"
