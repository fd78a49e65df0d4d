"""The processor and main memory: /proc and /sys on Linux, sysctl on macOS, the registry on Windows, psutil for counts.

A container sees the machine's numbers and dies by its own limit: the cgroup's memory limit and processor quota
(version 1 and 2) are read and the smaller counts.
"""

import os
import platform
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from app.hardware.facts import Cpu, Fact, Memory, memory_words
from app.hardware.sysfs import ROOT, read_int, read_text

# Instruction sets that llama.cpp has kernels for, in the order a person would name them.
USEFUL = (
    "sse3", "pni", "ssse3", "avx", "avx2", "fma", "f16c", "bmi2", "avx_vnni", "avx512f", "avx512bw", "avx512vl",
    "avx512vbmi", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16",
    "asimd", "asimddp", "i8mm", "bf16", "svei8mm", "sve", "sve2", "sme", "sme2", "dotprod", "vsx", "rvv",
)  # fmt: skip

NO_LIMIT = 1 << 60  # cgroup version 1 writes "no limit" as a number near 2**63


def detect_cpu(root: Path = ROOT) -> tuple[Cpu, list[Fact]]:
    """The processor and how each of its facts was learned."""
    import psutil  # noqa: PLC0415 - not before the first paint

    name, features, how = _name_and_features(root)
    cores, threads = psutil.cpu_count(logical=False), psutil.cpu_count(logical=True)
    usable, why = _usable(root, threads)
    fast = _performance_cores(root)
    cpu = Cpu(name, cores, threads, features, _l3(root), fast, usable)
    return cpu, _cpu_facts(cpu, how, why)


def _cpu_facts(cpu: Cpu, how: str, why: str) -> list[Fact]:
    facts = [
        Fact("cpu.name", cpu.name, how),
        Fact("cpu.physical_cores", _words(cpu.physical_cores), "psutil.cpu_count(logical=False)"),
        Fact("cpu.threads", _words(cpu.threads), "psutil.cpu_count()"),
        Fact("cpu.usable_threads", _words(cpu.usable_threads), why),
        Fact("cpu.features", " ".join(cpu.features or ()) or None, how),
        Fact("cpu.l3", memory_words(cpu.l3), "/sys/devices/system/cpu/cpu*/cache/index3"),
    ]
    if cpu.performance_cores:
        facts.append(Fact("cpu.performance_cores", str(cpu.performance_cores), "/sys/devices/cpu_core/cpus"))
    return facts


def _words(value: int | None) -> str | None:
    return None if value is None else str(value)


def _name_and_features(root: Path) -> tuple[str | None, tuple[str, ...] | None, str]:
    if sys.platform == "darwin" and root == ROOT:
        return _mac_cpu()
    if sys.platform == "win32" and root == ROOT:
        return _windows_cpu_name(), None, "the registry"
    values = _cpuinfo(read_text(root / "proc/cpuinfo") or "")
    name = values.get("model name") or values.get("Model") or read_text(root / "proc/device-tree/model")
    flags = set((values.get("flags") or values.get("Features") or "").split())
    features = tuple(flag for flag in USEFUL if flag in flags) if flags else None
    return (name or platform.processor() or None), features, "/proc/cpuinfo"


def _cpuinfo(text: str) -> dict[str, str]:
    """The first processor's fields; ``Model`` of an ARM board stands after the last one."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        key, found, value = line.partition(":")
        if found:
            values.setdefault(key.strip(), value.strip())
    return values


def sysctl(name: str) -> str | None:
    """One value of macOS's sysctl, or None."""
    try:
        done = subprocess.run(
            ["/usr/sbin/sysctl", "-n", name], capture_output=True, text=True, timeout=2, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _mac_cpu() -> tuple[str | None, tuple[str, ...] | None, str]:
    names = {"dotprod": "FEAT_DotProd", "i8mm": "FEAT_I8MM", "bf16": "FEAT_BF16", "sme": "FEAT_SME"}
    features = tuple(key for key, flag in names.items() if sysctl(f"hw.optional.arm.{flag}") == "1")
    return sysctl("machdep.cpu.brand_string"), features or None, "sysctl"


def _windows_cpu_name() -> str | None:
    import winreg  # noqa: PLC0415 - exists on Windows alone

    key = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as handle:  # type: ignore[attr-defined,unused-ignore]
            return str(winreg.QueryValueEx(handle, "ProcessorNameString")[0]).strip()  # type: ignore[attr-defined,unused-ignore]
    except OSError:
        return platform.processor() or None


def _l3(root: Path) -> int | None:
    """Bytes of every level-3 cache; one that several processors share is counted once."""
    seen: dict[str, int] = {}
    for cache in (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cache/index3"):
        size = read_text(cache / "size") or ""
        if size[:-1].isdigit() and size[-1] in "KM":
            shared = read_text(cache / "shared_cpu_list") or cache.parent.parent.name
            seen[shared] = int(size[:-1]) * (1024 if size[-1] == "K" else 1024**2)
    return sum(seen.values()) or None


def _performance_cores(root: Path) -> int | None:
    """Fast cores of a hybrid Intel processor: its list of threads, each core counted once."""
    text = read_text(root / "sys/devices/cpu_core/cpus")
    if not text or not read_text(root / "sys/devices/cpu_atom/cpus"):
        return None
    folder = root / "sys/devices/system/cpu"
    siblings = {read_text(folder / f"cpu{n}/topology/core_cpus_list") or str(n) for n in parse_list(text)}
    return len(siblings)


def parse_list(text: str) -> list[int]:
    """The numbers of a kernel list such as ``0-3,8``."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _usable(root: Path, threads: int | None) -> tuple[int | None, str]:
    """Threads this process may run at once, and what says so."""
    count, why = threads, "psutil.cpu_count()"
    if root == ROOT and hasattr(os, "sched_getaffinity"):
        count, why = len(os.sched_getaffinity(0)), "sched_getaffinity"
    quota = cpu_quota(root)
    if quota is not None and (count is None or quota < count):
        return max(1, int(quota)), "the container's processor quota (cgroup)"
    return count, why


def _cgroup_folders(root: Path, controller: str) -> list[Path]:
    """This process's cgroup folders from its own up to the mount's root, version 2 then 1."""
    return _folders_of(root, controller, read_text(root / "proc/self/cgroup") or "")


@lru_cache(maxsize=8)
def _folders_of(root: Path, controller: str, text: str) -> list[Path]:
    # Asked with each reading of the memory; a process is seldom moved.
    found: list[Path] = []
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            tops = [root / "sys/fs/cgroup", root / "sys/fs/cgroup/unified"]
        elif controller in controllers.split(","):
            tops = [root / "sys/fs/cgroup" / controller, root / "sys/fs/cgroup" / controllers]
        else:
            continue
        for top in tops:
            folder = top / path.lstrip("/")
            # Inside a container the path is the host's, and what is mounted is our part of it.
            found += [folder, *[up for up in folder.parents if up.is_relative_to(top)], top]
    return [folder for folder in dict.fromkeys(found) if folder.is_dir()]


def cpu_quota(root: Path = ROOT) -> float | None:
    """Processors' worth of time the cgroup allows, or None without a limit."""
    found = []
    for folder in _cgroup_folders(root, "cpu"):
        quota, period = _quota(folder)
        if quota and period and quota > 0:
            found.append(quota / period)
    return min(found, default=None)


def _quota(folder: Path) -> tuple[int | None, int | None]:
    text = read_text(folder / "cpu.max")
    if text:
        quota, _, period = text.partition(" ")
        return (int(quota) if quota.isdigit() else None), int(period or 100000)
    return read_int(folder / "cpu.cfs_quota_us"), read_int(folder / "cpu.cfs_period_us")


def memory_limit(root: Path = ROOT) -> tuple[int, int] | None:
    """(limit, bytes left under it) of the tightest cgroup, or None without a limit. Cache that nobody has mapped can be
    dropped and is counted as left."""
    found = []
    for folder in _cgroup_folders(root, "memory"):
        limit = read_int(folder / "memory.max") or read_int(folder / "memory.limit_in_bytes")
        if limit and limit < NO_LIMIT:
            used = read_int(folder / "memory.current") or read_int(folder / "memory.usage_in_bytes") or 0
            left = limit - used + _droppable(folder)
            found.append((limit, max(0, min(limit, left))))
    return min(found, key=lambda pair: pair[1], default=None)


def _droppable(folder: Path) -> int:
    lines = (read_text(folder / "memory.stat") or "").splitlines()
    found = {key: int(value) for key, _, value in (line.partition(" ") for line in lines) if value.isdigit()}

    def size(name: str) -> int:
        return found.get(f"total_{name}", found.get(name, 0))  # version 1 has its children's apart

    cache, mapped = size("inactive_file") + size("active_file"), size("file_mapped") + size("mapped_file")
    return max(0, cache - mapped)


def main_memory(root: Path = ROOT, mapped: int = 0) -> tuple[int, int, int | None]:
    """(bytes in all, bytes available, the container's limit). ``mapped``: what models have mapped, which the system
    counts as available."""
    import psutil  # noqa: PLC0415 - not before the first paint

    seen, bound = psutil.virtual_memory(), memory_limit(root)
    total, available = int(seen.total), max(0, int(seen.available) - mapped)
    if bound is None or bound[0] >= total:
        return total, available, None
    return bound[0], min(available, bound[1]), bound[0]


def detect_memory(root: Path = ROOT, mapped: int = 0) -> tuple[Memory, list[Fact]]:
    """Main memory now, and how it was learned."""
    total, available, limit = main_memory(root, mapped)
    how = "psutil.virtual_memory()" if limit is None else "the container's limit (cgroup)"
    memory = Memory(total, available, limit)
    sizes = {"memory.total": total, "memory.available": available}
    return memory, [Fact(name, memory_words(size), how) for name, size in sizes.items()]
