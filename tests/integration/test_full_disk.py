"""A disk that is really full: the program opens, says so, and a download waits there and goes on when there is room.

A file system of 40 MB of our own, in a mount namespace; skipped where the system does not let us have one.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.gguf_writer import Tensor, model_metadata, model_tensors, write_gguf
from tests.fakes.hub_server import FakeFile, FakeRepo, LocalHub

ROOT = Path(__file__).resolve().parents[2]
CODE = """
import sys, time
from pathlib import Path
from PySide6.QtWidgets import QApplication
from app.compose import compose
from app.models import transfer_disk
from app.ui import tasks
from app.ui.main_window import MainWindow

transfer_disk.MARGIN = 1_000_000
import app.models.downloads as queue
queue.MARGIN = 1_000_000
application = QApplication([])
services = compose()
window = MainWindow(services)
window.show()
services.start()
print("open", flush=True)

def until(check):
    end = time.monotonic() + 60
    while not check():
        application.processEvents()
        if time.monotonic() > end:
            sys.exit(f"waited in vain: {services.downloads.snapshots()}")
        time.sleep(0.01)

page = window.open_page("downloads")
services.downloads.ask_again = dict.fromkeys(services.downloads.ask_again, 0.2)
services.downloads.enqueue(services.hub.repo("me/tiny-GGUF").quants[0])
until(lambda: any(row.error and row.error.code == "disk_full" for row in services.downloads.snapshots()))
until(lambda: "There is no room" in page.banner.words.text())
print(page.banner.words.text(), flush=True)
Path(sys.argv[1]).unlink()
until(lambda: services.downloads.snapshots()[0].state == "done")
print("done", flush=True)
window.close(); window.shut(); tasks.close(); services.close()
"""


@pytest.mark.gui
@pytest.mark.slow
def test_the_program_opens_on_a_full_disk_and_a_download_waits_for_room(tmp_path: Path) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here")
    disk, ballast = tmp_path / "disk", tmp_path / "disk" / "ballast"
    disk.mkdir()
    noise = Tensor("noise.weight", (2_000_000,), "F32", os.urandom(8_000_000))
    path = write_gguf(tmp_path / "tiny-Q4_0.gguf", model_metadata(), [*model_tensors(), noise])
    mount = (
        f"mount -t tmpfs -o size=40m tmpfs {disk} && head -c 100000000 /dev/zero > {ballast} 2>/dev/null; "
    )
    probe = subprocess.run(
        ["unshare", "-rm", "sh", "-c", f"{mount} test -s {ballast}"], check=False, timeout=30
    )
    if probe.returncode:
        pytest.skip("no file system of our own here")
    with LocalHub([FakeRepo("me/tiny-GGUF", {"tiny-Q4_0.gguf": FakeFile.of(path)})]) as hub:
        environ = {
            **os.environ,
            "HEARTH_HOME": str(disk / "home"),
            "HF_ENDPOINT": hub.url,
            "QT_QPA_PLATFORM": "offscreen",
        }
        script = f"{mount} exec {sys.executable} -c '{CODE}' {ballast}"
        done = subprocess.run(
            ["unshare", "-rm", "sh", "-c", script],
            cwd=ROOT, env=environ, capture_output=True, text=True, timeout=200, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "open"
    assert "MB more are needed" in lines[1]
    assert lines[-1] == "done"
