"""A PNG of every page and state, light and dark, English and Vietnamese, 1280x800 and 1920x1080, into build/shots.

    python -m tests.shots [--quick] [--only CHAPTER...]

Everything is real: the window on a home of its own, a local Hub over HTTP, the starter model downloaded from it, loaded
and asked. --quick takes 1280x800 in English light and Vietnamese dark only; --only takes some chapters.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from tests.fakes.hub_data import STARTER_REPO, demo_repos
from tests.fakes.hub_server import LocalHub
from tests.shots import chats, lab, machine, models, whole
from tests.starter import find_starter

if TYPE_CHECKING:
    from app.compose import Services
    from app.ui.main_window import MainWindow

OUT = Path("build/shots")
SIZES = ((1280, 800), (1920, 1080))
STARTER = models.STARTER
CHAPTERS = ("load", "chat", "server", "settings", "lab", "whole")
QUESTION = "Explain in a few sentences what a language model is, then list three uses."


class Studio:
    """The window, and what is needed to wait for it and to photograph it."""

    def __init__(self, services: "Services", window: "MainWindow", hub: LocalHub, quick: bool) -> None:
        self.services, self.window, self.hub, self.quick = services, window, hub, quick

    def wait(self, what: Callable[[], Any], seconds: float = 60.0) -> None:
        """Let the window live until something is so; TimeoutError says what it waited for."""
        from PySide6.QtTest import QTest

        end = time.monotonic() + seconds
        while not what():
            if time.monotonic() > end:
                raise TimeoutError(f"waited {seconds:.0f} s in vain")
            QTest.qWait(30)
        QTest.qWait(150)

    def looks(self) -> Iterator[str]:
        """Dress the window in each look in turn."""
        from app.ui import theme, translate

        for size in SIZES[:1] if self.quick else SIZES:
            self.window.resize(*size)
            for scheme, language in (("light", "en"), ("dark", "en"), ("light", "vi"), ("dark", "vi")):
                if self.quick and (scheme, language) not in {("light", "en"), ("dark", "vi")}:
                    continue
                translate.install(language)
                theme.notifier().apply(scheme)  # type: ignore[arg-type]
                yield f"{size[0]}-{scheme}-{language}"

    def take(self, name: str, widget: Any = None) -> None:
        """One picture in every look."""
        from PySide6.QtTest import QTest

        for look in self.looks():
            QTest.qWait(300)  # a busy machine lays out late
            (widget or self.window).grab().save(str(OUT / f"{name}-{look}.png"))
        print(name, flush=True)

    def popup(self, out: Path, name: str, make: Callable[[], Any]) -> None:
        """A window of its own, made anew in every look."""
        from PySide6.QtTest import QTest

        for look in self.looks():
            made = make()
            made.show()
            QTest.qWait(400)
            made.grab().save(str(out / f"{name}-{look}.png"))
            made.close()
        print(name, flush=True)


@contextmanager
def studio(quick: bool) -> Iterator[Studio]:
    """A home of its own, the local Hub, the services and the window; all gone afterwards."""
    starter = find_starter()
    if starter is None:
        sys.exit("The starter model is not on this machine: run `make setup` first.")
    home = tempfile.mkdtemp(prefix="hearth-shots-")
    os.environ["HEARTH_HOME"] = home
    with LocalHub(demo_repos(starter), rate=60_000_000) as hub:
        os.environ["HF_ENDPOINT"] = hub.url
        from PySide6.QtWidgets import QApplication

        from app.compose import compose
        from app.ui import tasks, theme, translate
        from app.ui.main_window import MainWindow

        QApplication([])
        translate.install("en")
        theme.notifier().apply("light")
        services = compose()
        window = MainWindow(services)
        window.show()
        window.panels.fill()
        services.start()
        try:
            yield Studio(services, window, hub, quick)
        finally:
            window.close()
            window.shut()
            tasks.close()
            services.close()
            shutil.rmtree(home, ignore_errors=True)


def shoot_some(studio: Studio, chapters: list[str]) -> None:
    """Some of the story, over the starter model fetched at once."""
    services, window = studio.services, studio.window
    services.settings.set("general.welcomed", True)
    quants = {quant.quant: quant for quant in services.hub.repo(STARTER_REPO).quants}
    services.downloads.enqueue(quants["Q4_1"])
    studio.wait(lambda: any(row.state == "done" for row in services.downloads.snapshots()))
    if "load" in chapters:
        _load_dialog(studio)
    if "chat" in chapters:
        services.load(STARTER).result(timeout=120)
        _chat(studio)
        chats.shoot(studio, OUT)
    if "server" in chapters:
        _server(studio)
    if "settings" in chapters:
        _settings(studio)
    if "lab" in chapters:
        lab.shoot(studio)
    if "whole" in chapters:
        window.open_page("chat")
        whole.shoot(studio, OUT)


def shoot(studio: Studio) -> None:
    """The story, from the first start to a served request."""
    window, services = studio.window, studio.services
    studio.take("welcome")
    models.discover(studio)
    window.open_page("library")
    studio.take("library-empty")
    models.downloads(studio)
    _library(studio)
    _load_dialog(studio)
    machine.measuring(studio)
    services.load(STARTER).result(timeout=120)
    _chat(studio)
    chats.shoot(studio, OUT)
    _server(studio)
    machine.usage(studio)
    _settings(studio)
    lab.shoot(studio)
    whole.shoot(studio, OUT)
    models.offline(studio)


def _settings(studio: Studio) -> None:
    page = studio.window.open_page("settings")
    studio.wait(lambda: not list(page._waiting()))
    for group in page.cards:
        page.show_group(group)
        studio.take(f"settings-{group}")
    page.search.setText("port")
    studio.take("settings-search")
    page.search.clear()


def _library(studio: Studio) -> None:
    page = studio.window.open_page("library")
    studio.wait(lambda: page.model.rows)
    page.select(STARTER)
    studio.take("library")
    page.details.care.verify.button.click()
    studio.wait(page.details.care.verify.result.isVisible)
    page.details.verticalScrollBar().setValue(page.details.verticalScrollBar().maximum())
    studio.take("library-verified")
    page.details.verticalScrollBar().setValue(0)
    page.disk_button.click()
    studio.take("library-disk")
    page.disk_button.click()


def _load_dialog(studio: Studio) -> None:
    machine.measured(studio)
    for look in studio.looks():
        dialog = models.load_dialog(studio)
        dialog.grab().save(str(OUT / f"load-{look}.png"))
        models.show_options(studio, dialog)
        dialog.grab().save(str(OUT / f"load-options-{look}.png"))
        dialog.options.search.setText("batch")
        studio.wait(lambda: True)
        dialog.grab().save(str(OUT / f"load-options-search-{look}.png"))
        dialog.close()
    machine.unmeasured(studio)
    print("load", flush=True)


def _chat(studio: Studio) -> None:
    page = studio.window.open_page("chat")
    page.choose_model(STARTER)
    studio.wait(lambda: True)
    studio.take("chat-empty")
    page.composer.edit.setPlainText(QUESTION)
    page.composer.submitted.emit(QUESTION)
    studio.wait(lambda: _answered(studio.services), 120)
    studio.take("chat")


def _answered(services: "Services") -> bool:
    chats = services.chats.conversations()
    messages = services.chats.messages(chats[0].id) if chats else []
    return bool(len(messages) > 1 and messages[-1].role == "assistant" and messages[-1].usage)


def _server(studio: Studio) -> None:
    import urllib.request

    window = studio.window
    page = window.open_page("server")
    studio.take("server-off")
    studio.services.settings.set("server.port", 0)
    window.server.turn(True)
    studio.wait(lambda: window.server.state.state == "on")
    for path in ("/health", "/v1/models", "/v1/nothing"):
        try:
            urllib.request.urlopen(window.server.state.address + path, timeout=10).read()
        except OSError:
            continue
    studio.wait(lambda: len(page.model.rows) >= 2)
    studio.take("server-on")
    _ask_the_server(studio, page)
    page.show_tab("connect")
    studio.take("server-connect")
    page.keys.propose("laptop")
    page.show_tab("keys")
    studio.wait(page.keys.fresh.isVisible)
    studio.take("server-keys")
    page.show_tab("settings")
    studio.take("server-settings")
    window.server.turn(False)
    studio.wait(lambda: window.server.state.state == "off")


def _ask_the_server(studio: Studio, page: Any) -> None:
    """A request under way."""
    import json
    import threading
    import urllib.request

    asked = {
        "model": STARTER,
        "max_tokens": 900,
        "messages": [{"role": "user", "content": "Tell a long story."}],
    }
    request = urllib.request.Request(
        studio.window.server.state.address + "/v1/chat/completions",
        json.dumps(asked).encode(),
        {"Content-Type": "application/json"},
    )

    def ask() -> None:
        with suppress(OSError):
            urllib.request.urlopen(request, timeout=120).read()

    thread = threading.Thread(target=ask)
    thread.start()
    page.show_tab("activity")
    studio.wait(lambda: any(row.tokens for row in page.activity.live.rows))
    studio.take("server-live")
    for row in studio.services.server.live():
        studio.services.server.cancel(row.id)
    thread.join(60)


def main() -> None:
    """Make all the pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="two looks at one size")
    parser.add_argument("--only", nargs="+", choices=CHAPTERS)
    options = parser.parse_args()
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    with studio(options.quick) as made:
        shoot_some(made, options.only) if options.only else shoot(made)
    print(f"{len(list(OUT.glob('*.png')))} pictures in {OUT}")


if __name__ == "__main__":
    main()
