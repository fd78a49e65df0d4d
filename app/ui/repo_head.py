"""The top of a repository's page: its name, its facts as chips, and what its file's header says."""

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.core.types import GgufSummary
from app.models.hub_types import RepoDetail
from app.ui import theme, words
from app.ui.flow import FlowLayout
from app.ui.levels import mark
from app.ui.widgets import Elided, make_button, make_label

_TAGS = 4
_DULL = (
    "gguf", "transformers", "safetensors", "pytorch", "endpoints_compatible", "autotrain_compatible", "quantized",
    "text-generation", "text-generation-inference", "custom_code", "llama.cpp", "conversational", "imatrix",
)  # fmt: skip


def telling_tags(detail: RepoDetail) -> list[str]:
    """Tags that say something the other chips don't."""
    known = {*_DULL, detail.architecture or "", detail.license or "", detail.task or ""}
    return [tag for tag in detail.tags if ":" not in tag and tag.lower() not in known]


class RepoHead(QWidget):
    """``page_asked``: open the repository in the browser; ``compare_asked``: measure its quants that are here."""

    page_asked = Signal()
    compare_asked = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._detail: RepoDetail | None = None
        self._summary: GgufSummary | None = None
        self.name = Elided("text", self, middle=True)
        self.page = make_button(self.page_asked.emit, "", self, compact=True)
        self.compare = make_button(self.compare_asked.emit, "", self, compact=True)
        mark(self.compare, "full")
        self.chips = FlowLayout(gap=6, line_gap=4)
        self.header = make_label("secondary", self, wrap=True)
        font = theme.font("chat")
        font.setBold(True)
        self.name.setFont(font)
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(self.name, 1)
        head.addWidget(self.compare)
        head.addWidget(self.page)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(head)
        column.addLayout(self.chips)
        column.addWidget(self.header)
        self.retranslate()

    def show_detail(self, detail: RepoDetail) -> None:
        """Another repository; its header is not known yet."""
        self._detail, self._summary = detail, None
        self.name.setText(detail.id)
        self._fill()

    def show_summary(self, summary: GgufSummary | None) -> None:
        """What a file's header says."""
        self._summary = summary
        self._fill()

    def _fill(self) -> None:
        self.chips.clear()
        if self._detail is None:
            return
        for text, tip in self._chip_texts(self._detail):
            chip = QLabel(text, self)
            chip.setTextFormat(Qt.TextFormat.PlainText)
            chip.setProperty("role", "chip")
            chip.setToolTip(tip)
            self.chips.addWidget(chip)
            chip.show()
        self.header.setText(self._header_words())
        self.header.setVisible(bool(self.header.text()))
        self.updateGeometry()

    def _chip_texts(self, detail: RepoDetail) -> list[tuple[str, str]]:
        chips = [(words.parameters(detail.parameters), self.tr("Parameters"))]
        chips.append((detail.architecture or "", self.tr("Architecture")))
        if detail.context_length:
            count = words.tokens(detail.context_length)
            chips.append((self.tr("{count} context").format(count=count), self.tr("Trained context")))
        chips.append((detail.license or "", self.tr("Licence")))
        if detail.gated:
            chips.append((self.tr("gated"), self.tr("Its licence must be accepted before a download.")))
        chips += self._popularity(detail)
        tags = telling_tags(detail)
        chips += [(tag, self.tr("Tag")) for tag in tags[:_TAGS]]
        if len(tags) > _TAGS:
            chips.append((f"+{len(tags) - _TAGS}", ", ".join(tags[_TAGS:])))
        return [(text, tip) for text, tip in chips if text]

    def _popularity(self, detail: RepoDetail) -> list[tuple[str, str]]:
        chips = []
        if detail.downloads is not None:
            count = words.short_count(detail.downloads)
            chips.append((self.tr("{count} downloads a month").format(count=count), ""))
        if detail.updated:
            chips.append((words.ago(detail.updated), self.tr("Last change")))
        return chips

    def _header_words(self) -> str:
        known = self._summary
        if known is None:
            return ""
        parts = []
        if known.block_count:
            parts.append(self.tr("%n layer(s)", "", known.block_count))
        if known.expert_count:
            text = self.tr("{used} of {count} experts at a time")
            parts.append(text.format(used=known.expert_used_count or "?", count=known.expert_count))
        if known.vocab_size:
            parts.append(
                self.tr("{count} words in its vocabulary").format(count=words.number(known.vocab_size))
            )
        if known.sliding_window:
            text = self.tr("window of {count} tokens")
            parts.append(text.format(count=words.number(known.sliding_window)))
        parts.append(self.tr("chat template") if known.has_template else self.tr("no chat template"))
        return self.tr("From the file's header: {facts}.").format(facts=", ".join(parts))

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self.retranslate()
        super().changeEvent(event)

    def retranslate(self) -> None:
        """Put the texts in place again."""
        self.compare.setText(self.tr("Compare quants"))
        self.compare.setToolTip(self.tr("Measures those that are on this machine"))
        self.page.setText(self.tr("Page on the Hub"))
        self._fill()
