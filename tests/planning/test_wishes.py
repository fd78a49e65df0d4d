"""The settings' texts become wishes; what can't be read is named."""

import pytest

from app.core.engine_settings import Engine
from app.core.errors import SettingsError
from app.core.types import Adapter, LoadPlan
from app.planning.wishes import AS_THEY_ARE, from_settings, with_changes


def test_the_defaults_override_nothing() -> None:
    wishes = from_settings(Engine())
    assert wishes.extra == {}
    assert (wishes.n_ctx, wishes.n_gpu_layers, wishes.n_threads, wishes.devices) == (4096, -1, None, None)


def test_every_field_is_one_of_the_plan_s() -> None:
    assert set(AS_THEY_ARE) <= set(LoadPlan.__struct_fields__)
    assert set(AS_THEY_ARE) <= set(Engine.__struct_fields__)


def test_lists_are_read() -> None:
    wishes = from_settings(
        Engine(
            devices="CUDA0, Vulkan1", tensor_split="3,1", tensor_overrides=r"blk\.[0-9]+\.ffn_.*_exps=CPU, a=b=CPU",
            adapters=r"/a.gguf, /b.gguf:0.5, C:\x.gguf", v_type="q8_0", rope_scaling="yarn", n_cpu_moe=4,
        )
    )  # fmt: skip
    assert wishes.devices == ("CUDA0", "Vulkan1")
    assert wishes.beyond_trained
    assert wishes.extra == {
        "tensor_split": (3.0, 1.0),
        "tensor_overrides": ((r"blk\.[0-9]+\.ffn_.*_exps", "CPU"), ("a=b", "CPU")),
        "adapters": (Adapter("/a.gguf"), Adapter("/b.gguf", 0.5), Adapter(r"C:\x.gguf")),
        "type_v": "q8_0",
        "rope_scaling": "yarn",
        "n_cpu_moe": 4,
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tensor_split", "3,much"),
        ("tensor_split", "3,-1"),
        ("tensor_split", "0,0"),
        ("tensor_overrides", "nothing"),
        ("tensor_overrides", "=CPU"),
    ],
)
def test_what_can_not_be_read_is_named(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=name):
        from_settings(Engine(**{name: text}))


def test_devices_of_packs_that_are_off_are_not_asked_for() -> None:
    wishes = from_settings(Engine(devices="CUDA0, Vulkan1", tensor_split="3,1", n_cpu_moe=4))
    assert wishes.without_backends({"metal"}) is wishes
    rest = wishes.without_backends({"vulkan"})
    assert (rest.devices, rest.extra) == (("CUDA0",), {"n_cpu_moe": 4})
    assert rest.without_backends({"cuda"}).devices is None


def test_what_is_asked_for_in_so_many_words_is_not_cut() -> None:
    usual = from_settings(Engine(n_batch=64, flash_attn="on"))
    assert with_changes(usual, {"n_batch": 32}).extra == {"n_batch": 32, "flash_attn": "on"}
    assert with_changes(usual, {"n_batch": 32}).min_ctx is None
    longer = with_changes(usual, {"n_ctx": 100_000})
    assert (longer.n_ctx, longer.min_ctx, longer.beyond_trained) == (100_000, 100_000, True)
    assert longer.extra == usual.extra
