"""The Usage page on a real history: plots, sums, the verdict beside an API, what can be edited, what is exported."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt

from app.core.generate import Finished, GenerateRequest, Timings, Usage
from app.planning.costs import ApiPrice
from app.planning.price_tables import PriceTables
from app.planning.usage import Request
from app.ui import tasks, translate
from app.ui.bridge import Bridge
from app.ui.chat_place import kept, temporary
from app.ui.dialogs.confirm import ConfirmDialog
from app.ui.pages.usage import UsagePage
from app.ui.usage_words import money

KWH = 3.6e6
LONG = 10000


def _ask(services: Any, ago: float = 0.0, **more: object) -> None:
    values: dict[str, object] = {
        "model": "me/model:Q4_0", "source": "chat", "prompt_tokens": 300, "completion_tokens": 200,
        "prefill_seconds": 1.0, "decode_seconds": 5.0, "joules_prefill": KWH, "joules_decode": 2 * KWH,
        "joules_idle": KWH, "energy_origin": "measured", "forecast": 40.0,
    }  # fmt: skip
    services.usage.add(Request(at=time.time() - ago, **{**values, **more}))


@pytest.fixture
def empty(qtbot: Any, services: Any) -> Iterator[Any]:
    """The page over no history."""
    translate.install("en")
    made = UsagePage(services, Bridge(services.bus))
    qtbot.addWidget(made)
    made.show()
    qtbot.waitUntil(lambda: made._report is not None, timeout=LONG)
    yield made
    made.bridge.close()
    tasks.close()


@pytest.fixture
def page(qtbot: Any, services: Any, empty: Any) -> Any:
    """The page over two answers."""
    _ask(services, chat=services.chats.create("How to bake bread").key)
    _ask(services, ago=20 * 86400, source="server", model="other", joules_decode=None)
    services.settings.set("energy.tariff", "us-average")
    empty.read()
    qtbot.waitUntil(lambda: empty._report.ever, timeout=LONG)
    return empty


def test_an_empty_history_says_what_it_is_for(qtbot: Any, empty: Any) -> None:
    assert empty.stack.currentWidget() is empty.empty
    assert not empty.export.isEnabled()
    with qtbot.waitSignal(empty.asked) as asked:
        qtbot.mouseClick(empty.empty.button, Qt.MouseButton.LeftButton)
    assert asked.args == ["open", "chat"]


def test_sums_and_plots(qtbot: Any, page: Any) -> None:
    assert [number.text() for number in page._numbers] == ["1,000", "4.00 kWh", "0.7000 USD", "1,400 USD"]
    assert "1 of 2 answers measured" in page._notes[1].text()
    assert len(page.charts[0]._bars) == 30
    assert "read: 300" in page.charts[0].words(29)
    assert "nothing measured" in page.charts[1].words(9)
    page.show_span(7)
    qtbot.waitUntil(lambda: len(page.charts[0]._bars) == 7, timeout=LONG)
    assert page._report.total.requests == 1


def test_a_table_for_each_way_of_summing(qtbot: Any, page: Any) -> None:
    names = {}
    for at in range(page.sums.groups.count()):
        page.sums.groups.setCurrentIndex(at)
        names[page.sums.groups.tabData(at)] = [
            page.sums.model.index(row, 0).data() for row in range(page.sums.model.rowCount())
        ]
    assert sorted(names["model"]) == ["me/model:Q4_0", "other"]
    assert sorted(names["chat"]) == ["API server", "How to bake bread"]
    assert len(names["day"]) == 2
    assert page.sums.model.columns[5].tip(page._report.total).count("J") == 2


def test_the_verdict_names_what_is_cheaper(qtbot: Any, page: Any, services: Any) -> None:
    assert "is cheaper" in page.prices.verdict.text()
    tables = PriceTables(services.paths.config)
    tables.save_apis([ApiPrice("dear", "Dear", "x", 9000.0, 9000.0, as_of="now")])
    page.read()
    qtbot.waitUntil(lambda: "No model of this table is cheaper" in page.prices.verdict.text(), timeout=LONG)


def test_prices_are_changed_in_the_table(qtbot: Any, page: Any, services: Any) -> None:
    table = page.prices.table
    rows = table.rowCount()
    table.item(0, 1).setText("7.5")
    tables = PriceTables(services.paths.config)
    qtbot.waitUntil(lambda: tables.apis()[0].input == 7.5, timeout=LONG)
    page.prices.add.click()
    qtbot.waitUntil(lambda: table.rowCount() == rows + 1, timeout=LONG)
    table.selectRow(rows)
    qtbot.waitUntil(lambda: services.settings.value.energy.api == "own/1", timeout=LONG)
    page.prices.remove.click()
    qtbot.waitUntil(lambda: table.rowCount() == rows, timeout=LONG)
    page.prices.reset.click()
    page.prices.findChild(ConfirmDialog).act.click()
    qtbot.waitUntil(lambda: not tables.apis_file.exists(), timeout=LONG)


def test_a_little_money_is_not_none() -> None:
    sums = ((0.0, "EUR"), (0.000004, "EUR"), (0.0334, "EUR"), (0.002, "VND"))
    assert [money(*each) for each in sums] == ["0 EUR", "< 0.0001 EUR", "0.0334 EUR", "< 0.01 VND"]


def test_without_a_tariff_there_is_no_money(qtbot: Any, page: Any) -> None:
    page.prices.tariff.setCurrentIndex(page.prices.tariff.findData("none"))
    page.prices._choose_tariff()
    qtbot.waitUntil(lambda: page._numbers[2].text() == "–", timeout=LONG)
    assert "Choose what you pay" in page.prices.verdict.text()


def test_every_request_is_exported(qtbot: Any, page: Any, tmp_path: Path) -> None:
    path = tmp_path / "usage.csv"
    page.export_to(path)
    qtbot.waitUntil(lambda: "Written to" in page.banner.words.text(), timeout=LONG)
    lines = path.read_text("utf-8").splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("at,model,quant")


@pytest.mark.parametrize("place", [kept, temporary])
def test_what_the_chat_asks_is_counted(services: Any, monkeypatch: Any, place: Any) -> None:
    def submit(_model: str, _request: GenerateRequest, sink: Any, *, asks: bool) -> None:
        sink(Finished("stop", Usage(7, 3), Timings(0.0, 0.1, 0.2, 0.1, 7, 2)))

    monkeypatch.setattr(services.supervisor, "submit", submit)
    monkeypatch.setattr(services.recorder, "_late", 0.0)
    services.recorder.start()
    place(services).session.engine.submit("m", GenerateRequest("r"), lambda _event: None)
    services.recorder.close()
    (row,) = services.usage.rows(0.0)
    assert (row.source, row.prompt_tokens, row.completion_tokens) == ("chat", 7, 3)
