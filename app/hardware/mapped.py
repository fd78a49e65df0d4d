"""Pages of memory-mapped models: the system counts them as available, since it may drop them and read them again, but
a model that loses them no longer answers at its speed."""

import os
from pathlib import Path

from app.hardware.sysfs import ROOT, read_text


def mapped_by_children(root: Path = ROOT) -> int:
    """Resident bytes backed by files of this process's children (the workers), without those locked in memory, which
    are not available in any case. 0 where the system does not tell (Windows and macOS count them as used)."""
    import psutil  # noqa: PLC0415 - not before the first paint

    if not (root / "proc/self/status").exists():
        return 0
    try:
        children = psutil.Process(os.getpid()).children()
    except psutil.Error:
        return 0
    return sum(mapped(root / "proc" / str(child.pid) / "status") for child in children)


def mapped(status: Path) -> int:
    """The same of one process, from its ``/proc/PID/status``; one that has ended has none."""
    sizes = dict.fromkeys(("RssFile", "VmLck"), 0)
    for line in (read_text(status) or "").splitlines():
        name, _, value = line.partition(":")
        if name in sizes:
            sizes[name] = int(value.split()[0]) * 1024
    return max(0, sizes["RssFile"] - sizes["VmLck"])
