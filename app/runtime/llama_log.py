"""llama.cpp's log: kept in a bounded list, written on to stderr (the instance's log file), and read back for what it
says about memory and about the reason of a failure."""

import ctypes
import re
import sys
import threading
from collections import deque
from collections.abc import Iterable

from app.core.errors import (
    EngineError,
    HearthError,
    LoadFailedError,
    ModelError,
    OutOfMemoryError,
    TruncatedModelError,
    UnsupportedModelError,
)
from app.core.events import MemoryUse
from app.runtime.llama import lib

KEPT_LINES = 4000
_WARNING, _CONTINUED, _DEBUG = 3, 5, 1  # ggml.h, ggml_log_level
MIB = 1024 * 1024

_BUFFER = re.compile(r"(\S+)\s+(model|KV|RS|compute|output|LoRA) buffer size\s*=\s*([\d.]+) MiB")
_FIELDS = {
    "model": "weights",
    "LoRA": "weights",
    "KV": "kv",
    "RS": "kv",
    "compute": "compute",
    "output": "compute",
}
_ALLOCATION = re.compile(
    r"(failed|unable) to allocate|out of memory|cudaMalloc failed|ErrorOutOfDeviceMemory", re.IGNORECASE
)
_UNSUPPORTED = re.compile(
    r"unknown model architecture: '[^']*'|unknown pre-tokenizer type: '[^']*'|unsupported \S+.*|invalid ggml type \d+.*"
)
_TRUNCATED = re.compile(r"data is not within the file bounds|failed to read|unexpectedly reached end of file")
_OFFLOADED = re.compile(r"offloaded (\d+)/(\d+) layers")


_installed: list["LogCapture"] = []


class LogCapture:
    """Collects the log from any thread. One per process; keep it alive as long as llama.cpp is used."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._open = ""
        self._callback = lib.llama_log_callback(self._take)

    def install(self) -> "LogCapture":
        """Receive everything llama.cpp and ggml say from now on; itself."""
        _installed.append(self)  # C keeps the callback's address for good
        lib.llama_log_set(self._callback, ctypes.c_void_p(0))
        return self

    def _take(self, level: int, text: bytes, _user: object) -> None:
        # Called by C: an exception would be lost, and a bad byte must not raise one.
        piece = text.decode("utf-8", "replace")
        with self._lock:
            *whole, self._open = (self._open + piece).split("\n")
            self._lines.extend(whole)
        if level != _DEBUG:
            sys.stderr.write(piece)

    @property
    def callback(self) -> object:
        """The C callback, for libraries with a log of their own."""
        return self._callback

    def lines(self) -> list[str]:
        """A copy of what is kept, the oldest first."""
        with self._lock:
            return list(self._lines)

    def clear(self) -> None:
        """Forget what was said so far."""
        with self._lock:
            self._lines.clear()


def memory_use(lines: Iterable[str]) -> tuple[MemoryUse, ...]:
    """Bytes per device as llama.cpp reported each buffer when it allocated it. Host buffers of any kind (mapped files,
    repacked weights, a device's pinned host memory) count as CPU."""
    found: dict[str, dict[str, int]] = {}
    for line in lines:
        if match := _BUFFER.search(line):
            buffer, kind, size = match.groups()
            values = found.setdefault(_device(buffer), {})
            values[_FIELDS[kind]] = values.get(_FIELDS[kind], 0) + round(float(size) * MIB)
    return tuple(
        MemoryUse(device, **values) for device, values in sorted(found.items()) if any(values.values())
    )


def _device(buffer: str) -> str:
    if buffer.startswith("CPU") or buffer.endswith("_Host"):
        return "CPU"
    return buffer.split("_", maxsplit=1)[0] if not buffer.startswith("RPC") else buffer


def offloaded(lines: Iterable[str]) -> tuple[int, int] | None:
    """(layers on devices, layers in all), or None when the log does not say."""
    found = [match for line in lines if (match := _OFFLOADED.search(line))]
    return (int(found[-1][1]), int(found[-1][2])) if found else None


def first_allocation_failure(lines: Iterable[str]) -> str | None:
    """The first line that tells of memory that was not to be had."""
    return next((line.strip() for line in lines if _ALLOCATION.search(line)), None)


def explain_failure(model: str, path: str, size: int, lines: list[str]) -> HearthError:
    """Why llama.cpp returned NULL from a load, as the error a user can act on."""
    text = "\n".join(lines)
    if match := _UNSUPPORTED.search(text):
        return UnsupportedModelError(path=path, detail=match[0].rstrip(","))
    if _TRUNCATED.search(text):
        return TruncatedModelError(path=path, found=size, expected="more")
    if failure := first_allocation_failure(lines):
        return OutOfMemoryError(model=model, detail=_short(failure))
    errors = [line for line in lines if "error" in line.lower() or "failed" in line.lower()]
    return LoadFailedError(model=model, detail=_short(errors[0]) if errors else "llama.cpp did not say why")


def _short(line: str) -> str:
    # "function: message" -> message
    return line.split(": ", 1)[-1].strip().rstrip(".")


def is_load_error(error: BaseException) -> bool:
    """An error with words of its own, not a mistake of ours."""
    return isinstance(error, EngineError | ModelError)
