import json
import sys

import pytest

from app.hardware.facts import Backend, Device, Gpu
from app.hardware.probe import ProbeFailedError, merge, read_backends, run_probe, run_with_packs

CARD = Gpu(
    0, "nvidia", "NVIDIA GeForce RTX 3090", memory_total=24 << 30, memory_free=18 << 30, pci="0000:01:00.0"
)


def _device(name: str, **more: object) -> Device:
    values: dict[str, object] = {"backend": name.rstrip("0123456789"), "name": name, "type": "gpu", **more}
    return Device(**values)  # type: ignore[arg-type]


def test_a_crash_is_named_with_its_signal() -> None:
    with pytest.raises(ProbeFailedError, match="crashed with SIGSEGV"):
        run_probe([sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"])


def test_a_failure_shows_its_last_line() -> None:
    with pytest.raises(ProbeFailedError, match="code 3: libcuda is too old"):
        run_probe(
            [
                sys.executable,
                "-c",
                "import sys; print('x\\nlibcuda is too old', file=sys.stderr); sys.exit(3)",
            ]
        )


def test_a_hang_ends() -> None:
    with pytest.raises(ProbeFailedError, match="did not answer"):
        run_probe([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.5)


def test_what_cannot_be_started_says_so() -> None:
    with pytest.raises(ProbeFailedError, match="could not be started"):
        run_probe(["/nowhere/probe"])


def test_the_answer_becomes_backends() -> None:
    device = {
        "name": "CUDA0",
        "description": "RTX",
        "type": "gpu",
        "free": 1,
        "total": 2,
        "pci": "0000:C1:00.0",
        "new": 1,
    }
    answer = {"backends": [{"name": "CUDA", "devices": [device]}, {"name": "bad.so", "problem": "refused"}]}
    backends, facts = read_backends(lambda: json.dumps(answer).encode())
    assert backends[0].devices == (Device("CUDA", "CUDA0", "RTX", "gpu", 1, 2, "0000:c1:00.0"),)
    assert backends[1].problem == "refused"
    assert [fact.value for fact in facts] == ["CUDA0 (RTX)", "refused"]


@pytest.mark.parametrize("answer", [b"", b"nonsense", b'{"backends": 3}'])
def test_a_garbled_answer_is_a_problem_not_an_error(answer: bytes) -> None:
    backends, facts = read_backends(lambda: answer)
    assert backends[0].problem
    assert facts[0].value is None


def test_a_failed_probe_is_a_problem_not_an_error() -> None:
    def fail() -> bytes:
        raise ProbeFailedError("crashed with SIGABRT: boom")

    backends, _ = read_backends(fail)
    assert backends == (Backend("engine", problem="crashed with SIGABRT: boom"),)


def test_devices_join_their_card_by_pci_address() -> None:
    backends = [
        Backend("CUDA", (_device("CUDA0", pci="0000:01:00.0"),)),
        Backend("Vulkan", (_device("Vulkan0", pci="0000:01:00.0"),)),
    ]
    (gpu,) = merge([CARD], backends)
    assert gpu.devices == ("CUDA0", "Vulkan0")
    assert gpu.memory_free == 18 << 30


def test_the_address_decides_between_equal_cards() -> None:
    second = Gpu(1, "nvidia", CARD.name, memory_total=24 << 30, pci="0000:02:00.0")
    devices = (_device("CUDA0", pci="0000:02:00.0"), _device("CUDA1", pci="0000:01:00.0"))
    gpus = merge([CARD, second], [Backend("CUDA", devices)])
    assert [(gpu.pci, gpu.devices) for gpu in gpus] == [
        ("0000:01:00.0", ("CUDA1",)),
        ("0000:02:00.0", ("CUDA0",)),
    ]


def test_another_amount_of_memory_is_another_card() -> None:
    device = _device("Vulkan0", description="NVIDIA GeForce RTX 3090", total=12 << 30)
    assert [gpu.devices for gpu in merge([CARD], [Backend("Vulkan", (device,))])] == [(), ("Vulkan0",)]


def test_without_an_address_name_and_memory_decide() -> None:
    near = _device("Vulkan0", description="NVIDIA GeForce RTX 3090", total=int(24.4 * 2**30))
    far = _device("Vulkan1", description="NVIDIA GeForce RTX 3090", total=12 << 30)
    gpus = merge([CARD], [Backend("Vulkan", (near, far))])
    assert [gpu.devices for gpu in gpus] == [("Vulkan0",), ("Vulkan1",)]


def test_two_equal_cards_stay_two() -> None:
    devices = tuple(
        _device(f"Vulkan{n}", description="NVIDIA GeForce RTX 3090", total=24 << 30) for n in range(2)
    )
    second = Gpu(1, "nvidia", CARD.name, memory_total=24 << 30, pci="0000:02:00.0")
    gpus = merge([CARD, second], [Backend("Vulkan", devices)])
    assert [gpu.devices for gpu in gpus] == [("Vulkan0",), ("Vulkan1",)]


def test_a_device_nobody_knows_is_a_gpu_of_its_own() -> None:
    device = _device("Vulkan0", description="llvmpipe (LLVM 15.0.6, 256 bits)", total=16 << 30, free=15 << 30)
    (gpu,) = merge([], [Backend("Vulkan", (device,)), Backend("CPU", (Device("CPU", "CPU"),))])
    assert gpu.software
    assert gpu.vendor == "other"
    assert gpu.memory_free == 15 << 30


def test_a_backend_names_and_measures_what_sysfs_could_not() -> None:
    card = Gpu(0, "intel", "Intel GPU e20b", pci="0000:03:00.0")
    device = _device(
        "Vulkan0", description="Intel(R) Arc(tm) B580 Graphics", total=12 << 30, pci="0000:03:00.0"
    )
    (gpu,) = merge([card], [Backend("Vulkan", (device,))])
    assert gpu.name == "Intel(R) Arc(tm) B580 Graphics"
    assert gpu.memory_total == 12 << 30


def test_metal_joins_the_apple_gpu() -> None:
    card = Gpu(0, "apple", "Apple M4 GPU", unified=True)
    (gpu,) = merge([card], [Backend("MTL", (_device("MTL0", description="Apple M4", total=12 << 30),))])
    assert gpu.devices == ("MTL0",)
    assert gpu.memory_total == 12 << 30


PROBE = """
import json, os, sys
if "/crashes" in sys.argv[1:]:
    os.abort()
print(json.dumps({"backends": [{"name": name} for name in ["CPU", *sys.argv[1:]]]}))
"""


def test_a_pack_that_crashes_the_probe_is_named_and_the_rest_goes_on() -> None:
    command = [sys.executable, "-c", PROBE]
    backends, _ = read_backends(lambda: run_with_packs(command, ["/good", "/crashes"], {}))
    problems = {backend.name: backend.problem for backend in backends}
    assert problems.keys() == {"CPU", "/good", "/crashes"}
    assert problems["/crashes"].startswith("crashed with SIGABRT")  # type: ignore[union-attr]
    assert problems["/good"] is None


def test_a_probe_that_fails_without_packs_fails() -> None:
    with pytest.raises(ProbeFailedError):
        run_with_packs([sys.executable, "-c", "raise SystemExit(1)"], ["/good"], {})
