from hypothesis import given
from hypothesis import strategies as st

from app.planning.eviction import Eviction, Loaded, choose

GIB = 1 << 30


def _model(name: str, idle: float, load: float = 10, gib: float = 4, **more: object) -> Loaded:
    values: dict[str, object] = {"weights": {"CUDA0": int(gib * GIB)}, "cache": {"CUDA0": GIB}, **more}
    return Loaded(name, idle, load, **values)  # type: ignore[arg-type]


def test_nothing_missing_evicts_nothing() -> None:
    assert choose([_model("a", 100)], {"CUDA0": 0}) == []


def test_the_longest_idle_goes_first() -> None:
    assert choose([_model("a", 10), _model("b", 100)], {"CUDA0": GIB}) == [Eviction("b", "model")]


def test_a_model_that_loads_slowly_is_kept_longer() -> None:
    models = [_model("slow", 100, load=60), _model("fast", 50, load=2)]
    assert choose(models, {"CUDA0": GIB}) == [Eviction("fast", "model")]


def test_what_the_user_cares_for_is_kept_longer() -> None:
    models = [_model("dear", 100, weight=5), _model("other", 50)]
    assert choose(models, {"CUDA0": GIB}) == [Eviction("other", "model")]


def test_caches_go_before_weights() -> None:
    models = [_model("a", 100, cache_alone=True), _model("b", 50, cache_alone=True)]
    assert choose(models, {"CUDA0": 2 * GIB}) == [Eviction("a", "cache"), Eviction("b", "cache")]
    assert choose(models, {"CUDA0": GIB // 2}) == [Eviction("a", "cache")]


def test_an_unloaded_model_needs_no_cache_step() -> None:
    assert choose([_model("a", 100, cache_alone=True)], {"CUDA0": 4 * GIB}) == [Eviction("a", "model")]


def test_busy_and_pinned_models_stay() -> None:
    models = [_model("busy", 0, busy=True), _model("pinned", 900, pinned=True), _model("free", 5)]
    assert choose(models, {"CUDA0": GIB}) == [Eviction("free", "model")]
    assert choose(models[:2], {"CUDA0": GIB}) is None


def test_nothing_is_unloaded_in_vain() -> None:
    assert choose([_model("a", 100), _model("b", 50)], {"CUDA0": 20 * GIB}) is None


def test_only_the_device_that_is_short_matters() -> None:
    models = [_model("elsewhere", 900, weights={"CUDA1": 8 * GIB}, cache={}), _model("here", 5)]
    assert choose(models, {"CUDA0": GIB}) == [Eviction("here", "model")]


def test_a_small_one_is_spared_when_the_large_one_is_needed_anyway() -> None:
    models = [_model("small", 900, gib=1), _model("large", 100, gib=12)]
    assert choose(models, {"CUDA0": 10 * GIB}) == [Eviction("large", "model")]


def test_just_used_models_can_be_spared() -> None:
    assert choose([_model("a", 3)], {"CUDA0": GIB}, least_idle=5) is None


@given(
    st.lists(
        st.tuples(st.floats(0, 1e4), st.floats(0, 100), st.integers(0, 40), st.booleans(), st.booleans()),
        max_size=8,
    ),
    st.integers(0, 100),
)
def test_enough_is_freed_or_nothing(rows: list[tuple[float, float, int, bool, bool]], short: int) -> None:
    models = [
        Loaded(str(i), idle, load, {"D": gib}, {"D": gib // 4}, busy=busy, cache_alone=alone)
        for i, (idle, load, gib, busy, alone) in enumerate(rows)
    ]
    steps = choose(models, {"D": short})
    free = sum(model.weights["D"] + model.cache["D"] for model in models if not model.busy)
    if steps is None:
        assert free < short
        return
    freed = 0
    for step in steps:
        model = models[int(step.id)]
        assert not model.busy
        freed += model.cache["D"] + (model.weights["D"] if step.stage == "model" else 0)
    assert freed >= short
    assert len({step.id for step in steps}) == len(steps)
