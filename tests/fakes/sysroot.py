"""Trees of /sys and /proc as the kernel's drivers write them, in a temporary folder.

Written by hand after the kernel's documents and sources (amdgpu ``driver-misc`` and ``kgd_pp_interface.h``, KFD
topology, i915 and xe sysfs, hwmon, powercap, cgroup); not recorded on real machines.
"""

import struct
from pathlib import Path


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    """Create every file below ``root``; text gets the newline that sysfs ends values with."""
    for name, value in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(value if isinstance(value, bytes) else f"{value}\n".encode())
    return root


def gpu_metrics(indep_throttle_status: int) -> bytes:
    """``struct gpu_metrics_v1_3`` (120 bytes) with only the header and the throttle status filled."""
    data = bytearray(120)
    struct.pack_into("<HBB", data, 0, 120, 1, 3)
    struct.pack_into("<Q", data, 112, indep_throttle_status)
    return bytes(data)


def amd_card(root: Path, card: str = "card1", slot: str = "0000:03:00.0", **more: str | bytes) -> Path:
    """A Radeon RX 7900 XTX: 24 GiB, 8 of them used. ``more`` replaces or adds files of the device folder."""
    base = f"sys/class/drm/{card}/device"
    device: dict[str, str | bytes] = {
        "vendor": "0x1002",
        "device": "0x744c",
        "uevent": f"DRIVER=amdgpu\nPCI_CLASS=30000\nPCI_ID=1002:744C\nPCI_SLOT_NAME={slot}",
        "mem_info_vram_total": "25753026560",
        "mem_info_vram_used": "8589934592",
        "mem_info_gtt_total": "33554432000",
        "mem_info_gtt_used": "104857600",
        "gpu_busy_percent": "87",
        "unique_id": "4dd2a61c3f2b0c11",
        "current_link_speed": "16.0 GT/s PCIe",
        "current_link_width": "16",
        "gpu_metrics": gpu_metrics(0),
        "hwmon/hwmon4/name": "amdgpu",
        "hwmon/hwmon4/power1_average": "214000000",
        "hwmon/hwmon4/temp1_input": "61000",
        "hwmon/hwmon4/freq1_input": "2371000000",
        **more,
    }
    write(root, {f"{base}/{name}": value for name, value in device.items()})
    write(root, {f"sys/class/drm/{card}-DP-1/status": "connected"})
    nodes = "sys/class/kfd/kfd/topology/nodes"
    return write(
        root,
        {
            f"{nodes}/0/properties": "cpu_cores_count 16\nsimd_count 0\nlocation_id 0\ndomain 0",
            f"{nodes}/1/properties": "cpu_cores_count 0\nsimd_count 192\nlocation_id 768\ndomain 0\nvendor_id 4098"
            "\ngfx_target_version 110000",
            f"{nodes}/1/mem_banks/0/properties": "heap_type 1\nsize_in_bytes 25753026560\nwidth 384\nmem_clk_max 1249",
            "dev/kfd": "",
            "proc/sys/kernel/osrelease": "6.8.0",
        },
    )


def intel_i915(root: Path, card: str = "card0", slot: str = "0000:00:02.0") -> Path:
    """Graphics inside the processor, under i915."""
    base = f"sys/class/drm/{card}"
    return write(
        root,
        {
            f"{base}/device/vendor": "0x8086",
            f"{base}/device/device": "0x4680",
            f"{base}/device/uevent": f"DRIVER=i915\nPCI_SLOT_NAME={slot}",
            f"{base}/gt/gt0/rps_act_freq_mhz": "1450",
            f"{base}/gt/gt0/throttle_reason_pl1": "0",
            f"{base}/gt/gt0/throttle_reason_thermal": "1",
            f"{base}/device/hwmon/hwmon2/energy1_input": "1000000",
        },
    )


def intel_xe(root: Path, card: str = "card1", slot: str = "0000:03:00.0") -> Path:
    """An Arc B580 under xe."""
    base = f"sys/class/drm/{card}/device"
    return write(
        root,
        {
            f"{base}/vendor": "0x8086",
            f"{base}/device": "0xe20b",
            f"{base}/uevent": f"DRIVER=xe\nPCI_SLOT_NAME={slot}",
            f"{base}/tile0/gt0/freq0/act_freq": "2850",
            f"{base}/tile0/gt0/freq0/throttle/reason_pl1": "1",
            f"{base}/tile0/gt0/freq0/throttle/reason_thermal": "0",
            f"{base}/hwmon/hwmon3/energy1_input": "5000000",
            f"{base}/hwmon/hwmon3/temp2_input": "58000",
        },
    )


def drm_client(root: Path, pid: int, slot: str, region: str, kib: int) -> Path:
    """A process that holds memory of a GPU through two descriptors of one client."""
    text = (
        f"pos:\t0\ndrm-driver:\tamdgpu\ndrm-pdev:\t{slot}\ndrm-client-id:\t7\ndrm-memory-{region}:\t{kib} KiB"
    )
    return write(root, {f"proc/{pid}/fdinfo/{number}": text for number in (20, 21)})


def rapl(root: Path, energy: int = 1_000_000) -> Path:
    """Two packages, one with a part, and psys, which includes them."""
    base = "sys/class/powercap"
    names = {"0": "package-0", "0:0": "core", "1": "package-1", "2": "psys"}
    files: dict[str, str | bytes] = {}
    for number, name in names.items():
        files[f"{base}/intel-rapl:{number}/name"] = name
        files[f"{base}/intel-rapl:{number}/energy_uj"] = str(energy)
        files[f"{base}/intel-rapl:{number}/max_energy_range_uj"] = "262143328850"
    return write(root, files)
