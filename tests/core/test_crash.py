import subprocess
import sys
from pathlib import Path

import pytest

from app.core import crash


@pytest.fixture(autouse=True)
def quiet():
    """pytest's own use of faulthandler comes back afterwards."""
    import faulthandler

    on = faulthandler.is_enabled()
    yield
    crash.unwatch()
    if on:
        faulthandler.enable()


def test_a_fault_leaves_a_report_that_is_offered_once(tmp_path: Path) -> None:
    script = f"""
import faulthandler, pathlib
from app.core import crash
crash.watch(pathlib.Path({str(tmp_path)!r}))
secret = "what somebody wrote"
faulthandler._sigsegv()
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode != 0
    assert crash.last_report(tmp_path) is None
    crash.watch(tmp_path)
    report = crash.last_report(tmp_path)
    assert report is not None
    text = report.read_text()
    assert "Segmentation fault" in text
    assert "ended unexpectedly" in text
    assert "what somebody wrote" not in text
    assert crash.last_report(tmp_path) is None


def test_a_good_end_leaves_nothing(tmp_path: Path) -> None:
    crash.watch(tmp_path)
    crash.unwatch()
    crash.watch(tmp_path)
    assert crash.last_report(tmp_path) is None


def test_an_uncaught_error_is_its_type_and_stack_without_its_message(tmp_path: Path) -> None:
    crash.watch(tmp_path)
    try:
        raise ValueError("private words")
    except ValueError as error:
        crash.note(error)
    crash.unwatch()
    crash.watch(tmp_path)
    report = crash.last_report(tmp_path)
    assert report is not None
    assert "Uncaught ValueError" in report.read_text()
    assert "test_crash.py" in report.read_text()
    assert "private words" not in report.read_text()


def test_only_the_newest_reports_are_kept(tmp_path: Path) -> None:
    for number in range(8):
        (tmp_path / f"crash-2020010{number}-000000.txt").write_text("old")
    (tmp_path / crash.FILE).write_text("stack")
    crash.watch(tmp_path)
    assert len(list(tmp_path.glob("crash-*.txt"))) == crash.KEPT
