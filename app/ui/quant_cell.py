"""What stands at the end of a quant's row: download it, how far it is, or load it."""

from msgspec import Struct
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QWidget

from app.core.events import DownloadChanged
from app.models.hub_types import QuantFile
from app.ui import theme, words
from app.ui.download_words import progress
from app.ui.errors import describe
from app.ui.widgets import IconButton, make_button, make_label, set_property

_BUSY = ("queued", "running", "waiting", "verifying", "paused")


class QuantRow(Struct, frozen=True):
    """A quant with what this machine says about it."""

    quant: QuantFile
    fit: str = ""
    recommended: bool = False
    here: bool = False


class QuantCell(QWidget):
    """Download, its progress in place, or Load."""

    pressed = Signal(str)

    def __init__(self, row: QuantRow, parent: QWidget) -> None:
        super().__init__(parent)
        self._row = row
        self.button = make_button(self._press, "", self, compact=True)
        self.bar, self.share = QProgressBar(self), make_label("secondary", self)
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 1000)
        self.share.setFont(theme.tabular(theme.font("secondary")))
        self.stop = IconButton("close", lambda: self.pressed.emit("cancel"), self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 0, 8, 0)
        layout.setSpacing(8)
        layout.addWidget(self.bar, 1)
        layout.addWidget(self.share)
        layout.addWidget(self.stop)
        layout.addWidget(self.button, 1)
        self._download: DownloadChanged | None = None
        self._action = "download"

    def _press(self) -> None:
        self.pressed.emit(self._action)

    def show_row(self, row: QuantRow, download: DownloadChanged | None) -> None:
        """Fit the widgets to where this quant stands."""
        self._row, self._download = row, download
        busy = download is not None and download.state in _BUSY
        for widget in (self.bar, self.share, self.stop):
            widget.setVisible(busy)
        self.button.setVisible(not busy)
        if download is not None and busy:
            self._show_progress(download)
        else:
            self._show_button(row, download)

    def _show_progress(self, download: DownloadChanged) -> None:
        value = progress(download)
        self.bar.setValue(round(value * 1000))
        self.bar.setAccessibleName(self.tr("Download of {name}").format(name=download.id))
        self.share.setText(words.number(value * 100) + " %")
        left = words.duration(download.eta)
        tip = self.tr("{speed}, {left} left").format(speed=words.transfer_speed(download.speed), left=left)
        self.setToolTip(tip if download.state == "running" else "")
        set_property(self.bar, "tone", "warn" if download.state != "running" else "")
        self.stop.set_words(self.tr("Cancel and delete what came"))

    def _show_button(self, row: QuantRow, download: DownloadChanged | None) -> None:
        failed = download is not None and download.state == "failed"
        here = row.here or (download is not None and download.state == "done")
        self._action = "load" if here else ("retry" if failed else "download")
        amount = words.size(row.quant.bytes)
        self.button.setText(
            {
                "load": self.tr("Load…"),
                "retry": self.tr("Try again"),
                "download": self.tr("Download {size}").format(size=amount),
            }[self._action]
        )
        self.button.setAccessibleName(f"{self.button.text()}, {row.quant.id}")
        set_property(self.button, "role", "primary" if row.recommended and not here else "")
        error = download.error if download is not None else None
        self.setToolTip(describe(error).sentence if error is not None else "")
