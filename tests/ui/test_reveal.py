"""The file manager is asked in each system's own way, with a stand-in for the program that is called."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from app.ui.reveal import reveal


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for the bus")
@pytest.mark.parametrize("answer", [0, 1])
def test_the_bus_is_told_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: int) -> None:
    said = tmp_path / "said"
    program = tmp_path / "dbus-send"
    program.write_text(f'#!/bin/sh\nfor a in "$@"; do echo "$a" >> "{said}"; done\nexit {answer}\n', "utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(sys, "platform", "linux")
    assert reveal(Path("/m/a b.gguf")) is (answer == 0)
    assert "array:string:file:///m/a%20b.gguf" in said.read_text("utf-8").splitlines()


def test_without_a_bus_the_folder_is_left_to_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert not reveal(Path("/m/a.gguf"))


@pytest.mark.parametrize(
    ("system", "wanted"), [("darwin", "open -R /m/a"), ("win32", "explorer /select,/m/a")]
)
def test_other_systems(monkeypatch: pytest.MonkeyPatch, system: str, wanted: str) -> None:
    called: list[str] = []

    def run(command: list[str], **_more: object) -> subprocess.CompletedProcess[bytes]:
        called.append(" ".join(command))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(subprocess, "Popen", run)
    monkeypatch.setattr(sys, "platform", system)
    assert reveal(Path("/m/a"))
    assert called == [wanted]
