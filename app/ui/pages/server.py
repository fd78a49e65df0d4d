"""The Server page: one switch, the address, a request log, and how to call it."""

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QScrollArea,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.core.events import RequestLogged, ServerChanged, SettingChanged
from app.core.settings import describe as describe_settings
from app.ui import tasks, theme, words
from app.ui.bridge import Bridge
from app.ui.errors import describe
from app.ui.figures import DASH, seconds_text, speed_text
from app.ui.forms import SettingRow
from app.ui.page import Page
from app.ui.table_model import Column, Table, TableModel
from app.ui.widgets import Banner, Hairline, make_button, make_label, set_property

if TYPE_CHECKING:
    from app.compose import Services
    from app.ui.server_switch import ServerSwitch

_SHOWN = ("server.host", "server.port", "server.api_key", "server.autostart")
_KEPT = 500
_SNIPPET = """curl {address}/v1/chat/completions \\
  -H "Content-Type: application/json" \\{key}
  -d '{{"model": "{model}", "stream": true,
       "messages": [{{"role": "user", "content": "Hello"}}]}}'"""


class ServerPage(Page):
    """Everything about the local API server."""

    def __init__(
        self, services: "Services", bridge: Bridge, switch: "ServerSwitch", parent: QWidget | None = None
    ) -> None:
        super().__init__(services, bridge, parent)
        self._switch = switch
        self._count = 0
        self._free_port = 0
        self.banner = Banner(self, closable=False)
        self.banner.triggered.connect(self._fix)
        self.toggle = make_button(lambda: switch.turn(not switch.on), "primary", self)
        self.state, self.hint = make_label("heading", self), make_label("muted", self, wrap=True)
        self.mark = QLabel(self)
        self.address = make_label(parent=self)
        self.address.setFont(theme.font("mono"))
        self.address.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.copy = make_button(self._copy_address, "", self, compact=True)
        self.snippet = QPlainTextEdit(self, readOnly=True)
        self.snippet.setProperty("role", "code")
        self.snippet.setFont(theme.font("mono"))
        self.copy_snippet = make_button(self._copy_snippet, "", self, compact=True)
        self._headings = {name: make_label("heading", self) for name in ("how", "settings", "log")}
        self.rows = [
            SettingRow(info, services.settings, self) for info in describe_settings() if info.key in _SHOWN
        ]
        self.model: TableModel[tuple[int, RequestLogged]] = TableModel(
            self._columns(), lambda row: str(row[0]), self
        )
        self.table = Table(self.model, self, sortable=False)
        self.empty = make_label("muted", self, wrap=True)
        self._lay_out()
        switch.changed.connect(self._show_state)
        bridge.on(RequestLogged, self._on_request, self)
        bridge.on(SettingChanged, self._on_setting, self)
        for request in services.server.log():
            self._on_request(request)
        self.retranslate()
        self._show_state(switch.state)

    # ------------------------------------------------------------------ building

    def _lay_out(self) -> None:
        self.header.addStretch(1)
        self.body.setContentsMargins(0, 0, 0, 0)
        holder = QWidget(self)
        column = QVBoxLayout(holder)
        column.setContentsMargins(24, 16, 24, 24)
        column.setSpacing(12)
        column.addWidget(self.banner)
        column.addWidget(self._switch_card())
        columns = QHBoxLayout()
        columns.setSpacing(24)
        columns.addLayout(self._how(), 1)
        columns.addLayout(self._settings(), 1)
        column.addLayout(columns)
        column.addWidget(self._headings["log"])
        self.stack = QStackedWidget(holder)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        card = QFrame(holder)
        card.setProperty("role", "card")
        inside = QVBoxLayout(card)
        inside.addWidget(self.empty)
        self.stack.addWidget(card)
        self.stack.addWidget(self.table)
        self.stack.setMinimumHeight(180)
        column.addWidget(self.stack, 1)
        scroll = QScrollArea(self)
        scroll.setWidgetResizable(True)
        scroll.setWidget(holder)
        self.body.addWidget(scroll)

    def _switch_card(self) -> QWidget:
        card = QFrame(self)
        card.setProperty("role", "card")
        row = QHBoxLayout(card)
        row.setContentsMargins(16, 16, 16, 16)
        row.setSpacing(12)
        texts = QVBoxLayout()
        texts.setSpacing(4)
        texts.addWidget(self.state)
        texts.addWidget(self.hint)
        row.addWidget(self.mark)
        row.addLayout(texts, 1)
        row.addWidget(self.address)
        row.addWidget(self.copy)
        row.addWidget(self.toggle)
        return card

    def _how(self) -> QVBoxLayout:
        column = QVBoxLayout()
        column.setSpacing(8)
        head = QHBoxLayout()
        head.addWidget(self._headings["how"])
        head.addStretch(1)
        head.addWidget(self.copy_snippet)
        column.addLayout(head)
        self.snippet.setMinimumHeight(150)
        self.snippet.setLineWrapMode(QPlainTextEdit.LineWrapMode.WidgetWidth)
        column.addWidget(self.snippet, 1)
        return column

    def _settings(self) -> QVBoxLayout:
        column = QVBoxLayout()
        column.setSpacing(8)
        head = QHBoxLayout()
        head.addWidget(self._headings["settings"])
        head.addStretch(1)
        self.all_settings = make_button(lambda: self.asked.emit("settings", None), "link", self, compact=True)
        head.addWidget(self.all_settings)
        column.addLayout(head)
        card = QFrame(self)
        card.setProperty("role", "card")
        inside = QVBoxLayout(card)
        inside.setContentsMargins(16, 4, 8, 4)
        inside.setSpacing(0)
        for at, row in enumerate(self.rows):
            row.field.setFixedWidth(150)
            if at:
                inside.addWidget(Hairline(card))
            inside.addWidget(row)
        column.addWidget(card)
        column.addStretch(1)
        return column

    def _columns(self) -> list[Column[tuple[int, RequestLogged]]]:
        return [
            Column(
                lambda: self.tr("Time"),
                lambda r: time.strftime("%H:%M:%S", time.localtime(r[1].at)),
                width=80,
            ),
            Column(
                lambda: self.tr("Request"), lambda r: f"{r[1].method} {r[1].path}", tip=lambda r: r[1].client
            ),
            Column(
                lambda: self.tr("Status"),
                lambda r: str(r[1].status),
                right=True,
                width=70,
                token=lambda r: "good" if r[1].status < 400 else "bad",
            ),
            Column(
                lambda: self.tr("Model"), lambda r: r[1].model or DASH, width=200, tip=lambda r: r[1].model
            ),
            Column(lambda: self.tr("Time (s)"), lambda r: seconds_text(r[1].seconds), right=True, width=80),
            Column(
                lambda: self.tr("Tokens in / out"),
                lambda r: (
                    f"{words.number(r[1].prompt_tokens)} / {words.number(r[1].completion_tokens)}"
                    if r[1].prompt_tokens
                    else DASH
                ),
                right=True,
                width=110,
            ),
            Column(
                lambda: self.tr("Tokens/s"),
                lambda r: speed_text(r[1].decode_per_second),
                right=True,
                width=80,
            ),
        ]

    # ------------------------------------------------------------------ state

    def _show_state(self, state: ServerChanged) -> None:
        on = state.state == "on"
        self.state.setText(self._state_words(state.state))
        self.hint.setText(self._hint_words(state.state))
        token = {"on": "good", "failed": "bad"}.get(state.state, "text-2")
        self.mark.setPixmap(theme.icon("server", token).pixmap(24, 24))
        self.address.setText(f"{state.address}/v1" if on else "")
        self.address.setVisible(on)
        self.copy.setVisible(on)
        self.toggle.setText(self.tr("Stop the server") if self._switch.on else self.tr("Start the server"))
        set_property(self.toggle, "role", "" if self._switch.on else "primary")
        self.toggle.setEnabled(state.state not in {"starting", "stopping"})
        self._show_problem(state)
        self._show_snippet()

    def _show_problem(self, state: ServerChanged) -> None:
        if state.error is None:
            self.banner.hide()
            return
        error = state.error
        described = describe(error)
        self._free_port = port = int(error.params.get("free", 0) or 0)

        def label() -> str:
            if described.action == "use_free_port" and port:
                return self.tr("Use port {port}").format(port=port)
            return describe(error).label

        self.banner.show_words(
            lambda: describe(error).sentence, "bad", label, described.action, described.details
        )

    def _state_words(self, state: str) -> str:
        return {
            "on": self.tr("The server is on"),
            "starting": self.tr("Starting…"),
            "stopping": self.tr("Stopping…"),
            "failed": self.tr("The server could not start"),
        }.get(state, self.tr("The server is off"))

    def _hint_words(self, state: str) -> str:
        host = self.services.settings.value.server.host
        if state == "on" and host not in {"127.0.0.1", "localhost", "::1"}:
            return self.tr("Every machine on your network can reach it.")
        if state == "on":
            return self.tr("Programs on this machine can use your models as they use OpenAI's.")
        if state in {"starting", "stopping"}:
            return ""
        return self.tr("Switch it on to let other programs use your models, as they use OpenAI's.")

    def _fix(self, action: str) -> None:
        if action == "use_free_port":
            self.use_free_port()
        elif action == "server_settings":
            self.rows[0].field.setFocus()
        elif action == "restart":
            self._switch.restart()
        else:
            self._switch.turn(True)

    def use_free_port(self) -> None:
        """Keep the free port we were told of and start on it."""
        if not self._free_port:
            return
        port = self._free_port
        self.rows[1].show_value(port)
        settings = self.services.settings
        tasks.run(
            lambda: settings.set("server.port", port), lambda _none: self._switch.turn(True, port), owner=self
        )

    def _on_setting(self, event: SettingChanged) -> None:
        for row in self.rows:
            if row.info.key == event.key and not row.field.hasFocus():
                row.show_value(event.value)
        if event.key.startswith("server."):
            self._show_snippet()
            restart = self._switch.state.state == "on" and event.key in {"server.host", "server.port"}
            if restart:
                self.banner.show_words(
                    lambda: self.tr("The new address is used when the server starts again."),
                    "warn",
                    lambda: self.tr("Restart it now"),
                    "restart",
                )

    # ------------------------------------------------------------------ log and snippet

    def _on_request(self, request: RequestLogged) -> None:
        self._count += 1
        rows = [(self._count, request), *self.model.rows][:_KEPT]
        self.model.beginResetModel()
        self.model.rows = rows
        self.model.endResetModel()
        self.stack.setCurrentIndex(1)

    def _show_snippet(self) -> None:
        server = self.services.settings.value.server
        address = self._switch.state.address or f"http://{server.host}:{server.port}"
        key = '\n  -H "Authorization: Bearer YOUR_KEY" \\' if server.api_key else ""
        loaded = [item.model for item in self.services.supervisor.snapshots() if item.state == "ready"]
        model = loaded[0] if loaded else self.services.settings.value.general.last_model or "MODEL"
        self.snippet.setPlainText(_SNIPPET.format(address=address, key=key, model=model))

    def _copy_address(self) -> None:
        self._switch.copy_address()
        self.copy.setText(self.tr("Copied"))

    def _copy_snippet(self) -> None:
        QGuiApplication.clipboard().setText(self.snippet.toPlainText())
        self.copy_snippet.setText(self.tr("Copied"))

    def entered(self) -> None:
        self._show_snippet()
        self._retranslate_buttons()

    def focus(self) -> None:
        self.toggle.setFocus()

    def restyle(self) -> None:
        self._show_state(self._switch.state)

    def _retranslate_buttons(self) -> None:
        self.copy.setText(self.tr("Copy address"))
        self.copy_snippet.setText(self.tr("Copy"))

    def retranslate(self) -> None:
        self.title.setText(self.tr("Server"))
        self._headings["how"].setText(self.tr("How to call it"))
        self._headings["settings"].setText(self.tr("Settings"))
        self._headings["log"].setText(self.tr("Requests"))
        self.all_settings.setText(self.tr("All settings"))
        self.empty.setText(
            self.tr("Requests to the server are listed here; prompts and answers are never kept.")
        )
        self.table.setAccessibleName(self.tr("Requests"))
        self.snippet.setAccessibleName(self.tr("Example request"))
        self._retranslate_buttons()
        self.model.refresh()
        self.table.fit_columns()
        self._show_state(self._switch.state)
