"""Which cards a pack has code for. The rules are those of NVIDIA's programming guide and of ROCm's exact names."""

import msgspec
import pytest

from app.runtime.pack_fit import Card, built_for, check_here, lacks
from app.runtime.packs import Manifest, PackError


def manifest(**changed: object) -> Manifest:
    usual = {"backend": "cuda", "llama_cpp": "0c1e570", "library": "x", "files": {}}
    return msgspec.convert({**usual, **changed}, Manifest)


def cuda(architectures: str) -> Manifest:
    return manifest(cuda={"toolkit": "13.0", "architectures": architectures})


def nvidia(target: str, name: str = "A card") -> Card:
    return Card("nvidia", name, "580.105", target)


@pytest.mark.parametrize(
    ("architectures", "target", "runs"),
    [
        ("90-real", "sm_90", True),
        ("90-real", "sm_75", False),
        ("90-real", "sm_100", False),
        ("80-real", "sm_86", True),
        ("86-real", "sm_80", False),
        ("90", "sm_100", True),
        ("90-virtual", "sm_90", True),
        ("90-virtual", "sm_89", False),
        ("75-real;90-virtual", "sm_120", True),
        ("75-real;90-virtual", "sm_86", False),
        ("90a-real", "sm_90", True),
        ("90a-virtual", "sm_100", False),
        ("120f-real", "sm_121", True),
        ("120f-virtual", "sm_130", False),
        ("native", "sm_75", True),
        ("90-real", "", True),
    ],
)
def test_machine_code_runs_in_its_family_and_other_code_on_all_later_cards(
    architectures: str, target: str, runs: bool
) -> None:
    assert lacks(cuda(architectures), nvidia(target)) is not runs


def test_rocm_names_each_gpu() -> None:
    pack = manifest(backend="rocm", rocm={"version": "6.4", "targets": ["gfx1100", "gfx90a:xnack-"]})
    assert built_for(pack) == "gfx1100, gfx90a:xnack-"
    assert not lacks(pack, Card("amd", target="gfx90a"))
    assert lacks(pack, Card("amd", target="gfx1032"))
    assert not lacks(pack, nvidia("sm_75"))


def test_one_card_that_can_is_enough_to_install_it() -> None:
    pack = cuda("90-real")
    check_here(pack, (nvidia("sm_75", "T4"), nvidia("sm_90", "H200"), Card("intel", "Arc")))
    check_here(pack, (Card("amd", "Radeon", target="gfx1100"), nvidia("")))
    check_here(pack, ())
    said = r"no code for the GPU here \(T4, sm_75, A40, sm_86\): it was built for sm_90"
    with pytest.raises(PackError, match=said):
        check_here(pack, (nvidia("sm_75", "T4"), nvidia("sm_86", "A40"), nvidia("sm_75", "T4")))


def test_what_it_was_built_for_in_words() -> None:
    assert built_for(cuda("75-real;80-real;90-real;90-virtual")) == "sm_75, sm_80, sm_90, sm_90 or newer"
    assert built_for(cuda("120f-virtual")) == "sm_120f"
