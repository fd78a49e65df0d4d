# size: the wiring of one page, a line or two for each of its signals
"""The Chat page: conversations at the left, the open one with its model, the transcript and the composer."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QSize, Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QFont, QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QMessageBox,
    QSizePolicy,
    QSplitter,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.core.events import ErrorInfo, LibraryChanged, SettingChanged
from app.ui import chat_export, errors, keys, theme
from app.ui.chat_controller import ChatController
from app.ui.chat_list import ChatList
from app.ui.composer import Composer
from app.ui.context_bar import ContextBar
from app.ui.context_use import ContextUse
from app.ui.empty_state import EmptyState
from app.ui.entries import Entry
from app.ui.find_bar import FindBar
from app.ui.model_picker import ModelPicker
from app.ui.transcript import Transcript
from app.ui.undo_bar import UndoBar
from app.ui.widgets import Banner, Elided

if TYPE_CHECKING:
    from app.compose import Services
    from app.ui.bridge import Bridge

_LIST_WIDTH = 240
_LIST_HIDDEN_BELOW = 640


class ChatPage(QWidget):
    """Shows what the controller says and tells it what was asked."""

    search_requested = Signal(str)
    """The reader wants a model that is not here (Discover opens with these words)."""
    starter_requested = Signal()
    load_options_requested = Signal(str)
    context_changed = Signal(object)
    """A ContextUse, for the panel."""
    model_changed = Signal(str)

    def __init__(self, services: "Services", bridge: "Bridge", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller = ChatController(services, bridge, self)
        self.list = ChatList(self)
        self.picker = ModelPicker(self)
        self.transcript = Transcript(self, words=error_words)
        self.composer = Composer(self)
        self._settings = services.settings
        self._context = ContextBar(self)
        self._banner = Banner(self)
        self._empty = EmptyState(self)
        self._title = Elided(parent=self)
        self._toggle = QToolButton(self)
        self._stack = QStackedWidget(self)
        self._list_wanted = True
        self._shown: int | None = None
        self._arrange()
        self._undo = UndoBar(self._stack)
        self.find_bar = FindBar(self.transcript)
        self._connect_view()
        self._connect_controller()
        bridge.on(SettingChanged, self._setting_changed, self)
        bridge.on(LibraryChanged, lambda _event: self._show_empty_text(), self)
        theme.notifier().changed.connect(self._restyle)
        self.composer.set_enter_sends(services.settings.value.chat.enter_sends)
        self._restyle()
        self._retranslate()
        self.controller.start()

    # ---------------------------------------------------------------- building

    def _arrange(self) -> None:
        self._stack.addWidget(self._empty)
        self._stack.addWidget(self.transcript)
        main = QWidget(self)
        column = QVBoxLayout(main)
        column.setContentsMargins(0, 0, 0, 16)
        column.setSpacing(8)
        column.addWidget(self._title_row())
        column.addLayout(_centred(self._banner))
        column.addWidget(self._stack, 1)
        column.addLayout(_centred(self._context))
        column.addLayout(_centred(self.composer))
        self._splitter = QSplitter(Qt.Orientation.Horizontal, self)
        self._splitter.addWidget(self.list)
        self._splitter.addWidget(main)
        self._splitter.setStretchFactor(1, 1)
        self._splitter.setHandleWidth(1)
        self._splitter.setCollapsible(0, False)
        self._splitter.setCollapsible(1, False)
        self._splitter.setSizes([_LIST_WIDTH, 800])
        self.list.setMinimumWidth(180)
        self.list.setMaximumWidth(400)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self._splitter)
        # Tab goes in reading order: list, title row, transcript, composer.
        for before, after in (
            (self.list.view, self._toggle),
            (self._toggle, self.picker.button),
            (self.picker.button, self.transcript),
            (self.transcript, self.composer.edit),
        ):
            QWidget.setTabOrder(before, after)

    def _title_row(self) -> QWidget:
        bar = QWidget(self)
        bar.setFixedHeight(48)
        row = QHBoxLayout(bar)
        row.setContentsMargins(12, 0, 16, 0)
        row.setSpacing(8)
        self._toggle.setIconSize(QSize(18, 18))
        font = theme.font("chat")
        font.setWeight(QFont.Weight.DemiBold)
        self._title.setFont(font)
        self._title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        row.addWidget(self._toggle)
        row.addWidget(self._title, 1)
        row.addWidget(self.picker)
        return bar

    def _connect_view(self) -> None:
        self.composer.submitted.connect(self._submit)
        self.composer.stop_requested.connect(self.controller.stop)
        self.composer.text_changed.connect(self._typed)
        self.transcript.action.connect(self._act)
        self.transcript.edited.connect(self.controller.edit)
        self.transcript.link_activated.connect(self._ask_link)
        self.list.opened.connect(self.open_chat)
        self.list.new_requested.connect(self.new_chat)
        self.list.search_changed.connect(self.controller.search)
        self.list.renamed.connect(self.controller.rename)
        self.list.pin_requested.connect(self.controller.pin)
        self.list.export_requested.connect(self._export)
        self.composer.files_dropped.connect(self.controller.attach)
        self.composer.long_paste.connect(self.controller.attach_text)
        self.composer.attach_requested.connect(self._choose_files)
        self.composer.attachments.changed.connect(self._tell_size)
        self._banner.triggered.connect(self._act_outside)
        self.list.delete_requested.connect(self.controller.delete_chat)
        self.picker.chosen.connect(self.controller.choose_model)
        self.picker.search_requested.connect(self.search_requested)
        self.picker.cancel_requested.connect(self.controller.cancel_load)
        self._toggle.clicked.connect(self._toggle_list)
        self.find_bar.closed.connect(self.composer.edit.setFocus)
        self._empty.primary.connect(self._fill)
        self._empty.secondary.connect(lambda: self.search_requested.emit(""))
        self._shortcuts()

    def _shortcuts(self) -> None:
        for name, slot in (
            ("chat_model", self.picker.open),
            ("chat_search", self.search_chats),
            ("chat_question_up", partial(self.transcript.jump_question, -1)),
            ("chat_question_down", partial(self.transcript.jump_question, 1)),
        ):
            keys.bind(self, name, slot)

    def _connect_controller(self) -> None:
        controller = self.controller
        controller.chats_changed.connect(self.list.set_rows)
        controller.opened.connect(self._show_chat)
        controller.appended.connect(self._append)
        controller.truncated.connect(self.transcript.truncate)
        controller.replaced.connect(self.transcript.replace)
        controller.live_started.connect(self.transcript.start_live)
        controller.fed.connect(self.transcript.feed)
        controller.status.connect(self.transcript.set_status)
        controller.finished.connect(self.transcript.finish_live)
        controller.busy_changed.connect(self.composer.set_busy)
        controller.models_changed.connect(self._show_models)
        controller.load_progress.connect(self.picker.set_progress)
        controller.context_changed.connect(self._show_context)
        controller.undoable.connect(self._undo.offer)
        controller.attached.connect(self.composer.attachments.add)
        controller.sized.connect(self._show_size)
        controller.failed.connect(self._banner.show_error)
        controller.title_changed.connect(self._show_title)

    # ---------------------------------------------------------------- what the window calls

    def new_chat(self) -> None:
        """Start an empty conversation; it is kept once something is asked."""
        self.controller.open(None)
        self.composer.edit.setFocus()

    def open_chat(self, chat: int) -> None:
        """Show a conversation."""
        self.controller.open(chat)
        self.composer.edit.setFocus()

    def choose_model(self, model: str) -> None:
        """Answer with this model from now on; it is loaded at once."""
        self.controller.choose_model(model)

    def focus_search(self) -> None:
        """Find in the open chat; without one, in all of them."""
        if self._stack.currentWidget() is self.transcript:
            self.find_bar.begin()
        else:
            self.search_chats()

    def search_chats(self) -> None:
        """Put the caret into the chats' search."""
        self._list_wanted = True
        self._show_list()
        self.list.search.setFocus()

    # ---------------------------------------------------------------- showing

    def _show_chat(self, title: str, entries: list[Entry], draft: str, history: list[str]) -> None:
        self._show_title(title)
        if self.find_bar.isVisible():
            self.find_bar.finish()
        self.transcript.set_entries(entries, keep_place=self._shown == self.controller.chat)
        self._shown = self.controller.chat
        self._stack.setCurrentWidget(self.transcript if entries else self._empty)
        hit = self.controller.hit_in(self.controller.chat)
        if hit is not None:
            self.transcript.jump_to(hit)
        self.composer.set_text(draft)
        self.composer.edit.set_history(history)
        self.list.set_current(self.controller.chat)
        self._show_empty_text()

    def _append(self, entry: Entry) -> None:
        self._stack.setCurrentWidget(self.transcript)
        self.transcript.append(entry)

    def _show_title(self, title: str) -> None:
        self._title.setText(title or self.tr("New chat"))

    def _show_models(self, choices: list[object], current: str) -> None:
        self.picker.set_choices(choices, current)  # type: ignore[arg-type]
        self.model_changed.emit(current)
        self._show_empty_text()

    def _show_context(self, use: ContextUse) -> None:
        self._context.show_use(use)
        self.context_changed.emit(use)

    def _show_empty_text(self) -> None:
        if self.controller.has_models:
            self._empty.show_state(
                self.tr("What would you like to know?"),
                self.tr("It is answered on this machine; nothing leaves it."),
            )
        else:
            self._empty.show_state(
                self.tr("No model here yet"),
                self.tr(
                    "A model answers your questions on this machine. The starter model is small and answers at once."
                ),
                self.tr("Get the starter model (98 MB)"),
                self.tr("Search for models"),
            )

    def _fill(self) -> None:
        self.starter_requested.emit()

    # ---------------------------------------------------------------- doing

    def _submit(self, text: str) -> None:
        if not self.controller.has_models:
            self.search_requested.emit("")
            return
        attachments = self.composer.attachments.take()
        self.composer.set_text("")
        self._banner.hide()
        self.controller.ask(text, attachments)

    def _act(self, key: int, name: str) -> None:
        if name in {"load_options", "search"}:
            self._act_outside(name)
        else:
            self.controller.act(key, name)

    def _act_outside(self, name: str) -> None:
        self._banner.hide()
        if name == "search":
            self.search_requested.emit("")
        elif name in {"load_again", "retry"}:
            self.controller.choose_model(self.controller.model)
        else:
            self.load_options_requested.emit(self.controller.model)

    def _typed(self) -> None:
        self.controller.keep_draft(self.composer.text())
        self._tell_size()

    def _tell_size(self) -> None:
        self.controller.size_up(self.composer.text(), tuple(self.composer.attachments.items))

    def _show_size(self, tokens: int | None, exact: bool) -> None:
        if tokens is None:
            self.composer.set_hint("")
            return
        count = self.locale().toString(tokens)
        words = self.tr("{count} tokens") if exact else self.tr("about {count} tokens")
        self.composer.set_hint(
            words.format(count=count), why=self.tr("What this question takes of the context.")
        )

    def _choose_files(self) -> None:
        dialog = QFileDialog(self, self.tr("Attach files"))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.filesSelected.connect(lambda names: self.controller.attach([Path(name) for name in names]))
        dialog.open()

    def _export(self, chat: int) -> None:
        title = next((row.title for row in self.list.model.rows if row.id == chat), "")
        chat_export.ask_and_write(self, self.controller.store, chat, title, self.controller.report)

    def _ask_link(self, url: QUrl) -> None:
        box = QMessageBox(self)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setWindowTitle(self.tr("Open a link"))
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setText(self.tr("The answer links to this address. Open it in your browser?"))
        box.setInformativeText(url.toString())
        opens = box.addButton(self.tr("Open"), QMessageBox.ButtonRole.AcceptRole)
        box.addButton(self.tr("Cancel"), QMessageBox.ButtonRole.RejectRole)
        allowed = url.scheme() in {"http", "https", "mailto"}
        opens.setEnabled(allowed)
        opens.clicked.connect(lambda: QDesktopServices.openUrl(url))
        box.open()

    def _toggle_list(self) -> None:
        self._list_wanted = not self.list.isVisible()
        self._show_list()

    def _show_list(self) -> None:
        self.list.setVisible(self._list_wanted)

    # ---------------------------------------------------------------- Qt

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.composer.edit.setFocus()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.oldSize().width() >= _LIST_HIDDEN_BELOW > event.size().width():
            self.list.hide()
        elif event.oldSize().width() < _LIST_HIDDEN_BELOW <= event.size().width():
            self._show_list()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)

    def _setting_changed(self, event: SettingChanged) -> None:
        if event.key == "chat.enter_sends":
            self.composer.set_enter_sends(bool(event.value))

    def _retranslate(self) -> None:
        self.setAccessibleName(self.tr("Chat"))
        self._toggle.setToolTip(self.tr("Show or hide the list of chats"))
        self._toggle.setAccessibleName(self.tr("List of chats"))
        self._show_title(self.controller.title)
        self._show_empty_text()

    def _restyle(self) -> None:
        self._toggle.setIcon(theme.icon("sidebar"))


def _centred(widget: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setContentsMargins(24, 0, 34, 0)  # the transcript's scroll bar takes 10
    row.addStretch(1)
    row.addWidget(widget, 1000)
    row.addStretch(1)
    return row


def error_words(error: ErrorInfo) -> tuple[str, str, str]:
    """An error's sentence, its button and the button's action, in the reader's language."""
    described = errors.describe(error)
    return described.sentence, described.label, described.action
