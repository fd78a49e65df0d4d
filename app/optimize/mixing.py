"""Mixes of types by measured sensitivity: from the finest type everywhere, step by step where a byte costs least."""

from collections.abc import Callable, Mapping
from pathlib import Path

from app.core.lab import QuantizeJob
from app.optimize.sensitivity import LADDER, Group, Sensitivity, line
from app.optimize.sizes import dry_run
from app.optimize.wishes import Reason, SpeedOf, WishPlan, megabytes, reason

ROUNDS = 5
"""How often a mix is made and measured before the last one that kept the wish is taken."""
BEYOND = 4.0
"""Mixes are looked at up to so many times the wish: the parts' losses summed up can be more than the whole's."""

Mix = dict[str, str]
Enough = Callable[[int, float], bool]


class Costs:
    """Bytes and nats of every group at every type of the ladder."""

    def __init__(self, groups: tuple[Group, ...], losses: Mapping[str, Mapping[str, float]]) -> None:
        self.groups = groups
        self._loss = {group.name: line(group, losses.get(group.name, {})) for group in groups}
        self._bytes = {group.name: {kind: group.bytes_at(kind) for kind in LADDER} for group in groups}

    def finest(self) -> Mix:
        """The finest type everywhere."""
        return {group.name: LADDER[0] for group in self.groups}

    def bytes(self, mix: Mix) -> int:
        """Of all groups together."""
        return sum(self._bytes[name][kind] for name, kind in mix.items())

    def loss(self, mix: Mix) -> float:
        """Of all groups together: what each loses alone, summed up."""
        return sum(self._loss[name](kind) for name, kind in mix.items())

    def next_step(self, mix: Mix) -> Mix | None:
        """The mix with one group at a smaller type, for which a saved byte costs least; None at the end."""
        steps = [step for name in mix for step in self._steps(mix, name)]
        return min(steps, key=lambda step: self._price(mix, step)) if steps else None

    def _steps(self, mix: Mix, name: str) -> list[Mix]:
        """All smaller types: a finer one can lose more than the next (Q5_1 without a matrix, where Q5_K can't be)."""
        sizes, now = self._bytes[name], mix[name]
        return [{**mix, name: kind} for kind in LADDER if sizes[kind] < sizes[now]]

    def _price(self, mix: Mix, step: Mix) -> float:
        return (self.loss(step) - self.loss(mix)) / (self.bytes(mix) - self.bytes(step))


def descend(costs: Costs, enough: Enough) -> list[Mix]:
    """All mixes on the way down, the finest first, up to the first for which ``enough(bytes, loss)`` holds."""
    way = [costs.finest()]
    while not enough(costs.bytes(way[-1]), costs.loss(way[-1])):
        step = costs.next_step(way[-1])
        if step is None:
            break
        way.append(step)
    return way


def for_bytes(source: Path, limit: int, sensitivity: Sensitivity, speed: SpeedOf | None) -> WishPlan:
    """The mix that loses least and is not larger than ``limit`` bytes in all."""
    losses = sensitivity.group_losses()
    costs = Costs(sensitivity.groups, losses)
    rest = _size(sensitivity, costs.finest()) - costs.bytes(costs.finest())
    mix = descend(costs, lambda size, _loss: size + rest <= limit)[-1]
    size = _size(sensitivity, mix)
    first = reason("finest" if size <= limit else "smallest", type=_said(mix), size=megabytes(size),
                   limit=megabytes(limit))  # fmt: skip
    loss = costs.loss(mix)
    why = [first, *_groups(mix, losses), reason("estimated", kl=f"{loss:.3f}")]
    return _plan(sensitivity, mix, loss, why, speed, reached=size <= limit)


def for_loss(source: Path, wish: float, sensitivity: Sensitivity, speed: SpeedOf | None) -> WishPlan:
    """The smallest mix whose measured divergence stays under ``wish``."""
    losses = sensitivity.group_losses()
    costs = Costs(sensitivity.groups, losses)
    finest = costs.finest()
    least = sensitivity.loss(finest)
    if least > wish:
        why = [reason("not_reached", type=LADDER[0], kl=f"{least:.4f}", wish=wish)]
        return _plan(sensitivity, finest, least, why, speed, reached=False)
    way = descend(costs, lambda _size, loss: loss > BEYOND * wish)
    good, bad, budget = 0, len(way), wish
    for _ in range(ROUNDS):
        if bad - good <= 1:
            break
        at = _guess([costs.loss(mix) for mix in way], good, bad, budget)
        measured = sensitivity.loss(way[at])
        if measured <= wish:
            good, least = at, measured
        else:
            bad = at
        # The sum of the parts is not quite the whole: the next guess is corrected by what was seen.
        budget = wish * costs.loss(way[at]) / max(measured, 1e-9)
    why = [*_groups(way[good], losses), reason("measured", kl=f"{least:.4f}", wish=wish)]
    return _plan(sensitivity, way[good], least, why, speed)


def _guess(losses: list[float], good: int, bad: int, budget: float) -> int:
    """Which mix between one that kept the wish and one that did not: the smallest within the budget; the middle of them
    when nothing kept it yet after a guess."""
    if not good and bad < len(losses):
        return max(1, min(bad // 2, _last_within(losses, budget)))
    return min(max(_last_within(losses, budget), good + 1), bad - 1)


def _last_within(losses: list[float], budget: float) -> int:
    return max((at for at, loss in enumerate(losses) if loss <= budget), default=0)


def _size(sensitivity: Sensitivity, mix: Mix) -> int:
    return dry_run(_job(sensitivity, mix), sensitivity.cancel).bytes


def _job(sensitivity: Sensitivity, mix: Mix) -> QuantizeJob:
    return QuantizeJob(
        source=str(sensitivity.source), target="", type=LADDER[0], overrides=sensitivity.overrides(mix)
    )


def _plan(
    sensitivity: Sensitivity, mix: Mix, loss: float, why: list[Reason], speed: SpeedOf | None, *,
    reached: bool = True,
) -> WishPlan:  # fmt: skip
    sized = dry_run(_job(sensitivity, mix), sensitivity.cancel)
    most = max(set(mix.values()), key=list(mix.values()).count)
    return WishPlan(
        types=(LADDER[0],), overrides=sensitivity.overrides(mix), size=sized.bytes, bits=sized.bits, kl=loss,
        speed=speed(most, sized.bytes) if speed else None, reached=reached, reasons=tuple(why),
    )  # fmt: skip


def _groups(mix: Mix, losses: Mapping[str, Mapping[str, float]]) -> list[Reason]:
    probe = "Q4_K"
    order = sorted(mix, key=lambda name: -losses.get(name, {}).get(probe, 0.0))
    return [
        reason(
            "group", group=name, type=mix[name], probe=probe, kl=f"{losses.get(name, {}).get(probe, 0.0):.4f}"
        )
        for name in order
    ]


def _said(mix: Mix) -> str:
    kinds = [kind for kind in LADDER if kind in mix.values()]
    return kinds[0] if len(kinds) == 1 else f"{kinds[0]}-{kinds[-1]}"
