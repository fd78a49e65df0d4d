"""A worker's log file, and what it and the exit status tell about a death."""

import re
import signal
from pathlib import Path
from typing import IO

from msgspec import Struct

from app.core.errors import HearthError, OutOfMemoryError, WorkerCrashedError

TAIL_LINES = 40
TAIL_BYTES = 64 * 1024
_ALLOCATION = re.compile(
    r"(failed|unable) to allocate|out of memory|cudaMalloc failed|ErrorOutOfDeviceMemory", re.IGNORECASE
)
_ASSERT = re.compile(r"GGML_ASSERT\(.*\) failed|terminate called.*|.*what\(\):.*")


class Death(Struct, frozen=True):
    """Why a worker ended that nobody asked to end."""

    error: HearthError
    why: str
    details: str


def open_log(folder: Path, model: str) -> tuple[IO[bytes], Path]:
    """A new log file for the next worker of ``model``; the one before is kept beside it. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip("-.")[-100:] or "model"
    path = folder / f"worker-{name}.log"
    if path.exists():
        path.replace(path.with_suffix(".before.log"))
    return path.open("wb", buffering=0), path


def read_tail(path: Path) -> str:
    """The last lines of a log, or an empty string."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-TAIL_LINES:])


def explain_death(model: str, status: int, log: Path, oom_before: int | None) -> Death:
    """From exit status (negative: a signal, as ``Popen`` says it), log, and the system's count of out-of-memory kills
    before."""
    details = read_tail(log)
    why = name_status(status)
    failure = next((line.strip() for line in details.splitlines() if _ALLOCATION.search(line)), None)
    if failure is None and status == -int(getattr(signal, "SIGKILL", 9)):
        now = oom_kills()
        if now is not None and oom_before is not None and now > oom_before:
            failure = "the system ran out of memory and ended it"
    if failure is not None:
        return Death(OutOfMemoryError(model=model, detail=_short(failure)), f"{why}; {failure}", details)
    if said := _ASSERT.search(details):
        why = f"{why}: {said[0].strip()[:200]}"
    return Death(WorkerCrashedError(model=model, why=why), why, details)


def _short(line: str) -> str:
    return line.split(": ", 1)[-1].rstrip(".")


def name_status(status: int) -> str:
    """``signal SIGSEGV (Segmentation fault)`` or ``exit status 3``."""
    if status >= 0:
        return f"exit status {status}"
    try:
        found = signal.Signals(-status)
    except ValueError:
        return f"signal {-status}"
    return f"signal {found.name} ({signal.strsignal(found) or 'unknown'})"


def oom_kills() -> int | None:
    """How many processes this system ended for lack of memory since it started (Linux), or None."""
    try:
        text = Path("/proc/vmstat").read_text("ascii")
    except OSError:
        return None
    found = re.search(r"^oom_kill (\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else None
