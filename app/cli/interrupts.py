"""Ctrl-C while modules are imported."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ends_at_once() -> Iterator[None]:
    """Ctrl-C ends the process without a word, as the system does it: raised inside an import, KeyboardInterrupt shows
    a traceback, and in compiled code that makes classes (msgspec's) it has ended in a segmentation fault."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before != signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
