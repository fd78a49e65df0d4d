"""One lab job in a process of its own: started, listened to, cancelled by killing it."""

import errno
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from app.core.errors import HearthError, LabDiskFullError, LabStoppedError, from_code
from app.core.lab import (
    LabDone,
    LabEvent,
    LabFailed,
    LabJob,
    LabProgress,
    MatrixJob,
    QuantizeJob,
    ScoreJob,
    model_of,
)
from app.runtime.channel import child_environ, program

COMMAND = "lab"
LAST = 2000
"""Characters of the process's own words that tell why it died."""


class LabCancelledError(Exception):
    """The caller's wish; nothing half is left."""


def run_job(
    job: LabJob,
    tell: Callable[[LabProgress], None] = lambda _progress: None,
    cancel: threading.Event | None = None,
    environ: Mapping[str, str] = os.environ,
) -> LabDone:
    """Do a job and return its figures. A process that dies is told of (``LabProgress.crashed``) and started once more:
    quants from the start, the rest where it was. Raises HearthError (its own, or LabStoppedError when the process
    died twice), and LabCancelledError once ``cancel`` is set."""
    try:
        return _try_job(job, tell, cancel, environ)
    except LabStoppedError as error:
        how = str(error.params["detail"])
        if not how.startswith(("SIG", "exit")):  # it ended by itself, for a reason that is still there
            raise
        tell(LabProgress(0, 1, crashed=how))
        return _try_job(job, tell, cancel, environ)


def _try_job(
    job: LabJob,
    tell: Callable[[LabProgress], None],
    cancel: threading.Event | None,
    environ: Mapping[str, str],
) -> LabDone:
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            [*program(), COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words,
            env=child_environ(environ),
        )  # fmt: skip
        assert process.stdin
        stop = threading.Event()
        watcher = threading.Thread(target=_kill_on, args=(process, cancel, stop), name="lab-cancel")
        watcher.start()
        last: LabDone | LabFailed | None = None
        try:
            last = _listen(process, job, tell)
        finally:
            process.kill()
            process.wait()
            stop.set()
            watcher.join()
            with suppress(BrokenPipeError):  # a job that it never read
                process.stdin.close()
            if isinstance(job, QuantizeJob) and not isinstance(last, LabDone):  # after Ctrl-C too
                Path(job.target + ".part").unlink(missing_ok=True)
        return _result(job, last, process.returncode, words, cancel)


def _kill_on(
    process: "subprocess.Popen[bytes]", cancel: threading.Event | None, stop: threading.Event
) -> None:
    while cancel is not None and not stop.wait(0.1):
        if cancel.is_set():
            process.kill()
            return


def _listen(
    process: "subprocess.Popen[bytes]", job: LabJob, tell: Callable[[LabProgress], None]
) -> LabDone | LabFailed | None:
    assert process.stdin
    assert process.stdout
    with process.stdout as lines:
        try:
            process.stdin.write(msgspec.json.encode(job) + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            return None
        for line in lines:
            event: LabEvent = msgspec.json.decode(line, type=LabEvent)
            if not isinstance(event, LabProgress):
                process.wait()
                return event
            tell(event)
    process.wait()
    return None


def _result(
    job: LabJob, last: LabDone | LabFailed | None, code: int, words: IO[bytes], cancel: threading.Event | None
) -> LabDone:
    if isinstance(last, LabDone):
        return last
    if cancel is not None and cancel.is_set():
        raise LabCancelledError
    raise _error(job, last, code, words)


def _written(job: LabJob) -> str:
    if isinstance(job, QuantizeJob | MatrixJob):
        return job.target
    return (job.write or job.keep) if isinstance(job, ScoreJob) else tempfile.gettempdir()


def _error(job: LabJob, last: LabFailed | None, code: int, words: IO[bytes]) -> HearthError:
    if last is not None and last.code != "os_error":
        return from_code(last.code, dict(last.params))
    name = Path(model_of(job)).name
    if last is not None and last.params.get("errno") == errno.ENOSPC:
        return LabDiskFullError(path=str(Path(_written(job)).parent), missing="some MB")
    if last is not None:
        return LabStoppedError(model=name, detail=last.message)
    words.seek(max(0, words.seek(0, os.SEEK_END) - LAST))
    said = words.read().decode("utf-8", "replace").strip().splitlines()
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return LabStoppedError(model=name, detail=f"{how}{': ' + said[-1] if said else ''}")
