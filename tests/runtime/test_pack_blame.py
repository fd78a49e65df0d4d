"""Which pack a crash points at: ggml's and faulthandler's own words, as they stand at the end of a worker's log."""

import os
import signal
import sys
from pathlib import Path

import pytest

from app import compose
from app.hardware.probe import ProbeFailedError
from app.runtime.pack_blame import backend_at_fault
from app.runtime.pack_store import PackStore
from tests.fakes.packs import make_pack

SEGV, ABRT, KILL = (-int(number) for number in (signal.SIGSEGV, signal.SIGABRT, 9))
FATAL = "Fatal Python error: Segmentation fault\n\nStack (most recent call first):\n"
DECODING = FATAL + (
    '  File "/opt/ctypes/__init__.py", line 519 in string_at\n'
    '  File "/usr/lib/hearth/_internal/app/runtime/llama_context.py", line 200 in decode\n'
    '  File "/usr/lib/hearth/_internal/app/runtime/engine.py", line 100 in step\n'
)
SAMPLING = DECODING.replace("llama_context.py", "llama_choose.py")
WINDOWS = FATAL + r'  File "C:\Hearth\_internal\app\runtime\llama_sampler.py", line 2 in sample' + "\n"
CUDA_ERROR = "/source/vendor/llama.cpp/ggml/src/ggml-cuda/ggml-cuda.cu:98: CUDA error\n"
CPU_ASSERT = "/source/ggml/src/ggml-cpu/ops.cpp:4: GGML_ASSERT(a == b) failed\n"
THROWN = "terminate called after throwing an instance of 'vk::DeviceLostError'\n"


@pytest.mark.parametrize(
    ("devices", "status", "details", "backend"),
    [
        (("Vulkan0",), SEGV, DECODING, "vulkan"),
        (("Vulkan0",), SEGV, FATAL, "vulkan"),
        (("Vulkan0",), ABRT, THROWN + DECODING.replace("Segmentation fault", "Aborted"), "vulkan"),
        (("Vulkan0",), 0xC0000005, DECODING.replace("/", "\\"), "vulkan"),
        (("Vulkan0",), 0xC0000005, WINDOWS, ""),
        (("Vulkan0",), SEGV, SAMPLING, ""),
        (("Vulkan0",), KILL, DECODING, ""),
        (("Vulkan0",), 1, DECODING, ""),
        ((), SEGV, DECODING, ""),
        (("CUDA0", "CUDA1"), ABRT, CUDA_ERROR + DECODING, "cuda"),
        (("ROCm0",), ABRT, CUDA_ERROR + DECODING, "rocm"),
        (("Vulkan0",), ABRT, CPU_ASSERT + DECODING, ""),
        (("CUDA0", "Vulkan1"), SEGV, DECODING, ""),
        (("CUDA0", "Vulkan1"), ABRT, THROWN.replace("vk::", "vulkan ") + DECODING, "vulkan"),
    ],
)  # fmt: skip
def test_a_crash_is_laid_at_the_door_of_what_the_log_names(
    devices: tuple[str, ...], status: int, details: str, backend: str
) -> None:
    assert backend_at_fault(devices, status, details) == backend


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(("end", "crashes"), [("os.abort()", 1), ("sys.exit(3)", 0)])
def test_a_crash_while_the_device_is_measured_counts_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, crashes: int
) -> None:
    make_pack(tmp_path / "packs" / "vulkan-1", b"x", backend="vulkan")
    packs = PackStore(tmp_path, str, lambda _pack: "", environ={}, bundled=tmp_path / "none")
    monkeypatch.setattr(compose, "program", lambda: [sys.executable, "-Sc", f"import os, sys; {end}"])
    with pytest.raises(ProbeFailedError):
        compose._measure(os.environ, packs, ["--device", "Vulkan0"])
    assert packs.packs()[0].crashes == crashes
