"""Shows a model card safely: Markdown without HTML, and nothing is ever fetched for it."""

from typing import Any

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices, QTextDocument
from PySide6.QtWidgets import QTextBrowser, QWidget


class CardBrowser(QTextBrowser):
    """A model card: Markdown without HTML, and nothing is ever fetched for it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setOpenLinks(False)
        self.setFrameShape(QTextBrowser.Shape.NoFrame)
        self.anchorClicked.connect(self._open)

    def loadResource(self, _kind: int, _name: QUrl | str) -> Any:
        return None

    @staticmethod
    def _open(url: QUrl) -> None:
        if url.scheme() in {"http", "https"}:
            QDesktopServices.openUrl(url)

    def show_markdown(self, text: str) -> None:
        """Replace the content."""
        dialect = QTextDocument.MarkdownFeature
        self.document().setMarkdown(text, dialect.MarkdownDialectGitHub | dialect.MarkdownNoHTML)
        self.verticalScrollBar().setValue(0)
