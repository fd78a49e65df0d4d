"""Looking after one model: is every byte right, and is there a newer file on the Hub."""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QTimer, Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.core.errors import HubNotFoundError
from app.core.types import ModelRecord
from app.models.library_care import Checked
from app.models.library_updates import Update, compare
from app.ui import tasks, words
from app.ui.errors import describe
from app.ui.library_parts import Work
from app.ui.library_rows import Row
from app.ui.widgets import make_button

if TYPE_CHECKING:
    from app.compose import Services

_POLL_MS = 200
Outcome = Callable[[], tuple[str, str]]
"""Words and tone of what was found, in the language in force."""


class CareBox(QWidget):
    """Verify and look for an update. What runs goes on when another model is shown."""

    downloading = Signal()

    def __init__(self, services: "Services", parent: QWidget) -> None:
        super().__init__(parent)
        self._services = services
        self._row: Row | None = None
        self._checking = ""
        self._began = 0.0
        self._read = (0, 0)
        self._unwanted = threading.Event()
        self._checked: dict[str, Outcome] = {}
        self._compared: dict[str, Outcome] = {}
        self._newer: dict[str, Update] = {}
        self.verify = Work(self._verify, self._stop, self)
        self.update_ = Work(self._compare, lambda: None, self)
        self.fetch = make_button(self._fetch, "primary", self, compact=True)
        self._poll = QTimer(self, interval=_POLL_MS)
        self._poll.timeout.connect(self._show_progress)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        for widget in (self.verify, self.update_, self.fetch):
            column.addWidget(widget)
        self.retranslate()

    def show_row(self, row: Row) -> None:
        """Show what is known about this model."""
        self._row = row
        self.setVisible(row.record.summary is not None or row.damaged is not None)
        self.update_.setVisible(row.record.source is not None)
        self._show()

    def _show(self) -> None:
        if self._row is None:
            return
        name = self._row.id
        if self._checking != name:
            self.verify.idle(*self._said(self._checked, name))
            self.verify.button.setEnabled(not self._checking)
        self.update_.idle(*self._said(self._compared, name))
        newer, damaged = self._newer.get(name), self._row.damaged is not None
        self.fetch.setVisible(newer is not None or (damaged and self._row.record.source is not None))
        if newer is not None and newer.quant is not None:
            self.fetch.setText(self.tr("Download {size}").format(size=words.size(newer.quant.bytes)))
        else:
            self.fetch.setText(self.tr("Download again"))

    @staticmethod
    def _said(outcomes: dict[str, Outcome], name: str) -> tuple[str, str]:
        outcome = outcomes.get(name)
        return outcome() if outcome else ("", "")

    # ------------------------------------------------------------------ verify

    def _verify(self) -> None:
        if self._row is None or self._checking:
            return
        name = self._checking = self._row.id
        self._read, self._began = (0, self._row.record.bytes), time.monotonic()
        unwanted = self._unwanted = threading.Event()

        def work() -> tuple[Checked, ...]:
            return self._services.library.verify(name, self._note_progress, unwanted.is_set)

        def done(checked: tuple[Checked, ...]) -> None:
            if not unwanted.is_set():
                self._end(lambda: self._verdict(checked))

        def failed(error: Exception) -> None:
            if not unwanted.is_set():
                self._end(lambda: (describe(error).sentence, "bad"))

        tasks.run(work, done, failed, self, long=True)
        self._poll.start()
        self._show_progress()

    def _note_progress(self, done: int, total: int) -> None:
        self._read = (done, total)  # from the pool's thread: one assignment, read by the timer

    def _show_progress(self) -> None:
        if self._row is not None and self._row.id == self._checking:
            done, total = self._read
            passed = time.monotonic() - self._began
            left = passed * (total - done) / done if done and passed > 1 else None
            self.verify.running(done, total, left)

    def _stop(self) -> None:
        self._unwanted.set()
        self._end(lambda: (self.tr("Stopped."), "muted"))

    def _verdict(self, checked: tuple[Checked, ...]) -> tuple[str, str]:
        if any(item.ok is False for item in checked):
            return self.tr("Its bytes differ from what was published. Download it again."), "bad"
        if all(item.ok for item in checked):
            return self.tr("Every byte is as it was published."), "good"
        return self.tr("Read whole. There was no hash to compare with; it is kept from now on."), "muted"

    def _end(self, outcome: Outcome) -> None:
        self._poll.stop()
        self._checked[self._checking] = outcome
        self._checking = ""
        self._show()

    # ------------------------------------------------------------------ newer files

    def _compare(self) -> None:
        row = self._row
        if row is None or row.record.source is None:
            return
        repo, record = row.record.source.repo, row.record
        self.update_.button.setEnabled(False)
        hub = self._services.hub

        def done(update: Update) -> None:
            self._compared[row.id] = lambda: self._update_words(update)
            self._newer.pop(row.id, None)
            if update.verdict == "newer":
                self._newer[row.id] = update
            self._compare_ended()

        def failed(error: Exception) -> None:
            self._compared[row.id] = lambda: (describe(error).sentence, "bad")
            self._compare_ended()

        tasks.run(lambda: compare(record, hub.repo(repo)), done, failed, self)

    def _compare_ended(self) -> None:
        self.update_.button.setEnabled(True)
        self._show()

    def _update_words(self, update: Update) -> tuple[str, str]:
        when = words.ago(update.updated)
        return {
            "same": (self.tr("This is the newest: the Hub has the same bytes."), "good"),
            "newer": (self.tr("The Hub has another file (page changed {when}).").format(when=when), "warn"),
            "gone": (self.tr("Its repository no longer has this file."), "muted"),
            "unknown": (
                self.tr(
                    "The size is the same. Verify it, then ask again: there is no hash to compare with yet."
                ),
                "muted",
            ),
        }[update.verdict]

    def _fetch(self) -> None:
        row = self._row
        if row is None:
            return
        newer = self._newer.get(row.id)

        def done(_id: str) -> None:
            self._newer.pop(row.id, None)
            self._compared.pop(row.id, None)
            self._show()
            self.downloading.emit()

        tasks.run(lambda: self._enqueue(row.record, newer), done, self._fetch_failed, self)

    def _enqueue(self, record: ModelRecord, newer: Update | None) -> str:
        repo = record.source.repo if record.source else ""
        found = newer or compare(record, self._services.hub.repo(repo))
        if found.quant is None:
            raise HubNotFoundError(what=record.id)
        return self._services.downloads.enqueue(found.quant)

    def _fetch_failed(self, error: Exception) -> None:
        if self._row is not None:
            self._compared[self._row.id] = lambda: (describe(error).sentence, "bad")
        self._show()

    # ------------------------------------------------------------------ words

    def retranslate(self) -> None:
        """Put every text in place again."""
        self.verify.button.setText(self.tr("Verify"))
        self.verify.button.setToolTip(self.tr("Reads every byte and compares with the download's hashes."))
        self.verify.bar.setAccessibleName(self.tr("Verifying"))
        self.verify.cancel.setText(self.tr("Stop"))
        self.update_.button.setText(self.tr("Look for a newer file"))
        self._show()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self.retranslate()
        super().changeEvent(event)
