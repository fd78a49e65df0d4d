"""Write a conversation to a file the reader chooses: Markdown, HTML, PDF or JSON (which comes back as it was)."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QLocale, Qt
from PySide6.QtWidgets import QFileDialog, QWidget

from app.ui import save_file
from app.ui.errors import describe

if TYPE_CHECKING:
    from app.chat.store import ChatStore
    from app.chat.transfer_words import Speech
    from app.planning.usage import UsageStore

SUFFIXES = (".md", ".html", ".pdf", ".json")


def content(store: "ChatStore", chat: int, suffix: str, usage: "UsageStore | None" = None) -> str | bytes:
    """The conversation in the format of a file name's ending; anything unknown is Markdown. ``usage`` knows what
    energy the answers took."""
    from app.chat import answer_energy, transfer, transfer_text  # noqa: PLC0415 - only when something is exported

    if suffix == ".json":
        return transfer.to_json_text(store, [chat], usage)
    conversation, messages = store.conversation(chat), store.messages(chat)
    energy = usage.chat(conversation.key) if usage is not None else None
    answers = answer_energy.of_answers(messages, usage.answers(conversation.key)) if usage is not None else {}
    if suffix == ".pdf":
        from app.ui import chat_pdf  # noqa: PLC0415 - only when something is exported

        return chat_pdf.to_pdf(conversation, messages, energy, store.attachment_data, answers, _speech())
    draw = transfer_text.to_html if suffix == ".html" else transfer_text.to_markdown
    return draw(conversation, messages, energy, store.attachment_data, answers, _speech())


def _speech() -> "Speech":
    """The window's language, for what stands around the messages."""
    from app.chat.transfer_words import Speech  # noqa: PLC0415 - only when something is exported

    return Speech(
        lambda text: QCoreApplication.translate("Export", text),
        QLocale().decimalPoint(),
        lambda error: describe(error).sentence,
    )


def ask_file(parent: QWidget, title: str, then: Callable[[Path], object]) -> None:
    """Ask for a file; its ending chooses the format."""
    filters = (
        QCoreApplication.translate("Export", "Markdown (*.md)"),
        QCoreApplication.translate("Export", "Web page (*.html)"),
        QCoreApplication.translate("Export", "PDF (*.pdf)"),
        QCoreApplication.translate("Export", "Hearth, with every version (*.json)"),
    )
    words = QCoreApplication.translate("Export", "Export the chat")
    dialog = QFileDialog(parent, words, str(save_file.documents() / f"{safe_name(title)}.md"))
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setNameFilters(filters)
    dialog.filterSelected.connect(lambda chosen: dialog.setDefaultSuffix(SUFFIXES[filters.index(chosen)][1:]))
    dialog.fileSelected.connect(lambda path: then(Path(path)))
    dialog.open()


def ask_folder(parent: QWidget, then: Callable[[Path], object]) -> None:
    """Ask for a folder for all conversations."""
    words = QCoreApplication.translate("Export", "A folder for all chats")
    dialog = QFileDialog(parent, words, str(save_file.documents()))
    dialog.setFileMode(QFileDialog.FileMode.Directory)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.fileSelected.connect(lambda path: then(Path(path)))
    dialog.open()


def write_one(store: "ChatStore", chat: int, path: Path, usage: "UsageStore | None" = None) -> int:
    """A conversation into a file, whose ending chooses the format; 1."""
    from app.chat import transfer  # noqa: PLC0415

    transfer.write(path, content(store, chat, path.suffix.lower(), usage))
    return 1


def write_all(store: "ChatStore", folder: Path, usage: "UsageStore | None" = None) -> int:
    """Every conversation as Markdown, web page and PDF, and ``hearth-chats.json`` with all versions; how many."""
    from app.chat import transfer  # noqa: PLC0415

    chats = store.conversations()
    taken: set[str] = set()
    for chat in chats:
        name = safe_name(chat.title)
        while name.casefold() in taken:
            name = f"{safe_name(chat.title)} {chat.id}" if name == safe_name(chat.title) else name + "-"
        taken.add(name.casefold())
        for suffix in (".md", ".html", ".pdf"):
            transfer.write(folder / f"{name}{suffix}", content(store, chat.id, suffix, usage))
    numbers = [chat.id for chat in chats]
    transfer.write(folder / "hearth-chats.json", transfer.to_json_text(store, numbers, usage))
    return len(chats)


def safe_name(title: str) -> str:
    """A title as a file name every system takes."""
    kept = "".join(letter if letter.isalnum() or letter in " -_.," else " " for letter in title)
    return " ".join(kept.split())[:80].rstrip(" .") or "chat"
