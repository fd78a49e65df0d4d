import datetime as dt

import pytest

from app.planning.bills import Prices, by_chat, by_day, by_model, by_month, fill_days, lines, price, total
from app.planning.costs import Hardware, Step, Tariff
from app.planning.usage import Request

NOON = dt.datetime(2026, 3, 10, 12).astimezone().timestamp()
KWH = 3.6e6
FLAT = Tariff("flat", "", "USD", (Step(0.2),))
STEPPED = Tariff("steps", "", "VND", (Step(1000, 50), Step(2000)))


def _row(at: float = NOON, joules: float | None = KWH, **more: object) -> Request:
    values: dict[str, object] = {
        "model": "m",
        "prompt_tokens": 300,
        "completion_tokens": 200,
        "cached_tokens": 100,
    }
    if joules is not None:
        values |= {"joules_prefill": joules / 4, "joules_decode": joules / 2, "joules_idle": joules / 4}
    return Request(at=at, **{**values, **more})  # type: ignore[arg-type]


def test_energy_and_money_of_a_sum() -> None:
    found = total(price([_row(), _row(joules=None)], Prices(FLAT)))
    assert (found.requests, found.measured, found.prompt_tokens) == (2, 1, 600)
    assert found.joules == KWH
    assert found.cost == pytest.approx(0.2)
    assert found.per_million == pytest.approx(0.2 / 500 * 1e6)
    assert found.decode_per_token == pytest.approx(KWH / 2 / 200)
    assert found.prefill_per_token == pytest.approx(KWH / 4 / 200)


def test_without_a_tariff_money_is_unknown_and_without_energy_both() -> None:
    assert total(price([_row()], Prices())).cost is None
    unmeasured = total(price([_row(joules=None)], Prices(FLAT)))
    assert (unmeasured.joules, unmeasured.cost, unmeasured.per_million) == (None, None, None)


def test_steps_begin_at_the_household_s_use_and_anew_each_month() -> None:
    rows = [_row(), _row(NOON + 60), _row(NOON + 30 * 86400)]
    found = [row.electricity for row in price(rows, Prices(STEPPED, household=49))]
    assert found == [pytest.approx(1000), pytest.approx(2000), pytest.approx(1000)]


def test_hardware_is_written_off_by_the_second() -> None:
    hardware = Hardware(price=3600 * 365, years=1, hours_a_day=1)
    row = _row(joules=0.0, prefill_seconds=1.0, decode_seconds=3.0, parallel=2)
    assert total(price([row], Prices(FLAT, hardware))).hardware == pytest.approx(2.0)


def test_keys() -> None:
    rows = price(
        [_row(source="chat", chat="k"), _row(source="server"), _row(NOON - 86400, model="n")], Prices()
    )
    assert [line.key for line in lines(rows, by_day)] == ["2026-03-10", "2026-03-09"]
    assert [line.key for line in lines(rows, by_month)] == ["2026-03"]
    assert [line.key for line in lines(rows, by_model)] == ["m", "n"]
    assert [line.key for line in lines(rows, by_chat)] == ["k", ":server", ":"]
    days = fill_days(lines(rows, by_day), 3, dt.date(2026, 3, 10))
    assert [(day.key, day.requests) for day in days] == [
        ("2026-03-08", 0),
        ("2026-03-09", 1),
        ("2026-03-10", 2),
    ]
