"""What stands at the end of a quant's row: download it, how far it is, or load it."""

from msgspec import Struct
from PySide6.QtCore import QCoreApplication, Signal
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QWidget

from app.core.events import DownloadChanged
from app.models.hub_types import QuantFile
from app.ui import theme, words
from app.ui.download_words import note_words, progress, state_words
from app.ui.errors import describe
from app.ui.prospects import Prospect
from app.ui.widgets import IconButton, make_button, make_label, set_property

_BUSY = ("queued", "running", "waiting", "verifying", "paused")
_SIDES, _PADDING, _GAP = 16, 34, 4
_BAR, _ICON = 24, 32


class QuantRow(Struct, frozen=True):
    """A quant with what this machine says about it."""

    quant: QuantFile
    prospect: Prospect = Prospect()
    recommended: bool = False
    here: bool = False

    @property
    def fit(self) -> str:
        """The planner's label, "" while nothing is known."""
        return self.prospect.fit


def cell_width() -> int:
    """Pixels that the longest of its buttons needs in the language in force, or a download under way."""
    texts = [
        _download_words("888.8 GB"),
        _download_words("888 MB"),
        *(_button_words(action) for action in ("load", "retry")),
    ]
    metrics = QFontMetrics(theme.font("text"))
    share = QFontMetrics(theme.tabular(theme.font("secondary"))).horizontalAdvance(_share_words(1.0))
    under_way = share + theme.px(_BAR + 2 * _ICON) + 3 * _GAP
    return max(under_way, *(metrics.horizontalAdvance(text) + _PADDING for text in texts)) + _SIDES


def _share_words(value: float) -> str:
    return words.number(value * 100) + " %"


def _download_words(amount: str) -> str:
    return QCoreApplication.translate("QuantCell", "Download {size}").format(size=amount)


def _button_words(action: str) -> str:
    if action == "load":
        return QCoreApplication.translate("QuantCell", "Load…")
    return QCoreApplication.translate("QuantCell", "Try again")


class QuantCell(QWidget):
    """Download, its progress in place, or Load."""

    pressed = Signal(str)

    def __init__(self, row: QuantRow, parent: QWidget) -> None:
        super().__init__(parent)
        self._row = row
        self.button = make_button(self.press, "", self, compact=True)
        self.bar, self.share = QProgressBar(self), make_label("secondary", self)
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 1000)
        self.share.setFont(theme.tabular(theme.font("secondary")))
        self.hold = IconButton("pause", self._hold, self)
        self.stop = IconButton("close", lambda: self.pressed.emit("cancel"), self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(_SIDES // 2, 0, _SIDES // 2, 0)
        layout.setSpacing(_GAP)
        layout.addWidget(self.bar, 1)
        layout.addWidget(self.share)
        layout.addWidget(self.hold)
        layout.addWidget(self.stop)
        layout.addWidget(self.button, 1)
        self._download: DownloadChanged | None = None
        self._action = "download"

    def press(self) -> None:
        """Do what the button says; nothing while a download is under way."""
        if not self.button.isHidden():
            self.pressed.emit(self._action)

    def _hold(self) -> None:
        paused = self._download is not None and self._download.state == "paused"
        self.pressed.emit("resume" if paused else "pause")

    def show_row(self, row: QuantRow, download: DownloadChanged | None) -> None:
        """Fit the widgets to where this quant stands."""
        self._row, self._download = row, download
        busy = download is not None and download.state in _BUSY
        for widget in (self.bar, self.share, self.hold, self.stop):
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
        self.share.setText(_share_words(value))
        set_property(self.bar, "tone", "warn" if download.state != "running" else "")
        self.setToolTip(self._tip(download))
        paused = download.state == "paused"
        self.hold.show_icon("play" if paused else "pause")
        self.hold.set_words(self.tr("Resume") if paused else self.tr("Pause"))
        self.stop.set_words(self.tr("Cancel and delete what came"))

    def _tip(self, download: DownloadChanged) -> str:
        if download.error is not None:
            return describe(download.error).sentence
        if download.state != "running" or download.speed is None:
            return note_words(download) or state_words(download)
        left = words.duration(download.eta)
        tip = self.tr("{speed}, {left} left").format(speed=words.transfer_speed(download.speed), left=left)
        return f"{tip}\n{note_words(download)}".strip()

    def _show_button(self, row: QuantRow, download: DownloadChanged | None) -> None:
        failed = download is not None and download.state == "failed"
        here = row.here or (download is not None and download.state == "done")
        self._action = "load" if here else ("retry" if failed else "download")
        if self._action == "download":
            self.button.setText(_download_words(words.size(row.quant.bytes)))
        else:
            self.button.setText(_button_words(self._action))
        self.button.setAccessibleName(f"{self.button.text()}, {row.quant.id}")
        set_property(self.button, "role", "primary" if row.recommended and not here else "")
        error = download.error if download is not None else None
        self.setToolTip(describe(error).sentence if error is not None else "")
