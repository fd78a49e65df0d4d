"""Money: electricity tariffs (flat, stepped, by the hour), what a million tokens cost here, and beside an API.

The tables are data (``resources/tariffs.json``, ``api_prices.json``) with a date; the user can edit a copy.
"""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from app.core.errors import fill

RESOURCES = Path(__file__).resolve().parents[2] / "resources"
JOULES_PER_KWH = 3.6e6


class Step(Struct, frozen=True):
    """A price per kWh up to a month's consumption (None: beyond)."""

    price: float
    up_to: float | None = None


class Hours(Struct, frozen=True, rename={"from_": "from"}):
    """A price per kWh from one hour of the day to another (over midnight when it ends earlier); 9.5 is 9:30."""

    from_: float
    to: float
    price: float

    def holds(self, hour: float) -> bool:
        """Whether ``hour`` (0 to 24) lies in it."""
        if self.from_ <= self.to:
            return self.from_ <= hour < self.to
        return hour >= self.from_ or hour < self.to


class Tariff(Struct, frozen=True, omit_defaults=True):
    """What electricity costs. ``steps`` or ``hours``; prices before ``vat``."""

    id: str
    name: str
    currency: str
    steps: tuple[Step, ...] = ()
    hours: tuple[Hours, ...] = ()
    vat: float = 0.0
    country: str = ""
    as_of: str = ""
    source: str = ""

    def price(self, used: float = 0.0, when: dt.datetime | None = None) -> float:
        """The next kWh's price: at ``used`` kWh this month, or at this time of the day."""
        return self._bare(used, when) * (1 + self.vat)

    def _bare(self, used: float, when: dt.datetime | None) -> float:
        if self.hours:
            now = when or dt.datetime.now().astimezone()
            hour = now.hour + now.minute / 60
            return next((band.price for band in self.hours if band.holds(hour)), self.hours[0].price)
        for step in self.steps:
            if step.up_to is None or used < step.up_to:
                return step.price
        return self.steps[-1].price if self.steps else 0.0

    def cost(self, kwh: float, used: float = 0.0, when: dt.datetime | None = None) -> float:
        """Money for ``kwh`` more when ``used`` were consumed this month already; crosses steps."""
        if self.hours or not self.steps:
            return kwh * self.price(used, when)
        total, position, left = 0.0, used, kwh
        for step in self.steps:
            room = left if step.up_to is None else max(0.0, min(left, step.up_to - position))
            total, position, left = total + room * step.price, position + room, left - room
        return (total + left * self.steps[-1].price) * (1 + self.vat)


class ApiPrice(Struct, frozen=True, omit_defaults=True):
    """A hosted model's price for a million tokens."""

    id: str
    name: str
    provider: str
    input: float
    output: float
    currency: str = "USD"
    as_of: str = ""
    source: str = ""

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Money for these tokens."""
        return (prompt_tokens * self.input + completion_tokens * self.output) / 1e6


def read_tariffs(path: Path | None = None) -> tuple[Tariff, ...]:
    """The presets, or the user's own file. Raises OSError or msgspec.MsgspecError."""
    return msgspec.json.decode((path or RESOURCES / "tariffs.json").read_bytes(), type=tuple[Tariff, ...])


def read_api_prices(path: Path | None = None) -> tuple[ApiPrice, ...]:
    """The table, or the user's own file. Raises OSError or msgspec.MsgspecError."""
    return msgspec.json.decode(
        (path or RESOURCES / "api_prices.json").read_bytes(), type=tuple[ApiPrice, ...]
    )


class Hardware(Struct, frozen=True):
    """Write-off, if the user wants it counted."""

    price: float = 0.0
    years: float = 4.0
    hours_a_day: float = 4.0

    @property
    def per_second(self) -> float:
        """Money for a second of work."""
        hours = self.years * 365 * self.hours_a_day
        return self.price / (hours * 3600) if self.price and hours else 0.0


class LocalCost(Struct, frozen=True):
    """What these tokens cost here, in the tariff's currency."""

    electricity: float
    hardware: float
    currency: str

    @property
    def total(self) -> float:
        """Both together."""
        return self.electricity + self.hardware


def local_cost(
    joules: float, seconds: float, tariff: Tariff, *, used: float = 0.0, hardware: Hardware | None = None
) -> LocalCost:
    """Money for a request or a sum of them; ``used`` kWh is the household's month so far (it decides the step)."""
    electricity = tariff.cost(joules / JOULES_PER_KWH, used)
    return LocalCost(electricity, (hardware or Hardware()).per_second * seconds, tariff.currency)


def per_million(cost: float, tokens: int) -> float | None:
    """Money for a million tokens, or None without tokens."""
    return cost / tokens * 1e6 if tokens else None


VERDICTS = {
    "local_cheaper": "Here a million tokens cost {local} {currency}; with {name} {api}: {times} times as much.",
    "api_cheaper": "{name} is cheaper: {api} {currency} for a million tokens against {local} here ({times} times).",
    "api_free": "{name} costs nothing for these tokens; here a million of them cost {local} {currency}.",
    "about_equal": "It costs about the same here and with {name}: {local} and {api} {currency} for a million tokens.",
    "no_power": "The power this machine draws can't be read, so its cost is not known. Enter watts to estimate it.",
    "no_rate": "The exchange rate from {from} to {to} is not known. Enter it to compare.",
}


class Verdict(Struct, frozen=True):
    """The comparison in words; ``here``, ``there`` (money for a million tokens) and ``ratio`` are for a window that
    has separators of its own."""

    code: str
    params: dict[str, str | int | float] = {}

    @property
    def text(self) -> str:
        """The English sentence."""
        return fill(VERDICTS[self.code], self.params)


def compare(
    local: LocalCost | None,
    prompt_tokens: int,
    completion_tokens: int,
    api: ApiPrice,
    rate: float | None = None,
) -> Verdict:
    """Local cost beside an API's for the same tokens. ``rate``: units of the local currency for one of the API's."""
    tokens = prompt_tokens + completion_tokens
    if local is None or not tokens:
        return Verdict("no_power")
    if rate is None:
        if local.currency != api.currency:
            return Verdict("no_rate", {"from": api.currency, "to": local.currency})
        rate = 1.0
    here, there = local.total / tokens * 1e6, api.cost(prompt_tokens, completion_tokens) * rate / tokens * 1e6
    equal = 0.9 * there <= here <= 1.1 * there
    dearer = "api_cheaper" if there else "api_free"
    code = "about_equal" if equal else "local_cheaper" if here < there else dearer
    ratio = max(here, there) / max(min(here, there), 1e-12)
    params: dict[str, str | int | float] = {
        "local": money(here),
        "api": money(there),
        "currency": local.currency,
        "name": api.name,
        "times": f"{ratio:.1f}" if ratio < 10 else f"{ratio:.0f}",
        "here": here,
        "there": there,
        "ratio": ratio,
    }
    return Verdict(code, params)


def money(value: float) -> str:
    """Two significant decimals below ten, grouped thousands above."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value >= 0.1 else f"{value:.4f}"


def cheapest(
    local: LocalCost, prompt_tokens: int, completion_tokens: int, prices: Sequence[ApiPrice], rate: float
) -> ApiPrice | None:
    """The cheapest API that undercuts the local cost, or None."""
    under = [api for api in prices if api.cost(prompt_tokens, completion_tokens) * rate < local.total]
    return min(under, key=lambda api: api.cost(prompt_tokens, completion_tokens), default=None)
