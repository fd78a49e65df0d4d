"""A newer Hearth, step by step: may it look, what is there, what is new, the download, the switch; and the way back.

Each step is one sentence with the button that does the next thing. Everything runs in the background.
"""

import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QHBoxLayout, QPlainTextEdit, QProgressBar, QPushButton, QWidget

from app.core.errors import NoUpdateAddressError, TransferCancelledError
from app.ui import tasks, theme, translate, words
from app.ui.dialogs.base import Dialog
from app.ui.errors import describe
from app.ui.widgets import make_button, make_label, set_property

if TYPE_CHECKING:
    from app.compose import Services
    from app.updates.replace import Outcome
    from app.updates.service import Offer, Updates

Button = tuple[str, Callable[[], object], str]
"""Its words, what it does, its role."""
_WIDTH = 520
_NOTES = 180
_COMMAND = 64
"""Pixels: two lines, for a path of the usual length."""
_TICK_MS = 250


class UpdateDialog(Dialog):
    """Open it with ``begin`` or ``go_back``."""

    asked = Signal(str, object)
    """A command of the window: "settings", "restart" or "quit"."""

    def __init__(self, services: "Services", parent: QWidget | None) -> None:
        super().__init__(self.tr("Updates"), parent)
        self.setMinimumWidth(_WIDTH)
        self._services = services
        self._offer: Offer | None = None
        self._updates: Updates | None = None
        self._gone = False
        self.words = make_label(parent=self, wrap=True)
        self.notes = QPlainTextEdit(self, readOnly=True)
        self.notes.setProperty("role", "field")
        self.notes.setTabChangesFocus(True)
        self.notes.setAccessibleName(self.tr("What is new"))
        self.notes.setMinimumHeight(_NOTES)
        self.bar = QProgressBar(self, textVisible=False)
        self.bar.setAccessibleName(self.tr("Progress"))
        self.fine = make_label("secondary", self, wrap=True)
        self.command, self.copy = QPlainTextEdit(self, readOnly=True), make_button(self._copy, "", self)
        self.command.setProperty("role", "code")
        self.command.setFont(theme.font("mono"))
        self.command.setTabChangesFocus(True)
        self.command.setFixedHeight(theme.px(_COMMAND))
        self.command.setAccessibleName(self.tr("Command"))
        self.copy.setText(self.tr("Copy"))
        line = QHBoxLayout()
        line.setSpacing(8)
        line.addWidget(self.command, 1)
        line.addWidget(self.copy, 0, Qt.AlignmentFlag.AlignTop)
        for widget in (self.words, self.notes, self.bar, self.fine):
            self.body.addWidget(widget)
        self.body.addLayout(line)
        self.row: list[QPushButton] = []
        self._timer = QTimer(self, interval=_TICK_MS)
        self._timer.timeout.connect(self._show_progress)
        self.finished.connect(self._close_down)

    # ------------------------------------------------------------------ the steps

    def begin(self) -> None:
        """Ask whether it may look, or look."""
        self.open()
        settings = self._services.settings.value.updates
        if not settings.address.strip():
            self._failed(NoUpdateAddressError())
        elif settings.look == "ask":
            self._ask()
        else:
            self.look()

    def go_back(self) -> None:
        """Back to the version before this one."""
        self.open()
        self._say(self.tr("Going back to the version before this one…"), busy=True)
        self._run(lambda updates: updates.roll_back(), self._put_in_place)

    def _ask(self) -> None:
        host = self._services.settings.value.updates.address
        self._say(
            self.tr(
                "May Hearth look for new versions at {address}? It asks for one small, signed list. Nothing about "
                "you, your chats or your models is sent. Nothing is downloaded or installed before you have read "
                "what is new and agreed."
            ).format(address=host),
            (
                (self.tr("Never by itself"), lambda: self._choose("never"), ""),
                (self.tr("Only now"), self.look, ""),
                (self.tr("Every week"), lambda: self._choose("week"), "primary"),
            ),
        )
        tasks.run(lambda: self._services.updates.asked(), owner=self)  # noqa: PLW0108 - made off the GUI thread

    def _choose(self, how: str) -> None:
        settings = self._services.settings
        then = self.accept if how == "never" else self.look
        put = partial(settings.set, "updates.look", how)
        tasks.run(put, lambda _none: then(), self._failed, self, order=settings)

    def look(self) -> None:
        """Ask the address what there is."""
        self._say(self.tr("Looking for a newer version…"), self._only_close(self.tr("Cancel")), busy=True)
        self._run(lambda updates: (updates.check(), updates), self._looked)

    def _looked(self, found: "tuple[Offer, Updates]") -> None:
        offer, updates = found
        self._offer = offer
        if not offer.newer:
            said = self.tr("Hearth {version} is the newest at {host}.")
            self._say(said.format(version=offer.current, host=offer.host), self._only_close())
            return
        tasks.run(
            lambda: updates.refusal(offer), lambda refused: self._show_offer(offer, refused), owner=self
        )

    def _show_offer(self, offer: "Offer", refused: Exception | None) -> None:
        head = self.tr("Hearth {version} is there. This is {current}.")
        fine = describe(refused).sentence if refused else self._when(offer)
        later: Button = (self.tr("Later"), self.reject, "")
        skip: Button = (self.tr("Not this version"), lambda: self._skip(offer), "")
        buttons: tuple[Button, ...] = (skip, later)
        if not refused and offer.artefact:
            take = self.tr("Download {size}").format(size=words.size(offer.artefact.bytes))
            buttons = (*buttons, (take, self._download, "primary"))
        self._say(head.format(version=offer.version, current=offer.current), buttons, fine=fine)
        self._show_notes(offer)

    def _when(self, offer: "Offer") -> str:
        if not offer.published:
            return ""
        return self.tr("Published {date} at {host}; its signature is right.").format(
            date=offer.published, host=offer.host
        )

    def _show_notes(self, offer: "Offer") -> None:
        text = offer.notes_in(translate.resolve(translate.installed()))
        self.notes.setPlainText(text)
        self.notes.setVisible(bool(text))
        self._fit()

    def _skip(self, offer: "Offer") -> None:
        tasks.run(lambda: self._services.updates.skip(offer.version), owner=self)
        self.reject()

    def _download(self) -> None:
        offer = self._offer
        assert offer is not None
        said = self.tr("Downloading Hearth {version}…").format(version=offer.version)
        self._say(said, ((self.tr("Stop"), self._stop, ""),), busy=True)
        self._run(lambda updates: updates.download(offer), self._came)
        self._timer.start()

    def _show_progress(self) -> None:
        progress = self._updates.progress() if self._updates else None
        if progress is None or not progress.total:
            return
        self.bar.setRange(0, 1000)
        self.bar.setValue(progress.done * 1000 // progress.total)
        note = f"  {progress.note.text}" if progress.note else ""
        much = self.tr("{done} of {total}").format(
            done=words.size(progress.done), total=words.size(progress.total)
        )
        self._set_fine(much + note)

    def _stop(self) -> None:
        if self._updates is not None:
            self._updates.cancel()

    def _came(self, file: Path) -> None:
        offer = self._offer
        assert offer is not None
        said = self.tr(
            "Hearth {version} is here, and it is the very file that was signed. This version is kept."
        )
        self._say(
            said.format(version=offer.version),
            (
                (self.tr("Later"), self.reject, ""),
                (self.tr("Install it"), lambda: self._install(offer, file), "primary"),
            ),
        )

    def _install(self, offer: "Offer", file: Path) -> None:
        self._say(self.tr("Putting it beside this version…"), busy=True)
        self._run(lambda updates: updates.install(offer, file), self._put_in_place)

    # ------------------------------------------------------------------ afterwards

    def _put_in_place(self, outcome: "Outcome") -> None:
        if outcome.then == "command":
            self._show_command(outcome)
        elif outcome.then == "quit":
            said = self.tr("The installer of Hearth {version} is started; Hearth closes for it.")
            self._say(said.format(version=outcome.version))
            QTimer.singleShot(_TICK_MS * 4, self, lambda: self.asked.emit("quit", None))
        else:
            self._done(outcome.version)

    def _show_command(self, outcome: "Outcome") -> None:
        said = self.tr(
            "Your system's package manager puts Hearth {version} in place. Let it ask for your password, or run "
            "this in a terminal:"
        )
        self._say(
            said.format(version=outcome.version),
            (
                (self.tr("Close"), self.reject, ""),
                (self.tr("Install it"), lambda: self._hand_over(outcome), "primary"),
            ),
            command=shlex.join(outcome.command),
        )

    def _hand_over(self, outcome: "Outcome") -> None:
        for button in self.row:
            button.setEnabled(False)
        self.bar.show()

        def failed(error: Exception) -> None:
            self._show_command(outcome)
            self._set_fine(describe(error).text)

        tasks.run(
            lambda: self._services.updates.hand_over(outcome),
            lambda _none: self._done(outcome.version),
            failed,
            self,
        )

    def _done(self, version: str) -> None:
        said = self.tr("Hearth {version} is in place; it is used from the next start on.")
        self._say(
            said.format(version=version),
            (
                (self.tr("Later"), self.accept, ""),
                (self.tr("Restart now"), lambda: self.asked.emit("restart", None), "primary"),
            ),
        )

    def _failed(self, error: Exception) -> None:
        if isinstance(error, TransferCancelledError) and self._offer is not None:
            self._show_offer(self._offer, None)
            self._set_fine(self.tr("Stopped; what came is kept."))
            return
        found = describe(error)
        buttons: list[Button] = [(self.tr("Close"), self.reject, "")]
        if found.action == "update_settings":
            buttons.append((found.label, self._open_settings, "primary"))
        elif self._offer is not None:
            buttons.append((self.tr("Try again"), self._download, "primary"))
        elif self._services.settings.value.updates.address:
            buttons.append((self.tr("Try again"), self.look, "primary"))
        self._say(found.sentence, buttons)

    def _open_settings(self) -> None:
        self.accept()
        self.asked.emit("settings", "updates")

    # ------------------------------------------------------------------ showing

    def _only_close(self, text: str = "") -> tuple[Button, ...]:
        return ((text or self.tr("Close"), self.reject, ""),)

    def _say(
        self,
        text: str,
        buttons: "tuple[Button, ...] | list[Button]" = (),
        *,
        busy: bool = False,
        fine: str = "",
        command: str = "",
    ) -> None:
        """One step: its sentence, its buttons, and nothing of the step before."""
        self._timer.stop()
        self.words.setText(text)
        self.setAccessibleDescription(text)
        self.notes.hide()
        self.bar.setRange(0, 0)
        self.bar.setVisible(busy)
        self._set_fine(fine)
        self.command.setPlainText(command)
        for widget in (self.command, self.copy):
            widget.setVisible(bool(command))
        self._fill(buttons)
        self._fit()

    def _set_fine(self, text: str) -> None:
        self.fine.setText(text)
        self.fine.setVisible(bool(text))
        self._fit()

    def _fill(self, buttons: "tuple[Button, ...] | list[Button]") -> None:
        for old in self.row:
            old.hide()
            old.deleteLater()
        self.row = []
        for text, act, role in buttons:
            button = make_button(act, role, self)
            button.setText(text)
            set_property(button, "role", role)
            self.buttons.addWidget(button)
            self.row.append(button)
        if self.row:
            self.row[-1].setFocus()

    def _fit(self) -> None:
        """As high as this step needs: wrapped text says how high it is only for a width."""
        width, margins = max(self.width(), self.minimumWidth()), self.body.contentsMargins()
        for label in (self.words, self.fine):
            label.ensurePolished()
            label.setMinimumHeight(0)  # else the step before counts
            label.setMinimumHeight(max(0, label.heightForWidth(width - margins.left() - margins.right())))
        layout = self.layout()
        if layout is not None:
            layout.activate()
            self.resize(width, layout.totalMinimumSize().height())

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.command.toPlainText())

    def _run(self, work: "Callable[[Updates], Any]", done: Callable[[Any], None]) -> None:
        def act() -> Any:
            self._updates = self._services.updates
            return work(self._updates)

        tasks.run(act, lambda found: None if self._gone else done(found), self._failed, self, long=True)

    def _close_down(self, _code: int) -> None:
        self._gone = True
        self._timer.stop()
        self._stop()
