"""A real GPU backend: the Vulkan pack on Mesa's software device, loaded beside the engine as it was built.

Texts differ between backends, so they are judged by what they say. Where the pack is not built the tests say how.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from app.core.errors import LoadFailedError
from app.core.events import Bus, InstanceChanged, MemoryUse
from app.core.generate import SamplingParams
from app.core.types import LoadPlan
from app.hardware.facts import Backend, Device
from app.hardware.probe import merge, read_backends, run_with_packs
from app.models.gguf import read_header
from app.runtime.channel import child_environ
from app.runtime.supervisor import Supervisor
from devkit import qtlibs, vulkan
from tests.fakes.asking import ask, request
from tests.fakes.moe import write_moe
from tests.fakes.packs import make_pack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DEVICE = "Vulkan0"
QUESTION = "Name the capital of France."
WAIT = 240.0  # the software device compiles its shaders at the first decode


@pytest.fixture(scope="module")
def pack() -> Path:
    if missing := qtlibs.missing_libraries(vulkan.SYSTEM_PACKAGES):
        pytest.skip(f"{', '.join(missing)} is missing; `make engine-vulkan` installs it or says how.")
    if (found := vulkan.built()) is None:
        pytest.skip("The Vulkan pack is not built here; `make engine-vulkan` does it (about 4 minutes).")
    return found


@pytest.fixture
def environ(pack: Path) -> dict[str, str]:
    """Of a worker on the software device."""
    return {**os.environ, **vulkan.SOFTWARE, "HEARTH_PACKS": str(pack)}


@pytest.fixture
def supervisor(tmp_path: Path, environ: dict[str, str]):
    running = Supervisor(Bus(), tmp_path / "logs", environ=environ)
    yield running
    running.close()


@pytest.fixture(scope="module")
def moe(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_moe(starter, tmp_path_factory.mktemp("moe") / "moe.gguf")


def backends(packs: list[Path], environ: dict[str, str]) -> dict[str, Backend]:
    command = [sys.executable, "-m", "app", "probe"]
    found, _ = read_backends(
        lambda: run_with_packs(command, [str(pack) for pack in packs], child_environ(environ))
    )
    return {backend.name: backend for backend in found}


def gpu(pack: Path, environ: dict[str, str]) -> Device:
    (device,) = backends([pack], environ)["Vulkan"].devices
    return device


def plan_for(path: Path, **changes: object) -> LoadPlan:
    fields = {
        "n_ctx": 512,
        "n_parallel": 1,
        "n_batch": 64,
        "n_ubatch": 64,
        "n_threads": 2,
        "devices": (DEVICE,),
    }
    return LoadPlan(str(path), **{**fields, **changes})  # type: ignore[arg-type]


def load(supervisor: Supervisor, plan: LoadPlan) -> InstanceChanged:
    return supervisor.ensure_ready(plan.model_path, plan).result(WAIT)


def answer(supervisor: Supervisor, plan: LoadPlan) -> str:
    """To a question: a prefill of many tokens at once."""
    asked = request(QUESTION, SamplingParams(temperature=0, max_tokens=8))
    return ask(supervisor, asked, plan.model_path).wait(WAIT).text()


def goes_on(supervisor: Supervisor, plan: LoadPlan) -> str:
    """What follows a few tokens: a third of the shaders to compile."""
    asked = request(prompt="The capital of France is", sampling=SamplingParams(temperature=0, max_tokens=2))
    return ask(supervisor, asked, plan.model_path).wait(WAIT).text()


def use(ready: InstanceChanged, device: str) -> MemoryUse:
    return next((use for use in ready.memory if use.device == device), MemoryUse(device))


def tensor_bytes(path: Path, part: str = "") -> int:
    return sum(info.bytes for info in read_header(path).tensors if part in info.name)


class TestDevices:
    def test_the_software_device_is_seen_beside_the_processor(
        self, pack: Path, environ: dict[str, str]
    ) -> None:
        found = backends([pack], environ)
        assert found["CPU"].devices
        device = gpu(pack, environ)
        assert (device.name, device.backend) == (DEVICE, "Vulkan")
        assert "llvmpipe" in device.description
        assert device.total
        (machine_gpu,) = merge((), tuple(found.values()))
        assert machine_gpu.software

    def test_a_pack_given_twice_lists_its_devices_once(
        self, pack: Path, environ: dict[str, str], tmp_path: Path
    ) -> None:
        copy = tmp_path / "copy"
        copy.mkdir()
        for file in pack.iterdir():
            (copy / file.name).write_bytes(file.read_bytes())
        found = backends([pack, pack, copy], environ)
        assert len(found["Vulkan"].devices) == 1
        assert "listed twice" in (found[str(copy)].problem or "")

    @pytest.mark.parametrize(
        "wrong",
        [{"GGML_VK_VISIBLE_DEVICES": "7"}, {"VK_DRIVER_FILES": "/nowhere.json", "VK_ICD_FILENAMES": ""}],
    )
    def test_a_bad_index_or_a_missing_driver_is_a_message(
        self, pack: Path, environ: dict[str, str], wrong: dict[str, str]
    ) -> None:
        found = backends([pack], {**environ, **wrong})
        assert found["CPU"].devices
        assert found[str(pack)].problem if str(pack) in found else not found["Vulkan"].devices

    def test_a_changed_library_is_not_loaded(self, environ: dict[str, str], tmp_path: Path) -> None:
        bad = make_pack(tmp_path / "bad", b"was", backend="vulkan")
        (bad / "libggml-vulkan.so").write_bytes(b"is")
        found = backends([bad], environ)
        assert "its hash differs" in (found[str(bad)].problem or "")
        assert "Vulkan" not in found

    def test_the_doctor_names_the_device_and_its_backend(self, home: Path, environ: dict[str, str]) -> None:
        command = [sys.executable, "-m", "app", "doctor", "--json"]
        ours = {**environ, "HEARTH_HOME": str(home)}
        done = subprocess.run(command, env=ours, capture_output=True, text=True, timeout=120, check=True)
        values = {item["name"]: item["value"] for item in json.loads(done.stdout)}
        assert values["backend.Vulkan"].startswith(f"{DEVICE} (llvmpipe")
        assert values["backend.CPU"]


class TestModels:
    def test_all_layers_on_the_device_and_freed_with_the_model(
        self, starter: Path, supervisor: Supervisor
    ) -> None:
        plan = plan_for(starter, n_gpu_layers=-1)
        ready = load(supervisor, plan)
        assert ready.device == DEVICE
        ours = use(ready, DEVICE)
        assert ours.weights == pytest.approx(tensor_bytes(starter), rel=0.03)
        assert ours.kv
        assert ours.compute
        assert not use(ready, "CPU").kv
        assert "Paris" in answer(supervisor, plan)
        # The software device always reports the same free memory; its memory is the worker's own.
        (pid,) = supervisor.pids()
        assert psutil.Process(pid).memory_info().rss > ours.total
        supervisor.unload(plan.model_path).result(60)
        assert not psutil.pid_exists(pid)
        assert use(load(supervisor, plan), DEVICE) == ours

    def test_half_the_layers(self, starter: Path, supervisor: Supervisor) -> None:
        plan = plan_for(starter, n_gpu_layers=15)
        ready = load(supervisor, plan)
        device, host = use(ready, DEVICE), use(ready, "CPU")
        # llama.cpp counts the output, here the embeddings once more, as the last layer.
        expected = tensor_bytes(starter, "blk.") * 14 / 30 + tensor_bytes(starter, "token_embd")
        assert device.weights == pytest.approx(expected, rel=0.03)
        assert device.kv == pytest.approx(host.kv, rel=0.15)
        assert "Paris" in goes_on(supervisor, plan)

    def test_experts_in_main_memory_and_the_rest_on_the_device(
        self, moe: Path, supervisor: Supervisor
    ) -> None:
        layers = int(read_header(moe).metadata["llama.block_count"])
        plan = plan_for(moe, n_gpu_layers=-1, n_cpu_moe=layers)
        ready = load(supervisor, plan)
        experts = tensor_bytes(moe, "_exps.")
        assert use(ready, "CPU").weights >= experts
        assert use(ready, DEVICE).weights == pytest.approx(tensor_bytes(moe) - experts, rel=0.05)
        assert use(ready, DEVICE).kv
        assert "Paris" in goes_on(supervisor, plan)

    def test_no_layers_means_the_processor_alone(self, starter: Path, supervisor: Supervisor) -> None:
        plan = plan_for(starter, n_gpu_layers=0, devices=())
        ready = load(supervisor, plan)
        assert ready.device == "CPU"
        assert [use.device for use in ready.memory] == ["CPU"]

    def test_without_its_pack_the_device_is_missing_by_name(
        self, starter: Path, environ: dict[str, str], tmp_path: Path
    ) -> None:
        absent = {**environ, "HEARTH_PACKS": str(tmp_path / "absent")}
        supervisor = Supervisor(Bus(), tmp_path / "logs", environ=absent)
        try:
            with pytest.raises(LoadFailedError, match=f"no device {DEVICE}"):
                load(supervisor, plan_for(starter))
        finally:
            supervisor.close()
        (log,) = (tmp_path / "logs").rglob("*.log")
        assert "manifest.json can't be read" in log.read_text()
