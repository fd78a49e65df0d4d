"""Vietnamese is complete, fits its placeholders, and is switched while the window runs."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QCoreApplication, QLocale, Qt, QTranslator
from PySide6.QtWidgets import QFileDialog, QLabel, QTreeView

from app.core.errors import PortInUseError, all_errors
from app.ui import errors, translate
from app.ui.resources import resource
from tests.make_core_strings import TARGET, collect
from tests.make_translations import TS, missing, update

VI = resource("translations", "hearth_vi.ts")


def test_the_core_s_texts_are_all_listed_for_the_translators() -> None:
    calls = [node for node in ast.walk(ast.parse(TARGET.read_text("utf-8"))) if isinstance(node, ast.Call)]
    listed = {tuple(ast.literal_eval(argument) for argument in call.args) for call in calls}
    assert listed == set(collect()), "run python -m tests.make_core_strings"


def test_every_text_of_the_window_has_a_vietnamese_translation(tmp_path: Path) -> None:
    copy = tmp_path / "vi.ts"
    copy.write_bytes(TS.read_bytes())
    update(copy)
    assert missing(copy) == [], "run python -m tests.make_translations"


def test_translations_keep_the_placeholders() -> None:
    for (context, source), forms in translate.read_ts(VI).items():
        for form in forms:
            assert sorted(re.findall(r"{\w+}|%n", source)) == sorted(
                re.findall(r"{\w+}|%n", form.replace("%Ln", "%n"))  # the same, with the language's separators
            ), (
                context,
                source,
            )


def test_english_has_its_plurals() -> None:
    english = translate.read_ts(resource("translations", "hearth_en.ts"))
    counted = {key for key in translate.read_ts(VI) if "%n" in key[1]}
    assert counted <= english.keys()
    assert all(len(forms) == 2 for forms in english.values())


def test_every_error_reads_in_vietnamese(qtbot: Any) -> None:
    translate.install("vi")
    try:
        for kind in all_errors().values():
            if kind.template == "{detail}":
                continue
            described = errors.describe(kind())
            assert described.text != kind().args[0], kind.__name__
            assert QCoreApplication.translate("Errors", kind.template) != kind.template, kind.__name__
            assert bool(described.label) == bool(kind.action), kind.__name__
        text = errors.describe(PortInUseError(port=8177, free=8178)).sentence
        assert text == "Cổng 8177 đang được chương trình khác dùng. Cổng 8178 còn trống."
    finally:
        translate.install("en")


@pytest.mark.parametrize("language", ["vi", "en"])
def test_qt_gives_every_text_as_it_was_written(qapp: Any, language: str) -> None:
    files = [resource("translations", f"{name}_{language}.ts") for name in ("hearth", "qt")]
    table = {key: forms for file in files if file.is_file() for key, forms in translate.read_ts(file).items()}
    assert len(table) > 50
    translate.install(language)
    try:
        for (context, source), forms in table.items():
            counted = "%n" in source
            for n in (1, 2, 1000) if counted else (-1,):
                said = QCoreApplication.translate(context, source, None, n)
                wanted = forms[0 if n == 1 else -1].replace("%Ln", QLocale().toString(n))
                assert said == wanted.replace("%n", str(n)), (context, source)
        assert QCoreApplication.translate("Nobody", next(iter(table))[1]) == next(iter(table))[1]
    finally:
        translate.install("en")


def test_no_thread_waits_for_python_to_translate(qapp: Any) -> None:
    """Qt asks on any thread, at times under a lock of its own that the thread with Python's may want."""
    translate.install("vi")
    try:
        assert type(translate._installed) is QTranslator
    finally:
        translate.install("en")


def test_plurals(qtbot: Any) -> None:
    from app.ui.words import ago

    translate.install("en")
    assert ago(1000.0, 1000.0 + 3 * 86400) == "3 days ago"
    assert ago(1000.0, 1000.0 + 86400) == "1 day ago"
    translate.install("vi")
    assert ago(1000.0, 1000.0 + 3 * 86400) == "3 ngày trước"
    translate.install("en")


@pytest.mark.parametrize(("language", "expected"), [("en", "1,234.5"), ("vi", "1.234,5")])
def test_numbers_have_the_language_s_separators(qtbot: Any, language: str, expected: str) -> None:
    from app.ui.words import number

    translate.install(language)
    assert number(1234.5, 1) == expected
    translate.install("en")


def test_reading_the_file_is_quick() -> None:
    import time

    began = time.thread_time()
    translate.read_ts(VI)
    assert time.thread_time() - began < 1  # 10 ms on a quiet machine


def test_qt_s_own_file_dialog_speaks_vietnamese(qtbot: Any, tmp_path: Path) -> None:
    translate.install("vi")
    try:
        dialog = QFileDialog(None, "", str(tmp_path), options=QFileDialog.Option.DontUseNativeDialog)
        qtbot.addWidget(dialog)
        header = dialog.findChild(QTreeView).model()
        columns = [header.headerData(at, Qt.Orientation.Horizontal) for at in range(4)]
        assert columns == ["Tên", "Cỡ", "Loại", "Ngày sửa"]
        labels = {label.text() for label in dialog.findChildren(QLabel)} - {""}
        assert labels == {"&Tìm trong:", "&Tên tệp:", "&Loại tệp:"}
    finally:
        translate.install("en")
