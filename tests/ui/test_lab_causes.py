"""The lab's refusals are said in the user's language: every sentence that the sources raise is known."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.errors import LabRefusedError, QuantizeFailedError
from app.ui import causes, errors, translate
from tests.make_core_strings import ROOT

RAISED = {"LabRefusedError", "NotConvertibleError", "QuantizeFailedError", "BadHeaderError", "BadMatrixError"}
SAID = "say"
"""What a long set-up tells of itself in the row of its job."""
FOLDERS = ("app/optimize", "app/runtime")


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) if isinstance(part, ast.Constant) else "7" for part in node.values)
    return ""


def _said(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RAISED:
            yield from (_text(word.value) for word in node.keywords if word.arg == "detail")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == SAID:
            told = node.args[0]
            yield from map(_text, (told.body, told.orelse) if isinstance(told, ast.IfExp) else (told,))


def _sentences() -> list[str]:
    found = {text for folder in FOLDERS for path in (ROOT / folder).glob("*.py") for text in _said(path)}
    return sorted(found - {""})


def test_there_are_sentences_to_look_for() -> None:
    assert len(_sentences()) > 25


@pytest.mark.parametrize("sentence", _sentences())
def test_every_sentence_of_the_lab_is_known(sentence: str) -> None:
    assert causes.ours(sentence), f"app/ui/lab_causes.py does not have: {sentence}"


@pytest.mark.usefixtures("qapp")
def test_they_are_said_in_vietnamese_with_their_names() -> None:
    translate.install("vi")
    try:
        refused = errors.describe(LabRefusedError(detail="there is no layer 30 to prune: m.gguf has 30")).text
        assert "không có lớp 30 để tỉa: m.gguf có 30 lớp" in refused
        failed = QuantizeFailedError(model="m.gguf", detail="unknown model architecture: 'never-heard-of'")
        assert "kiến trúc mô hình “never-heard-of”" in errors.describe(failed).text
    finally:
        translate.install("en")
