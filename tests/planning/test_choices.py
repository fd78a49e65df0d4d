import msgspec

from app.core.engine_settings import Engine
from app.models.presets import LoadChoices
from app.planning.choices import choices_from, with_choices


def test_only_what_differs_is_kept_and_comes_back() -> None:
    usual = Engine(n_ctx=8192)
    chosen = msgspec.structs.replace(
        usual, n_ctx=2048, kv_type="q8_0", n_batch=512, tensor_overrides="exps=CPU"
    )
    kept = choices_from(chosen, usual)
    assert kept.chosen() == {
        "n_ctx": 2048,
        "kv_type": "q8_0",
        "extra": {"n_batch": 512, "tensor_overrides": "exps=CPU"},
    }
    assert with_choices(usual, kept) == chosen


def test_flags_win_and_nonsense_is_left_out() -> None:
    kept = LoadChoices(n_ctx=2048, extra={"n_batch": "many", "unknown": 1, "tensor_split": [3, 1]})
    found = with_choices(Engine(n_ctx=512), kept, {"n_ctx"})
    assert (found.n_ctx, found.n_batch, found.tensor_split) == (512, Engine().n_batch, "3,1")


def test_a_program_s_settings_are_no_model_s() -> None:
    assert choices_from(Engine(idle_minutes=5), Engine()) == LoadChoices()
