"""The program as a process: starts light, once per folder, ends politely, says why when it can't."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.ui.resources import ROOT

HEAVY = (
    "numpy",
    "huggingface_hub",
    "llama_cpp",
    "pynvml",
    "starlette",
    "uvicorn",
    "tomlkit",
    "httpx2",
)


def environ(home: Path, trace: str = "stay") -> dict[str, str]:
    return {
        **os.environ,
        "HEARTH_HOME": str(home),
        "HEARTH_TRACE_START": trace,
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "QT_QPA_PLATFORM": "offscreen",
    }


def start(home: Path, *arguments: str, trace: str = "stay") -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT.parent,
        env=environ(home, trace),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_painted(process: "subprocess.Popen[str]") -> None:
    assert process.stdout
    assert process.stdout.readline().startswith("painted ")


@pytest.fixture
def first(home: Path) -> Iterator["subprocess.Popen[str]"]:
    process = start(home, "-m", "app")
    wait_painted(process)
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate(timeout=60)


def test_nothing_heavy_is_imported_before_the_first_paint(home: Path) -> None:
    process = start(home, "-X", "importtime", "-m", "app", trace="quit")
    _out, err = process.communicate(timeout=60)
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in err.splitlines() if "|" in line}
    assert process.returncode == 0
    assert "PySide6" in imported
    assert not imported & set(HEAVY)
    assert "PySide6.QtNetwork" not in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_window_politely(first: "subprocess.Popen[str]", number: int) -> None:
    time.sleep(0.5)
    first.send_signal(number)
    _out, err = first.communicate(timeout=60)
    assert first.returncode == 0, err
    assert "Traceback" not in err


def test_a_second_copy_raises_the_first_and_leaves(home: Path, first: "subprocess.Popen[str]") -> None:
    second = start(home, "-m", "app")
    _out, err = second.communicate(timeout=60)
    assert (second.returncode, err) == (0, "")
    assert first.poll() is None


def test_another_folder_is_another_program(
    home: Path, first: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    second = start(tmp_path / "other", "-m", "app", trace="quit")
    second.communicate(timeout=60)
    assert second.returncode == 0


def test_a_killed_window_leaves_no_lock(home: Path, first: "subprocess.Popen[str]") -> None:
    first.kill()
    first.communicate(timeout=60)
    again = start(home, "-m", "app", trace="quit")
    wait_painted(again)
    again.communicate(timeout=60)
    assert again.returncode == 0


def test_a_folder_that_can_not_be_written_is_said(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    process = start(blocked, "-m", "app")
    _out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Nothing can be written in" in err
    assert "HEARTH_HOME" in err
