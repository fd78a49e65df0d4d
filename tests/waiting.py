"""How tests wait: for what must come, however busy the machine is. What never comes fails all the same."""

import time
from collections.abc import Callable
from typing import TypeVar

import psutil

T = TypeVar("T")
PATIENCE = 60.0
"""Seconds. Nothing of what is waited for takes one; a crowded machine may be long about it."""


def until(found: Callable[[], T], seconds: float = PATIENCE) -> T:
    """Wait until this is something, and return it."""
    end = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < end, f"waited {seconds:.0f} s in vain; the last look gave {result!r}"
        time.sleep(0.01)
    return result


def ended(pid: int) -> bool:
    """Whether this process is over, collected or not: who gets orphans may be seconds about it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
