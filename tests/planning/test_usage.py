import contextlib
import csv
import datetime as dt
import io
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.errors import StoreDamagedError, StoreNewerError
from app.planning.usage import Request, UsageStore

NOON = dt.datetime(2026, 3, 10, 12).astimezone().timestamp()
DAY = 86400


@pytest.fixture
def store(tmp_path: Path) -> Iterator[UsageStore]:
    found = UsageStore(tmp_path / "usage.sqlite")
    yield found
    found.close()


def _request(at: float = NOON, **more: object) -> Request:
    values: dict[str, object] = {
        "model": "m:Q4",
        "prompt_tokens": 100,
        "completion_tokens": 51,
        "decode_seconds": 2.0,
    }
    return Request(at=at, **{**values, **more})  # type: ignore[arg-type]


def test_days_without_requests_are_zeros(store: UsageStore) -> None:
    store.add(_request())
    store.add(_request(NOON - 2 * DAY, joules_prefill=10.0, joules_decode=20.0, joules_idle=5.0))
    days = store.days(4, now=NOON)
    assert [day.key for day in days] == ["2026-03-07", "2026-03-08", "2026-03-09", "2026-03-10"]
    assert [day.requests for day in days] == [0, 1, 0, 1]
    assert days[1].joules == 35.0
    assert days[3].joules is None


def test_sums_by_model_and_chat(store: UsageStore) -> None:
    store.add(_request(chat="k7", prefill_seconds=1.0))
    store.add(_request(chat="k7"))
    store.add(_request(model="other", completion_tokens=500))
    assert [(day.key, day.requests) for day in store.models()] == [("other", 1), ("m:Q4", 2)]
    chat = store.chat("k7")
    assert (chat.requests, chat.prompt_tokens, chat.completion_tokens, chat.seconds) == (2, 200, 102, 5.0)
    assert store.chat("k8").requests == 0


def test_the_month_s_electricity_for_stepped_tariffs(store: UsageStore) -> None:
    store.add(_request(joules_prefill=1.8e6, joules_decode=1.8e6))
    store.add(_request(NOON - 40 * DAY, joules_prefill=9e9, joules_decode=0.0))
    assert store.month_kwh(NOON) == pytest.approx(1.0)


def test_runs_that_tell_something_feed_the_forecast(store: UsageStore) -> None:
    store.add(_request(forecast=30.0, device="CPU"))
    store.add(_request(NOON + 1, forecast=20.0, device="CUDA0"))
    store.add(_request(forecast=30.0, completion_tokens=3))
    store.add(_request(forecast=30.0, parallel=2))
    store.add(_request())
    assert [(run.forecast, run.measured) for run in store.runs()] == [(20.0, 25.0), (30.0, 25.0)]
    assert len(store.runs(device="CPU")) == 1


def test_speeds_are_in_order_for_the_regression_check(store: UsageStore) -> None:
    store.add(_request(NOON + 5, engine="2", context=900))
    store.add(_request(engine="1", context=800))
    assert store.speeds("m:Q4") == [("1", 25.0, 800), ("2", 25.0, 900)]


def test_runs_that_others_took_the_processor_from_teach_nothing(store: UsageStore) -> None:
    for others in (None, 10.0, 60.0):
        store.add(_request(forecast=20.0, others=others, engine="1"))
    assert len(store.runs()) == len(store.speeds("m:Q4")) == 2


def test_a_file_of_an_earlier_version_goes_on_and_can_go_back(tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    first = UsageStore(path)
    first.add(_request())
    first.close()
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("ALTER TABLE requests DROP COLUMN others")
    again = UsageStore(path)
    again.add(_request(others=30.0))
    assert [row.others for row in again.rows()] == [None, 30.0]
    again.close()
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        db.execute("INSERT INTO requests (at, model) VALUES (1.0, 'as the earlier version did')")


def test_everything_comes_out_as_csv(store: UsageStore) -> None:
    store.add(_request(quant="Q4", source="chat", energy_origin="measured"))
    rows = list(csv.DictReader(io.StringIO(store.csv())))
    assert rows[0]["model"] == "m:Q4"
    assert rows[0]["joules_decode"] == ""
    assert store.rows()[0].decode_per_second == 25.0


def test_it_outlives_the_program(tmp_path: Path) -> None:
    first = UsageStore(tmp_path / "u.sqlite")
    first.add(_request())
    first.close()
    first.close()
    second = UsageStore(tmp_path / "u.sqlite")
    assert second.total().requests == 1
    second.close()


def test_many_threads_may_write(store: UsageStore) -> None:
    threads = [threading.Thread(target=lambda: [store.add(_request()) for _ in range(20)]) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.total().requests == 100


def test_a_newer_or_damaged_file_is_refused(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "new.sqlite")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreNewerError):
        UsageStore(tmp_path / "new.sqlite").total()
    (tmp_path / "bad.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreDamagedError):
        UsageStore(tmp_path / "bad.sqlite").total()
