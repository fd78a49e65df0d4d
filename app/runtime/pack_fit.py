"""Whether a backend pack can run on this machine, as far as its manifest says: system, driver, and the cards that its
library has code for. A card it has none for would end the engine at the first decode.
"""

import platform
import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from app.runtime.packs import Manifest, PackError

NVIDIA, AMD = "nvidia", "amd"
_CUDA = re.compile(r"(\d+)([af]?)(?:-(real|virtual))?")


class Card(Struct, frozen=True):
    """A GPU as its vendor's driver tells of it; ``target`` (``sm_90``, ``gfx1100``) is empty when it does not."""

    vendor: str
    name: str = ""
    driver: str = ""
    target: str = ""


def check_here(manifest: Manifest, cards: Sequence[Card]) -> None:
    """Raises PackError when it can't run here."""
    for what, here in (("system", platform.system()), ("machine", platform.machine())):
        wanted = manifest.built_for.get(what)
        if wanted and wanted.lower() != here.lower():
            raise PackError(f"it is for {wanted}, and this is {here}")
    for card in cards:
        _check_driver(card, manifest.driver_floor.get(card.vendor, ""))
    lacking = [card for card in cards if lacks(manifest, card)]
    known = [card for card in cards if card.vendor == vendor(manifest) and card.target]
    if lacking and len(lacking) == len(known):
        names = ", ".join(dict.fromkeys(f"{card.name}, {card.target}" for card in lacking))
        raise PackError(f"it has no code for the GPU here ({names}): it was built for {built_for(manifest)}")


def _check_driver(card: Card, floor: str) -> None:
    if "Linux" in card.driver:  # the kernel's own driver, whose number is not on its maker's scale
        return
    if card.driver and floor and _version(card.driver) < _version(floor):
        raise PackError(
            f"it needs {card.vendor.upper()}'s driver {floor} or newer, and {card.driver} is here: "
            "update the driver"
        )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


# ---------------------------------------------------------------------------------------------- cards


def vendor(manifest: Manifest) -> str:
    """Whose cards the manifest names; empty when it names none."""
    if manifest.cuda.architectures:
        return NVIDIA
    return AMD if manifest.rocm.targets else ""


def built_for(manifest: Manifest) -> str:
    """The cards that it has code for, as their makers' compilers name them."""
    if not manifest.cuda.architectures:
        return ", ".join(manifest.rocm.targets)
    found = (_CUDA.fullmatch(word) for word in manifest.cuda.architectures.split(";"))
    return ", ".join(dict.fromkeys(_named(*one.groups()) for one in found if one))


def _named(number: str, family: str, kind: str | None) -> str:
    return f"sm_{number}{family}" if family or kind == "real" else f"sm_{number} or newer"


def lacks(manifest: Manifest, card: Card) -> bool:
    """It is known to have no code for this card."""
    if not card.target or card.vendor != vendor(manifest):
        return False
    if card.vendor == AMD:
        return card.target not in {name.partition(":")[0] for name in manifest.rocm.targets}
    return not _cuda_runs(manifest.cuda.architectures.split(";"), card.target)


def _cuda_runs(words: Iterable[str], target: str) -> bool:
    """Machine code (``real``) runs on cards of the same major version from its minor one on, and what can still be
    compiled (``virtual``, or neither word) on every later card (CUDA C++ Programming Guide, 3.1.2 to 3.1.4). Code with
    an ``a`` runs on its own card alone, with an ``f`` on its family. Words not known here (``native``) may run."""
    here = int(target.removeprefix("sm_"))
    for word in words:
        found = _CUDA.fullmatch(word.strip())
        if not found:
            return True
        built, kind = int(found[1]), found[3]
        same_major = built // 10 == here // 10 and built <= here
        if found[2] == "a":
            runs = built == here
        elif found[2] == "f" or kind == "real":
            runs = same_major
        else:
            runs = built <= here
        if runs:
            return True
    return False
