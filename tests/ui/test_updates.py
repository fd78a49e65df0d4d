"""Updates in the window, against a local server and a real .run in a folder of the test's own."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.gui,
    pytest.mark.skipif(sys.platform == "win32", reason="shell scripts and links"),
]
pytest.importorskip("PySide6")

from app.ui.dialogs.about import AboutDialog  # noqa: E402
from app.ui.dialogs.update import UpdateDialog  # noqa: E402
from app.ui.update_watch import UpdateWatch  # noqa: E402
from app.updates.installed import find_installed  # noqa: E402
from app.updates.service import Updates  # noqa: E402
from tests.fakes.update_site import UpdateSite, make_run_file, says  # noqa: E402


@pytest.fixture
def site(tmp_path: Path) -> Iterator[UpdateSite]:
    with UpdateSite(tmp_path / "site") as running:
        yield running


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: UpdateSite, services: Any) -> Path:
    """0.1.0 installed in a person's own folder, 0.2.0 at the site, whose address and key are set; the command."""
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    old = make_run_file(tmp_path / "old", "0.1.0")
    subprocess.run(["sh", old, "--no-start"], check=True, capture_output=True)
    new = make_run_file(tmp_path / "new", "0.2.0")
    (site.folder / new.name).write_bytes(new.read_bytes())
    site.publish("0.2.0")
    program = tmp_path / "person/.local/bin/hearth"
    updates = Updates(
        services.paths,
        lambda: services.settings.value,
        version="0.1.0",
        installed=lambda: find_installed(str(program), frozen=True, environ={}),
    )
    object.__setattr__(services, "make_updates", lambda: updates)
    services.settings.set("updates.key", site.key)
    services.settings.set("updates.address", site.url)
    return program


def press(dialog: UpdateDialog, words: str) -> None:
    next(button for button in dialog.row if button.text().startswith(words)).click()


def shown(dialog: UpdateDialog, words: str) -> bool:
    return any(button.text().startswith(words) for button in dialog.row)


@pytest.fixture
def dialog(window: Any, services: Any) -> UpdateDialog:
    return UpdateDialog(services, window)


def test_from_the_question_to_the_new_version_and_back(
    start: Path, window: Any, services: Any, dialog: UpdateDialog, site: UpdateSite, qtbot: Any
) -> None:
    dialog.begin()
    assert "May Hearth look for new versions" in dialog.words.text()
    assert site.asked == [], "nothing was asked of anybody yet"
    press(dialog, "Every week")
    qtbot.waitUntil(lambda: shown(dialog, "Download"))
    assert services.settings.value.updates.look == "week"
    assert dialog.notes.toPlainText() == "What 0.2.0 brings."
    assert [path for path, _ in site.asked] == ["/hearth-updates.json"], "nothing is fetched before the notes"
    press(dialog, "Download")
    qtbot.waitUntil(lambda: shown(dialog, "Install it"))
    assert says(start) == "hearth 0.1.0"
    press(dialog, "Install it")
    qtbot.waitUntil(lambda: shown(dialog, "Restart now"))
    assert says(start) == "hearth 0.2.0"
    with qtbot.waitSignal(dialog.asked) as asked:
        press(dialog, "Restart now")
    assert asked.args == ["restart", None]
    dialog.reject()

    about = AboutDialog(services, window)
    about.open()
    qtbot.waitUntil(about.back.isVisible)
    assert about.back.text() == "Go back to 0.1.0"
    with qtbot.waitSignal(about.asked):
        about.back.click()
    back = UpdateDialog(services, window)
    back.go_back()
    qtbot.waitUntil(lambda: shown(back, "Restart now"))
    assert says(start) == "hearth 0.1.0"


def test_without_an_address_it_says_where_to_enter_one(window: Any, qtbot: Any) -> None:
    window.actions_.by_name["updates"].trigger()
    dialog = window.findChild(UpdateDialog)
    assert "No address for updates is set" in dialog.words.text()
    press(dialog, "Open the settings")
    qtbot.waitUntil(lambda: window.page_shown() == "settings")


def test_a_wrong_signature_is_said_and_can_be_tried_again(
    start: Path, services: Any, dialog: UpdateDialog, site: UpdateSite, qtbot: Any
) -> None:
    services.settings.set("updates.look", "never")
    services.settings.set("updates.key", "A" * 43 + "=")
    dialog.begin()
    qtbot.waitUntil(lambda: "not signed by the key" in dialog.words.text())
    services.settings.set("updates.key", site.key)
    press(dialog, "Try again")
    qtbot.waitUntil(lambda: shown(dialog, "Not this version"))
    press(dialog, "Not this version")
    qtbot.waitUntil(lambda: services.updates.state.skipped == "0.2.0")


def test_a_command_of_the_package_manager_is_shown_to_copy(dialog: UpdateDialog, qtbot: Any) -> None:
    from app.updates.replace import Outcome

    dialog.open()
    dialog._put_in_place(Outcome("0.2.0", "command", ("sudo", "apt", "install", "/a b/hearth.deb")))
    assert dialog.command.toPlainText() == "sudo apt install '/a b/hearth.deb'"
    assert dialog.command.isVisible()
    assert [button.text() for button in dialog.row] == ["Close", "Install it"]


def test_the_settings_say_how_it_is_installed_and_go_back(
    start: Path, window: Any, services: Any, qtbot: Any
) -> None:
    page = window.open_page("settings")
    card = page.updates
    qtbot.waitUntil(lambda: "by its .run file" in card.words.text())
    assert not card.back.isVisibleTo(page)
    assert "Never looked" in card.fine.text()
    updates = services.updates
    offer = updates.check()
    updates.install(offer, updates.download(offer))
    card.refresh()
    qtbot.waitUntil(lambda: card.back.isVisibleTo(page))
    card.back.click()
    qtbot.waitUntil(lambda: says(start) == "hearth 0.1.0")


class _Windows:
    """What the watch asks of the windows, around one real one."""

    @staticmethod
    def around(window: Any, services: Any) -> Any:
        from PySide6.QtCore import QObject

        holder: Any = QObject(window)
        holder.services, holder.bridge, holder.open_ones = services, window.bridge, [window]
        holder.front = lambda: window
        return holder


def test_it_asks_once_then_tells_what_is_new(start: Path, window: Any, services: Any, qtbot: Any) -> None:
    watch = UpdateWatch(_Windows.around(window, services))
    watch.look()
    qtbot.waitUntil(window.banner.isVisible)
    assert "May Hearth look for new versions" in window.banner.words.text()
    window.banner.hide()
    services.settings.set("updates.look", "day")
    watch.look()
    qtbot.waitUntil(window.banner.isVisible)
    assert window.banner.words.text() == "Hearth 0.2.0 is there."
    window.banner.button.click()
    dialog = window.findChild(UpdateDialog)
    qtbot.waitUntil(lambda: shown(dialog, "Download"))
    dialog.reject()


def test_the_program_starts_again_in_its_own_place() -> None:
    """Its process becomes the other version's: whoever waits for it waits for that one."""
    code = "from app.ui.app import _start_again; _start_again(['/bin/echo', 'the other version'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "the other version\n"


def test_restart_closes_everything_first(window: Any, services: Any, qapp: Any) -> None:
    from app.ui.windows import Windows

    windows = Windows(services, qapp)
    opened = windows.open()
    opened.obey("restart", None)
    assert windows.restarting
    assert not opened.isVisible()
    windows.close()
    qapp.setQuitOnLastWindowClosed(True)
