"""What is known when the window itself ends by a fault: stacks, versions, no chat content and no values of variables.

Python's ``faulthandler`` writes the stacks of all threads into ``window-crash.log`` while the process dies; the next
start finds it not empty, makes a report of it and offers to show it. An error that nobody caught is noted as its type
and its stack: its message may quote what somebody wrote.
"""

import contextlib
import faulthandler
import platform
import sys
import time
import traceback
from pathlib import Path
from typing import IO

from app import __version__

FILE = "window-crash.log"
KEPT = 5
_open: IO[str] | None = None


def watch(logs: Path) -> None:
    """From now on a fault of this process leaves its stacks in ``logs``. Call it once there is one window only."""
    global _open
    with contextlib.suppress(OSError):
        _keep(logs)
        _open = (logs / FILE).open("w", encoding="utf-8")
        faulthandler.enable(_open, all_threads=True)


def note(error: BaseException) -> None:
    """Write down an error that ends the window."""
    if _open is None:
        return
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f"  {Path(frame.filename).name}:{frame.lineno} in {frame.name}" for frame in frames]
    _open.write("\n".join([f"Uncaught {type(error).__name__}", *lines, ""]))
    _open.flush()


def unwatch() -> None:
    """The window ends as it should."""
    global _open
    if _open is not None:
        faulthandler.disable()
        _open.close()
        _open = None


def _keep(logs: Path) -> None:
    """Make a report of what the last fault left; only the newest few are kept."""
    left = logs / FILE
    stacks = left.read_text(encoding="utf-8", errors="replace") if left.is_file() else ""
    if not stacks.strip():
        return
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(left.stat().st_mtime))
    name = time.strftime("crash-%Y%m%d-%H%M%S.txt", time.localtime(left.stat().st_mtime))
    (logs / name).write_text(f"{_head(when)}\n{scrubbed(stacks)}", encoding="utf-8")
    (logs / "crash-new").write_text(name, encoding="utf-8")
    left.unlink()
    for old in sorted(logs.glob("crash-*.txt"))[:-KEPT]:
        old.unlink()


def _head(when: str) -> str:
    return (
        f"Hearth {__version__} ended unexpectedly on {when}.\n"
        f"Python {sys.version.split()[0]}, {platform.platform()}\n\n"
        "Nothing of your chats is in this report. What each thread was doing:\n"
    )


def scrubbed(text: str) -> str:
    """Without the user's name in paths."""
    return text.replace(str(Path.home()), "~")


def last_report(logs: Path) -> Path | None:
    """The report that the last fault left, once: later starts don't offer it again."""
    mark = logs / "crash-new"
    try:
        name = mark.read_text(encoding="utf-8").strip()
        mark.unlink()
    except OSError:
        return None
    found = logs / Path(name).name
    return found if found.is_file() else None
