"""The field of one setting, from its declaration: made, read, filled and put into words."""

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QCoreApplication, QLocale
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QLineEdit,
    QPlainTextEdit,
    QSpinBox,
    QWidget,
)

from app.core.settings import SettingInfo
from app.ui.widgets import pad_spin


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
    def textFromValue(self, value: float) -> str:
        text = super().textFromValue(value)
        if self.decimals() <= 2:
            return text
        return text.rstrip("0").rstrip(".,")

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


def make_field(
    info: SettingInfo, parent: QWidget, settles: Callable[[], object], settled: Callable[[], object]
) -> QWidget:
    """A field within the setting's bounds. ``settles`` is called while someone types or turns, ``settled`` when a
    choice is made or the field is left."""
    kinds = {"bool": _bool, "int": _int, "float": _float, "choice": _choice}
    return kinds.get(info.kind, _text)(info, parent, settles, settled)


Call = Callable[[], object]


def _bool(_info: SettingInfo, parent: QWidget, _settles: Call, settled: Call) -> QWidget:
    field = QCheckBox(parent)
    field.toggled.connect(lambda _on: settled())
    return field


def _int(info: SettingInfo, parent: QWidget, settles: Call, _settled: Call) -> QWidget:
    field = _Whole(parent)
    pad_spin(field)
    field.setRange(_bound(info.low, -(2**31)), _bound(info.high, 2**31 - 1))
    field.setGroupSeparatorShown((info.high or 0) > 65535)
    field.valueChanged.connect(lambda _value: settles())
    return field


def _float(info: SettingInfo, parent: QWidget, settles: Call, _settled: Call) -> QWidget:
    field = _Real(parent)
    pad_spin(field)
    low, high = info.low, info.high
    field.setRange(-1e9 if low is None else low, 1e9 if high is None else high)
    field.setDecimals(2 if (high or 0) <= 1000 else 4)  # prices have four, and seldom need them
    field.setSingleStep(0.05 if (high or 0) <= 10 else 1)
    field.valueChanged.connect(lambda _value: settles())
    return field


def _choice(info: SettingInfo, parent: QWidget, _settles: Call, settled: Call) -> QWidget:
    field = _Choice(parent)
    default = str(info.default)
    others = [choice for choice in info.choices if choice != default]
    for choice in (default, *others):
        field.addItem(choice, choice)
    field.activated.connect(lambda _at: settled())
    return field


def _text(info: SettingInfo, parent: QWidget, settles: Call, settled: Call) -> QWidget:
    if info.multiline:
        area = QPlainTextEdit(parent)
        area.setProperty("role", "field")
        area.setTabChangesFocus(True)
        area.setFixedHeight(88)
        area.textChanged.connect(settles)
        return area
    field = QLineEdit(parent)
    if info.secret:
        field.setEchoMode(QLineEdit.EchoMode.PasswordEchoOnEdit)
    field.editingFinished.connect(settled)
    field.textEdited.connect(lambda _text: settles())
    return field


def field_value(field: QWidget) -> Any:
    """What a field holds, in the setting's type."""
    if isinstance(field, QCheckBox):
        return field.isChecked()
    if isinstance(field, QSpinBox | QDoubleSpinBox):
        return field.value()
    if isinstance(field, QComboBox):
        return field.currentData()
    if isinstance(field, QPlainTextEdit):
        return field.toPlainText()
    assert isinstance(field, QLineEdit)
    return field.text().strip()


def fill_field(field: QWidget, value: Any) -> None:
    """Put a value into a field without a word to whoever listens to it."""
    if field_value(field) == value:
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
    elif isinstance(field, QLineEdit):
        field.setText(str(value))
    field.blockSignals(False)


def name_choices(key: str, field: QWidget) -> None:
    """Put the choices of a combo box into words again, and numbers into the separators of the language in force."""
    field.setLocale(QLocale())
    if isinstance(field, QComboBox):
        for at in range(field.count()):
            field.setItemText(at, choice_words(key, str(field.itemData(at))))


def choice_words(key: str, value: str) -> str:
    """A choice as people read it; technical values stay as they are."""
    known = {
        "system": QCoreApplication.translate("Choices", "Follow the system"),
        "light": QCoreApplication.translate("Choices", "Light"),
        "dark": QCoreApplication.translate("Choices", "Dark"),
        "contrast-light": QCoreApplication.translate("Choices", "High contrast, light"),
        "contrast-dark": QCoreApplication.translate("Choices", "High contrast, dark"),
        "simple": QCoreApplication.translate("Choices", "Simple"),
        "full": QCoreApplication.translate("Choices", "Full"),
        "developer": QCoreApplication.translate("Choices", "Developer"),
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
        "relaxed": QCoreApplication.translate("Choices", "Relaxed"),
        "balanced": QCoreApplication.translate("Choices", "Balanced"),
        "strict": QCoreApplication.translate("Choices", "Strict"),
        "custom": QCoreApplication.translate("Choices", "Custom"),
        "rolling": QCoreApplication.translate("Choices", "Leave out the oldest turns"),
        "drop_middle": QCoreApplication.translate("Choices", "Keep the first turn"),
        "stop": QCoreApplication.translate("Choices", "Stop and say so"),
        "ask": QCoreApplication.translate("Choices", "Ask me first"),
        "never": QCoreApplication.translate("Choices", "Never by itself"),
        "day": QCoreApplication.translate("Choices", "Every day"),
        "week": QCoreApplication.translate("Choices", "Every week"),
        "month": QCoreApplication.translate("Choices", "Every month"),
    }
    return known.get(value, value) if not key.endswith("_model") else value


def _bound(value: float | None, otherwise: int) -> int:
    return otherwise if value is None else max(-(2**31), min(2**31 - 1, int(value)))
