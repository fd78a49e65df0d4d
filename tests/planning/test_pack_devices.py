"""Devices that a backend pack has no code for are left out of the machine, with the reason."""

from pathlib import Path

from app.hardware.facts import Cpu, Gpu, Machine, Memory
from app.planning.pack_devices import cards, without_code
from app.runtime.pack_fit import Card
from tests.fakes.packs import make_pack

T4 = Gpu(0, "nvidia", "T4", driver="580.1", target="sm_75", devices=("CUDA0", "Vulkan0"))
H200 = Gpu(1, "nvidia", "H200", driver="580.1", target="sm_90", devices=("CUDA1",))
MACHINE = Machine(Cpu("A processor"), Memory(), (T4, H200, Gpu(2, "amd", "Radeon", devices=("Vulkan1",))))


def test_a_card_without_code_keeps_what_other_backends_have_on_it(tmp_path: Path) -> None:
    pack = make_pack(tmp_path / "cuda", b"x", backend="cuda", cuda={"architectures": "90-real"})
    found = without_code(MACHINE, [str(pack), str(tmp_path / "gone")])
    assert [gpu.devices for gpu in found.gpus] == [("Vulkan0",), ("CUDA1",), ("Vulkan1",)]
    assert found.gpus[0].unused == ""
    assert [fact.name for fact in found.facts] == ["device.CUDA0"]


def test_one_with_nothing_left_says_why(tmp_path: Path) -> None:
    pack = make_pack(tmp_path / "cuda", b"x", backend="cuda", cuda={"architectures": "120-real"})
    found = without_code(MACHINE, [str(pack)])
    assert found.gpus[1].devices == ()
    assert found.gpus[1].unused == "the cuda pack has no code for it (sm_90): it was built for sm_120"


def test_a_machine_that_all_packs_suit_is_the_same_one(tmp_path: Path) -> None:
    pack = make_pack(tmp_path / "vulkan", b"x", backend="vulkan")
    assert without_code(MACHINE, [str(pack)]) is MACHINE


def test_cards_are_what_the_drivers_say() -> None:
    assert cards(MACHINE)[0] == Card("nvidia", "T4", "580.1", "sm_75")
