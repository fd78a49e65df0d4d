"""From wishes to types: what is chosen and why, from sizes, forecasts and losses that are known."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.core.errors import BadRequestError
from app.core.lab import QuantizeJob
from app.core.types import Forecast
from app.models.gguf import TensorInfo
from app.optimize import mixing, wishes
from app.optimize.sensitivity import LADDER, Group, Sensitivity, groups, line, taken
from app.optimize.sizes import Sized
from app.optimize.wishes import AtLeastSpeed, AtMostBytes, AtMostLoss, plan_wish
from tests.fakes.gguf_writer import write_model

BITS = dict(zip(wishes.CHOICES, (16, 8.5, 6.6, 5.7, 5.5, 4.9, 4.6, 4.3, 4.2, 3.9, 3.5, 3.4, 3.1, 2.9, 2.7, 2.3, 2.1),
                strict=True))  # fmt: skip


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model of a thousand million weights, as far as sizes go (dry runs have tests with the real one)."""
    asked: list[str] = []

    def dry_run(job: QuantizeJob, _cancel: object = None) -> Sized:
        asked.append(job.type)
        return Sized(job.type, int(BITS[job.type] / 8 * 1e9), BITS[job.type])

    monkeypatch.setattr(wishes, "dry_run", dry_run)
    return write_model(tmp_path / "m-F16.gguf", kind="F16")


def said(plan: wishes.WishPlan) -> str:
    return " ".join(reason.text for reason in plan.reasons)


def test_a_size_gets_the_finest_type_that_fits(source: Path) -> None:
    plan = plan_wish(source, AtMostBytes(650_000_000))
    assert (plan.types, plan.reached, plan.needs_matrix) == (("Q4_K_M",), True, False)
    assert "Q4_K_M is the finest type that fits: 612.5 MB of at most 650.0 MB." in said(plan)
    assert "Q5_K_S, the next finer one, would take 687.5 MB." in said(plan)
    assert "With an importance matrix it loses less" in said(plan)


def test_a_size_that_nothing_fits_gets_the_smallest(source: Path) -> None:
    plan = plan_wish(source, AtMostBytes(1000), has_matrix=True)
    assert (plan.types, plan.reached, plan.needs_matrix) == (("IQ2_XXS",), False, True)
    assert "needs an importance matrix" not in said(plan)


def test_a_speed_gets_the_finest_type_forecast_to_reach_it(source: Path) -> None:
    def speed(_kind: str, size: int) -> Forecast:
        return Forecast(15e9 / size, 25e9 / size)

    plan = plan_wish(source, AtLeastSpeed(30), speed=speed)
    assert plan.types == ("Q3_K_M",)
    assert plan.speed == speed("", plan.size)
    assert "Q3_K_L, the next finer one, is forecast at 28.6 to 47.6." in said(plan)
    slow = plan_wish(source, AtLeastSpeed(3000), speed=speed)
    assert (slow.types, slow.reached) == (("IQ2_XXS",), False)
    with pytest.raises(BadRequestError, match="not measured yet"):
        plan_wish(source, AtLeastSpeed(30), speed=lambda _kind, _size: None)
    for wish in (AtLeastSpeed(30), AtMostLoss(0.1)):
        with pytest.raises(BadRequestError, match="needs"):
            plan_wish(source, wish)


def test_a_coarser_type_that_is_larger_or_slower_hides_no_finer_one(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd_rows(job: QuantizeJob, _cancel: object = None) -> Sized:
        return Sized(job.type, 950 if job.type == "Q3_K_L" else int(100 * BITS[job.type]), BITS[job.type])

    def slow_lookups(kind: str, size: int) -> Forecast:
        return Forecast(8000 / size / (3 if kind.startswith("IQ") else 1), 9000 / size)

    monkeypatch.setattr(wishes, "dry_run", odd_rows)
    assert plan_wish(source, AtMostBytes(430)).types == ("IQ4_XS",)
    assert plan_wish(source, AtLeastSpeed(20), speed=slow_lookups).types == ("Q3_K_M",)
    nearest = plan_wish(source, AtLeastSpeed(30), speed=slow_lookups)
    assert (nearest.types, nearest.reached) == (("Q2_K",), False)


def test_wishes_are_read_as_people_write_them() -> None:
    assert wishes.parse("5GB") == wishes.parse("at most 5 gb") == AtMostBytes(5_000_000_000)
    assert wishes.parse("1.5 GiB") == AtMostBytes(3 * 2**29)
    assert wishes.parse("30 t/s") == wishes.parse(">=30 tokens/s") == AtLeastSpeed(30)
    assert wishes.parse("kl 0.05") == wishes.parse("KL under 0.05") == AtMostLoss(0.05)
    for wrong in ("5", "fast", "kl .0.5", "3 t"):
        with pytest.raises(BadRequestError, match="is no wish"):
            wishes.parse(wrong)


def group(name: str, row: int = 1024) -> Group:
    return Group(name, rf"(^|\.){name}\.weight$", ((row * 1024, row),))


def test_groups_are_the_matrices_by_role() -> None:
    tensors = [
        TensorInfo(name, shape, "F16", 0, 0)
        for name, shape in (
            ("token_embd.weight", (512, 2000)), ("output.weight", (512, 2000)), ("output_norm.weight", (512,)),
            ("blk.0.attn_output.weight", (512, 512)), ("blk.1.attn_output.weight", (512, 512)),
            ("blk.0.ffn_up_exps.weight", (512, 128, 4)), ("blk.0.ffn_gate_inp.weight", (512, 400)),
        )
    ]  # fmt: skip
    found = {item.name: item for item in groups(tensors)}
    assert set(found) == {"token_embd", "output", "attn_output", "ffn_up_exps"}
    assert len(found["attn_output"].tensors) == 2
    assert re.search(found["output"].pattern, "output.weight")
    assert not re.search(found["output"].pattern, "blk.0.attn_output.weight")


def test_rows_that_a_type_can_not_take_get_another() -> None:
    odd = group("attn_q", 576)
    assert taken("Q4_K", 576) == "Q5_0"
    assert odd.bits_at("Q4_K") == 5.5
    assert group("ffn_up").bits_at("Q4_K") == 4.5


def test_losses_between_measured_types_lie_on_a_line() -> None:
    at = line(group("ffn_up"), {"Q5_K": 0.01, "Q4_K": 0.04, "Q2_K": 0.4})
    assert at("Q4_K") == 0.04
    assert 0.04 < at("Q3_K") < 0.4
    assert at("Q8_0") < at("Q6_K") < 0.01
    assert line(group("ffn_up"), {})("Q2_K") < 1e-4
    # Rows that Q5_K and Q4_K can't take: the finer one loses more by chance, which says nothing of Q8_0.
    odd = line(group("attn_v", 576), {"Q5_K": 0.045, "Q4_K": 0.026, "Q2_K": 0.09})
    assert odd("Q8_0") < 0.001


def test_a_mix_goes_down_where_a_byte_costs_least() -> None:
    both = (group("dear"), group("cheap"))
    losses = {
        "dear": {"Q5_K": 0.05, "Q4_K": 0.2, "Q2_K": 2.0},
        "cheap": {"Q5_K": 1e-4, "Q4_K": 1e-3, "Q2_K": 0.01},
    }
    costs = mixing.Costs(both, losses)
    way = mixing.descend(costs, lambda _size, loss: loss > 0.06)
    last = next(mix for mix in reversed(way) if costs.loss(mix) <= 0.06)
    assert LADDER.index(last["cheap"]) > LADDER.index(last["dear"])
    sizes = [costs.bytes(mix) for mix in way]
    assert sizes == sorted(sizes, reverse=True)


def test_a_type_that_loses_more_than_the_next_is_left_out() -> None:
    # Q5_1 without a matrix is worse than Q5_0: where rows are odd, Q5_K is skipped.
    costs = mixing.Costs((group("odd", 576),), {"odd": {"Q5_K": 0.05, "Q4_K": 0.03, "Q2_K": 0.2}})
    assert [mix["odd"] for mix in mixing.descend(costs, lambda _size, _loss: False)] == [
        "Q8_0",
        "Q4_K",
        "Q3_K",
    ]


class Losses(Sensitivity):
    """Two groups with known losses; a mix loses a third more than its parts together."""

    def __init__(self, source: Path) -> None:
        self.source, self.matrix, self.cancel = source, None, None
        self.groups = (group("dear"), group("cheap"))
        self.made: list[dict[str, str]] = []
        self.together = 4 / 3
        self.alone = {
            "dear": {"Q5_K": 0.02, "Q4_K": 0.08, "Q2_K": 1.0},
            "cheap": {"Q5_K": 1e-4, "Q4_K": 1e-3, "Q2_K": 0.01},
        }

    def group_losses(self) -> dict[str, dict[str, float]]:
        return self.alone

    def loss(self, types: Mapping[str, str], rest: str = "Q8_0") -> float:
        self.made.append(dict(types))
        return mixing.Costs(self.groups, self.alone).loss(dict(types)) * self.together


@pytest.fixture
def losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Losses:
    found = Losses(tmp_path / "m.gguf")

    def dry_run(job: QuantizeJob, _cancel: object = None) -> Sized:
        kinds = dict(job.overrides)
        size = 1000 + sum(item.bytes_at(kinds[item.pattern]) for item in found.groups)
        return Sized(job.type, size, 5.0)

    monkeypatch.setattr(mixing, "dry_run", dry_run)
    return found


def test_a_loss_gets_the_smallest_mix_that_was_measured_to_keep_it(losses: Losses) -> None:
    plan = plan_wish(losses.source, AtMostLoss(0.03), sensitivity=losses)
    mix = {item.name: dict(plan.overrides)[item.pattern] for item in losses.groups}
    assert plan.reached
    assert plan.kl == losses.loss(mix) <= 0.03
    assert LADDER.index(mix["cheap"]) > LADDER.index(mix["dear"])
    # Its parts alone would have allowed a smaller one, which was made, measured and given up.
    assert any(losses.loss(tried) > 0.03 for tried in losses.made)
    assert "The mix was made and measured" in said(plan)
    assert "dear gets" in said(plan)


@pytest.mark.parametrize("together", [0.3, 1.0, 3.0, 8.0])
def test_a_sum_of_parts_that_is_far_from_the_whole_still_finds_the_mix(
    losses: Losses, together: float
) -> None:
    losses.together, wish = together, 0.06
    plan = plan_wish(losses.source, AtMostLoss(wish), sensitivity=losses)
    costs = mixing.Costs(losses.groups, losses.alone)
    way = mixing.descend(costs, lambda _size, _loss: False)
    best = min(costs.bytes(mix) for mix in way if costs.loss(mix) * together <= wish)
    assert plan.kl is not None
    assert plan.kl <= wish
    assert plan.size == 1000 + best
    assert len(losses.made) <= 1 + mixing.ROUNDS


def test_a_loss_that_can_not_be_kept_is_told(losses: Losses) -> None:
    plan = plan_wish(losses.source, AtMostLoss(1e-7), sensitivity=losses)
    assert not plan.reached
    assert "can't be had by quantizing" in said(plan)


def test_a_size_with_losses_gets_a_mix(losses: Losses) -> None:
    most = 1000 + sum(item.bytes_at("Q4_K") for item in losses.groups)
    plan = plan_wish(losses.source, AtMostBytes(most), sensitivity=losses)
    kinds = dict(plan.overrides)
    assert plan.reached
    assert plan.size <= most
    assert LADDER.index(kinds[losses.groups[1].pattern]) > LADDER.index(kinds[losses.groups[0].pattern])
