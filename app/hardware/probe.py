"""Asking the engine for its devices in a short-lived process, because a broken driver takes its caller down.

This layer knows no engine: the command is given (``compose`` wires ``python -m app.runtime.llama_probe``), it prints
one JSON object ``{"backends": [{"name", "problem", "devices": [{"name", "description", "type", "free", "total",
"pci"}]}]}``.
"""

import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence

import msgspec

from app.hardware.facts import Backend, Device, Fact, Gpu, VendorName
from app.hardware.nvidia import normal_pci

TIMEOUT = 30.0  # a driver that is just loading takes seconds

Probe = Callable[[], bytes]


class _Device(msgspec.Struct):
    name: str
    description: str = ""
    type: str = "cpu"
    free: int | None = None
    total: int | None = None
    pci: str | None = None


class _Backend(msgspec.Struct):
    name: str
    devices: list[_Device] = []
    problem: str | None = None


class _Answer(msgspec.Struct):
    backends: list[_Backend]


class ProbeFailedError(Exception):
    """The probe's process ended badly; the text says how, in words."""


def run_probe(
    command: Sequence[str], timeout: float = TIMEOUT, environ: Mapping[str, str] | None = None
) -> bytes:
    """Run the probe and return what it printed. Raises ProbeFailedError on a hang, a crash or a failure."""
    try:
        done = subprocess.run(
            list(command),
            capture_output=True,
            timeout=timeout,
            env=environ,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ProbeFailedError(f"did not answer within {timeout:.0f} s") from None
    except OSError as error:
        raise ProbeFailedError(f"could not be started: {error.strerror}") from error
    if done.returncode != 0:
        raise ProbeFailedError(_why(done.returncode, done.stderr))
    return done.stdout


def run_with_packs(command: Sequence[str], packs: Sequence[str], environ: Mapping[str, str]) -> bytes:
    """The probe's answer with these backend packs. When one crashes or hangs the probe, each is tried alone, and
    those that fail are named with the reason while the rest go on. Raises ProbeFailedError when none is to blame."""
    try:
        return run_probe([*command, *packs], environ=environ)
    except ProbeFailedError:
        if not packs:
            raise
    problems = {pack: why for pack in packs if (why := _alone(command, pack, environ))}
    rest = [pack for pack in packs if pack not in problems]
    answer = msgspec.json.decode(run_probe([*command, *rest], environ=environ), type=_Answer)
    answer.backends += [_Backend(pack, problem=why) for pack, why in problems.items()]
    return msgspec.json.encode(answer)


def _alone(command: Sequence[str], pack: str, environ: Mapping[str, str]) -> str | None:
    try:
        run_probe([*command, pack], environ=environ)
    except ProbeFailedError as error:
        return str(error)
    return None


def _why(code: int, stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    last = lines[-1].strip() if lines else "it said nothing"
    if code < 0:
        try:
            return f"crashed with {signal.Signals(-code).name}: {last}"
        except ValueError:
            return f"crashed with signal {-code}: {last}"
    return f"failed with code {code}: {last}"


def problem_of(answer: bytes, name: str) -> str:
    """What the probe said is wrong with this backend or pack; nothing when it said nothing of the kind."""
    try:
        backends = msgspec.json.decode(answer, type=_Answer).backends
    except msgspec.MsgspecError as error:
        return f"the engine answered what can't be understood ({error})"
    return next((backend.problem for backend in backends if backend.name == name and backend.problem), "")


def read_backends(probe: Probe) -> tuple[tuple[Backend, ...], list[Fact]]:
    """What the probe said; a failure becomes a backend with a problem, and never an exception."""
    try:
        answer = msgspec.json.decode(probe(), type=_Answer)
    except ProbeFailedError as error:
        return (Backend("engine", problem=str(error)),), [Fact("engine", None, f"the device probe {error}")]
    except msgspec.MsgspecError as error:
        problem = f"answered what can't be understood ({error})"
        return (Backend("engine", problem=problem),), [Fact("engine", None, f"the device probe {problem}")]
    backends = tuple(_backend(item) for item in answer.backends)
    return backends, [_fact(backend) for backend in backends]


def _backend(item: _Backend) -> Backend:
    return Backend(item.name, tuple(_device(item.name, found) for found in item.devices), item.problem)


def _device(backend: str, found: _Device) -> Device:
    pci = normal_pci(found.pci or "")
    return Device(backend, found.name, found.description, found.type, found.free, found.total, pci)


def _fact(backend: Backend) -> Fact:
    names = ", ".join(f"{device.name} ({device.description.strip()})" for device in backend.devices)
    return Fact(f"backend.{backend.name}", backend.problem or names or "no device", "the device probe")


def merge(gpus: Sequence[Gpu], backends: Sequence[Backend]) -> tuple[Gpu, ...]:
    """One entry per real GPU: a device joins the GPU with its PCI id, else with its name and memory; one nobody
    knows becomes a GPU of its own. Vendors' readers win over backends where both know a fact."""
    found = list(gpus)
    for backend in backends:
        for device in backend.devices:
            if device.type in ("gpu", "igpu"):
                _join(found, device)
    return tuple(msgspec.structs.replace(gpu, index=index) for index, gpu in enumerate(found))


def _join(found: list[Gpu], device: Device) -> None:
    for position, gpu in enumerate(found):
        if _same(gpu, device):
            found[position] = msgspec.structs.replace(
                gpu,
                devices=(*gpu.devices, device.name),
                name=device.description if gpu.name.startswith(("AMD GPU", "Intel GPU")) else gpu.name,
                memory_total=gpu.memory_total if gpu.memory_total is not None else device.total,
                memory_free=gpu.memory_free if gpu.memory_free is not None else device.free,
            )
            return
    found.append(
        Gpu(
            len(found),
            _vendor(device.description),
            device.description or device.name,
            device.total,
            device.free,
            device.pci,
            unified=device.type == "igpu",
            devices=(device.name,),
            software=_software(device.description),
        )
    )


def _same(gpu: Gpu, device: Device) -> bool:
    if gpu.pci and device.pci:
        return gpu.pci == device.pci
    if any(name.rstrip("0123456789") == device.name.rstrip("0123456789") for name in gpu.devices):
        return False  # one backend names each GPU once
    # Apple has one GPU; elsewhere the same name with about the same memory is the same card.
    if gpu.vendor == "apple":
        return device.name.startswith("MTL") or "Apple" in device.description
    return _alike(gpu.name, device.description) and _about(gpu.memory_total, device.total)


def _alike(one: str, other: str) -> bool:
    one, other = one.lower().strip(), other.lower().strip()
    return bool(one) and bool(other) and (one in other or other in one)


def _about(one: int | None, other: int | None) -> bool:
    return one is None or other is None or abs(one - other) <= 0.06 * max(one, other)


def _vendor(description: str) -> VendorName:
    text = description.lower()
    names: dict[str, VendorName] = {"nvidia": "nvidia", "geforce": "nvidia", "amd": "amd", "radeon": "amd"}
    names |= {"intel": "intel", "apple": "apple"}
    return (
        "other" if _software(description) else next((names[word] for word in names if word in text), "other")
    )


def _software(description: str) -> bool:
    return any(word in description.lower() for word in ("llvmpipe", "lavapipe", "swiftshader"))
