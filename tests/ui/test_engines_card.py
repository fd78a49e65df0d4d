"""Settings > Engines with real packs on disk, and the report of a crash. The probe's answers come from real loads in
other tests; here the machine is given."""

import contextlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.gui
pytest.importorskip("PySide6")

from PySide6.QtWidgets import QAbstractButton, QLabel  # noqa: E402

from app.core.events import Bus  # noqa: E402
from app.core.settings import SettingsStore  # noqa: E402
from app.hardware.facts import Backend, Cpu, Device, Gpu, Machine, Memory  # noqa: E402
from app.runtime.pack_store import PackStore  # noqa: E402
from app.ui import tasks, translate  # noqa: E402
from app.ui.dialogs.confirm import ConfirmDialog  # noqa: E402
from app.ui.dialogs.report import ReportDialog  # noqa: E402
from app.ui.engines_card import EnginesCard  # noqa: E402
from app.ui.hardware_words import why_words  # noqa: E402
from tests.fakes.packs import make_pack  # noqa: E402

CARD = Gpu(0, "nvidia", "A card", 8 << 30, 8 << 30, devices=("CUDA0", "Vulkan0"))
MACHINE = Machine(
    Cpu("A processor"),
    Memory(),
    (CARD, Gpu(1, "amd", "Undriven")),
    (Backend("CPU", (Device("CPU", "CPU"),)),),
)


@pytest.fixture
def services(tmp_path: Path) -> SimpleNamespace:
    settings = SettingsStore(tmp_path / "settings.toml", Bus())
    packs = PackStore(tmp_path, lambda: "", lambda _pack: "", environ={}, bundled=tmp_path / "bundled")
    return SimpleNamespace(settings=settings, packs=packs, machine=lambda: MACHINE)


@pytest.fixture
def card(services: SimpleNamespace, qtbot) -> Iterator[EnginesCard]:
    made = EnginesCard(services)
    qtbot.addWidget(made)
    made.show()
    yield made
    tasks.close()


def texts(card: EnginesCard) -> str:
    return "\n".join(label.text() for row in card.rows for label in row.findChildren(QLabel))


def press(card: EnginesCard, words: str) -> None:
    next(b for row in card.rows for b in row.findChildren(QAbstractButton) if b.text() == words).click()


def test_each_device_says_what_drives_it_and_why(card: EnginesCard, qtbot) -> None:
    qtbot.waitUntil(lambda: bool(card.rows))
    assert "CUDA0: its maker's own backend before Vulkan0." in texts(card)
    assert "CPU: always there" in texts(card)
    assert "a pack for it, or its driver, is missing" in texts(card)


def test_the_user_overrides_it(card: EnginesCard, services: SimpleNamespace, qtbot) -> None:
    qtbot.waitUntil(lambda: bool(card.choices))
    choice = card.choices["A card"]
    choice.setCurrentIndex(choice.findData("Vulkan0"))
    choice.activated.emit(choice.currentIndex())
    qtbot.waitUntil(lambda: "Vulkan0: chosen by you." in texts(card))
    assert services.settings.value.engine.devices == "Vulkan0"


def test_a_pack_is_installed_turned_off_and_undone(
    card: EnginesCard, services: SimpleNamespace, tmp_path: Path, qtbot
) -> None:
    card.install(str(make_pack(tmp_path / "one", b"one", backend="vulkan", commit="f" * 40)))
    qtbot.waitUntil(lambda: "vulkan-ffffffffffff" in texts(card))
    card.install(str(make_pack(tmp_path / "two", b"two", backend="vulkan")))
    qtbot.waitUntil(lambda: "vulkan-0c1e57098bba" in texts(card))
    press(card, "Go back to the one before")
    qtbot.waitUntil(lambda: "vulkan-ffffffffffff" in texts(card))
    press(card, "Turn off")
    qtbot.waitUntil(lambda: "not used, turned off by you" in texts(card))
    press(card, "Remove")
    card.findChild(ConfirmDialog).act.click()
    qtbot.waitUntil(lambda: not services.packs.packs())


def test_a_pack_that_crashed_twice_says_so_and_the_one_before_is_a_click_away(
    card: EnginesCard, services: SimpleNamespace, tmp_path: Path, qtbot
) -> None:
    for commit in ("f" * 40, "e" * 40):
        made = make_pack(tmp_path / commit[0], commit.encode(), backend="vulkan", commit=commit)
        services.packs.install(str(made))
    services.packs.crashed("vulkan", "signal SIGSEGV")
    card.hide()
    card.show()
    qtbot.waitUntil(lambda: "the next time it is turned off" in texts(card))
    services.packs.crashed("vulkan", "signal SIGSEGV")
    card.hide()
    card.show()
    qtbot.waitUntil(lambda: "not used, the engine crashed on it twice in a row (signal" in texts(card))
    press(card, "Go back to the one before")
    qtbot.waitUntil(lambda: "vulkan-ffffffffffff" in texts(card))
    assert "crashed" not in texts(card)


def test_a_refused_pack_says_why_where_it_was_tried(card: EnginesCard, tmp_path: Path, qtbot) -> None:
    card.install(str(tmp_path))
    qtbot.waitUntil(card.problem.isVisible)
    assert "manifest.json" in card.problem.text()
    assert card.file.isEnabled()


@pytest.fixture
def endless() -> Iterator[str]:
    """A pack's address that comes slowly and never to its end."""
    ended = threading.Event()

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(640_000_000))
            self.end_headers()
            with contextlib.suppress(OSError):
                while not ended.wait(0.02):
                    self.wfile.write(bytes(1 << 20))

        def log_message(self, *_given: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/pack.tar.xz"
    ended.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_download_is_told_and_stopped(card: EnginesCard, endless: str, tmp_path: Path, qtbot) -> None:
    card.install(endless)
    qtbot.waitUntil(lambda: " of 640 MB fetched" in card.fetch.text.text())
    card.choices.clear()
    card.refresh()
    qtbot.waitUntil(lambda: bool(card.choices))
    assert card.fetch.isVisible(), "a look at the devices leaves it"
    card.fetch.stop.click()
    qtbot.waitUntil(lambda: card.fetch.isHidden() and card.file.isEnabled())
    assert not card.problem.isVisible()
    assert not list(tmp_path.glob("packs*"))


def test_a_refusal_s_reason_is_in_the_reader_s_language(card: EnginesCard, tmp_path: Path, qtbot) -> None:
    translate.install("vi")
    try:
        card.install(str(tmp_path))
        qtbot.waitUntil(card.problem.isVisible)
        assert "nó không có manifest.json" in card.problem.text()
        driver = "no NVIDIA driver is here, which it needs (libcuda.so.1: cannot open)"
        assert "trình điều khiển của NVIDIA" in why_words(f"ggml refused libggml-cuda.so: {driver}")
        assert why_words("turned off by you") == "do bạn tắt"
    finally:
        translate.install("en")


def test_the_report_is_shown_to_read_and_copy(tmp_path: Path, qtbot) -> None:
    (tmp_path / "crash.txt").write_text("what it did")
    dialog = ReportDialog(tmp_path / "crash.txt", None)
    qtbot.addWidget(dialog)
    qtbot.waitUntil(lambda: dialog.text.toPlainText() == "what it did")
    tasks.close()
