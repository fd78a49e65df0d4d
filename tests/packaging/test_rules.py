"""The rules that ``make check`` enforces with its own scripts."""

from pathlib import Path

import pytest

import owners
import size_rule


def module(folder: Path, text: str) -> Path:
    path = folder / "app" / "thing.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def function(lines: int, reason: str = "") -> str:
    body = "\n".join("    pass" for _ in range(lines - 1))
    return f"def long() -> None:{reason}\n{body}\n"


class TestSize:
    def test_forty_lines_are_fine_and_one_more_is_not(self, tmp_path: Path) -> None:
        assert list(size_rule.breaches_in(module(tmp_path, function(40)))) == []
        breaches = list(size_rule.breaches_in(module(tmp_path, function(41))))
        assert len(breaches) == 1
        assert "long has 41 lines" in breaches[0]

    def test_a_reason_lets_it_pass_and_an_empty_one_does_not(self, tmp_path: Path) -> None:
        assert list(size_rule.breaches_in(module(tmp_path, function(41, "  # size: a table")))) == []
        assert len(list(size_rule.breaches_in(module(tmp_path, function(41, "  # size:"))))) == 1

    def test_a_long_module_needs_its_reason_at_the_top(self, tmp_path: Path) -> None:
        lines = "x = 1\n" * 401
        assert "401 lines" in next(size_rule.breaches_in(module(tmp_path, lines)))
        assert list(size_rule.breaches_in(module(tmp_path, f"# size: generated\n{lines}"))) == []
        assert list(size_rule.breaches_in(module(tmp_path, f"{lines}# size: too late\n"))) != []


class TestOwners:
    @pytest.mark.parametrize(
        ("importer", "imported"),
        [
            ("app.ui.pages.chat", "PySide6.QtWidgets"),
            ("app.runtime.llama", "llama_cpp.llama_cpp"),
            ("app.runtime.llama_batch", "llama_cpp"),
            ("app.models.hub", "huggingface_hub.HfApi"),
            ("app.server.host", "uvicorn"),
            ("app.__main__", "app.ui.app"),
            ("app.runtime.scheduler", "app.core.generate.SamplingParams"),
            ("app.runtime.scheduler", "collections.deque"),
        ],
    )
    def test_owners_may(self, importer: str, imported: str) -> None:
        assert owners.breach(importer, imported) is None

    @pytest.mark.parametrize(
        ("importer", "imported"),
        [
            ("app.uix", "PySide6"),
            ("app.runtime.llamas", "llama_cpp"),
            ("app.runtime.engine", "llama_cpp"),
            ("app.models.downloads", "huggingface_hub"),
            ("app.chat.session", "starlette.requests"),
            ("app.compose", "app.ui.app"),
            ("app.runtime.scheduler", "app.core.events.Bus"),
            ("app.runtime.scheduler", "msgspec"),
        ],
    )
    def test_others_may_not(self, importer: str, imported: str) -> None:
        assert owners.breach(importer, imported)

    def test_late_and_typing_imports_count_too(self, tmp_path: Path) -> None:
        text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\ndef f():\n    import uvicorn\n"
        found = list(owners.breaches_in(module(tmp_path, text), tmp_path))
        assert [line.split(":")[1] for line in found] == ["3", "5"]
