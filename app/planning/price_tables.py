"""Tariffs, exchange rates and API prices: our tables, or the user's own copy in the settings' folder."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from app.core.settings_groups import OWN_TARIFF, Energy
from app.planning.bills import Prices
from app.planning.costs import RESOURCES, ApiPrice, Hardware, Step, Tariff, read_api_prices, read_tariffs

log = logging.getLogger(__name__)

T = TypeVar("T")
OWN = OWN_TARIFF
"""Id of the tariff that is the user's flat price."""


class Exchange(Struct, frozen=True):
    """Units of each currency for one US dollar."""

    as_of: str
    source: str
    usd: dict[str, float]


class PriceTables:
    """Reads both places; the user's own file wins whole, so that a row can be removed."""

    def __init__(self, folder: Path) -> None:
        """``folder``: where settings are."""
        self._folder = folder

    @property
    def tariffs_file(self) -> Path:
        """The user's own tariffs."""
        return self._folder / "tariffs.json"

    @property
    def apis_file(self) -> Path:
        """The user's own API prices."""
        return self._folder / "api_prices.json"

    def tariffs(self) -> tuple[Tariff, ...]:
        """All of them. A damaged own file is left alone and ours are used."""
        return _own(self.tariffs_file, read_tariffs) or read_tariffs()

    def apis(self) -> tuple[ApiPrice, ...]:
        """All of them; see ``tariffs``."""
        return _own(self.apis_file, read_api_prices) or read_api_prices()

    def save_apis(self, prices: Sequence[ApiPrice]) -> None:
        """Keep the user's table. Raises OSError."""
        _write(self.apis_file, list(prices))

    def copy_tariffs(self) -> Path:
        """The user's own file, made from ours when there is none. Raises OSError."""
        if not self.tariffs_file.exists():
            _write(self.tariffs_file, list(read_tariffs()))
        return self.tariffs_file

    def reset_apis(self) -> None:
        """Back to ours."""
        self.apis_file.unlink(missing_ok=True)

    def exchange(self) -> Exchange:
        """The table that stands in while the user has not said a rate."""
        return msgspec.json.decode((RESOURCES / "exchange_rates.json").read_bytes(), type=Exchange)


def _own(path: Path, read: Callable[[Path], tuple[T, ...]]) -> tuple[T, ...]:
    try:
        return read(path)
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.MsgspecError) as error:
        log.info("%s is not used: %s", path, error)
        return ()


def _write(path: Path, rows: Sequence[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(rows)) + b"\n")
    temporary.replace(path)


def choose_tariff(tariffs: Sequence[Tariff], settings: Energy, country: str = "") -> Tariff | None:
    """The user's flat price, the tariff chosen, or the first of the country (two letters); None: not known."""
    if settings.tariff == "none":
        return None
    own, _, beside = settings.tariff.partition("/")
    chosen = next((tariff for tariff in tariffs if tariff.id == (beside if own == OWN else own)), None)
    if chosen is None and own in ("", OWN):
        chosen = next((tariff for tariff in tariffs if tariff.country == country), None)
    if settings.price and (own in ("", OWN) or chosen is None):
        currency = chosen.currency if chosen else "USD"
        return Tariff(OWN, "", currency, (Step(settings.price),))
    return chosen


def prices(settings: Energy, tariff: Tariff | None) -> Prices:
    """All that a request's cost depends on."""
    hardware = Hardware(settings.hardware_price, settings.hardware_years, settings.hardware_hours)
    return Prices(tariff, hardware, settings.household)


def rate_to(currency: str, api_currency: str, settings: Energy, table: Exchange) -> float | None:
    """Units of ``currency`` for one of the API's; None: not known."""
    if currency == api_currency:
        return 1.0
    if api_currency != "USD":
        return None
    return settings.exchange or table.usd.get(currency)
