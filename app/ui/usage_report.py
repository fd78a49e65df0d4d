"""What the Usage page shows, gathered off the GUI thread: sums, prices, our own errors, the machine's speed."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from PySide6.QtCore import QLocale

from app.planning.bills import (
    Line,
    Prices,
    by_chat,
    by_day,
    by_model,
    by_month,
    fill_days,
    lines,
    price,
    total,
)
from app.planning.costs import ApiPrice, Tariff
from app.planning.price_tables import Exchange, PriceTables, choose_tariff, prices

if TYPE_CHECKING:
    from app.compose import Services


class Report(Struct, frozen=True):
    """Everything of a span of days."""

    days: Sequence[Line]
    total: Line
    groups: Mapping[str, Sequence[Line]]
    """``model``, ``chat``, ``day``, ``month``; the newest or the largest first."""
    titles: Mapping[str, str]
    """Conversations' titles by key; those that are gone are missing."""
    prices: Prices
    tariffs: Sequence[Tariff]
    apis: Sequence[ApiPrice]
    exchange: Exchange
    ever: bool
    """Whether there is any request at all, in any span."""


def make_report(services: "Services", days: int) -> Report:
    """Read and sum. Raises StoreDamagedError, StoreNewerError or OSError."""
    tables, settings = PriceTables(services.paths.config), services.settings.value.energy
    tariffs = tables.tariffs()
    paid = prices(settings, choose_tariff(tariffs, settings, country()))
    today = dt.datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    first = today - dt.timedelta(days=days - 1)
    month = first.replace(day=1).timestamp()
    before = (services.usage.total(month, first.timestamp()).joules or 0.0) / 3.6e6
    rows = price(services.usage.rows(first.timestamp()), paid, before)
    found = {"day": lines(rows, by_day), "month": lines(rows, by_month)}
    groups = {name: sorted(group, key=lambda line: line.key, reverse=True) for name, group in found.items()}
    for name, key in (("model", by_model), ("chat", by_chat)):
        groups[name] = sorted(lines(rows, key), key=lambda line: -line.completion_tokens)
    return Report(
        fill_days(found["day"], days),
        total(rows),
        groups,
        {chat.key: chat.title for chat in services.chats.conversations()},
        paid,
        tariffs,
        tables.apis(),
        tables.exchange(),
        bool(rows) or services.usage.total().requests > 0,
    )


def country() -> str:
    """The system's country as two letters, which chooses a tariff until the user does."""
    return QLocale.territoryToCode(QLocale.system().territory())
