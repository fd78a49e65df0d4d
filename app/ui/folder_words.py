"""What kind of folder models lie in, in plain words."""

from PySide6.QtCore import QCoreApplication


def folder_words(kind: str) -> str:
    """A ``FolderKind`` as people call it."""
    return {
        "own": QCoreApplication.translate("Folders", "Hearth's own folder"),
        "huggingface": QCoreApplication.translate("Folders", "Hugging Face's cache"),
        "lmstudio": QCoreApplication.translate("Folders", "LM Studio's models"),
        "ollama": QCoreApplication.translate("Folders", "Ollama's store"),
    }.get(kind, QCoreApplication.translate("Folders", "Added folder"))
