"""From the history of requests to sums with money: by day, month, model and chat. Pure: rows and prices in, lines out.

A request costs what its electricity costs at its time: with stepped tariffs its step follows from the household's use
and from what Hearth has used that month before it.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from app.planning.costs import JOULES_PER_KWH, Hardware, LocalCost, Tariff
from app.planning.usage import Request

Key = Callable[[Request], str]


class Prices(Struct, frozen=True, omit_defaults=True):
    """What the user pays. No tariff: energy alone is known."""

    tariff: Tariff | None = None
    hardware: Hardware = Hardware()
    household: float = 0.0
    """kWh a month without Hearth."""

    @property
    def currency(self) -> str:
        """Of every sum; empty without a tariff."""
        return self.tariff.currency if self.tariff else ""


class Line(Struct, frozen=True, omit_defaults=True):
    """Sums of one day, month, model or chat. Energy and money are those of the ``measured`` requests."""

    key: str
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    measured: int = 0
    entered: int = 0
    """Requests of ``measured`` whose power was entered by the user, not read."""
    measured_prompt: int = 0
    measured_completion: int = 0
    computed_prompt: int = 0
    """Prompt tokens of the measured requests that were not in the cache."""
    prefill: float = 0.0
    """Joules."""
    decode: float = 0.0
    idle: float = 0.0
    electricity: float | None = None
    hardware: float = 0.0

    @property
    def joules(self) -> float | None:
        """All of it; None when no request was measured."""
        return self.prefill + self.decode + self.idle if self.measured else None

    @property
    def cost(self) -> float | None:
        """Money, or None without a tariff or without energy."""
        return None if self.electricity is None else self.electricity + self.hardware

    @property
    def per_million(self) -> float | None:
        """Money for a million tokens, read and written."""
        tokens = self.measured_prompt + self.measured_completion
        return self.cost / tokens * 1e6 if self.cost is not None and tokens else None

    @property
    def prefill_per_token(self) -> float | None:
        """Joules for a prompt token that had to be computed."""
        return self.prefill / self.computed_prompt if self.computed_prompt else None

    @property
    def decode_per_token(self) -> float | None:
        """Joules for a written token."""
        return self.decode / self.measured_completion if self.measured_completion else None

    def local(self, currency: str) -> LocalCost | None:
        """For ``costs.compare``."""
        return None if self.electricity is None else LocalCost(self.electricity, self.hardware, currency)


class Priced(Struct, frozen=True):
    """A request and what it cost; None: not known."""

    request: Request
    electricity: float | None
    hardware: float = 0.0


def price(rows: Iterable[Request], prices: Prices, used: float = 0.0) -> list[Priced]:
    """Each request with its cost, oldest first. ``used``: kWh of Hearth before the first row in that month."""
    found: list[Priced] = []
    month, position = "", prices.household
    for row in rows:
        if _month(row) != month:
            position = prices.household + (used if not month else 0.0)
            month = _month(row)
        found.append(_priced(row, prices, position))
        position += (joules(row) or 0.0) / JOULES_PER_KWH
    return found


def _priced(row: Request, prices: Prices, position: float) -> Priced:
    energy, tariff = joules(row), prices.tariff
    if energy is None or tariff is None:
        return Priced(row, None)
    seconds = (row.prefill_seconds or 0.0) + (row.decode_seconds or 0.0)
    money = tariff.cost(energy / JOULES_PER_KWH, position, _when(row))
    return Priced(row, money, prices.hardware.per_second * seconds / max(1, row.parallel))


def joules(row: Request) -> float | None:
    """Energy of a request with its share of idling, or None when it was not measured."""
    if row.joules_decode is None:
        return None
    return (row.joules_prefill or 0.0) + row.joules_decode + (row.joules_idle or 0.0)


def lines(rows: Sequence[Priced], key: Key) -> list[Line]:
    """Sums by a key, in the order of its first request."""
    found: dict[str, Line] = {}
    for row in rows:
        name = key(row.request)
        found[name] = _add(found.get(name) or Line(name), row)
    return list(found.values())


def total(rows: Sequence[Priced]) -> Line:
    """Sums over everything."""
    found = lines(rows, lambda _row: "total")
    return found[0] if found else Line("total")


def _add(line: Line, priced: Priced) -> Line:
    row = priced.request
    line = replace(
        line,
        requests=line.requests + 1,
        prompt_tokens=line.prompt_tokens + row.prompt_tokens,
        completion_tokens=line.completion_tokens + row.completion_tokens,
        seconds=line.seconds + (row.prefill_seconds or 0.0) + (row.decode_seconds or 0.0),
    )
    return line if row.joules_decode is None else _add_energy(line, priced)


def _add_energy(line: Line, priced: Priced) -> Line:
    row = priced.request
    electricity = line.electricity
    if priced.electricity is not None:
        electricity = (electricity or 0.0) + priced.electricity
    return replace(
        line,
        measured=line.measured + 1,
        entered=line.entered + (row.energy_origin == "entered"),
        measured_prompt=line.measured_prompt + row.prompt_tokens,
        measured_completion=line.measured_completion + row.completion_tokens,
        computed_prompt=line.computed_prompt + max(0, row.prompt_tokens - row.cached_tokens),
        prefill=line.prefill + (row.joules_prefill or 0.0),
        decode=line.decode + (row.joules_decode or 0.0),
        idle=line.idle + (row.joules_idle or 0.0),
        electricity=electricity,
        hardware=line.hardware + priced.hardware,
    )


def by_day(row: Request) -> str:
    """Local date."""
    return _when(row).date().isoformat()


def by_month(row: Request) -> str:
    """Local year and month."""
    return by_day(row)[:7]


def by_model(row: Request) -> str:
    """The model's id, which stays when the model goes."""
    return row.model


def by_chat(row: Request) -> str:
    """The conversation's key; what came from elsewhere has its source in front: ``server``, ``cli``."""
    return row.chat if row.source == "chat" and row.chat else f":{row.source}"


def fill_days(found: Sequence[Line], count: int, today: dt.date | None = None) -> list[Line]:
    """One line for each of the last ``count`` days, today included; days without requests are zeros."""
    last = today or dt.datetime.now().astimezone().date()
    known = {line.key: line for line in found}
    keys = [(last - dt.timedelta(days=back)).isoformat() for back in range(count - 1, -1, -1)]
    return [known.get(key, Line(key)) for key in keys]


def _when(row: Request) -> dt.datetime:
    return dt.datetime.fromtimestamp(row.at).astimezone()


def _month(row: Request) -> str:
    return by_day(row)[:7]
