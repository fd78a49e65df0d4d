"""A worker's log file, and what it and the exit status tell about a death."""

import logging
import os
import re
import signal
import tempfile
from pathlib import Path
from typing import IO

from msgspec import Struct

from app.core.errors import HearthError, OutOfMemoryError, WorkerCrashedError

log = logging.getLogger(__name__)

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
    """A new log file for the next worker of ``model``; the one before is kept beside it. Where ``folder`` can't be
    written it is in the system's temporary folder: a model loads all the same. Raises OSError when that fails too."""
    try:
        return _open_log(folder, model)
    except OSError as error:
        log.info("logs can't be written in %s: %s", folder, error)
        return _open_log(Path(tempfile.gettempdir()) / f"hearth-logs-{os.getpid()}", model)


def _open_log(folder: Path, model: str) -> tuple[IO[bytes], Path]:
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


def explain_death(model: str, status: int, path: Path, oom_before: int | None) -> Death:
    """From exit status (negative: a signal, as ``Popen`` says it), log, and the system's count of out-of-memory kills
    before."""
    details = read_tail(path)
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


CRASHES = ("SIGSEGV", "SIGILL", "SIGBUS", "SIGFPE", "SIGABRT")
WINDOWS_EXCEPTION = 0xC0000000  # ntstatus.h: access violation, illegal instruction, ...


def is_crash(status: int) -> bool:
    """The process ended by a fault of its own, not by a kill from outside."""
    if status >= 0:
        return status >= WINDOWS_EXCEPTION
    return name_status(status).removeprefix("signal ").split(" ")[0] in CRASHES


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
