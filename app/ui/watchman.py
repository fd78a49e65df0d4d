"""Shows what the detector finds: one line above the page that names the cause, with the button that mends it."""

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QCoreApplication, QObject, QTimer

from app.core.errors import fill
from app.core.events import InstanceChanged
from app.ui import tasks
from app.ui.errors import action_label

if TYPE_CHECKING:
    from app.planning.detector import Detector, Told
    from app.ui.main_window import MainWindow

PERIOD_MS = 4000


class Watchman(QObject):
    """Its clock runs while a model is loaded."""

    def __init__(self, window: "MainWindow") -> None:
        super().__init__(window)
        self._window = window
        self._detector: Detector | None = None
        self._busy = False
        self._timer = QTimer(self, interval=PERIOD_MS)
        self._timer.timeout.connect(self._look)
        window.bridge.on(InstanceChanged, self._follow, self)
        window.closing.connect(self._timer.stop)

    def _follow(self, _event: InstanceChanged) -> None:
        ready = any(item.state == "ready" for item in self._window.services.supervisor.snapshots())
        if ready and not self._timer.isActive():
            self._timer.start()
        elif not ready:
            self._timer.stop()

    def _look(self) -> None:
        if not self._busy:
            self._busy = True
            tasks.run(self._check, self._tell, self._failed, self)

    def _check(self) -> Any:
        if self._detector is None:
            from app.planning.detector import Detector  # noqa: PLC0415 - not before a model is loaded

            services = self._window.services
            self._detector = Detector(
                services.series, services.supervisor, services.make_outlook, services.machine
            )
        return self._detector.check()

    def _tell(self, told: "Told | None") -> None:
        self._busy = False
        if told is not None:
            action = told.finding.action
            self._window.say_about(
                told.model, lambda: words(told), "warn", lambda: action_label(action), action
            )

    def _failed(self, _error: Exception) -> None:
        self._busy = False  # looking is a help: its failure is nobody's business


def words(told: "Told") -> str:
    """The finding in the language in force."""
    from app.planning.watch import FINDINGS  # noqa: PLC0415 - see _check

    return fill(QCoreApplication.translate("Planning", FINDINGS[told.finding.code]), told.finding.params)
