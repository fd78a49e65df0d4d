"""A speed limit shared by all downloads, and the hours in which they may run."""

import re
import threading
import time
from collections.abc import Callable
from datetime import datetime

from app.core.errors import SettingsError

BURST = 0.25  # seconds of the limit that may come at once
_HOURS = re.compile(r"\s*(\d{1,2}):(\d\d)\s*[-–]\s*(\d{1,2}):(\d\d)\s*")


class Limiter:
    """A token bucket. ``limit`` gives bytes per second now, 0 for none."""

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._free_at = 0.0

    def __call__(self, count: int, cancelled: threading.Event) -> None:
        """Wait until ``count`` more bytes may have come."""
        limit = self._limit()
        if limit <= 0:
            return
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now - BURST) + count / limit
            wait = self._free_at - now
        if wait > 0:
            cancelled.wait(wait)


def parse_hours(text: str) -> tuple[int, int] | None:
    """Minutes of the day (first, end) of ``22:00-07:00``; None for always. Raises SettingsError."""
    if not text.strip():
        return None
    match = _HOURS.fullmatch(text)
    first, end = (
        ((int(match[1]) * 60 + int(match[2])), (int(match[3]) * 60 + int(match[4]))) if match else (0, 9999)
    )
    if match is None or first >= 24 * 60 or end > 24 * 60 or int(match[2]) > 59 or int(match[4]) > 59:
        raise SettingsError(key="downloads.hours", value=text, detail="write it as 22:00-07:00")
    return first, end


def allowed(text: str, now: datetime) -> bool:
    """Whether downloads may run at this time of day; a window may go over midnight. What can't be read allows all."""
    try:
        hours = parse_hours(text)
    except SettingsError:
        return True
    if hours is None or hours[0] == hours[1]:
        return True
    minute = now.hour * 60 + now.minute
    first, end = hours
    return first <= minute < end if first < end else minute >= first or minute < end
