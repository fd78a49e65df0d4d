"""One lab job in a process of its own: started, listened to, cancelled by killing it."""

import errno
import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

from app.core.errors import HearthError, LabDiskFullError, LabStoppedError, PackCrashedError, from_code
from app.core.lab import (
    LabDone,
    LabEvent,
    LabFailed,
    LabJob,
    LabProgress,
    MatrixJob,
    QuantizeJob,
    ScoreJob,
    layers_of,
    model_of,
)
from app.runtime.channel import child_environ, program
from app.runtime.pack_blame import Judge, backend_at_fault, kinds_of
from app.runtime.postmortem import name_status

COMMAND = "lab"
LAST = 4000
"""Bytes of the process's own words that tell why it died."""
_TELLING = re.compile(r"GGML_ASSERT|GGML_ABORT|terminate called|what\(\)|^Fatal Python error")


class Devices(Struct, frozen=True):
    """Where jobs are computed: ``layers`` of a model on the devices of these ``names``, in a process with this
    environment (``HEARTH_PACKS``: what it loads). ``judge`` hears how jobs on them ended."""

    layers: int = 0
    names: tuple[str, ...] = ()
    environ: Mapping[str, str] = os.environ
    judge: Judge | None = None

    @property
    def key(self) -> str:
        """What was computed elsewhere is another measurement."""
        return f"{self.layers} {' '.join(self.names)}".strip()


CPU = Devices()


class LabCancelledError(Exception):
    """The caller's wish; nothing half is left."""


def run_job(
    job: LabJob,
    tell: Callable[[LabProgress], None] = lambda _progress: None,
    cancel: threading.Event | None = None,
    on: Devices = CPU,
) -> LabDone:
    """Do a job and return its figures. A process that dies is told of (``LabProgress.crashed``) and started once more:
    quants from the start, the rest where it was. Raises HearthError (its own, LabStoppedError when the process died
    twice, PackCrashedError when a pack was turned off for it), and LabCancelledError once ``cancel`` is set."""
    try:
        return _try_job(job, tell, cancel, on)
    except LabStoppedError as error:
        how = str(error.params["detail"])
        if not how.startswith(("SIG", "exit")):  # it ended by itself, for a reason that is still there
            raise
        tell(LabProgress(0, 1, crashed=how))
        return _try_job(job, tell, cancel, on)


def _try_job(
    job: LabJob,
    tell: Callable[[LabProgress], None],
    cancel: threading.Event | None,
    on: Devices,
) -> LabDone:
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            [*program(), COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words,
            env=child_environ(on.environ if layers_of(job) else os.environ),
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
        return _result(job, last, _Death(process.returncode, words), cancel, on)


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


class _Death:
    """How a process ended: its exit status, and the end of its own words."""

    def __init__(self, code: int, words: IO[bytes]) -> None:
        self.code = code
        words.seek(max(0, words.seek(0, os.SEEK_END) - LAST))
        self.details = words.read().decode("utf-8", "replace").strip()

    @property
    def how(self) -> str:
        """In a line: ``SIGABRT: ... GGML_ASSERT(...) failed``. Where a stack was left, its first line says most."""
        lines = self.details.splitlines()
        telling = [line for line in lines if _TELLING.search(line)]
        said = telling[0] if telling else lines[-1] if lines else ""
        name = signal.Signals(-self.code).name if self.code < 0 else f"exit code {self.code}"
        return f"{name}{': ' + said if said else ''}"


def _result(
    job: LabJob, last: LabDone | LabFailed | None, death: _Death, cancel: threading.Event | None, on: Devices
) -> LabDone:
    if isinstance(last, LabDone):
        if on.judge is not None and layers_of(job):
            on.judge.worked(kinds_of(on.names))
        return last
    if cancel is not None and cancel.is_set():
        raise LabCancelledError
    if last is None and (pack := _turned_off(job, death, on)):
        raise PackCrashedError(model=Path(model_of(job)).name, why=death.how, pack=pack)
    raise _error(job, last, death)


def _turned_off(job: LabJob, death: _Death, on: Devices) -> str:
    """The pack that was turned off for this death, if any."""
    devices = on.names if layers_of(job) else ()
    if on.judge is None or not (backend := backend_at_fault(devices, death.code, death.details)):
        return ""
    return on.judge.crashed(backend, name_status(death.code))


def _written(job: LabJob) -> str:
    if isinstance(job, QuantizeJob | MatrixJob):
        return job.target
    return (job.write or job.keep) if isinstance(job, ScoreJob) else tempfile.gettempdir()


def _error(job: LabJob, last: LabFailed | None, death: _Death) -> HearthError:
    if last is not None and last.code != "os_error":
        return from_code(last.code, dict(last.params))
    name = Path(model_of(job)).name
    if last is not None and last.params.get("errno") == errno.ENOSPC:
        return LabDiskFullError(path=str(Path(_written(job)).parent), missing="some MB")
    if last is not None:
        return LabStoppedError(model=name, detail=last.message)
    return LabStoppedError(model=name, detail=death.how)
