"""Show a file in the system's file manager with the file selected, where that can be asked for."""

import subprocess
import sys
from pathlib import Path


def reveal(path: Path) -> bool:
    """Whether the file manager was asked; if not, its folder can still be opened. May take a second: not on the GUI
    thread."""
    try:
        if sys.platform == "win32":
            # Explorer answers 1 even when it has done it.
            subprocess.Popen(["explorer", f"/select,{path}"])
            return True
        if sys.platform == "darwin":
            return _quiet(["open", "-R", str(path)])
        return _by_bus(path)
    except OSError:
        return False


def _by_bus(path: Path) -> bool:
    """freedesktop.org's file manager interface."""
    return _quiet(
        [
            "dbus-send",
            "--session",
            "--print-reply",
            "--reply-timeout=3000",
            "--dest=org.freedesktop.FileManager1",
            "/org/freedesktop/FileManager1",
            "org.freedesktop.FileManager1.ShowItems",
            f"array:string:{path.as_uri()}",
            "string:",
        ]
    )


def _quiet(command: list[str]) -> bool:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=5, check=False)
    return done.returncode == 0
