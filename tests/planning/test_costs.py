import datetime as dt

import pytest

from app.planning.costs import (
    ApiPrice,
    Hardware,
    Hours,
    LocalCost,
    Step,
    Tariff,
    cheapest,
    compare,
    local_cost,
    money,
    per_million,
    read_api_prices,
    read_tariffs,
)

STEPPED = Tariff("x", "x", "VND", steps=(Step(1000, 50), Step(2000, 100), Step(3000)), vat=0.1)
API = ApiPrice("a", "An API", "A", 1.0, 5.0)


def test_steps_are_crossed_in_order() -> None:
    assert STEPPED.cost(120) == pytest.approx((50 * 1000 + 50 * 2000 + 20 * 3000) * 1.1)
    assert STEPPED.cost(20, used=40) == pytest.approx((10 * 1000 + 10 * 2000) * 1.1)
    assert STEPPED.cost(5, used=500) == pytest.approx(5 * 3000 * 1.1)


def test_the_next_kilowatt_hour_depends_on_the_month_so_far() -> None:
    assert STEPPED.price(0) == pytest.approx(1100)
    assert STEPPED.price(50) == pytest.approx(2200)
    assert STEPPED.price(1e6) == pytest.approx(3300)


def test_day_and_night_prices_wrap_over_midnight() -> None:
    tariff = Tariff("x", "x", "EUR", hours=(Hours(6, 22, 0.20), Hours(22, 6, 0.10)))
    at = [dt.datetime(2026, 1, 1, hour, 30) for hour in (5, 6, 21, 22, 0)]
    assert [tariff.price(when=when) for when in at] == [0.10, 0.20, 0.20, 0.10, 0.10]
    assert tariff.cost(2, when=at[0]) == 0.20


def test_the_presets_are_whole() -> None:
    tariffs = read_tariffs()
    assert {tariff.id for tariff in tariffs} >= {"vn-household", "us-average", "de-average"}
    for tariff in tariffs:
        assert tariff.price() > 0
        assert tariff.as_of
        assert tariff.source
        hours = [minutes / 60 for minutes in range(0, 24 * 60, 30)]
        assert not tariff.hours or all(sum(band.holds(hour) for band in tariff.hours) == 1 for hour in hours)
        assert not tariff.steps or tariff.steps[-1].up_to is None
    assert all(price.input > 0 and price.output > 0 and price.as_of for price in read_api_prices())


@pytest.mark.parametrize(
    ("kwh", "before_tax"),
    [
        (30, 59_520),  # 30 x 1,984
        (120, 249_300),  # 50 x 1,984 + 50 x 2,050 + 20 x 2,380
        (450, 1_247_500),  # ... + 100 x 2,380 + 100 x 2,998 + 100 x 3,350 + 50 x 3,460
    ],
)
def test_vietnam_s_household_steps(kwh: float, before_tax: float) -> None:
    tariff = next(tariff for tariff in read_tariffs() if tariff.id == "vn-household")
    assert tariff.cost(kwh) == pytest.approx(before_tax * 1.08)
    assert tariff.cost(kwh, used=400) == pytest.approx(kwh * 3460 * 1.08)


def test_hardware_is_written_off_by_the_second_of_work() -> None:
    cost = local_cost(3.6e6, 3600, Tariff("x", "x", "USD", steps=(Step(0.2),)), hardware=Hardware(1460, 2, 2))
    assert cost.electricity == pytest.approx(0.2)
    assert cost.hardware == pytest.approx(1.0)
    assert cost.total == pytest.approx(1.2)
    assert Hardware().per_second == 0


def test_the_verdict_may_favour_the_api() -> None:
    verdict = compare(LocalCost(20.0, 0, "USD"), 500_000, 500_000, API)
    assert verdict.code == "api_cheaper"
    assert verdict.text == "An API is cheaper: 3.00 USD for a million tokens against 20.00 here (6.7 times)."


def test_the_verdict_may_favour_this_machine() -> None:
    verdict = compare(LocalCost(1.0, 0, "VND"), 0, 1_000_000, API, rate=26_000)
    assert verdict.code == "local_cheaper"
    assert "130,000" in verdict.text
    assert compare(LocalCost(5.1, 0, "USD"), 0, 1_000_000, API).code == "about_equal"


def test_an_api_that_is_free_is_cheaper() -> None:
    free = ApiPrice("f", "A free one", "F", 0.0, 0.0)
    verdict = compare(LocalCost(2.0, 0, "USD"), 500_000, 500_000, free)
    assert verdict.text == "A free one costs nothing for these tokens; here a million of them cost 2.00 USD."
    assert compare(LocalCost(0.0, 0, "USD"), 1, 1, free).code == "about_equal"


def test_what_is_missing_is_said() -> None:
    assert compare(None, 1, 1, API).code == "no_power"
    assert compare(LocalCost(1, 0, "VND"), 1, 1, API).text.startswith("The exchange rate from USD to VND")


def test_the_cheapest_that_undercuts_is_named() -> None:
    other = ApiPrice("b", "B", "B", 0.1, 0.2)
    assert cheapest(LocalCost(2.0, 0, "USD"), 500_000, 500_000, [API, other], 1.0) == other
    assert cheapest(LocalCost(0.01, 0, "USD"), 500_000, 500_000, [API, other], 1.0) is None


def test_figures() -> None:
    assert per_million(2.0, 500_000) == 4.0
    assert per_million(2.0, 0) is None
    assert [money(value) for value in (0.00123, 0.5, 12.3, 1234567.0)] == [
        "0.0012",
        "0.50",
        "12.30",
        "1,234,567",
    ]
