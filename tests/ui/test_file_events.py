"""Files that the desktop hands over as events (macOS), sent here as it sends them."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.gui
pytest.importorskip("PySide6")

from PySide6.QtCore import QCoreApplication, QUrl  # noqa: E402
from PySide6.QtGui import QFileOpenEvent  # noqa: E402

from app.ui.file_events import FileEvents  # noqa: E402


def test_files_that_come_before_the_window_wait_for_it(qapp, tmp_path: Path) -> None:
    opened: list[str] = []
    events = FileEvents(qapp)
    try:
        for name in ("first.gguf", "second.gguf"):
            assert QCoreApplication.sendEvent(qapp, QFileOpenEvent(str(tmp_path / name)))
        events.open_with(opened.append)
        assert opened == [str(tmp_path / "first.gguf"), str(tmp_path / "second.gguf")]
        QCoreApplication.sendEvent(qapp, QFileOpenEvent(str(tmp_path / "third.gguf")))
        QCoreApplication.sendEvent(qapp, QFileOpenEvent(QUrl("https://example.invalid/")))
        assert opened[2:] == [str(tmp_path / "third.gguf")]
    finally:
        qapp.removeEventFilter(events)
