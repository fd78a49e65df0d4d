from pathlib import Path

import pytest

from app.core.settings_groups import Energy
from app.planning.costs import ApiPrice
from app.planning.price_tables import OWN, PriceTables, choose_tariff, prices, rate_to


@pytest.fixture
def tables(tmp_path: Path) -> PriceTables:
    return PriceTables(tmp_path)


def test_the_user_s_own_tables_win_and_a_damaged_one_is_left_alone(tables: PriceTables) -> None:
    ours = tables.apis()
    tables.save_apis([ApiPrice("me/x", "X", "me", 1.0, 2.0)])
    assert [api.id for api in tables.apis()] == ["me/x"]
    tables.apis_file.write_text("[{", "utf-8")
    assert tables.apis() == ours
    assert tables.apis_file.read_text("utf-8") == "[{"
    tables.reset_apis()
    assert tables.copy_tariffs().exists()
    assert tables.tariffs()[0].id == "vn-household"


def test_which_tariff_counts(tables: PriceTables) -> None:
    known = tables.tariffs()

    def chosen(country: str = "", **settings: object) -> str:
        tariff = choose_tariff(known, Energy(**settings), country)  # type: ignore[arg-type]
        return f"{tariff.id} {tariff.currency}" if tariff else "none"

    assert chosen("VN") == "vn-household VND"
    assert chosen("XX") == "none"
    assert chosen("VN", tariff="none") == "none"
    assert chosen("VN", tariff="us-average") == "us-average USD"
    assert chosen("VN", price=3000.0) == f"{OWN} VND"
    assert chosen("XX", price=0.3) == f"{OWN} USD"
    assert chosen("VN", price=0.3, tariff="none") == "none"
    assert chosen("VN", price=0.3, tariff=Energy(tariff="de-average").own_tariff) == f"{OWN} EUR"
    assert chosen("VN", tariff=Energy(tariff="de-average").own_tariff) == "de-average EUR"
    assert [Energy(tariff=tariff).own_tariff for tariff in ("", "none", "own/x")] == [OWN, OWN, "own/x"]


def test_rates_of_exchange(tables: PriceTables) -> None:
    table = tables.exchange()
    assert rate_to("USD", "USD", Energy(), table) == 1.0
    assert rate_to("VND", "USD", Energy(), table) == table.usd["VND"]
    assert rate_to("VND", "USD", Energy(exchange=25000.0), table) == 25000.0
    assert rate_to("SEK", "USD", Energy(), table) is None
    assert rate_to("SEK", "CHF", Energy(), table) is None


def test_the_settings_become_prices() -> None:
    found = prices(Energy(household=120.0, hardware_price=100.0), None)
    assert (found.household, found.hardware.price, found.currency) == (120.0, 100.0, "")
