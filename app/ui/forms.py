"""Fields drawn from the settings' own declaration: one row each, with its help, its bounds and what is wrong."""

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QCoreApplication, QEvent, Qt, QTimer, Signal
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from app.core.settings import SettingInfo
from app.ui import tasks
from app.ui.errors import describe
from app.ui.widgets import IconButton, make_label, pad_spin, set_property

if TYPE_CHECKING:
    from app.core.settings import SettingsStore

_SETTLE_MS = 400
_FIELD_WIDTH = 280


def setting_words(text: str) -> str:
    """A title, help or choice in the language in force."""
    return QCoreApplication.translate("Settings", text) if text else ""


class _Whole(QSpinBox):
    """Does not change when someone scrolls past it."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class _Real(QDoubleSpinBox):
    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class _Choice(QComboBox):
    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class SettingRow(QWidget):
    """Title and help at the left, the field at the right; kept as soon as it settles."""

    saved = Signal(str)

    def __init__(self, info: SettingInfo, store: "SettingsStore", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.info, self._store = info, store
        self.title = make_label(parent=self, wrap=True)
        self.help = make_label("secondary", self, wrap=True)
        self.problem = make_label("bad", self, wrap=True)
        self.problem.hide()
        self._settle = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._settle.timeout.connect(self._save)
        self.field = self._make_field()
        self.reset = IconButton("undo", self._reset, self)
        self._lay_out()
        self.show_value(store.get(info.key))
        self.retranslate()

    def _lay_out(self) -> None:
        texts = QVBoxLayout()
        texts.setSpacing(2)
        for label in (self.title, self.help, self.problem):
            texts.addWidget(label)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 10, 0, 10)
        row.setSpacing(16)
        if self.info.multiline:
            texts.addWidget(self.field)
            row.addLayout(texts, 1)
        else:
            row.addLayout(texts, 1)
            row.addWidget(self.field, 0, Qt.AlignmentFlag.AlignVCenter)
            self.field.setFixedWidth(_FIELD_WIDTH)
        row.addWidget(self.reset, 0, Qt.AlignmentFlag.AlignVCenter)
        policy = self.reset.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.reset.setSizePolicy(policy)

    # ------------------------------------------------------------------ the field

    def _make_field(self) -> QWidget:
        kind = {"bool": self._bool, "int": self._int, "float": self._float, "choice": self._choice}
        return kind.get(self.info.kind, self._text)()

    def _bool(self) -> QWidget:
        field = QCheckBox(self)
        field.toggled.connect(lambda _on: self._save())
        return field

    def _int(self) -> QWidget:
        field = _Whole(self)
        pad_spin(field)
        field.setRange(_bound(self.info.low, -(2**31)), _bound(self.info.high, 2**31 - 1))
        field.setGroupSeparatorShown((self.info.high or 0) > 65535)
        field.valueChanged.connect(lambda _value: self._settle.start())
        return field

    def _float(self) -> QWidget:
        field = _Real(self)
        pad_spin(field)
        low, high = self.info.low, self.info.high
        field.setRange(-1e9 if low is None else low, 1e9 if high is None else high)
        field.setDecimals(2 if (high or 0) <= 1000 else 0)
        field.setSingleStep(0.05 if (high or 0) <= 10 else 1)
        field.valueChanged.connect(lambda _value: self._settle.start())
        return field

    def _choice(self) -> QWidget:
        field = _Choice(self)
        default = str(self.info.default)
        others = [choice for choice in self.info.choices if choice != default]
        for choice in (default, *others):
            field.addItem(choice, choice)
        field.activated.connect(lambda _at: self._save())
        return field

    def _text(self) -> QWidget:
        if self.info.multiline:
            area = QPlainTextEdit(self)
            area.setProperty("role", "field")
            area.setTabChangesFocus(True)
            area.setFixedHeight(88)
            area.textChanged.connect(self._settle.start)
            return area
        field = QLineEdit(self)
        if self.info.secret:
            field.setEchoMode(QLineEdit.EchoMode.PasswordEchoOnEdit)
        field.editingFinished.connect(self._save)
        field.textEdited.connect(lambda _text: self._settle.start())
        return field

    def value(self) -> Any:
        """What the field holds, in the setting's type."""
        field = self.field
        if isinstance(field, QCheckBox):
            return field.isChecked()
        if isinstance(field, QSpinBox | QDoubleSpinBox):
            return field.value()
        if isinstance(field, QComboBox):
            return field.currentData()
        return field.toPlainText() if isinstance(field, QPlainTextEdit) else self._line().text().strip()

    def _line(self) -> QLineEdit:
        assert isinstance(self.field, QLineEdit)
        return self.field

    def show_value(self, value: Any) -> None:
        """Put a value into the field without saving it."""
        field = self.field
        self._update_reset(value)
        if self.value() == value:
            return
        field.blockSignals(True)
        if isinstance(field, QCheckBox):
            field.setChecked(bool(value))
        elif isinstance(field, QSpinBox | QDoubleSpinBox):
            field.setValue(value)
        elif isinstance(field, QComboBox):
            field.setCurrentIndex(field.findData(value))
        elif isinstance(field, QPlainTextEdit):
            field.setPlainText(str(value))
        else:
            self._line().setText(str(value))
        field.blockSignals(False)

    # ------------------------------------------------------------------ keeping

    def _save(self) -> None:
        self._settle.stop()
        value = self.value()
        tasks.run(lambda: self._store.set(self.info.key, value), self._kept, self._refused, self)

    def _kept(self, _none: object) -> None:
        self.problem.hide()
        set_property(self.field, "invalid", False)
        self._update_reset(self.value())
        self.saved.emit(self.info.key)

    def _refused(self, error: Exception) -> None:
        self.problem.setText(describe(error).sentence)
        self.problem.show()
        set_property(self.field, "invalid", True)

    def _reset(self) -> None:
        self.show_value(self.info.default)
        self._save()

    def _update_reset(self, value: Any) -> None:
        self.reset.setVisible(value != self.info.default)

    def flush(self) -> None:
        """Save what has not settled yet."""
        if self._settle.isActive():
            self._save()

    def retranslate(self) -> None:
        """Put the texts in place again."""
        title, help_ = setting_words(self.info.title), setting_words(self.info.help)
        self.title.setText(title)
        self.help.setText(help_)
        self.help.setVisible(bool(help_))
        self.field.setAccessibleName(title)
        self.field.setAccessibleDescription(help_)
        self.reset.set_words(self.tr("Back to the default: {value}").format(value=self._default_words()))
        if isinstance(self.field, QComboBox):
            for at in range(self.field.count()):
                self.field.setItemText(at, choice_words(self.info.key, str(self.field.itemData(at))))

    def _default_words(self) -> str:
        default = self.info.default
        if isinstance(default, bool):
            return self.tr("on") if default else self.tr("off")
        return choice_words(self.info.key, str(default)) or self.tr("empty")

    def matches(self, words: list[str]) -> bool:
        """True when every word is in the title, help or key."""
        text = f"{self.title.text()} {self.help.text()} {self.info.title} {self.info.key}".lower()
        return all(word in text for word in words)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self.retranslate()
        super().changeEvent(event)


def choice_words(key: str, value: str) -> str:
    """A choice as people read it; technical values stay as they are."""
    known = {
        "system": QCoreApplication.translate("Choices", "Follow the system"),
        "light": QCoreApplication.translate("Choices", "Light"),
        "dark": QCoreApplication.translate("Choices", "Dark"),
        "en": "English",
        "vi": "Tiếng Việt",
        "auto": QCoreApplication.translate("Choices", "Automatic"),
        "on": QCoreApplication.translate("Choices", "On"),
        "off": QCoreApplication.translate("Choices", "Off"),
        "none": QCoreApplication.translate("Choices", "None"),
        "layer": QCoreApplication.translate("Choices", "By layer"),
        "row": QCoreApplication.translate("Choices", "By row"),
        "model": QCoreApplication.translate("Choices", "As the model says"),
        "same": QCoreApplication.translate("Choices", "Same as K"),
    }
    return known.get(value, value) if not key.endswith("_model") else value


def _bound(value: float | None, otherwise: int) -> int:
    return otherwise if value is None else max(-(2**31), min(2**31 - 1, int(value)))
