"""Saving what is shown: where the reader says, and what goes wrong is said."""

from pathlib import Path
from typing import Any

from app.ui import save_file
from app.ui.chat_style import make_style
from app.ui.code_block import CodeBlock


def test_what_could_not_be_saved_is_said_above_the_page(qtbot: Any, window: Any, tmp_path: Path) -> None:
    block = CodeBlock(make_style(), window.stack)
    save_file.write(block, tmp_path / "code.txt", b"print()\n")
    qtbot.waitUntil((tmp_path / "code.txt").exists)
    save_file.write(block, tmp_path / "missing" / "code.txt", b"print()\n")
    qtbot.waitUntil(window.banner.isVisible)


def test_a_language_is_no_path(qtbot: Any, monkeypatch: Any) -> None:
    asked: list[str] = []
    monkeypatch.setattr(save_file, "ask", lambda _parent, _title, name, _data: asked.append(name))
    block = CodeBlock(make_style())
    qtbot.addWidget(block)
    for language in ("c/../../x", "python", ""):
        block._language = language
        block.save()
    assert asked == ["code.cx", "code.py", "code.txt"]
