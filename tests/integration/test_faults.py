"""What goes wrong, as the person at the window meets it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.gui, pytest.mark.slow]

pytest.importorskip("PySide6")

from tests.integration import steps  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


def test_a_busy_port_is_told_and_the_next_one_is_a_click_away(program, qtbot) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        program.services.settings.set("server.port", port)
        steps._menu(program).trigger()
        program.until(lambda: program.services.server.state().state == "failed")
        page = program.window.page("server")
        program.until(page.isVisible)
        program.until(lambda: str(port) in shown_text(page))
        page.use_free_port()
        program.until(lambda: program.services.server.state().state == "on")
        assert not program.services.server.state().address.endswith(f":{port}")
    steps.switch_server_off(program)


def test_the_hub_away_is_said_on_the_page_and_the_rest_works(program, qtbot, hub) -> None:
    hub.close()
    page = program.window.open_page("discover")
    page.search("anything")
    program.until(page.offline.isVisible)
    program.until(lambda: "can't be reached" in shown_text(page.offline))
    assert program.window.open_page("library").isVisible()


def test_a_cut_download_goes_on_by_itself(program, qtbot, hub, starter) -> None:
    hub.fault("cut", after=20_000_000, times=3)
    record = steps.download_the_starter(program, qtbot)
    assert record.files[0].bytes == starter.stat().st_size


def test_a_dropped_file_that_is_no_model_is_refused_in_words(program, tmp_path) -> None:
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(b"PK\x03\x04" + bytes(1000))
    program.window.models.import_files([wrong])
    program.until(program.window.banner.isVisible)
    assert "wrong.gguf" in shown_text(program.window.banner)
    assert program.services.library.models() == ()


def test_a_truncated_model_is_refused_in_words(program, tmp_path, starter) -> None:
    cut = tmp_path / "cut.gguf"
    with starter.open("rb") as whole:
        cut.write_bytes(whole.read(30_000_000))
    program.window.models.import_files([cut])
    program.until(program.window.banner.isVisible)
    assert "cut" in shown_text(program.window.banner)


def start(home: Path, *args: str, **env: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "HEARTH_HOME": str(home), "QT_QPA_PLATFORM": "offscreen", **env}
    return subprocess.Popen(
        [sys.executable, "-m", "app", *args], cwd=ROOT, env=environ, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_a_second_copy_hands_over_to_the_first(home, starter) -> None:
    first = start(home, HEARTH_TRACE_START="stay")
    try:
        assert first.stdout
        assert first.stdout.readline().startswith("painted")
        second = start(home)
        _out, err = second.communicate(timeout=60)
        assert second.returncode == 0, err
        assert first.poll() is None
    finally:
        first.terminate()
        first.communicate(timeout=60)
    assert first.returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
def test_a_home_that_cannot_be_written_is_told(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    window = start(tmp_path / "file" / "home")
    _out, err = window.communicate(timeout=60)
    assert window.returncode == 1
    assert "HEARTH_HOME" in err


def shown_text(widget) -> str:
    """All visible words below a widget."""
    from PySide6.QtWidgets import QAbstractButton, QLabel

    children = [*widget.findChildren(QLabel), *widget.findChildren(QAbstractButton)]
    return " ".join(child.text() for child in children if child.isVisible())
