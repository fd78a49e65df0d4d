"""The Server page over the real server: the switch, activity, ways to connect, keys."""

import os
import threading
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QImage

from app.core.events import InstanceChanged, RequestLogged
from app.core.types import LoadPlan
from app.server.addresses import Address
from app.server.live import LiveRequest
from app.ui.dialogs.confirm import ConfirmDialog
from app.ui.qr_code import MODULE, QUIET, QrCode

LONG = 20000


@pytest.fixture
def page(window: Any, services: Any) -> Any:
    services.settings.set("server.port", 0)
    return window.open_page("server")


def turn(qtbot: Any, window: Any, on: bool) -> None:
    window.server.turn(on)
    qtbot.waitUntil(lambda: window.server.state.state == ("on" if on else "off"), timeout=LONG)


def post(address: str, body: dict[str, Any], key: str = "") -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    url = f"{address}/v1/chat/completions"
    return httpx.post(url, json=body, headers=headers, trust_env=False, timeout=60)


def test_a_live_request_is_seen_and_cancelled(
    qtbot: Any, window: Any, services: Any, page: Any, starter: Path
) -> None:
    folder = services.paths.models / "starter"
    folder.mkdir(parents=True)
    os.link(starter, folder / starter.name)
    services.library.rescan()
    record = services.library.records()[0]
    services.supervisor.ensure_ready(record.id, LoadPlan(record.path, n_ctx=2048, n_parallel=2)).result(60)
    _, key = services.server.keys.create("laptop")
    turn(qtbot, window, True)
    body = {"model": record.id, "max_tokens": 1900, "messages": [{"role": "user", "content": "Tell a long story."}],
            "ignore_eos": True}  # fmt: skip
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(post(window.server.state.address, body, key)))
    asking.start()
    activity = page.activity
    qtbot.waitUntil(lambda: bool(activity.live.rows) and activity.live.rows[0].tokens > 2, timeout=LONG)
    row = activity.live.rows[0]
    assert (row.model, row.key, row.phase) == (record.id, "laptop", "writing")
    assert row.prompt_tokens == row.prefilled > 10
    assert row.prefill_per_second > 0
    assert "1 being answered" in activity.headings["live"].text()
    assert activity.loaded.buttons[0].isEnabled()
    activity.cancel.click()
    asking.join()
    assert 2 < answers[0].json()["usage"]["completion_tokens"] < 1900
    qtbot.waitUntil(lambda: bool(activity.model.rows), timeout=LONG)
    assert activity.model.rows[0][1].key == "laptop"
    page.show_tab("keys")
    qtbot.waitUntil(lambda: [row.requests for row in page.keys.model.rows] == [1], timeout=LONG)
    page.show_tab("activity")
    activity.loaded.buttons[0].click()
    qtbot.waitUntil(lambda: not activity.loaded.buttons, timeout=LONG)
    turn(qtbot, window, False)


def test_a_request_whose_model_waits_for_room_says_so(
    services: Any, page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = LiveRequest(
        "1", "/v1/chat/completions", "127.0.0.1", "", "big", "loading", 1.0, 0, 0, 0, None, None
    )
    monkeypatch.setattr(services.server, "live", lambda: [row])
    activity = page.activity
    loads = [InstanceChanged("big", "big", "loading")]
    monkeypatch.setattr(services.supervisor, "snapshots", lambda: tuple(loads))
    activity.refresh()
    assert activity.live.index(0, 2).data() == "loading"
    loads.clear()
    activity.refresh()
    assert activity.live.index(0, 2).data() == "waiting"
    services.residency._tell("big", ("busy",))
    activity.refresh()
    doing = activity.live.index(0, 2)
    assert doing.data() == "waits for room"
    assert doing.data(Qt.ItemDataRole.ToolTipRole) == "No room for big yet; answering now: busy"
    services.residency._tell("big", ())
    activity.refresh()
    assert activity.live.index(0, 2).data() == "waiting"


def test_the_history_is_filtered(qtbot: Any, services: Any, page: Any) -> None:
    for at, (path, status) in enumerate((("/v1/models", 200), ("/v1/nothing", 404), ("/api/tags", 200))):
        services.bus.publish(
            RequestLogged(1000.0 + at, "GET", path, status, 0.01, key="phone", prompt="why?")
        )
    activity = page.activity
    qtbot.waitUntil(lambda: len(activity.model.rows) == 3)
    shown = activity.table.model()
    assert shown.index(0, 1).data() == "GET /api/tags"
    activity.filter.setText("404")
    assert [shown.index(row, 1).data() for row in range(shown.rowCount())] == ["GET /v1/nothing"]
    activity.table.selectRow(0)
    assert activity.prompt.text() == "Prompt: why?"
    activity.filter.setText("xyzzy")
    assert "No request" in activity.empty.text()
    assert activity.stack.currentIndex() == 0


def test_a_key_is_shown_once_and_revoked(qtbot: Any, services: Any, page: Any) -> None:
    page.show_tab("keys")
    keys = page.keys
    assert not keys.make.isEnabled()
    keys.name.setText("laptop")
    keys.rate.setValue(30)
    keys.make.click()
    qtbot.waitUntil(keys.fresh.isVisible, timeout=LONG)
    text = keys.fresh.key.text()
    keys.fresh.copy.click()
    assert QGuiApplication.clipboard().text() == text
    keys.fresh.done.click()
    assert keys.fresh.key.text() == ""
    qtbot.waitUntil(lambda: len(keys.model.rows) == 1, timeout=LONG)
    row = keys.model.rows[0]
    assert (row.name, row.rate, row.revoked) == ("laptop", 30, False)
    assert services.server.keys.match(text).id == row.id
    keys.table.selectRow(0)
    keys.revoke.click()
    keys.findChild(ConfirmDialog).act.click()
    qtbot.waitUntil(lambda: keys.model.rows[0].revoked, timeout=LONG)
    assert services.server.keys.match(text) is None
    keys.forget.click()
    qtbot.waitUntil(lambda: not keys.model.rows, timeout=LONG)


def test_who_answers_the_network_is_offered_a_key(qtbot: Any, window: Any, services: Any, page: Any) -> None:
    turn(qtbot, window, True)
    page.network.click()
    qtbot.waitUntil(page.open_banner.isVisible, timeout=LONG)
    assert services.settings.value.server.host == "0.0.0.0"
    qtbot.waitUntil(lambda: window.server.state.state == "on", timeout=LONG)
    page.open_banner.button.click()
    qtbot.waitUntil(lambda: page.keys.fresh.isVisible() and page.open_banner.isHidden(), timeout=LONG)
    assert services.server.keys.active
    page.show_tab("connect")
    qtbot.waitUntil(lambda: "YOUR_KEY" in page.snippet.toPlainText(), timeout=LONG)
    turn(qtbot, window, False)


def test_snippets_follow_the_program_that_is_chosen(page: Any) -> None:
    page.show_tab("connect")
    connect = page.connect_
    seen = set()
    for at in range(connect.client.count()):
        connect.client.setCurrentIndex(at)
        seen.add(connect.snippet.toPlainText())
    assert len(seen) == 8
    connect.copy.click()
    assert QGuiApplication.clipboard().text() == connect.snippet.toPlainText()


def test_addresses_and_their_code(page: Any) -> None:
    found = (Address("http://192.168.1.20:8177", "network"), Address("http://127.0.0.1:8177", "machine"))
    page.connect_._show_addresses(found)
    assert page.connect_.code.text() == "http://192.168.1.20:8177/v1"
    assert page.connect_.addresses.none.isHidden()
    page.connect_._show_addresses(found[1:])
    assert page.connect_.code.isHidden()


def test_the_code_is_drawn_module_by_module(qtbot: Any) -> None:
    import segno

    code = QrCode()
    qtbot.addWidget(code)
    code.show_text("http://192.168.1.20:8177/v1")
    code.resize(code.sizeHint())
    image = code.grab().toImage().convertToFormat(QImage.Format.Format_Grayscale8)
    wanted = segno.make("http://192.168.1.20:8177/v1", error="m", micro=False).matrix
    middle = lambda n: (n + QUIET) * MODULE + MODULE // 2  # noqa: E731
    for y, row in enumerate(wanted):
        assert [image.pixelColor(middle(x), middle(y)).lightness() < 128 for x in range(len(row))] == [
            bool(dark) for dark in row
        ]
