"""Reading Linux's one-value files under a root that tests replace. An absent or forbidden file is None."""

from pathlib import Path

ROOT = Path("/")


def read_text(path: Path) -> str | None:
    """The file's text without the trailing newline, or None."""
    try:
        return path.read_text("utf-8", errors="replace").strip()
    except OSError:
        return None


def read_int(path: Path) -> int | None:
    """The file's number (decimal or 0x hexadecimal), or None."""
    text = read_text(path)
    try:
        return int(text, 0) if text else None
    except ValueError:
        return None


def why_missing(path: Path) -> str:
    """The reason ``path`` gives no value, in words."""
    try:
        path.read_bytes()
    except PermissionError:
        return f"{path} is readable by the administrator only"
    except FileNotFoundError:
        return f"{path} does not exist"
    except OSError as error:
        return f"{path}: {error.strerror}"
    return f"{path} holds no number"


def cards(root: Path, vendor: int) -> list[Path]:
    """The ``card<N>`` folders of /sys/class/drm whose PCI vendor is ``vendor``, in order of N."""
    folder = root / "sys/class/drm"
    found = [path for path in folder.glob("card*") if path.name[4:].isdigit()]
    found = [path for path in found if read_int(path / "device/vendor") == vendor]
    return sorted(found, key=lambda path: int(path.name[4:]))


def pci_slot(card: Path) -> str | None:
    """The PCI address a card sits on, from its uevent."""
    return uevent(card).get("PCI_SLOT_NAME")


def uevent(card: Path) -> dict[str, str]:
    """The device's uevent file as a mapping."""
    lines = (read_text(card / "device/uevent") or "").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def hwmon(card: Path) -> Path | None:
    """The card's hwmon folder, or None."""
    found = sorted((card / "device/hwmon").glob("hwmon*"))
    return found[0] if found else None


def link(card: Path) -> tuple[int | None, int | None]:
    """PCIe generation and width now, from current_link_speed (``16.0 GT/s PCIe``) and current_link_width."""
    speed = (read_text(card / "device/current_link_speed") or "").split(" ")[0]
    generations = {"2.5": 1, "5.0": 2, "8.0": 3, "16.0": 4, "32.0": 5, "64.0": 6}
    return generations.get(speed), read_int(card / "device/current_link_width")


def pci_name(root: Path, vendor: int, device: int) -> str | None:
    """The product's name from the system's pci.ids, or None."""
    for name in ("usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids"):
        text = read_text(root / name)
        if text:
            return _find_name(text, f"{vendor:04x}  ", f"\t{device:04x}  ")
    return None


def _find_name(text: str, vendor: str, device: str) -> str | None:
    inside = False
    for line in text.splitlines():
        if line.startswith(vendor):
            inside = True
        elif inside and line.startswith(device):
            return line[len(device) :].strip()
        elif inside and line and line[0] not in "\t#":
            return None
    return None


def drm_memory(root: Path, pids: tuple[int, ...], pci: str | None, region: str) -> int | None:
    """Bytes of one memory region that processes hold on one GPU, from /proc/<pid>/fdinfo (kernel document
    ``drm-usage-stats``). Duplicated file descriptors share a ``drm-client-id`` and are counted once. None: unreadable.
    """
    clients: dict[str, int] = {}
    readable = not pids
    for pid in pids:
        folder = root / f"proc/{pid}/fdinfo"
        try:
            entries = list(folder.iterdir())
        except OSError:
            continue
        readable = True
        for entry in entries:
            _add_client(clients, read_text(entry) or "", pci, region)
    return sum(clients.values()) if readable else None


def _add_client(clients: dict[str, int], text: str, pci: str | None, region: str) -> None:
    if "drm-driver" not in text:
        return
    values = {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
    if pci and values.get("drm-pdev", pci) != pci:
        return
    names = (f"drm-resident-{region}", f"drm-memory-{region}", f"drm-total-{region}")
    text_value = next((values[name] for name in names if name in values), "0")
    clients[values.get("drm-client-id", str(len(clients)))] = _bytes(text_value)


def _bytes(text: str) -> int:
    number, _, unit = text.partition(" ")
    return int(number) * {"KiB": 1024, "MiB": 1024**2}.get(unit.strip(), 1)
