# size: the wiring of one page, a line or two for each of its signals
"""The Chat page: conversations at the left, the open one with its model, the transcript and the composer."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QPoint, QSize, Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QFont, QGuiApplication, QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QMessageBox,
    QSizePolicy,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.core.events import ErrorInfo, LibraryChanged, SettingChanged
from app.core.generate import TokenLogprob
from app.ui import chat_export, errors, keys, tasks, theme
from app.ui.chat_controller import ChatController
from app.ui.chat_list import ChatList
from app.ui.chat_list_menus import new_menu
from app.ui.chat_prompts import ChatPrompts, Commands
from app.ui.chat_shelf import Imported
from app.ui.compare_view import CompareView
from app.ui.composer import Composer
from app.ui.context_bar import ContextBar
from app.ui.context_use import ContextUse
from app.ui.dialogs.confirm import ConfirmDialog
from app.ui.dialogs.tokens import TokensDialog
from app.ui.empty_state import EmptyState
from app.ui.entries import Entry
from app.ui.find_bar import FindBar
from app.ui.message_menu import message_menu
from app.ui.model_picker import ModelPicker
from app.ui.prose import plain_text
from app.ui.transcript import Transcript
from app.ui.undo_bar import UndoBar
from app.ui.widgets import Banner, Elided, IconButton, make_button

if TYPE_CHECKING:
    from app.compose import Services
    from app.ui.bridge import Bridge

_LIST_WIDTH = 250
_LIST_HIDDEN_BELOW = 640
_LOGPROBS = 5


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
        self.list = ChatList(self, self.controller.shelf)
        self.picker = ModelPicker(self)
        self.transcript = Transcript(self, words=error_words, fetch=self._picture)
        self.compare = CompareView(self, error_words)
        self.composer = Composer(self)
        self._settings = services.settings
        self._usage = getattr(services, "usage", None)
        self._other = ""
        self._context = ContextBar(self)
        self._banner = Banner(self)
        self._empty = EmptyState(self)
        self._title = Elided(parent=self)
        self._toggle = IconButton("sidebar", self._toggle_list, self)
        self._system = IconButton("prompt", lambda: self.prompts.ask_system(), self)  # noqa: PLW0108 - made later
        self._both = IconButton("compare", self._choose_other, self)
        self._temporary = make_button(self.new_chat, "link", self, compact=True)
        self._stack = QStackedWidget(self)
        self._list_wanted = True
        self._shown: tuple[object, int | None] = (None, None)
        self._arrange()
        self._undo = UndoBar(self._stack)
        self.find_bar = FindBar(self.transcript)
        self.prompts = ChatPrompts(self.composer, self.controller, self, self._commands)
        self._connect_view()
        self._connect_controller()
        bridge.on(SettingChanged, self._setting_changed, self)
        bridge.on(LibraryChanged, lambda _event: self._show_empty_text(), self)
        self.composer.set_enter_sends(services.settings.value.chat.enter_sends)
        self._retranslate()
        self.controller.start()

    # ---------------------------------------------------------------- building

    def _arrange(self) -> None:
        self._stack.addWidget(self._empty)
        self._stack.addWidget(self.transcript)
        self._stack.addWidget(self.compare)
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
        self._splitter.setSizes([theme.px(_LIST_WIDTH), 800])
        self.list.setMinimumWidth(200)
        self.list.setMaximumWidth(400)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self._splitter)
        # Tab goes in reading order: list, title row, transcript, composer.
        for before, after in (
            (self.list.view, self._toggle),
            (self._toggle, self._both),
            (self._both, self._system),
            (self._system, self.picker.button),
            (self.picker.button, self.transcript),
            (self.transcript, self.composer.edit),
        ):
            QWidget.setTabOrder(before, after)

    def _title_row(self) -> QWidget:
        bar = QWidget(self)
        bar.setMinimumHeight(48)
        row = QHBoxLayout(bar)
        row.setContentsMargins(12, 0, 16, 0)
        row.setSpacing(8)
        for button in (self._toggle, self._both, self._system):
            button.setIconSize(QSize(18, 18))
            button.setAutoRaise(True)
        font = theme.font("chat")
        font.setWeight(QFont.Weight.DemiBold)
        self._title.setFont(font)
        self._title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._temporary.hide()
        row.addWidget(self._toggle)
        row.addWidget(self._title, 1)
        row.addWidget(self._temporary)
        row.addWidget(self._both)
        row.addWidget(self._system)
        row.addWidget(self.picker)
        return bar

    def _connect_view(self) -> None:
        self.composer.submitted.connect(self._submit)
        self.composer.stop_requested.connect(self.controller.stop)
        self.composer.text_changed.connect(self._typed)
        self.transcript.action.connect(self._act)
        self.transcript.edited.connect(self.controller.edit)
        self.transcript.link_activated.connect(self._ask_link)
        self.compare.link_activated.connect(self._ask_link)
        self.compare.kept.connect(self._keep)
        self.composer.files_dropped.connect(self._dropped)
        self.composer.long_paste.connect(self.controller.attach_text)
        self.composer.attach_requested.connect(self._choose_files)
        self.composer.image_pasted.connect(self.controller.attach_image)
        self.composer.attachments.changed.connect(self._tell_size)
        self._banner.triggered.connect(self._act_outside)
        self._context.act_requested.connect(self._mark)
        self._context.policy_chosen.connect(self.controller.how.set_policy)
        self._context.jump_requested.connect(self.transcript.jump_to)
        self.picker.chosen.connect(self.controller.choose_model)
        self.picker.search_requested.connect(self.search_requested)
        self.picker.cancel_requested.connect(self.controller.models.cancel_load)
        self.find_bar.closed.connect(self.composer.edit.setFocus)
        self._empty.primary.connect(self._fill)
        self._empty.secondary.connect(lambda: self.search_requested.emit(""))
        self._connect_list()
        self._shortcuts()

    def _connect_list(self) -> None:
        shelf = self.controller.shelf
        self.list.opened.connect(self.open_chat)
        self.list.new_requested.connect(self.new_chat)
        self.list.temporary_requested.connect(self.new_temporary)
        self.list.search_changed.connect(shelf.search)
        self.list.narrowed.connect(self._narrow)
        self.list.renamed.connect(shelf.rename)
        self.list.changed.connect(lambda chat, changes: shelf.change(chat, **changes))
        self.list.folder_renamed.connect(shelf.rename_folder)
        self.list.delete_requested.connect(shelf.delete)
        self.list.restored.connect(shelf.restore)
        self.list.purge_requested.connect(self._ask_purge)
        self.list.export_requested.connect(self._export)
        self.list.import_requested.connect(self._choose_import)
        self.list.import_folder_requested.connect(self._choose_import_folder)
        self.list.dropped.connect(shelf.bring_in)
        self.list.prompts_requested.connect(self.prompts.manage)

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
        controller.comparing.connect(self._compare)
        controller.column_changed.connect(self.compare.apply)
        controller.busy_changed.connect(self.composer.set_busy)
        controller.models_changed.connect(self._show_models)
        controller.load_progress.connect(self.picker.set_progress)
        controller.context_changed.connect(self._show_context)
        controller.pictured.connect(self._context.show_picture)
        controller.undoable.connect(self._undo.offer)
        controller.attached.connect(self._attached)
        controller.pictures_sized.connect(self._show_costs)
        controller.sized.connect(self._show_size)
        controller.place_changed.connect(self._show_place)
        controller.imported.connect(self._show_imported)
        controller.said.connect(self._say)
        controller.failed.connect(self._banner.show_error)
        controller.title_changed.connect(self._show_title)

    # ---------------------------------------------------------------- what the window calls

    def new_chat(self) -> None:
        """Start an empty conversation; it is kept once something is asked."""
        self.controller.open(None)
        self.composer.edit.setFocus()

    def new_temporary(self) -> None:
        """Start a conversation that is never written to the disk."""
        self.controller.open_temporary()
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
        now = (self.controller.place, self.controller.chat)
        self.transcript.set_entries(entries, keep_place=self._shown == now)
        self._shown = now
        self._stack.setCurrentWidget(self.transcript if entries else self._empty)
        hit = self.controller.shelf.hit_in(self.controller.kept_chat)
        if hit is not None:
            self.transcript.jump_to(hit)
        self.composer.set_text(draft)
        self.composer.edit.set_history(history)
        self.list.set_current(self.controller.kept_chat)
        self._show_empty_text()

    def _append(self, entry: Entry) -> None:
        self._stack.setCurrentWidget(self.transcript)
        self.transcript.append(entry)

    def _compare(self, question: Entry, answers: list[Entry]) -> None:
        names = [self.controller.names.get(answer.model, answer.model) for answer in answers]
        self._stack.setCurrentWidget(self.compare)
        self.compare.start(question, answers, names)

    def _keep(self, answer: int) -> None:
        self._stack.setCurrentWidget(self.transcript)
        self.controller.acts.keep(answer)

    def _show_title(self, title: str) -> None:
        temporary = self.controller.place.temporary
        self._title.setText(title or (self.tr("Temporary chat") if temporary else self.tr("New chat")))

    def _show_place(self, temporary: bool) -> None:
        self._temporary.setVisible(temporary)
        self._show_title(self.controller.title)

    def _show_models(self, choices: list[object], current: str) -> None:
        self.picker.set_choices(choices, current)  # type: ignore[arg-type]
        self.model_changed.emit(current)
        self._both.setEnabled(len(self.controller.names) > 1)
        self._show_empty_text()
        self._show_sight()

    def _show_context(self, use: ContextUse) -> None:
        self._context.show_use(use)
        self.context_changed.emit(use)

    def _say(self, words: str, tone: str) -> None:
        self._banner.show_words(words, tone) if words else self._banner.hide()

    def _show_empty_text(self) -> None:
        if not self.controller.models.there_are:
            self._empty.show_state(
                self.tr("No model here yet"),
                self.tr(
                    "A model answers your questions on this machine. The starter model is small and answers at once."
                ),
                self.tr("Get the starter model (98 MB)"),
                self.tr("Search for models"),
            )
            return
        about = self.tr("It is answered on this machine; nothing leaves it.")
        if self.controller.place.temporary:
            about = self.tr(
                "A temporary chat: it is never written to the disk, and gone when you leave Hearth."
            )
        self._empty.show_state(self.tr("What would you like to know?"), about)

    def _fill(self) -> None:
        self.starter_requested.emit()

    # ---------------------------------------------------------------- asking

    def _submit(self, text: str) -> None:
        if self.prompts.take(text):
            return
        if not self.controller.models.there_are:
            self.search_requested.emit("")
            return
        attachments = self.composer.attachments.take()
        self.composer.set_text("")
        self._banner.hide()
        other, self._other = self._other, ""
        self._show_both()
        if self._stack.currentWidget() is self.compare:
            self._stack.setCurrentWidget(self.transcript)
        self.controller.ask(text, attachments, other)

    def _commands(self) -> Commands:
        return {
            "new": (self.tr("New chat"), self.new_chat),
            "temporary": (self.tr("New temporary chat"), self.new_temporary),
            "compare": (self.tr("Ask a second model the same"), self._choose_other),
            "system": (self.tr("System prompt of this chat"), self.prompts.ask_system),
            "prompts": (self.tr("Prompts and system prompts"), self.prompts.manage),
            "find": (self.tr("Find in this chat"), self.focus_search),
            "again": (self.tr("Answer again"), partial(self._act_on_last, "regenerate")),
            "continue": (self.tr("Continue the answer"), partial(self._act_on_last, "continue")),
        }

    def _act_on_last(self, name: str) -> None:
        answers = [entry for entry in self.controller.entries if entry.role == "assistant"]
        if answers:
            self.controller.act(answers[-1].key, name)

    def _choose_other(self) -> None:
        menu = new_menu(self)
        head = menu.addAction(self.tr("The next question is answered by a second model, too"))
        head.setEnabled(False)
        menu.addSeparator()
        for model, name in self.controller.names.items():
            if model != self.controller.model:
                action = menu.addAction(name, partial(self._take_other, model))
                action.setCheckable(True)
                action.setChecked(model == self._other)
        if self._other:
            menu.addAction(self.tr("By one model only"), partial(self._take_other, ""))
        menu.popup(self._both.mapToGlobal(QPoint(0, self._both.height())))

    def _take_other(self, model: str) -> None:
        self._other = model
        self._show_both()
        self.composer.edit.setFocus()

    def _show_both(self) -> None:
        self._both.show_icon("compare", "accent" if self._other else "text-2")
        name = self.controller.names.get(self._other, "")
        words = self.tr("Ask a second model the same")
        self._both.set_words(
            self.tr("The next question goes to {name}, too").format(name=name) if name else words
        )

    # ---------------------------------------------------------------- actions

    def _act(self, key: int, name: str) -> None:
        if name in {"load_options", "search"}:
            self._act_outside(name)
        elif name == "more":
            self._open_menu(key)
        elif name == "tokens":
            self._show_tokens(key)
        elif name == "copy_plain":
            entry = self.controller.entry(key)
            if entry is not None:
                QGuiApplication.clipboard().setText(plain_text(entry.text))
        elif name == "raw":
            self.transcript.toggle_raw(key)
        elif name == "summarise":
            self.controller.window.summarise(key)
        else:
            self.controller.act(key, name)

    def _mark(self, key: int, name: str) -> None:
        self._act(key, name)

    def _open_menu(self, key: int) -> None:
        entry = self.controller.entry(key)
        if entry is not None:
            others = {m: n for m, n in self.controller.names.items() if m != entry.model}
            menu = message_menu(self, entry, others, partial(self._act, key))
            menu.popup(self.transcript.menu_place(key))

    def _act_outside(self, name: str) -> None:
        self._banner.hide()
        if name == "search":
            self.search_requested.emit("")
        elif name in {"load_again", "retry"}:
            self.controller.choose_model(self.controller.model)
        elif name == "show_import":
            self._narrow_none()
        else:
            self.load_options_requested.emit(self.controller.model)

    def _show_tokens(self, key: int) -> None:
        store, entry = self.controller.store, self.controller.entry(key)
        if entry is None:
            return
        count = entry.usage.completion if entry.usage is not None else None

        def show(tokens: tuple[TokenLogprob, ...]) -> None:
            dialog = TokensDialog(tokens, count if count is not None or not tokens else len(tokens), self)
            dialog.ask_again.connect(lambda: self._with_probabilities(key))
            dialog.open()

        self.controller.run(lambda: store.logprobs(key), show)

    def _with_probabilities(self, key: int) -> None:
        kept = lambda _none: self.controller.act(key, "regenerate")  # noqa: E731 - two lines of one act
        tasks.run(lambda: self._settings.set("chat.logprobs", _LOGPROBS), kept, self.controller.report, self)

    # ---------------------------------------------------------------- the list

    def _narrow(self, narrow: object) -> None:
        self.list.set_narrow(narrow)  # type: ignore[arg-type]
        self.controller.shelf.narrow_to(narrow)  # type: ignore[arg-type]

    def _narrow_none(self) -> None:
        self.list.search.clear()

    def _ask_purge(self, chat: int) -> None:
        one = chat != 0
        dialog = ConfirmDialog(
            self.tr("Delete this chat for good?") if one else self.tr("Empty the bin?"),
            self.tr("It can't be taken back."),
            self.tr("Delete for good"),
            self,
        )
        dialog.accepted.connect(lambda: self.controller.shelf.purge(chat or None))
        dialog.open()

    def _choose_import(self) -> None:
        dialog = QFileDialog(self, self.tr("Import chats"))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.setNameFilter(
            self.tr("Exports of LM Studio, Open WebUI, Jan, Ollama, ChatGPT or Hearth (*.json *.jsonl *.zip)")
        )
        self._import_with(dialog)

    def _choose_import_folder(self) -> None:
        dialog = QFileDialog(self, self.tr("Import a folder of chats"))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        self._import_with(dialog)

    def _import_with(self, dialog: QFileDialog) -> None:
        shelf = self.controller.shelf
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.filesSelected.connect(lambda names: shelf.bring_in([Path(name) for name in names]))
        dialog.open()

    def _show_imported(self, result: Imported) -> None:
        chats, messages, problems = len(result.chats), result.messages, len(result.problems)
        words = []
        if chats:
            words.append(self.tr("%n chat(s) imported", "", chats))
            words.append(self.tr("with %n message(s)", "", messages))
        if problems:
            words.append(self.tr("%n file(s) could not be read", "", problems))
        tone = "good" if not problems else "warn" if chats else "bad"
        self._banner.show_words(", ".join(words) + ".", tone, details="\n".join(result.problems))

    def _export(self, chat: int) -> None:
        store = self.controller.shelf.store
        if not chat:
            chat_export.ask_and_write_all(self, store, self.controller.report, self._usage)
            return
        title = next((row.title for row in self.list.model.rows if row.id == chat), "")
        chat_export.ask_and_write(self, store, chat, title, self.controller.report, self._usage)

    def export_open(self) -> None:
        """Write the open conversation to a file; all of them when none is open."""
        self._export(self.controller.chat or 0)

    # ---------------------------------------------------------------- what is typed and attached

    def _typed(self) -> None:
        self.controller.drafts.keep(self.composer.text())
        self._tell_size()

    def _tell_size(self) -> None:
        self.controller.window.size_up(self.composer.text(), tuple(self.composer.attachments.items))
        self._show_sight()

    def _show_size(self, tokens: int | None, exact: bool) -> None:
        if tokens is None:
            self.composer.set_hint("")
            return
        count, limit = self.locale().toString(tokens), self.controller.window.use().limit
        words = self.tr("{count} tokens") if exact else self.tr("about {count} tokens")
        hint = words.format(count=count)
        if limit:
            share = self.locale().toString(100 * tokens / limit, "f", 0 if tokens * 10 > limit else 1)
            hint = self.tr("{tokens}  ·  {share} %").format(tokens=hint, share=share)
        self.composer.set_hint(hint, why=self.tr("What this question takes of the context."))

    def _attached(self, items: list[object]) -> None:
        self.composer.attachments.add(items)  # type: ignore[arg-type]

    def _show_sight(self) -> None:
        images = any(item.kind == "image" for item in self.composer.attachments.items)
        models = self.controller.models
        if not images or models.sees_images():
            self.composer.set_note("")
            return
        words = self.tr(
            "This model can't see images: the picture is kept with the chat, only the text is sent. "
            "Choose a model that sees images, or download the projector (mmproj) of this one beside it."
        )
        if why := models.why_blind():
            words = self.tr(
                "This model's projector can't be used, so only the text is sent. The engine says: {why}"
            ).format(why=why)
        self.composer.set_note(words)

    def _show_costs(self, tokens: list[int | None]) -> None:
        self.composer.attachments.set_tokens(tokens)

    def _picture(self, attachment: int) -> bytes:
        return self.controller.place.store.attachment_data(attachment)

    def _dropped(self, paths: list[Path]) -> None:
        self.controller.attach(paths)

    def _choose_files(self) -> None:
        dialog = QFileDialog(self, self.tr("Attach files"))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.filesSelected.connect(lambda names: self.controller.attach([Path(name) for name in names]))
        dialog.open()

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
        self._toggle.set_words(self.tr("Show or hide the list of chats"))
        self._system.set_words(self.tr("System prompt of this chat"))
        self._temporary.setText(self.tr("Leave it"))
        self._temporary.setToolTip(self.tr("A temporary chat is never written; a new one is kept again."))
        self._show_both()
        self._show_title(self.controller.title)
        self._show_empty_text()
        self.prompts.load()


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
