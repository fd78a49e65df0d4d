"""One round of ``tests.bench.gui``: prints its figures as JSON."""

import gc
import itertools
import json
import os
import re
import threading
import time
from collections.abc import Callable

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import msgspec
import psutil
from PySide6.QtCore import QEvent, Qt, QTimer
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QApplication, QVBoxLayout, QWidget

from app.core.generate import Delta
from app.ui import theme
from app.ui.composer import Composer
from app.ui.entries import Entry
from app.ui.live_answer import LiveAnswer
from app.ui.transcript import Transcript
from tests.bench.lab_page import measure_lab_page
from tests.bench.panels import measure_panels

RATE = 200
SECONDS = 6.0
ANSWER = """## A step by step answer

The **quick** way has *three* pitfalls, and `open()` hides them; see [the docs](https://example.org) for more words.

1. Encoding: the default depends on the platform and on the user's settings.
   - Windows: cp1252
   - Linux: `utf-8`
2. Errors: a missing file raises `FileNotFoundError`, which nobody expects here.

```python
from pathlib import Path

def read_lines(path: Path, limit: int = 10) -> list[str]:
    with path.open(encoding="utf-8") as file:
        return [line for _, line in zip(range(limit), file)]
```

| Method | Memory | Speed |
|:---|---:|---:|
| `read()` | whole file | 1200 |
| mmap | pages | 1900 |

> Những chữ có dấu chồng như Ễ, Ặ, Ở không được bị cắt ở trên đầu dòng.

"""


def chat(count: int) -> list[Entry]:
    """Questions and answers of the sizes people have."""
    return [
        Entry(i, "user", f"Question {i}: how does this work?")
        if i % 2 == 0
        else Entry(i, "assistant", ANSWER * (1 + i % 3), reason="stop")
        for i in range(count)
    ]


class Window(QWidget):
    """Transcript and composer as on the page."""

    def __init__(self) -> None:
        super().__init__()
        self.transcript, self.composer = Transcript(self), Composer(self)
        column = QVBoxLayout(self)
        column.addWidget(self.transcript, 1)
        column.addWidget(self.composer)
        self.resize(1000, 800)
        self.show()


class Beat:
    """The longest pause between two turns of the event loop."""

    def __init__(self) -> None:
        self.longest = self.busiest = 0.0
        self._last, self._worked = time.perf_counter(), time.thread_time()
        self._timer = QTimer(interval=0)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    def _tick(self) -> None:
        now, worked = time.perf_counter(), time.thread_time()
        self.longest = max(self.longest, now - self._last)
        self.busiest = max(self.busiest, worked - self._worked)
        self._last, self._worked = now, worked

    def stop(self) -> float:
        """In milliseconds."""
        self._timer.stop()
        return self.longest * 1000


def stream(window: Window, text: str, during: Callable[[], None] | None = None) -> tuple[float, list[float]]:
    """Longest gap (ms) and the work of each frame (ms) while ``text`` comes at RATE tokens a second."""
    tokens = re.findall(r"\S{1,5}\s*|\s+", text)
    entry, work = Entry(-1, "assistant"), []
    window.transcript.append(Entry(-2, "user", "Go on, please."))
    window.transcript.append(entry)
    window.transcript.start_live(-1)

    def deliver(events: list[object]) -> None:
        nonlocal entry
        began = time.perf_counter()
        piece = "".join(event.text for event in events if isinstance(event, Delta))
        entry = msgspec.structs.replace(entry, text=entry.text + piece)
        window.transcript.feed(entry, piece)
        work.append((time.perf_counter() - began) * 1000)

    live = LiveAnswer(deliver, window)
    source = threading.Thread(target=produce, args=(tokens, live.sink))
    gc.collect()
    settle(0.3)
    beat = Beat()
    live.start()
    source.start()
    end = time.monotonic() + min(SECONDS, len(tokens) / RATE)
    while time.monotonic() < end:
        QApplication.processEvents()
        if during is not None:
            during()
    gap = beat.stop()
    busiest.append(beat.busiest * 1000)
    stopped.set()
    source.join()
    stopped.clear()
    live.stop()
    window.transcript.finish_live(-1, msgspec.structs.replace(entry, reason="stop"))
    return gap, work


stopped = threading.Event()
busiest: list[float] = []
"""Most of the GUI thread's own time between two turns of its loop, for each stream: without what else ran here."""


def produce(tokens: list[str], sink: Callable[[object], None]) -> None:
    """What the runtime thread does, at RATE."""
    began = time.monotonic()
    for number, token in enumerate(tokens):
        wait = began + number / RATE - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        if stopped.is_set():
            return
        sink(Delta(text=token, tokens=1))


def settle(seconds: float) -> None:
    """Let idle work finish."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.002)


def measure_open() -> tuple[float, float]:
    """(ms to first paint, MB more) of 1,000 messages."""
    window = Window()
    window.transcript.set_entries(chat(4))
    settle(0.3)
    entries = chat(1000)
    gc.collect()
    before = psutil.Process().memory_info().rss
    began = time.perf_counter()
    window.transcript.set_entries(entries)
    window.transcript.viewport().repaint()
    opened = (time.perf_counter() - began) * 1000
    bar = window.transcript.verticalScrollBar()
    for part in range(10, 0, -1):  # read through it: what was built counts
        bar.setValue(bar.maximum() * part // 10)
        settle(0.15)
    memory = (psutil.Process().memory_info().rss - before) / 1e6
    close(window)
    return opened, memory


def measure_stream(count: int, text: str) -> tuple[float, list[float]]:
    """Stream into a chat of ``count`` messages."""
    window = Window()
    window.transcript.set_entries(chat(count))
    settle(0.5)
    found = stream(window, text)
    close(window)
    return found


def measure_typing() -> float:
    """The slowest of the keys typed while an answer streams, in ms."""
    window = Window()
    window.transcript.set_entries(chat(300))
    settle(0.5)
    slowest, last = 0.0, time.monotonic()
    letters = itertools.cycle("typing while it streams ")

    def press() -> None:
        nonlocal slowest, last
        if time.monotonic() - last < 0.06:
            return
        last = time.monotonic()
        key = QKeyEvent(QEvent.Type.KeyPress, 0, Qt.KeyboardModifier.NoModifier, next(letters))
        began = time.perf_counter()
        QApplication.sendEvent(window.composer.edit, key)
        window.composer.edit.viewport().repaint()
        slowest = max(slowest, (time.perf_counter() - began) * 1000)

    stream(window, ANSWER * 4, press)
    close(window)
    return slowest


def close(window: Window) -> None:
    """Free everything of a window."""
    window.close()
    window.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    settle(0.1)


def main() -> None:
    """Print the figures of one round."""
    application = QApplication([])
    theme.notifier().apply("light")
    measure_stream(6, ANSWER)  # fonts, lexers and caches once
    opened, memory = measure_open()
    gap_300, work = measure_stream(300, ANSWER * 6)
    gap_1000, _ = measure_stream(1000, ANSWER * 6)
    long = measure_long()
    figures = {
        "gap_300": gap_300,
        "gap_1000": gap_1000,
        "gap_long": long,
        "busiest": max(busiest[1:]),
        "flush": sorted(work)[len(work) // 2],
        "open": opened,
        "memory": memory,
        "typing": measure_typing(),
        **dict(zip(("panels", "panels_hidden"), measure_panels(), strict=True)),
        **dict(zip(("gap_lab", "busiest_lab"), measure_lab_page(Beat, settle), strict=True)),
    }
    print(json.dumps(figures))
    application.quit()


def measure_long() -> float:
    """The gap once the streamed answer itself is long already: it must not grow with it."""
    window = Window()
    window.transcript.set_entries([*chat(20)])
    text = ANSWER * 60
    entry = Entry(-5, "assistant", text)
    window.transcript.append(entry)
    settle(1.0)
    gap, _ = stream(window, ANSWER * 6)
    close(window)
    return gap


if __name__ == "__main__":
    main()
