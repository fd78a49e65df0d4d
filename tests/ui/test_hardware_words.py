"""Every reason that the readers of hardware give, and the refusals of packs, in the reader's language."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.hardware import apple, probe
from app.runtime import packs
from app.ui import translate
from app.ui.hardware_words import why_words

HARDWARE = Path(probe.__file__).parent
FROM_ELSEWHERE = ("NVML: ",)
"""What a vendor's library says is not ours to translate."""


@pytest.fixture
def vietnamese(qtbot: Any) -> Iterator[None]:
    translate.install("vi")
    yield
    translate.install("en")


def sentences(node: ast.expr) -> Iterator[str]:
    """A text as it is written, with something for each thing it names."""
    for part in ast.walk(node):
        if isinstance(part, ast.JoinedStr):
            yield "".join(piece.value if isinstance(piece, ast.Constant) else "7" for piece in part.values)
    inside = {
        id(piece) for part in ast.walk(node) if isinstance(part, ast.JoinedStr) for piece in part.values
    }
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and id(part) not in inside:
            yield part.value


def said(path: Path) -> Iterator[str]:
    """The reasons in a module: what is put into ``missing`` or ``reasons``, and what ``why`` functions return."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            if ast.unparse(node.targets[0]) == "missing":
                yield from (text for value in node.value.values for text in sentences(value))
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            if ast.unparse(node.targets[0].value) in {"missing", "reasons"}:
                yield from sentences(node.value)
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "self.problem":
            yield from sentences(node.value)
        elif isinstance(node, ast.FunctionDef) and node.name in {
            "why_missing",
            "why_unused",
            "_old_driver",
            "_start",
            "problem",
        }:
            for part in ast.walk(node):
                if isinstance(part, ast.Return) and part.value is not None:
                    yield from sentences(part.value)


def test_every_reason_of_the_readers_is_translated(vietnamese: None) -> None:
    found = {text for path in HARDWARE.glob("*.py") for text in said(path) if len(text.split()) > 1}
    found = {text for text in found if not text.startswith(FROM_ELSEWHERE)} | {apple.WHY}
    assert len(found) > 12
    # A system's own words after a colon stay as the system says them.
    assert sorted(text for text in found if why_words(text) == text and text != "7: 7") == []


def test_every_refusal_of_a_pack_is_translated(vietnamese: None, tmp_path: Path) -> None:
    for text in (
        "did not answer within 20 s",
        "crashed with SIGSEGV: it said nothing",
        "the engine crashed with SIGABRT: bad device when it was tried out",
        "it was built for llama.cpp 0c1e570, and the engine is 1111111",
    ):
        assert why_words(text) != text
    with pytest.raises(packs.PackError) as error:
        packs.read_manifest(tmp_path)
    assert "manifest.json" in why_words(str(error.value)) != str(error.value)
    assert why_words("crashed with SIGSEGV: it said nothing") == "bị sập với SIGSEGV: nó không nói gì"


def test_what_nobody_knows_stays_as_it_is(vietnamese: None) -> None:
    assert why_words("NVML: Not Supported") == "NVML: Not Supported"
