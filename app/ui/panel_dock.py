"""The dock of live panels: 280 px at the right, a strip above the status line in a narrow window."""

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QAbstractButton, QDockWidget, QMainWindow, QScrollArea, QWidget

from app.ui import theme, zoom

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.compose import Services
    from app.core.types import LoadPlan
    from app.ui.panels import LivePanels

NARROW = 1100
WIDTH = 280
STRIP = 148
"""Height of the strip in the beginning: its bar, and two lines of numbers."""


class PanelDock(QDockWidget):
    """Empty until the first paint is over, then filled with the panels."""

    def __init__(self, services: "Services", window: QMainWindow) -> None:
        super().__init__(window)
        self._services, self._window = services, window
        self._panels: LivePanels | None = None
        self._context: Any = None
        self.strip = self.kept_away = False
        """``strip``: the narrow window put it below; it goes back to the right in a wide one."""
        self.setObjectName("panels")
        self.setMinimumWidth(WIDTH)
        self._scroll = QScrollArea(self)
        self._scroll.setWidgetResizable(True)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._scroll.setWidget(QWidget(self))
        self.setWidget(self._scroll)
        self.dockLocationChanged.connect(self._lay)
        self.topLevelChanged.connect(self._lay)
        self._retranslate()

    def fill(self) -> None:
        """Build the panels (after the first paint)."""
        if self._panels is not None:
            return
        from app.ui.panels import LivePanels  # noqa: PLC0415 - not before the first paint

        services = self._services
        self._panels = LivePanels(
            services.series,
            services.supervisor,
            self,
            reasons=services.sampler.reasons,
            forecast=self._forecast,
            devices=self._devices,
        )
        self._panels.set_strip(self._lies())
        zoom.resize_tree(self._panels, theme.notifier().zoom)
        self._scroll.setWidget(self._panels)
        self._panels.fit_strip()
        if self._context is not None:
            self._panels.show_context(self._context)

    def _forecast(self, plans: "Mapping[str, LoadPlan]") -> dict[str, int]:
        """Bytes that loaded plans were forecast to take, by the sampler's device names (a pool thread)."""
        from app.ui.memory_panel import device_source  # noqa: PLC0415 - see fill

        found: dict[str, int] = {}
        names = self._devices()
        for model, plan in plans.items():
            for device in self._services.outlook.memory(model, plan):
                source = device_source(device.device, names)
                found[source] = found.get(source, 0) + device.weights + device.kv + device.compute
        return found

    def _devices(self) -> dict[str, str]:
        """ggml's names of the cards to the sampler's (a pool thread)."""
        gpus = self._services.machine().gpus
        return {device: f"gpu:{gpu.index}" for gpu in gpus for device in gpu.devices}

    def show_context(self, use: Any) -> None:
        """Pass the open chat's use of its context on."""
        self._context = use
        if self._panels is not None:
            self._panels.show_context(use)

    def keep_away(self, away: bool) -> None:
        """Not shown at all to those who chose the simple window; back where it was otherwise."""
        if away and not self.isHidden():
            self.kept_away = True
            self.hide()
        elif not away and self.kept_away:
            self.kept_away = False
            self.show()

    def lay_as(self, strip: bool) -> None:
        """Whether it was the window that put it where it was found again."""
        self.strip = strip

    def _lies(self) -> bool:
        """Above or below the page, where there is no height for a column."""
        areas = Qt.DockWidgetArea
        below = self._window.dockWidgetArea(self) in {areas.BottomDockWidgetArea, areas.TopDockWidgetArea}
        return below and not self.isFloating()

    def _lay(self, _where: object = None) -> None:
        if self._panels is not None:
            self._panels.set_strip(self._lies())

    def fit(self, width: int) -> None:
        """Stand at the right of a wide window, lie below in a narrow one; a floating dock is left alone."""
        strip = width < theme.px(NARROW)
        if self.isFloating() or strip == self.strip:
            return
        self.strip = strip
        hidden = self.isHidden()
        area = Qt.DockWidgetArea.BottomDockWidgetArea if strip else Qt.DockWidgetArea.RightDockWidgetArea
        self._window.addDockWidget(area, self)
        self.setHidden(hidden)
        self._lay()
        self.setMaximumHeight(theme.px(190) if strip else 16777215)
        if strip:  # else it begins with the least a scroll area takes, in the middle of a line
            self._window.resizeDocks([self], [theme.px(STRIP)], Qt.Orientation.Vertical)

    def _retranslate(self) -> None:
        self.setWindowTitle(self.tr("Live"))
        self._name_buttons()

    def _name_buttons(self) -> None:
        """Qt names the buttons of a dock by itself, and again whenever it dresses them."""
        for name, words in (
            ("qt_dockwidget_closebutton", self.tr("Close the live panels")),
            ("qt_dockwidget_floatbutton", self.tr("Float the live panels, or put them back")),
        ):
            button = self.findChild(QAbstractButton, name)
            if button is not None:
                button.setAccessibleName(words)
                button.setToolTip(words)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        elif event.type() in {QEvent.Type.StyleChange, QEvent.Type.WindowTitleChange}:
            self._name_buttons()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self._panels is not None:
            self._panels.fit_strip()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._name_buttons()
