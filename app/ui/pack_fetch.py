"""How far a backend pack's download is, with a button that ends it."""

from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QHBoxLayout, QWidget

from app.runtime.packs import PackError
from app.ui import words
from app.ui.polled import Polled
from app.ui.widgets import make_button, make_label

EVERY_MS = 250


class PackFetch(Polled):
    """Hidden until a download starts. ``note`` is called by the thread that fetches; the rest is the GUI thread's."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(EVERY_MS, parent)
        self.text = make_label("secondary", self)
        self.stop = make_button(self._stop, "", self, compact=True)
        self.stopped = False
        self._done = 0
        self._total: int | None = None
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.text)
        row.addWidget(self.stop)
        row.addStretch(1)
        self.hide()
        self._retranslate()

    def start(self) -> None:
        """A download begins."""
        self.stopped, self._done, self._total = False, 0, None
        self.stop.setEnabled(True)
        self.show()

    def note(self, done: int, total: int | None) -> None:
        """Bytes so far and in all. Raises PackError, which ends the download, when it was stopped."""
        self._done, self._total = done, total
        if self.stopped:
            raise PackError("stopped by you")

    def refresh(self) -> None:
        done, total = words.size(self._done), self._total
        if total is None:
            self.text.setText(self.tr("{done} fetched").format(done=done))
        else:
            self.text.setText(self.tr("{done} of {total} fetched").format(done=done, total=words.size(total)))
        self.stop.setEnabled(not self.stopped and self._done != total)

    def _stop(self) -> None:
        self.stopped = True
        self.refresh()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)

    def _retranslate(self) -> None:
        self.stop.setText(self.tr("Stop"))
        self.stop.setAccessibleName(self.tr("Stop the download"))
        self.refresh()
