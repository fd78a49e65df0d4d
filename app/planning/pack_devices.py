"""What backend packs can do with the cards of this machine: devices that a pack has no code for are left out."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from app.hardware.facts import Fact, Gpu, Machine
from app.runtime.pack_fit import Card, built_for, lacks
from app.runtime.packs import MANIFEST, Manifest, PackError, read_manifest


def cards(machine: Machine) -> tuple[Card, ...]:
    """The GPUs as a pack's manifest speaks of them."""
    return tuple(_card(gpu) for gpu in machine.gpus)


def without_code(machine: Machine, packs: Iterable[str]) -> Machine:
    """The machine without the devices that the packs (folders) in use have no code for: the first decode would end the
    engine there. Facts, and a GPU that has no other device, say so."""
    known = {manifest.backend: manifest for manifest in map(_read, packs) if manifest is not None}
    found = [(gpu, *_lacking(gpu, known)) for gpu in machine.gpus]
    if not any(lacking for _gpu, lacking, _why in found):
        return machine
    facts = (Fact(f"device.{name}", f"not used: {why}", MANIFEST) for _, lost, why in found for name in lost)
    gpus = tuple(_without(gpu, lacking, why) for gpu, lacking, why in found)
    return msgspec.structs.replace(machine, gpus=gpus, facts=(*machine.facts, *facts))


def _card(gpu: Gpu) -> Card:
    return Card(gpu.vendor, gpu.name, gpu.driver or "", gpu.target)


def _read(pack: str) -> Manifest | None:
    try:
        return read_manifest(Path(pack))
    except PackError:
        return None


def _lacking(gpu: Gpu, known: dict[str, Manifest]) -> tuple[list[str], str]:
    """The devices on this GPU whose packs have no code for it, and why."""
    named = {device: known.get(device.rstrip("0123456789").lower()) for device in gpu.devices}
    found = {device: pack for device, pack in named.items() if pack is not None and lacks(pack, _card(gpu))}
    reasons = [
        f"the {pack.backend} pack has no code for it ({gpu.target}): it was built for {built_for(pack)}"
        for pack in found.values()
    ]
    return list(found), reasons[0] if reasons else ""


def _without(gpu: Gpu, lacking: list[str], why: str) -> Gpu:
    rest = tuple(device for device in gpu.devices if device not in lacking)
    return msgspec.structs.replace(gpu, devices=rest, unused=gpu.unused if rest or not lacking else why)
