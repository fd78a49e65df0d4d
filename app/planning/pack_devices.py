"""What backend packs can do with the cards of this machine: devices that a pack has no code for are left out."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from app.hardware.facts import Gpu, Machine
from app.runtime.pack_fit import Card, built_for, lacks
from app.runtime.packs import Manifest, PackError, read_manifest


def cards(machine: Machine) -> tuple[Card, ...]:
    """The GPUs as a pack's manifest speaks of them."""
    return tuple(_card(gpu) for gpu in machine.gpus)


def without_code(machine: Machine, packs: Iterable[str]) -> Machine:
    """The machine without the devices that the packs (folders) in use have no code for: the first decode would end the
    engine there. Their GPU says so."""
    known = {manifest.backend: manifest for manifest in map(_read, packs) if manifest is not None}
    gpus = tuple(_with_code(gpu, known) for gpu in machine.gpus)
    return machine if gpus == machine.gpus else msgspec.structs.replace(machine, gpus=gpus)


def _card(gpu: Gpu) -> Card:
    return Card(gpu.vendor, gpu.name, gpu.driver or "", gpu.target)


def _read(pack: str) -> Manifest | None:
    try:
        return read_manifest(Path(pack))
    except PackError:
        return None


def _with_code(gpu: Gpu, known: dict[str, Manifest]) -> Gpu:
    named = {device: known.get(device.rstrip("0123456789").lower()) for device in gpu.devices}
    lacking = {device: pack for device, pack in named.items() if pack is not None and lacks(pack, _card(gpu))}
    if not lacking:
        return gpu
    rest = tuple(device for device in gpu.devices if device not in lacking)
    pack = next(iter(lacking.values()))
    why = f"the {pack.backend} pack has no code for it ({gpu.target}): it was built for {built_for(pack)}"
    return msgspec.structs.replace(gpu, devices=rest, unused="" if rest else why)
