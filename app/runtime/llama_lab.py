"""The lab's process: one job from standard input (a line of JSON), events as lines of JSON on standard output.

A job may take hours and may crash inside llama.cpp: it is a process of its own, killed to cancel it. What other code
prints to standard output goes to standard error instead.
"""

import faulthandler
import math
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import msgspec

from app.core.errors import HearthError, LabStoppedError
from app.core.lab import (
    LabDone,
    LabEvent,
    LabFailed,
    LabJob,
    LabProgress,
    MatrixJob,
    PriceJob,
    QuantizeJob,
    model_of,
)
from app.runtime import llama_lean  # noqa: F401 - before anything imports llama_cpp
from app.runtime.llama import start
from app.runtime.llama_quantize import Lines, quantize


def main(_args: list[str] | None = None) -> NoReturn:
    """Do one job and end the process, at once: what it leaves is closed, and taking an interpreter down piece by piece
    takes 20 ms."""
    faulthandler.enable(all_threads=False)  # a crash leaves its stack: it tells whose it was (pack_blame)
    status = _do()
    sys.stderr.flush()
    os._exit(status)


def _do() -> int:
    events = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)

    def tell(event: LabEvent) -> None:
        events.write(msgspec.json.encode(event) + b"\n")

    try:
        job = msgspec.json.decode(sys.stdin.buffer.readline(), type=LabJob)
        threading.Thread(target=_end_with_the_parent, args=(job,), daemon=True).start()
        tell(_checked(job, work(job, tell)))
    except HearthError as error:
        tell(LabFailed(error.code, str(error), dict(error.params)))
        return 1
    except OSError as error:
        tell(LabFailed("os_error", os.strerror(error.errno or 0), {"errno": error.errno or 0}))
        return 1
    return 0


def _checked(job: LabJob, done: LabDone) -> LabDone:
    """Refuse figures that are no numbers: they could not be sent, and would mean nothing."""
    wrong = sorted(name for name, value in done.figures.items() if not math.isfinite(value))
    if wrong:
        raise LabStoppedError(
            model=Path(model_of(job)).name,
            detail=f"its {wrong[0]} is no number; the file is damaged, or the model can't compute this text",
        )
    return done


def _end_with_the_parent(job: LabJob) -> None:
    while os.read(0, 4096):  # not sys.stdin: a buffer in use when the interpreter ends aborts it
        pass
    if isinstance(job, QuantizeJob):
        with suppress(OSError):  # Windows keeps a file that is open
            Path(job.target + ".part").unlink()
    os._exit(3)  # nobody would hear the result


def work(job: LabJob, tell: Callable[[LabProgress], None]) -> LabDone:
    """Do a job in this process. Raises HearthError and OSError."""
    start()
    if isinstance(job, QuantizeJob):
        return quantize(job, Lines(), tell)
    if isinstance(job, MatrixJob):
        from app.runtime.llama_matrix import collect  # noqa: PLC0415 - numpy

        return collect(job, tell)
    if isinstance(job, PriceJob):
        from app.runtime.llama_long import price  # noqa: PLC0415 - numpy

        return price(job, tell)
    from app.runtime.llama_score import score  # noqa: PLC0415 - numpy

    return score(job, tell)


if __name__ == "__main__":
    sys.exit(main())
