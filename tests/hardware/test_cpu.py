from pathlib import Path

import pytest

from app.hardware.cpu import cpu_quota, detect_cpu, detect_memory, main_memory, memory_limit, parse_list
from app.hardware.facts import Cpu
from app.hardware.mapped import mapped, mapped_by_children
from tests.fakes.sysroot import write

INTEL = """processor\t: 0
model name\t: Intel(R) Core(TM) i7-12700K
flags\t\t: fpu pni ssse3 avx avx2 fma f16c bmi2 avx_vnni

processor\t: 1
model name\t: something else
flags\t\t: fpu"""


def test_name_and_instruction_sets_are_the_first_processor_s(tmp_path: Path) -> None:
    cpu, facts = detect_cpu(write(tmp_path, {"proc/cpuinfo": INTEL}))
    assert cpu.name == "Intel(R) Core(TM) i7-12700K"
    assert cpu.features == ("pni", "ssse3", "avx", "avx2", "fma", "f16c", "bmi2", "avx_vnni")
    assert all(fact.how for fact in facts)


def test_arm_boards_name_themselves_after_the_cores(tmp_path: Path) -> None:
    text = "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\n\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0"
    cpu, _ = detect_cpu(write(tmp_path, {"proc/cpuinfo": text}))
    assert cpu.name == "Raspberry Pi 5 Model B Rev 1.0"
    assert cpu.features == ("asimd", "asimddp", "i8mm")


def test_a_shared_cache_counts_once(tmp_path: Path) -> None:
    base = "sys/devices/system/cpu"
    files: dict[str, str | bytes] = {}
    for number in range(4):
        files[f"{base}/cpu{number}/cache/index3/size"] = "32768K"
        files[f"{base}/cpu{number}/cache/index3/shared_cpu_list"] = "0-1" if number < 2 else "2-3"
    cpu, _ = detect_cpu(write(tmp_path, files))
    assert cpu.l3 == 2 * 32768 * 1024


def test_fast_cores_of_a_hybrid_processor(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"sys/devices/cpu_core/cpus": "0-3", "sys/devices/cpu_atom/cpus": "4-7"}
    for number in range(4):
        files[f"sys/devices/system/cpu/cpu{number}/topology/core_cpus_list"] = "0-1" if number < 2 else "2-3"
    cpu, _ = detect_cpu(write(tmp_path, files))
    assert cpu.performance_cores == 2


@pytest.mark.parametrize(
    ("cpu", "threads"),
    [
        (Cpu(physical_cores=8, threads=16), 8),
        (Cpu(physical_cores=14, threads=20, performance_cores=6), 6),
        (Cpu(physical_cores=8, threads=16, usable_threads=3), 3),
        (Cpu(), 1),
    ],
)
def test_threads_to_start_with(cpu: Cpu, threads: int) -> None:
    assert cpu.best_threads == threads


def test_container_limits_version_2(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/user.slice/app",
            "sys/fs/cgroup/user.slice/memory.max": "max",
            "sys/fs/cgroup/user.slice/app/memory.max": "4294967296",
            "sys/fs/cgroup/user.slice/app/memory.current": "3221225472",
            "sys/fs/cgroup/user.slice/app/memory.stat": "anon 1\ninactive_file 1073741824",
            "sys/fs/cgroup/user.slice/app/cpu.max": "max 100000",
            "sys/fs/cgroup/user.slice/cpu.max": "150000 100000",
        },
    )
    assert memory_limit(tmp_path) == (4 << 30, 2 << 30)
    assert cpu_quota(tmp_path) == 1.5


def test_container_limits_version_1_with_the_host_s_path(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "2147483648",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "1073741824",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "200000",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
        },
    )
    assert memory_limit(tmp_path) == (2 << 30, 1 << 30)
    assert cpu_quota(tmp_path) == 2.0
    memory, facts = detect_memory(tmp_path)
    assert memory.total == memory.limit == 2 << 30
    assert "container" in facts[0].how


def test_cache_that_a_model_has_mapped_is_not_left(tmp_path: Path) -> None:
    stat = "cache 9\ninactive_file 1\ntotal_mapped_file 300\ntotal_inactive_file 500\ntotal_active_file 400\n"
    write(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/abc",
            "sys/fs/cgroup/memory/abc/memory.limit_in_bytes": "2000",
            "sys/fs/cgroup/memory/abc/memory.usage_in_bytes": "1500",
            "sys/fs/cgroup/memory/abc/memory.stat": stat,
        },
    )
    assert memory_limit(tmp_path) == (2000, 1100)


def test_what_is_mapped_is_not_available(tmp_path: Path) -> None:
    write(tmp_path, {"7/status": "VmLck:\t      4 kB\nRssAnon:\t 9 kB\nRssFile:\t     12 kB\n"})
    assert mapped(tmp_path / "7/status") == 8192
    assert mapped(tmp_path / "8/status") == 0
    assert mapped_by_children(tmp_path) == 0
    total, free, _ = main_memory(tmp_path)
    assert main_memory(tmp_path, total) == (total, 0, None)
    assert 0 < free <= total


def test_no_limit_is_none(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"sys/fs/cgroup/memory/memory.limit_in_bytes": str(9223372036854771712)}
    write(tmp_path, {"proc/self/cgroup": "4:memory:/x", **files})
    assert memory_limit(tmp_path) is None
    assert cpu_quota(tmp_path) is None


def test_kernel_lists() -> None:
    assert parse_list("0-2,8") == [0, 1, 2, 8]
    assert parse_list("") == []
