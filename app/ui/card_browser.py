"""Shows a model card safely: Markdown without HTML; pictures only when asked for, and never fetched by the view."""

import math
from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QSize, QSizeF, Qt, QUrl
from PySide6.QtGui import QDesktopServices, QImage, QTextCursor, QTextDocument, QTextFormat
from PySide6.QtWidgets import QTextBrowser, QWidget

from app.core.pictures import measure
from app.ui.card_text import images, plain_card, without_images
from app.ui.picture_files import small

_PIXELS = 25_000_000
"""A picture with more is not decoded: a few bytes can promise gigabytes."""
_ROOM = QSize(560, 1 << 16)


class CardBrowser(QTextBrowser):
    """A model card. ``pictures`` are the addresses it names; ``show_pictures`` puts those in that were fetched."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.pictures: list[str] = []
        self.repo_url = ""
        """Where relative links lead."""
        self._text = ""
        self._fetched: dict[str, QImage] = {}
        self.setOpenLinks(False)
        self.setFrameShape(QTextBrowser.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.anchorClicked.connect(self._open)
        self.document().documentLayout().documentSizeChanged.connect(self._fit)

    @property
    def has_pictures(self) -> bool:
        """Whether any of its pictures is shown."""
        return bool(self._fetched)

    def loadResource(self, kind: int, name: QUrl | str) -> Any:
        address = name.toString() if isinstance(name, QUrl) else name
        return self._fetched.get(address) if kind == QTextDocument.ResourceType.ImageResource.value else None

    def _fit(self, size: QSizeF) -> None:
        # As high as its text: the page around it scrolls.
        bar = self.horizontalScrollBar()
        self.setFixedHeight(math.ceil(size.height()) + (bar.height() if bar.isVisible() else 0) + 4)

    def _open(self, url: QUrl) -> None:
        whole = QUrl(f"{self.repo_url}/").resolved(url) if self.repo_url else url
        if whole.scheme() in {"http", "https"} and not url.toString().startswith("#"):
            QDesktopServices.openUrl(whole)

    def show_markdown(self, text: str) -> None:
        """Replace the content; pictures are left out until they are asked for."""
        self._text, self._fetched = plain_card(text), {}
        self.pictures = images(self._text)
        self._render(without_images(self._text))

    def show_pictures(self, fetched: Mapping[str, QImage]) -> None:
        """Put pictures in, by the addresses in ``pictures``; those that could not be decoded stay out."""
        self._fetched = {address: image for address, image in fetched.items() if not image.isNull()}
        self._render(without_images(self._text, keep=self._fetched))

    def _render(self, text: str) -> None:
        dialect = QTextDocument.MarkdownFeature
        self.document().setMarkdown(text, dialect.MarkdownDialectGitHub | dialect.MarkdownNoHTML)
        self._calm_headings()

    def _calm_headings(self) -> None:
        # A card's headings are smaller than the page's own.
        block = self.document().begin()
        while block.isValid():
            if level := block.blockFormat().headingLevel():
                cursor = QTextCursor(block)
                cursor.select(QTextCursor.SelectionType.BlockUnderCursor)
                style = cursor.charFormat()
                style.setProperty(QTextFormat.Property.FontSizeAdjustment, max(0, 2 - level))
                cursor.setCharFormat(style)
            block = block.next()


def decoded(data: bytes) -> QImage:
    """A picture as wide as a card shows it; null for what is damaged or too large. For any thread."""
    try:
        if measure(data).pixels > _PIXELS:
            return QImage()
    except ValueError:
        return QImage()
    return small(data, _ROOM)
