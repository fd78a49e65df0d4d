"""What a search leaves out: task, size, architecture, licence, publisher, access, what does not fit here."""

from PySide6.QtCore import QEvent, QTimer, Signal
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QCheckBox, QComboBox, QFrame, QLineEdit, QWidget

from app.models.hub_types import SearchFilters
from app.ui.flow import FlowLayout
from app.ui.visits import Wanted
from app.ui.widgets import make_button

_SETTLE_MS = 500
_BILLION = 10**9
TASKS = ("text-generation", "image-text-to-text", "feature-extraction", "text-ranking", "any-to-any")
SIZES = ((None, 2), (2, 5), (5, 10), (10, 20), (20, 50), (50, None))
ARCHITECTURES = (
    "llama", "qwen2", "qwen3", "qwen3moe", "qwen3next", "gemma2", "gemma3", "gemma3n", "gpt-oss", "phi3", "mistral3",
    "deepseek2", "glm4", "glm4moe", "granite", "command-r", "falcon-h1", "bert", "nomic-bert",
)  # fmt: skip
LICENCES = (
    "apache-2.0", "mit", "gemma", "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4", "cc-by-4.0",
    "cc-by-nc-4.0", "openrail", "other",
)  # fmt: skip


class FilterBar(QFrame):
    """``changed`` when another choice was made; ``choice`` is what was chosen."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.task, self.size_, self.architecture = QComboBox(self), QComboBox(self), QComboBox(self)
        self.licence, self.access, self.publisher = QComboBox(self), QComboBox(self), QLineEdit(self)
        self.fits, self.qat = QCheckBox(self), QCheckBox(self)
        self.clear = make_button(self.reset, "link", self, compact=True)
        self._settle = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._settle.timeout.connect(self.changed)
        self._fill()
        self._lay_out()
        self._retranslate()

    def _fill(self) -> None:
        self.task.addItem("", "")
        for task in TASKS:
            self.task.addItem("", task)
        self.size_.addItem("", (None, None))
        for bounds in SIZES:
            self.size_.addItem("", bounds)
        for box, values in ((self.architecture, ARCHITECTURES), (self.licence, LICENCES)):
            box.addItem("", "")
            for value in values:
                box.addItem(value, value)
        for gated in (None, False, True):
            self.access.addItem("", gated)
        self.publisher.setClearButtonEnabled(True)

    def _lay_out(self) -> None:
        flow = FlowLayout(self, gap=8, line_gap=8)
        flow.setContentsMargins(24, 10, 16, 10)
        for widget in self._boxes():
            widget.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
            widget.activated.connect(lambda _at: self.changed.emit())
            flow.addWidget(widget)
        self.publisher.textEdited.connect(lambda _text: self._settle.start())
        self.publisher.returnPressed.connect(self._now)
        flow.addWidget(self.publisher)
        for check in (self.fits, self.qat):
            check.setMinimumHeight(32)
            check.clicked.connect(lambda _on: self.changed.emit())
            flow.addWidget(check)
        self.clear.setMinimumHeight(32)
        flow.addWidget(self.clear)

    def _boxes(self) -> tuple[QComboBox, ...]:
        return self.task, self.size_, self.architecture, self.licence, self.access

    def _now(self) -> None:
        self._settle.stop()
        self.changed.emit()

    # ------------------------------------------------------------------ the choice

    def choice(self, wanted: Wanted) -> Wanted:
        """The same search with what is chosen here."""
        low, high = self.size_.currentData()
        filters = SearchFilters(
            author=self.publisher.text().strip(),
            task=self.task.currentData(),
            license=self.licence.currentData(),
            architecture=self.architecture.currentData(),
            gated=self.access.currentData(),
            min_parameters=low and low * _BILLION,
            max_parameters=high and high * _BILLION,
            qat=self.qat.isChecked(),
        )
        return Wanted(wanted.words, wanted.sort, filters, self.fits.isChecked())

    def show_choice(self, wanted: Wanted) -> None:
        """Put a search's filters into the fields."""
        filters = wanted.filters
        low, high = filters.min_parameters, filters.max_parameters
        bounds = (low and low // _BILLION, high and high // _BILLION)
        for box, value in (
            (self.task, filters.task),
            (self.architecture, filters.architecture),
            (self.licence, filters.license),
            (self.access, filters.gated),
            (self.size_, bounds),
        ):
            box.setCurrentIndex(next((at for at in range(box.count()) if box.itemData(at) == value), 0))
        self.publisher.setText(filters.author)
        self.fits.setChecked(wanted.fits)
        self.qat.setChecked(filters.qat)

    def count(self) -> int:
        """How many filters are on."""
        chosen = sum(box.currentIndex() > 0 for box in self._boxes())
        return chosen + bool(self.publisher.text().strip()) + self.fits.isChecked() + self.qat.isChecked()

    def reset(self) -> None:
        """Take all of them off."""
        self.show_choice(Wanted())
        self.changed.emit()

    # ------------------------------------------------------------------ words

    def _retranslate(self) -> None:
        tasks = {
            "": self.tr("Any task"),
            "text-generation": self.tr("Text"),
            "image-text-to-text": self.tr("Text and images"),
            "feature-extraction": self.tr("Embedding"),
            "text-ranking": self.tr("Reranking"),
            "any-to-any": self.tr("Several kinds at once"),
        }
        for at in range(self.task.count()):
            self.task.setItemText(at, tasks[self.task.itemData(at)])
        for at in range(self.size_.count()):
            self.size_.setItemText(at, self._size_words(*self.size_.itemData(at)))
        self.architecture.setItemText(0, self.tr("Any architecture"))
        self.licence.setItemText(0, self.tr("Any licence"))
        for at, text in enumerate((self.tr("Open or gated"), self.tr("Open"), self.tr("Gated"))):
            self.access.setItemText(at, text)
        self.publisher.setPlaceholderText(self.tr("Publisher"))
        self.fits.setText(self.tr("Fits this machine"))
        self.fits.setToolTip(self.tr("Its usual quant (about 5 bits a weight) fits into memory here."))
        self.qat.setText(self.tr("Trained for quantization (QAT)"))
        self.clear.setText(self.tr("Clear"))
        self._name()
        self.publisher.setFixedWidth(QFontMetrics(self.publisher.font()).averageCharWidth() * 18 + 36)

    def _name(self) -> None:
        for widget, words in (
            (self.task, self.tr("Task")),
            (self.size_, self.tr("Size")),
            (self.architecture, self.tr("Architecture")),
            (self.licence, self.tr("Licence")),
            (self.access, self.tr("Access")),
            (self.publisher, self.tr("Publisher")),
            (self.clear, self.tr("Clear all filters")),
        ):
            widget.setAccessibleName(words)

    def _size_words(self, low: int | None, high: int | None) -> str:
        if low is None and high is None:
            return self.tr("Any size")
        if low is None:
            return self.tr("Up to {high}B parameters").format(high=high)
        if high is None:
            return self.tr("Over {low}B parameters").format(low=low)
        return self.tr("{low}B to {high}B parameters").format(low=low, high=high)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
        super().changeEvent(event)
