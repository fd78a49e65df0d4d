"""The line at the bottom, 26 px: model and quant | device | tokens/s | server."""

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QTimer, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QStatusBar, QWidget

from app.core.events import InstanceChanged, ServerChanged
from app.core.types import Sample
from app.ui import theme
from app.ui.bridge import Bridge
from app.ui.figures import DASH, speed_text
from app.ui.widgets import Elided, make_button, make_label

if TYPE_CHECKING:
    from concurrent.futures import Future

    from app.compose import Services

HEIGHT = 26
_ACTIVE = ("starting", "loading", "ready")
_IDLE_MS = 3000


class StatusBar(QStatusBar):
    """Follows the instances and the server."""

    server_clicked = Signal()

    def __init__(self, services: "Services", bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._instances: dict[str, InstanceChanged] = {}
        self._speeds: dict[str, float] = {}
        self._last: float | None = None
        self._last_of = ""
        """The model whose speed ``_last`` is; empty: of several, or not known."""
        self._answered = 0.0
        self._overlooked: dict[str, Future[str]] = {}
        """What models write that nobody asked for, by model."""
        self._figures: list[QWidget] = []
        self._server = services.server.state()
        self.setFixedHeight(HEIGHT)
        self.setSizeGripEnabled(False)
        self.model = Elided("text-2", self, middle=True)
        self.model.setFont(theme.font("secondary"))
        self.device, self.speed = make_label(parent=self), make_label(parent=self)
        self.speed.setFont(theme.tabular(theme.font("secondary")))
        self.server = make_button(self.server_clicked.emit, "quiet", self)
        self._lay_out()
        self._idle = QTimer(self, singleShot=True, interval=_IDLE_MS)
        self._idle.timeout.connect(self._gone_quiet)
        for instance in services.supervisor.snapshots():
            self._instances[instance.model] = instance
        bridge.on(InstanceChanged, self._on_instance, self)
        bridge.on(ServerChanged, self._on_server, self)
        bridge.on(Sample, self._on_sample, self)
        theme.notifier().changed.connect(self.refresh)
        self.refresh()

    def _lay_out(self) -> None:
        holder = QWidget(self)
        row = QHBoxLayout(holder)
        row.setContentsMargins(12, 0, 8, 0)
        row.setSpacing(12)
        row.addWidget(self.model, 1)
        for widget in (self.device, self.speed, self.server):
            line = self._bar(holder)
            row.addWidget(line)
            row.addWidget(widget)
            self._figures += [line, widget]
        self.addPermanentWidget(holder, 1)

    @staticmethod
    def _bar(parent: QWidget) -> QFrame:
        line = QFrame(parent)
        line.setProperty("role", "vline")
        line.setFixedHeight(12)
        return line

    def _on_instance(self, event: InstanceChanged) -> None:
        if event.state == "stopped":
            self._instances.pop(event.model, None)
        else:
            self._instances[event.model] = event
        if event.state in {"stopped", "failed"}:
            self._forget_speed(event.model)
        self.refresh()

    def _forget_speed(self, model: str) -> None:
        """The line names the models that are loaded: it gives no speed of one that is not."""
        self._speeds.pop(f"instance:{model}", None)
        if self._last_of == model or not any(item.state == "ready" for item in self._instances.values()):
            self._last, self._last_of = None, ""

    def _on_server(self, event: ServerChanged) -> None:
        self._server = event
        self.refresh()

    def _on_sample(self, sample: Sample) -> None:
        if not sample.source.startswith("instance:"):
            return
        value = sample.values.get("decode_tps")
        # 0 is a pause: a short answer is over before its speed is sampled. Late readings are of the answer that ended.
        if value and sample.t > self._answered and not self._overlooks(sample.source):
            self._speeds[sample.source] = value
            self._last = None
            self._idle.start()
            self._show_speed()

    def _overlooks(self, source: str) -> bool:
        """Whether a reading may be of what nobody asked for; the one that comes after its end still is."""
        written = self._overlooked.get(model := source.partition(":")[2])
        if written is not None and written.done():
            del self._overlooked[model]
        return written is not None

    def overlook(self, model: str, written: "Future[str]") -> None:
        """Until this ends it is a chat's title, at no speed to speak of: the answer's stays."""
        self._overlooked[model] = written

    def _gone_quiet(self) -> None:
        if self._last is None:
            self._last = sum(self._speeds.values()) or None
            self._last_of = next(iter(self._speeds)).partition(":")[2] if len(self._speeds) == 1 else ""
        self._speeds.clear()
        self._show_speed()

    def show_answer(self, model: str, speed: float | None) -> None:
        """An answer has ended at this speed (tokens/s): shown until something else is written, or the model is gone."""
        if speed is not None:
            self._last, self._last_of, self._answered = speed, model, time.monotonic()
            self._speeds.clear()
            self._idle.stop()
            self._show_speed()

    def set_simple(self, simple: bool) -> None:
        """Model alone, or everything."""
        for widget in self._figures:
            widget.setVisible(not simple)

    def refresh(self) -> None:
        """Say everything again."""
        self.model.setText(self._model_words())
        self.device.setText(self._device_words())
        self._show_speed()
        self._show_server()

    def _model_words(self) -> str:
        active = [item for item in self._instances.values() if item.state in _ACTIVE]
        if not active:
            return self.tr("No model is loaded")
        first = active[-1]
        if first.state != "ready":
            return (
                self.tr("Loading {model}").format(model=first.model) + f" · {round(first.progress * 100)} %"
            )
        more = len(active) - 1
        return first.model + (f"  +{more}" if more else "")

    def _device_words(self) -> str:
        devices = dict.fromkeys(item.device for item in self._instances.values() if item.device)
        return ", ".join(devices) or DASH

    def _show_speed(self) -> None:
        total = sum(self._speeds.values())
        self.speed.setText(self.tr("{speed} tokens/s").format(speed=speed_text(total or self._last)))
        self.speed.setToolTip(self._speed_why(total))

    def _speed_why(self, total: float) -> str:
        if total:
            return self.tr("Being written now, all models together.")
        if self._last:
            return self.tr("The last answer.")
        ready = any(item.state == "ready" for item in self._instances.values())
        return self.tr("No model has been asked yet.") if ready else self.tr("No model is loaded")

    def _show_server(self) -> None:
        words = {
            "on": self._server.address.removeprefix("http://"),
            "starting": self.tr("starting"),
            "stopping": self.tr("stopping"),
            "failed": self.tr("failed"),
        }.get(self._server.state, self.tr("off"))
        self.server.setText(self.tr("Server: {state}").format(state=words))
        self.server.setToolTip(self.tr("Open the server page"))
        token = {"on": "good", "failed": "bad"}.get(self._server.state, "text-2")
        self.server.setIcon(theme.icon("server", token))

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self.refresh()
        super().changeEvent(event)
