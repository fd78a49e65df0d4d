import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from app.core.events import Bus
from app.core.types import Sample
from app.hardware.amd import Amd
from app.hardware.facts import Cpu, Found, Gpu, Machine, Memory, Reading, VendorName
from app.hardware.sampler import Host, Sampler, refresh
from tests.fakes.sysroot import amd_card, drm_client, rapl


class Broken:
    name: VendorName = "amd"

    def detect(self) -> Found:
        return Found()

    def read(self, gpu: Gpu, pids: Sequence[int]) -> Reading:
        raise RuntimeError("the driver was reset")

    def close(self) -> None:
        pass


def _machine(*gpus: Gpu) -> Machine:
    return Machine(Cpu(), Memory(), gpus)


def _collect(bus: Bus, wanted: int) -> tuple[list[Sample], threading.Event]:
    samples: list[Sample] = []
    enough = threading.Event()

    def add(sample: Sample) -> None:
        samples.append(sample)
        if len(samples) >= wanted:
            enough.set()

    bus.subscribe(Sample, add)
    return samples, enough


def test_publishes_host_and_gpus(bus: Bus, tmp_path: Path) -> None:
    reader = Amd(amd_card(rapl(tmp_path)))
    drm_client(tmp_path, os.getpid(), "0000:03:00.0", "vram", 1024)
    machine = _machine(*reader.detect().gpus)
    samples, enough = _collect(bus, 4)
    sampler = Sampler(bus, lambda: machine, list, vendors=[reader], host=Host(tmp_path), period=0.02)
    sampler.start()
    sampler.start()
    assert enough.wait(60)
    sampler.close()
    sampler.close()
    host, gpu, second = samples[0].values, samples[1].values, samples[2].values
    assert samples[0].source == "host"
    assert samples[1].source == "gpu:0"
    assert 0 < host["memory_us"] <= host["memory_used"] <= host["memory_total"]  # type: ignore[operator]
    assert gpu["memory_us"] == 1024 * 1024
    assert gpu["throttle"] == 0.0
    assert second["cpu_power"] == 0.0
    assert "cpu_power" not in sampler.reasons("host")


def test_a_reader_that_fails_does_not_stop_the_others(bus: Bus) -> None:
    samples, enough = _collect(bus, 3)
    gpu = Gpu(0, "amd", "Radeon", memory_total=1, key="x")
    sampler = Sampler(bus, _machine(gpu), list, vendors=[Broken()], period=0.01)
    sampler.start()
    assert enough.wait(60)
    sampler.close()
    assert samples[1].values["power"] is None
    assert sampler.reasons("gpu:0") == {"all": "reading failed: the driver was reset"}
    assert samples[2].source == "host"


def test_a_reading_that_fails_is_followed_by_the_next(bus: Bus) -> None:
    class Full(Host):
        def read(self, pids: Sequence[int]) -> dict[str, float | None]:
            tried.append(1)
            if len(tried) == 1:
                raise OSError(24, "Too many open files")
            return {"memory_total": 1.0}

    tried: list[int] = []
    samples, enough = _collect(bus, 1)
    sampler = Sampler(bus, _machine(), list, vendors=[], host=Full(), period=0.01)
    sampler.start()
    assert enough.wait(60)
    sampler.close()
    assert samples[0].values == {"memory_total": 1.0}


def test_a_gpu_without_a_reader_says_so(bus: Bus) -> None:
    samples, enough = _collect(bus, 2)
    sampler = Sampler(
        bus, _machine(Gpu(0, "other", "llvmpipe", devices=("Vulkan0",))), list, vendors=[], period=0.01
    )
    sampler.start()
    assert enough.wait(60)
    sampler.close()
    assert samples[1].values["utilization"] is None
    assert sampler.reasons("gpu:0")["all"]


def test_workers_count_as_us_and_dead_ones_count_nothing(tmp_path: Path) -> None:
    host = Host(tmp_path)
    alone = host.read([])["memory_us"]
    code = "import sys; block = bytearray(50_000_000); print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        both = host.read([worker.pid])["memory_us"]
        worker.communicate()
    assert both is not None
    assert alone is not None
    assert both - alone > 45_000_000
    after = host.read([worker.pid])["memory_us"]
    assert after is not None
    assert after < both - 45_000_000


def test_unknown_power_has_a_reason(tmp_path: Path) -> None:
    host = Host(tmp_path)
    assert host.read([])["cpu_power"] is None
    assert "RAPL" in host.missing["cpu_power"]


def test_refresh_takes_the_free_memory_of_now(tmp_path: Path) -> None:
    reader = Amd(amd_card(tmp_path))
    machine = _machine(*reader.detect().gpus)
    (tmp_path / "sys/class/drm/card1/device/mem_info_vram_used").write_text("53026560\n")
    fresh = refresh(machine, [reader])
    assert fresh.gpus[0].memory_free == 25700000000
    assert fresh.memory.total
