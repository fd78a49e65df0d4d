"""Discover, Downloads, Library, Server and Settings over real services, the local Hub and the real starter model."""

import socket
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from app.core.events import DownloadChanged, ErrorInfo, RequestLogged
from app.models.hub_types import RepoSummary, SearchPage
from tests.fakes.hub_data import STARTER_REPO
from tests.waiting import until

STARTER = f"{STARTER_REPO}:Q4_1"
LONG = 20000


def dialog_of(name: str) -> Any:
    return next(
        (w for w in QApplication.topLevelWidgets() if type(w).__name__ == name and w.isVisible()), None
    )


# ---------------------------------------------------------------------------------------------- Discover


@pytest.fixture
def discover(qtbot: Any, local_hub: Any, window: Any) -> Any:
    page = window.open_page("discover")
    qtbot.waitUntil(lambda: bool(page.results.items), timeout=LONG)
    return page


def test_a_search_lists_repositories(qtbot: Any, discover: Any) -> None:
    qtbot.keyClicks(discover.search_line, "smollm2-135m")
    qtbot.waitUntil(lambda: [item.id for item in discover.results.items] == [STARTER_REPO], timeout=LONG)
    qtbot.waitUntil(lambda: discover.repo.table.model_.find(STARTER) is not None, timeout=LONG)
    assert discover.status.text() == "1 result"


def test_a_late_answer_never_replaces_a_newer_one(
    qtbot: Any, window: Any, services: Any, monkeypatch: Any
) -> None:
    import threading

    gate = threading.Event()

    def search(words: str, **_more: Any) -> SearchPage:
        if words == "slow":
            gate.wait(5)
        return SearchPage((RepoSummary(f"me/{words or 'all'}"), RepoSummary("me/other")))

    monkeypatch.setattr(services.hub, "search", search)
    page = window.open_page("discover")
    page.search("slow")
    page.search("quick")
    qtbot.waitUntil(lambda: any(item.id == "me/quick" for item in page.results.items))
    gate.set()
    qtbot.wait(100)
    assert page.results.items[0].id == "me/quick"


def test_more_pages_are_fetched_at_the_end(qtbot: Any, window: Any, services: Any, monkeypatch: Any) -> None:
    def search(_words: str, *, cursor: str | None = None, **_more: Any) -> SearchPage:
        first = int(cursor or 0)
        items = tuple(RepoSummary(f"me/model-{n}") for n in range(first, first + 30))
        return SearchPage(items, str(first + 30) if first < 60 else None)

    monkeypatch.setattr(services.hub, "search", search)
    page = window.open_page("discover")
    page.search("")
    qtbot.waitUntil(lambda: len(page.results.items) == 30)
    for count in (60, 90):
        page.list.scrollToBottom()
        page.results.fetchMore(page.results.index(0, 0).parent()) if page.results.canFetchMore(
            page.results.index(0, 0).parent()
        ) else None
        qtbot.waitUntil(lambda count=count: len(page.results.items) >= count)
    assert not page.results.has_more
    assert len({item.id for item in page.results.items}) == len(page.results.items)


def test_nothing_found_says_so_and_offers_a_way_out(qtbot: Any, discover: Any) -> None:
    discover.search("no such model anywhere")
    qtbot.waitUntil(lambda: discover.left.currentWidget() is discover.nothing, timeout=LONG)
    discover.nothing.button.click()
    qtbot.waitUntil(lambda: len(discover.results.items) > 10, timeout=LONG)


def test_a_hub_that_is_away_is_said_with_a_retry(qtbot: Any, home: Path, window: Any) -> None:
    page = window.open_page("discover")
    qtbot.waitUntil(lambda: page.whole.currentWidget() is page.offline, timeout=LONG)
    assert "can't be reached" in page.offline._text.text()
    assert "work as always" in page.offline._text.text()
    assert page.offline.button.text() == "Try again"


def test_a_gated_repository_says_what_to_do(qtbot: Any, discover: Any) -> None:
    discover.show_repo("meta-llama/Llama-3.1-8B-Instruct-GGUF")
    qtbot.waitUntil(lambda: not discover.repo.banner.isHidden(), timeout=LONG)
    assert "licence" in discover.repo.banner.words.text()
    assert discover.repo.banner.button.text() == "Open its page"


def test_quants_show_fit_and_one_is_recommended(qtbot: Any, discover: Any) -> None:
    discover.show_repo(STARTER_REPO)
    qtbot.waitUntil(lambda: discover.repo.prospects.summary is not None, timeout=LONG)
    rows = discover.repo.table.model_.rows
    assert {row.fit for row in rows} <= {"fits_in_memory", "full_gpu"}
    assert [row.quant.quant for row in rows if row.recommended] == ["Q4_K_M"]
    assert [row.quant.bytes for row in rows] == sorted(row.quant.bytes for row in rows)


def test_a_download_goes_from_button_to_load(qtbot: Any, discover: Any, window: Any, services: Any) -> None:
    services.start()
    discover.show_repo(STARTER_REPO)
    qtbot.waitUntil(lambda: discover.repo.table.cell(STARTER) is not None, timeout=LONG)
    cell = discover.repo.table.cell(STARTER)
    assert cell.button.text() == "Download 98 MB"
    cell.button.click()
    qtbot.waitUntil(lambda: cell.button.isVisible() and cell.button.text() == "Load…", timeout=60000)
    assert services.library.get(STARTER).bytes == 98_362_432
    cell.button.click()
    qtbot.waitUntil(lambda: dialog_of("LoadDialog") is not None, timeout=LONG)
    dialog = dialog_of("LoadDialog")
    qtbot.waitUntil(lambda: "about" in dialog.verdict.text(), timeout=LONG)
    dialog.close()


# --------------------------------------------------------------------------------------------- Downloads


def test_downloads_show_states_and_what_can_be_done(qtbot: Any, window: Any, services: Any) -> None:
    page = window.open_page("downloads")
    page._poll.stop()
    assert page.stack.currentWidget() is page.empty
    error = ErrorInfo("hub_gated", "x", {"what": "me/model"})
    events = [
        DownloadChanged("me/a:Q4_0", "me/a", "a.gguf", "running", 4_000_000_000, 1_000_000_000, 12e6, 250.0),
        DownloadChanged("me/b:Q4_0", "me/b", "b.gguf", "paused", 4_000_000_000, 1),
        DownloadChanged("me/c:Q4_0", "me/c", "c.gguf", "failed", 4_000_000_000, 1, error=error),
    ]
    for event in events:
        services.bus.publish(event)
    qtbot.waitUntil(lambda: len(page.model.rows) == 3)
    texts = [str(page.model.index(0, column).data()) for column in range(6)]
    assert texts[1:] == ["Downloading", "25 %", "1.0 / 4.0", "12.0 MB/s", "4 min"]
    assert page._cells["me/a:Q4_0"].button("pause")
    assert page._cells["me/b:Q4_0"].button("resume")
    assert window.rail.buttons["downloads"].count == 1
    assert "accept its licence" in page.banner.words.text()
    assert page.banner.button.text() == "Get access…"


def test_buttons_of_a_row_reach_the_queue(qtbot: Any, window: Any, services: Any, monkeypatch: Any) -> None:
    page, called = window.open_page("downloads"), []
    row = DownloadChanged("me/a:Q4_0", "me/a", "a.gguf", "running", 100, 10)
    for name in ("pause", "cancel"):
        monkeypatch.setattr(services.downloads, name, lambda key, name=name: called.append((name, key)))
    monkeypatch.setattr(services.downloads, "snapshots", lambda: (row,))
    page.entered()
    for name in ("pause", "cancel"):
        page._cells[row.id].button(name).click()
    qtbot.waitUntil(lambda: sorted(called) == [("cancel", row.id), ("pause", row.id)])


# ----------------------------------------------------------------------------------------------- Library


@pytest.fixture
def library(qtbot: Any, window: Any, services: Any, starter: Path, paths: Any) -> Any:
    place = paths.models / "me" / "tiny"
    place.mkdir(parents=True)
    (place / starter.name).symlink_to(starter)
    (place / "broken.Q4_0.gguf").write_bytes(b"GGUF\x03\0\0\0")
    page = window.open_page("library")
    qtbot.waitUntil(lambda: len(page.model.rows) == 2, timeout=LONG)
    return page


def test_return_asks_how_to_load_and_loads(qtbot: Any, library: Any, window: Any, services: Any) -> None:
    good = next(row for row in library.model.rows if not row.damaged)
    library.select(good.id)
    library._ask("load")
    qtbot.waitUntil(lambda: dialog_of("LoadDialog") is not None, timeout=LONG)
    dialog = dialog_of("LoadDialog")
    assert dialog.context.maximum() == 8192
    dialog.context.setValue(1024)
    assert dialog.load.text() == "Load with 1k context"
    qtbot.mouseClick(dialog.load, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(
        lambda: any(item.state == "ready" for item in services.supervisor.snapshots()), timeout=60000
    )
    assert services.supervisor.snapshots()[0].n_ctx == 1024
    window.open_page("library")
    qtbot.waitUntil(library.details.unload.isVisible, timeout=LONG)
    qtbot.waitUntil(lambda: good.id in window.status.model.text())
    library.details.unload.click()
    qtbot.waitUntil(library.details.load.isVisible, timeout=LONG)


# ------------------------------------------------------------------------------------------------ Server


def test_the_menu_switches_the_server_on_and_off(qtbot: Any, window: Any, services: Any) -> None:
    services.settings.set("server.port", 0)
    action = window.actions_.by_name["server_on"]
    action.trigger()
    qtbot.waitUntil(lambda: window.server.state.state == "on", timeout=LONG)
    page = window.open_page("server")
    assert action.isChecked()
    assert page.address.text() == f"{window.server.state.address}/v1"
    assert window.server.state.address in page.snippet.toPlainText()
    window.actions_.by_name["copy_address"].trigger()
    assert QGuiApplication.clipboard().text() == f"{window.server.state.address}/v1"
    action.trigger()
    qtbot.waitUntil(lambda: window.server.state.state == "off", timeout=LONG)
    assert not action.isChecked()


def test_the_menu_switches_off_what_it_shows_as_on(qtbot: Any, window: Any, services: Any) -> None:
    services.settings.set("server.port", 0)
    action = window.actions_.by_name["server_on"]
    action.trigger()
    until(lambda: services.server.state().state == "on")  # which the window was not told yet
    action.trigger()
    qtbot.waitUntil(lambda: services.server.state().state == "off", timeout=LONG)
    qtbot.waitUntil(lambda: not action.isChecked(), timeout=LONG)


def test_a_port_in_use_offers_the_free_one(qtbot: Any, window: Any, services: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        services.settings.set("server.port", port)
        page = window.open_page("server")
        page.toggle.click()
        qtbot.waitUntil(lambda: not page.banner.isHidden(), timeout=LONG)
        assert f"Port {port} is used" in page.banner.words.text()
        assert page.banner.button.text().startswith("Use port ")
        page.banner.button.click()
        qtbot.waitUntil(lambda: window.server.state.state == "on", timeout=LONG)
    assert page.banner.isHidden()
    assert services.settings.value.server.port != port
    page.toggle.click()
    qtbot.waitUntil(lambda: window.server.state.state == "off", timeout=LONG)


def test_requests_are_listed_newest_first(qtbot: Any, window: Any, services: Any) -> None:
    page = window.open_page("server")
    for at, status in enumerate((200, 404)):
        services.bus.publish(RequestLogged(1000.0 + at, "GET", "/v1/models", status, 0.01))
    qtbot.waitUntil(lambda: len(page.model.rows) == 2)
    assert page.model.index(0, 2).data() == "404"


# ---------------------------------------------------------------------------------------------- Settings


def test_a_setting_is_kept_when_it_settles_and_can_be_reset(qtbot: Any, window: Any, services: Any) -> None:
    page = window.open_page("settings")
    row = page.rows["engine.n_ctx"]
    row.field.setValue(8192)
    qtbot.waitUntil(lambda: services.settings.value.engine.n_ctx == 8192)
    qtbot.waitUntil(row.reset.isVisible)
    row.reset.click()
    qtbot.waitUntil(lambda: services.settings.value.engine.n_ctx == row.info.default)
    assert "8,192" in row.reset.toolTip()
    row.reset.click()  # and what was there comes back
    qtbot.waitUntil(lambda: services.settings.value.engine.n_ctx == 8192)
    assert row.reset.toolTip().startswith("Back to the default")


def test_a_setting_that_can_not_be_kept_says_why(
    qtbot: Any, window: Any, services: Any, monkeypatch: Any
) -> None:
    from app.core.errors import ReadOnlyError

    def refuse(_key: str, _value: object) -> None:
        raise ReadOnlyError(path="/nowhere")

    page = window.open_page("settings")
    monkeypatch.setattr(services.settings, "set", refuse)
    row = page.rows["chat.enter_sends"]
    row.field.setChecked(False)
    qtbot.waitUntil(row.problem.isVisible)
    assert "/nowhere" in row.problem.text()


def test_the_search_finds_settings_by_their_help(qtbot: Any, window: Any) -> None:
    page = window.open_page("settings")
    page.search.setText("whole network")
    shown = [key for card in page.cards.values() for key, row in card.rows.items() if row.isVisible()]
    assert shown == ["server.host"]
    page.search.setText("xyzzy")
    assert page._nothing.isVisible()


def test_settings_are_built_when_they_are_needed(qtbot: Any, window: Any) -> None:
    page = window.open_page("settings")
    assert sum(len(card.rows) for card in page.cards.values()) < 10
    qtbot.waitUntil(lambda: not page._idle.isActive())
    engine = page.cards["engine"]
    assert list(engine.rows) == [key for key, info in engine.infos.items() if not info.advanced]
    page.search.setText("rope frequency")
    found = [key for key, row in engine.rows.items() if row.isVisible()]
    assert found
    assert all(engine.infos[key].advanced for key in found)
    page._jump("server")
    assert not any(engine.rows[key].isVisible() for key in found)
    assert page._scroll.verticalScrollBar().value() > 0
    engine.more.click()
    assert all(row.isVisibleTo(engine) for row in page.rows.values() if row.info.group == "engine")
    order = [engine._column.itemAt(at).widget() for at in range(engine._column.count())]
    assert [w for w in order if w in engine.rows.values()] == [engine.rows[key] for key in engine.infos]


def test_a_setting_that_is_folded_away_can_be_shown(qtbot: Any, window: Any) -> None:
    from app.ui.levels import levels

    page = window.open_page("settings")
    page.show_setting("engine.rope_freq_base")
    assert page.rows["engine.rope_freq_base"].isVisibleTo(page)
    page = window.open_page("settings")
    levels().set_level("developer")
    qtbot.waitUntil(lambda: not page._idle.isActive())
    assert all(card.more.isHidden() for card in page.cards.values())
    levels().set_level("full")
    assert not page.cards["hub"].folded or not page.cards["hub"].more.isHidden()


def test_secrets_are_not_shown(qtbot: Any, window: Any) -> None:
    from PySide6.QtWidgets import QLineEdit

    field = window.open_page("settings").rows["server.api_key"].field
    assert field.echoMode() != QLineEdit.EchoMode.Normal


# ----------------------------------------------------------------------------------------------- Welcome


def test_the_starter_is_downloaded_from_the_welcome_and_started(
    qtbot: Any, local_hub: Any, window: Any, services: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = list[str]()
    monkeypatch.setattr(window.models, "load_now", loaded.append)
    services.start()
    page = window.open_page("welcome")
    qtbot.waitUntil(lambda: page.starter.text() == "Download 98 MB and start", timeout=LONG)
    page.starter.click()
    qtbot.waitUntil(lambda: any(row.state == "done" for row in services.downloads.snapshots()), timeout=60000)
    assert window.stack.currentWidget() is window.pages["downloads"]
    qtbot.waitUntil(lambda: loaded == [services.library.records()[0].id], timeout=LONG)
