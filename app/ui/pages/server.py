"""The Server page: one switch, and behind tabs what it does, how to reach it, who may, and how it behaves."""

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QStackedWidget,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

from app.core.events import ServerChanged, SettingChanged
from app.core.settings import describe as describe_settings
from app.server.addresses import is_local
from app.ui import tasks, theme
from app.ui.bridge import Bridge
from app.ui.errors import describe
from app.ui.forms import SettingRow
from app.ui.page import Page
from app.ui.server_activity import ServerActivity
from app.ui.server_connect import ServerConnect
from app.ui.server_keys import ServerKeys
from app.ui.widgets import Banner, Hairline, make_button, make_label, set_property

if TYPE_CHECKING:
    from app.compose import Services
    from app.ui.server_switch import ServerSwitch

_SHOWN = (
    "server.host", "server.port", "server.autostart", "server.aliases", "server.origins", "server.rate_limit",
    "server.max_waiting", "server.timeout", "server.grace", "server.log_prompts", "server.api_key",
    "server.tls_certificate", "server.tls_key",
)  # fmt: skip
_RESTART = frozenset({"server.host", "server.port", "server.tls_certificate", "server.tls_key"})
EVERYWHERE, HERE = "0.0.0.0", "127.0.0.1"
TABS = ("activity", "connect", "keys", "settings")


class ServerPage(Page):
    """Everything about the local API server."""

    def __init__(
        self, services: "Services", bridge: Bridge, switch: "ServerSwitch", parent: QWidget | None = None
    ) -> None:
        super().__init__(services, bridge, parent)
        self._switch = switch
        self._free_port = 0
        self.banner = Banner(self, closable=False)
        self.banner.triggered.connect(self._fix)
        self.open_banner = Banner(self)
        self.open_banner.triggered.connect(lambda _action: self._propose_key())
        self.toggle = make_button(lambda: switch.turn(not switch.on), "primary", self)
        self.state, self.hint = make_label("heading", self), make_label("muted", self, wrap=True)
        self.mark = QLabel(self)
        self.address = make_label(parent=self)
        self.address.setFont(theme.font("mono"))
        self.address.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.copy = make_button(self._copy_address, "", self, compact=True)
        self.network = QCheckBox(self)
        self.network.toggled.connect(self._answer_network)
        self.activity = ServerActivity(services, bridge, self)
        self.connect_ = ServerConnect(services, self)
        self.keys = ServerKeys(services, self)
        self.keys.changed.connect(self._on_keys)
        infos = {info.key: info for info in describe_settings()}
        self.rows = {key: SettingRow(infos[key], services.settings, self) for key in _SHOWN}
        self.tabs, self.stack = QTabBar(self), QStackedWidget(self)
        self._lay_out()
        switch.changed.connect(self._show_state)
        bridge.on(SettingChanged, self._on_setting, self)
        self.retranslate()
        self._show_state(switch.state)

    @property
    def model(self) -> object:
        """The history's rows."""
        return self.activity.model

    @property
    def snippet(self) -> object:
        """The example that is shown."""
        return self.connect_.snippet

    # ------------------------------------------------------------------ building

    def _lay_out(self) -> None:
        self.header.addStretch(1)
        self.body.addWidget(self.banner)
        self.body.addWidget(self.open_banner)
        self.body.addWidget(self._switch_card())
        self.tabs.setExpanding(False)
        self.tabs.setDrawBase(False)
        for widget in (self.activity, self.connect_, self.keys, self._settings()):
            self.tabs.addTab("")
            self.stack.addWidget(self._scrolled(widget))
        self.tabs.currentChanged.connect(self.stack.setCurrentIndex)
        self.body.addWidget(self.tabs)
        self.body.addWidget(self.stack, 1)

    def _switch_card(self) -> QWidget:
        card = QFrame(self)
        card.setProperty("role", "card")
        row = QHBoxLayout(card)
        row.setContentsMargins(16, 12, 16, 12)
        row.setSpacing(12)
        texts = QVBoxLayout()
        texts.setSpacing(4)
        top = QHBoxLayout()
        top.setSpacing(12)
        for widget in (self.state, self.address, self.copy):
            top.addWidget(widget)
        top.addStretch(1)
        texts.addLayout(top)
        texts.addWidget(self.hint)
        texts.addWidget(self.network)
        row.addWidget(self.mark, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(texts, 1)
        row.addWidget(self.toggle, 0, Qt.AlignmentFlag.AlignTop)
        return card

    def _settings(self) -> QWidget:
        holder = QWidget(self)
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 12, 0)
        card = QFrame(holder)
        card.setProperty("role", "card")
        inside = QVBoxLayout(card)
        inside.setContentsMargins(16, 4, 8, 4)
        inside.setSpacing(0)
        for at, row in enumerate(self.rows.values()):
            if at:
                inside.addWidget(Hairline(card))
            inside.addWidget(row)
        column.addWidget(card)
        column.addStretch(1)
        return holder

    def _scrolled(self, widget: QWidget) -> QWidget:
        """A small window shows a part of it."""
        scroll = QScrollArea(self)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(widget)
        return scroll

    def show_tab(self, name: str) -> None:
        """Bring one of ``TABS`` to the front."""
        self.tabs.setCurrentIndex(TABS.index(name))

    # ------------------------------------------------------------------ state

    def _show_state(self, state: ServerChanged) -> None:
        on = state.state == "on"
        self.state.setText(self._state_words(state.state))
        self.hint.setText(self._hint_words(state.state))
        self.hint.setVisible(bool(self.hint.text()))
        token = {"on": "good", "failed": "bad"}.get(state.state, "text-2")
        self.mark.setPixmap(theme.icon("server", token).pixmap(theme.px(24), theme.px(24)))
        self.address.setText(f"{state.address}/v1" if on else "")
        self.address.setVisible(on)
        self.copy.setVisible(on)
        self.toggle.setText(self.tr("Stop the server") if self._switch.on else self.tr("Start the server"))
        set_property(self.toggle, "role", "" if self._switch.on else "primary")
        self.toggle.setEnabled(state.state not in {"starting", "stopping"})
        self._show_network()
        self._show_problem(state)
        self.connect_.show_state(state)

    def _show_network(self) -> None:
        host = self.services.settings.value.server.host
        self.network.blockSignals(True)
        self.network.setChecked(not is_local(host))
        self.network.blockSignals(False)
        self._check_open()

    def _check_open(self) -> None:
        """Whoever answers the network without a key is told, with the key a click away."""
        server = self.services.settings.value.server
        if is_local(server.host) or server.api_key:
            self.open_banner.hide()
            return
        tasks.run(lambda: self.services.server.keys.active, self._warn_open, lambda _error: None, self)

    def _warn_open(self, guarded: bool) -> None:
        if guarded or is_local(self.services.settings.value.server.host):
            self.open_banner.hide()
            return
        text = self.tr("Everyone on your network can use the server. With a key, only those you give it to.")
        self.open_banner.show_words(text, "warn", self.tr("Create a key"), "create_key")

    def _show_problem(self, state: ServerChanged) -> None:
        if state.error is None:
            self.banner.hide()
            return
        described = describe(state.error)
        self._free_port = int(state.error.params.get("free", 0) or 0)
        label = described.label
        if described.action == "use_free_port" and self._free_port:
            label = self.tr("Use port {port}").format(port=self._free_port)
        self.banner.show_words(described.sentence, "bad", label, described.action, described.details)

    def _state_words(self, state: str) -> str:
        return {
            "on": self.tr("The server is on"),
            "starting": self.tr("Starting…"),
            "stopping": self.tr("Stopping…"),
            "failed": self.tr("The server could not start"),
        }.get(state, self.tr("The server is off"))

    def _hint_words(self, state: str) -> str:
        if state == "on" and not is_local(self.services.settings.value.server.host):
            return ""  # the box below says it
        if state == "on":
            return self.tr("Programs on this machine can use your models as they use OpenAI's.")
        if state in {"starting", "stopping"}:
            return ""
        return self.tr("Switch it on to let other programs use your models, as they use OpenAI's.")

    # ------------------------------------------------------------------ acts

    def _fix(self, action: str) -> None:
        if action == "use_free_port":
            self.use_free_port()
        elif action == "server_settings":
            self.show_tab("settings")
            self.rows["server.host"].field.setFocus()
        elif action == "restart":
            self._switch.restart()
        else:
            self._switch.turn(True)

    def use_free_port(self) -> None:
        """Keep the free port we were told of and start on it."""
        if not self._free_port:
            return
        port = self._free_port
        self.rows["server.port"].show_value(port)
        settings = self.services.settings
        tasks.run(
            lambda: settings.set("server.port", port),
            lambda _none: self._switch.turn(True, port),
            owner=self,
            order=settings,
        )

    def _answer_network(self, on: bool) -> None:
        settings, host = self.services.settings, EVERYWHERE if on else HERE

        def kept(_none: object) -> None:
            if self._switch.state.state == "on":
                self._switch.restart()

        put = partial(settings.set, "server.host", host)
        tasks.run(put, kept, lambda _error: self._show_network(), self, order=settings)

    def _propose_key(self) -> None:
        self.show_tab("keys")
        self.keys.propose(self.tr("Home network"))

    def _on_keys(self) -> None:
        self._check_open()
        self.connect_.refresh()

    def _on_setting(self, event: SettingChanged) -> None:
        row = self.rows.get(event.key)
        if row is not None and not row.field.hasFocus():
            row.show_value(event.value)
        if not event.key.startswith("server."):
            return
        self.connect_.refresh()
        self._show_network()
        if self._switch.state.state == "on" and event.key in _RESTART:
            text = self.tr("The new address is used when the server starts again.")
            self.banner.show_words(text, "warn", self.tr("Restart it now"), "restart")

    def _copy_address(self) -> None:
        self._switch.copy_address()
        self.copy.setText(self.tr("Copied"))

    # ------------------------------------------------------------------ the page

    def entered(self) -> None:
        self.connect_.refresh()
        self.copy.setText(self.tr("Copy address"))

    def focus(self) -> None:
        self.toggle.setFocus()

    def restyle(self) -> None:
        self._show_state(self._switch.state)

    def retranslate(self) -> None:
        self.title.setText(self.tr("Server"))
        names = (self.tr("Activity"), self.tr("Connect"), self.tr("Keys"), self.tr("Settings"))
        for at, name in enumerate(names):
            self.tabs.setTabText(at, name)
        self.tabs.setAccessibleName(self.tr("Parts of this page"))
        self.network.setText(self.tr("Other machines on the network may use it"))
        self.copy.setText(self.tr("Copy address"))
        for part in (self.activity, self.connect_, self.keys):
            part.retranslate()
        self._show_state(self._switch.state)
