"""What the list of conversations asks of the page: filters, imports, exports, deleting for good."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QObject, Qt, QTimer
from PySide6.QtWidgets import QFileDialog, QWidget

from app.core.errors import HearthError
from app.core.events import ChatChanged
from app.ui import chat_export, save_file, tasks
from app.ui.chat_list import ChatList
from app.ui.chat_shelf import Imported, Narrow
from app.ui.dialogs.confirm import ConfirmDialog
from app.ui.errors import describe
from app.ui.widgets import Banner

if TYPE_CHECKING:
    from app.chat.store_salvage import Salvaged
    from app.ui.bridge import Bridge
    from app.ui.chat_controller import ChatController

translate = QCoreApplication.translate
_MOMENT_MS = 300


class ChatArchive(QObject):
    """Connects the list with the shelf, and asks where asking is due."""

    def __init__(
        self, page: QWidget, chats: ChatList, controller: "ChatController", banner: Banner, bridge: "Bridge"
    ) -> None:
        super().__init__(page)
        self._page, self._list, self._controller, self._banner = page, chats, controller, banner
        self._store = controller.services.chats
        self._moment = QTimer(self, singleShot=True, interval=_MOMENT_MS)
        self._moment.timeout.connect(self._say_writing)
        shelf = controller.shelf
        chats.search_changed.connect(shelf.search)
        chats.narrowed.connect(self.narrow)
        chats.renamed.connect(shelf.rename)
        chats.changed.connect(lambda chat, changes: shelf.change(chat, **changes))
        chats.folder_renamed.connect(shelf.rename_folder)
        chats.delete_requested.connect(shelf.delete)
        chats.restored.connect(shelf.restore)
        chats.purge_requested.connect(self._ask_purge)
        chats.export_requested.connect(self.export)
        chats.import_requested.connect(self._choose_files)
        chats.import_folder_requested.connect(self._choose_folder)
        chats.dropped.connect(shelf.bring_in)
        controller.imported.connect(self.show_imported)
        self._told = ""
        bridge.on(ChatChanged, self._look, self)
        self._look()

    def _look(self, _event: object = None) -> None:
        """Say at once, not with the first question, that the chats can't be written."""
        tasks.run(lambda: self._store.problem, self._tell, lambda _error: None, self)

    def _tell(self, problem: HearthError | None) -> None:
        before, self._told = self._told, "" if problem is None else problem.code
        if problem is not None and problem.code != before:
            self._banner.show_error(describe(problem))  # whatever chat is opened

    def repair(self) -> None:
        """Save what can be read of a damaged file into a new one."""
        tasks.run(self._store.repair, self._repaired, self._controller.report, self)

    def _repaired(self, saved: "Salvaged") -> None:
        count, messages = saved.conversations, saved.messages
        if (chat := self._controller.kept_chat) is not None:
            self._controller.open(chat)

        def words() -> str:
            kept = translate("ChatPage", "%n chat(s) could be saved,", "", count)
            inside = translate("ChatPage", "with %n message(s)", "", messages)
            aside = translate("ChatPage", "The damaged file is kept as {name}.").format(
                name=saved.damaged.name
            )
            return f"{kept} {inside}. {aside}"

        folder = str(saved.damaged.parent)
        label = lambda: translate("ChatPage", "Open the folder")  # noqa: E731 - follows the language
        self._banner.show_words(words, "warn", label, "open_folder", about=folder)

    def narrow(self, narrow: Narrow) -> None:
        """List only these."""
        self._list.set_narrow(narrow)
        self._controller.shelf.narrow_to(narrow)

    def _ask_purge(self, chat: int) -> None:
        one = chat != 0
        dialog = ConfirmDialog(
            translate("ChatPage", "Delete this chat for good?")
            if one
            else translate("ChatPage", "Empty the bin?"),
            translate("ChatPage", "It can't be taken back."),
            translate("ChatPage", "Delete for good"),
            self._page,
        )
        dialog.accepted.connect(lambda: self._controller.shelf.purge(chat or None))
        dialog.open()

    # ---------------------------------------------------------------- in

    def _choose_files(self) -> None:
        words = translate("ChatPage", "Import chats")
        dialog = QFileDialog(self._page, words, str(save_file.documents()))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.setNameFilter(
            translate(
                "ChatPage",
                "Exports of LM Studio, Open WebUI, Jan, Ollama, ChatGPT or Hearth (*.json *.jsonl *.zip)",
            )
        )
        self._import_with(dialog)

    def _choose_folder(self) -> None:
        words = translate("ChatPage", "Import a folder of chats")
        dialog = QFileDialog(self._page, words, str(save_file.documents()))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        self._import_with(dialog)

    def _import_with(self, dialog: QFileDialog) -> None:
        shelf = self._controller.shelf
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.filesSelected.connect(lambda names: shelf.bring_in([Path(name) for name in names]))
        dialog.open()

    def show_imported(self, result: Imported) -> None:
        """Say what came of an import."""
        tone = "good" if not result.problems else "warn" if result.chats else "bad"
        details = "\n".join(result.problems)
        self._banner.show_words(lambda: _imported_words(result), tone, details=details)

    # ---------------------------------------------------------------- out

    def export(self, chat: int) -> None:
        """Write a conversation to a file; 0: all of them."""
        controller = self._controller
        store, usage = controller.shelf.store, getattr(controller.services, "usage", None)
        if not chat:
            folder = lambda path: self._write(lambda: chat_export.write_all(store, path, usage), path)  # noqa: E731
            chat_export.ask_folder(self._page, folder)
            return
        title = next((row.title for row in self._list.model.rows if row.id == chat), "")
        file = lambda path: self._write(lambda: chat_export.write_one(store, chat, path, usage), path)  # noqa: E731
        chat_export.ask_file(self._page, title, file)

    def _write(self, work: Callable[[], int], path: Path) -> None:
        """Say that it goes on where it takes a moment, and what came of it."""
        self._moment.start()
        tasks.run(work, lambda count: self._written(count, path), self._not_written, self, long=True)

    def _say_writing(self) -> None:
        self._banner.show_words(lambda: translate("ChatPage", "Exporting…"))

    def _not_written(self, error: Exception) -> None:
        self._moment.stop()
        self._controller.report(error)

    def _written(self, count: int, path: Path) -> None:
        self._moment.stop()
        folder = path if path.is_dir() else path.parent
        self._banner.show_words(
            lambda: translate("ChatPage", "%n chat(s) exported to {path}.", "", count).format(path=path),
            "good",
            lambda: translate("ChatPage", "Open the folder"),
            "open_folder",
            about=str(folder),
        )


def _imported_words(result: Imported) -> str:
    chats, messages, problems = len(result.chats), result.messages, len(result.problems)
    words = []
    if chats:
        words.append(translate("ChatPage", "%n chat(s) imported", "", chats))
        words.append(translate("ChatPage", "with %n message(s)", "", messages))
    if problems:
        words.append(translate("ChatPage", "%n file(s) could not be read", "", problems))
    return ", ".join(words) + "."
