"""Pictures of what belongs to the whole window: palette, shortcuts, quick ask, high contrast, zoom, levels."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.shots import models

if TYPE_CHECKING:
    from tests.shots.__main__ import Studio

PAGES = ("chat", "discover", "library", "server", "settings")


def shoot(studio: "Studio", out: Path) -> None:
    """All of them; the window is as it was afterwards."""
    from app.ui.dialogs.shortcuts import ShortcutsDialog
    from app.ui.palette import Palette
    from app.ui.quick_ask import QuickAsk

    window, services = studio.window, studio.services
    window.open_page("chat")

    def palette() -> Any:
        made = Palette(window)
        made.begin()
        return made

    def quick() -> Any:
        made = QuickAsk(services)
        made.begin()
        return made

    studio.popup(out, "palette", palette)
    studio.popup(out, "shortcuts", lambda: ShortcutsDialog(window.actions_, services.settings, window))
    studio.popup(out, "quick-ask", quick)
    _updates(studio, out)
    _looks(studio, out)


def _updates(studio: "Studio", out: Path) -> None:
    """The question, and an offer of a local server's."""
    sys.path.append(str(Path(__file__).resolve().parents[2] / "packaging"))  # what signs lists
    from app.ui.dialogs.update import UpdateDialog
    from tests.fakes.update_site import UpdateSite

    settings = studio.services.settings

    def begun() -> Any:
        made = UpdateDialog(studio.services, studio.window)
        made.begin()
        return made

    with UpdateSite(studio.services.paths.cache / "site") as site:
        site.publish("9.9")
        settings.set("updates.address", site.url)
        settings.set("updates.key", site.key)
        studio.popup(out, "update-question", begun)
        settings.set("updates.look", "never")
        studio.popup(out, "update-offer", begun)
    for name in ("look", "address", "key"):
        settings.reset(f"updates.{name}")


def _looks(studio: "Studio", out: Path) -> None:
    from PySide6.QtTest import QTest

    from app.ui import look, theme

    settings, window = studio.services.settings, studio.window
    window.resize(1280, 800)
    for name, value in (
        ("theme", "contrast-light"),
        ("theme", "contrast-dark"),
        ("theme", "light"),
        ("level", "simple"),
        ("level", "developer"),
        ("level", "full"),
        ("zoom", 75),
        ("zoom", 125),
        ("zoom", 150),
        ("zoom", 200),
        ("zoom", 100),
    ):
        settings.set(f"general.{name}", value)
        look.apply(settings.value.general)
        if value in {"light", "full", 100}:
            continue
        for page in PAGES:
            window.open_page(page)
            QTest.qWait(300)
            window.grab().save(str(out / f"{name}-{value}-{page}.png"))
        if name == "zoom":
            _load(studio, out, f"{name}-{value}")
        print(name, value, flush=True)
    settings.reset("general.theme")
    theme.notifier().apply("light")


def _load(studio: "Studio", out: Path, name: str) -> None:
    """The dialog before a load, both of its tabs."""
    dialog = models.load_dialog(studio)
    dialog.grab().save(str(out / f"{name}-load.png"))
    models.show_options(studio, dialog)
    dialog.grab().save(str(out / f"{name}-load-options.png"))
    dialog.close()
