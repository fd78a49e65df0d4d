"""Pictures of what belongs to the whole window: palette, shortcuts, quick ask, high contrast, zoom, levels."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

    _popup(studio, out, "palette", palette)
    _popup(studio, out, "shortcuts", lambda: ShortcutsDialog(window.actions_, services.settings, window))
    _popup(studio, out, "quick-ask", quick)
    _looks(studio, out)


def _popup(studio: "Studio", out: Path, name: str, make: Callable[[], Any]) -> None:
    from PySide6.QtTest import QTest

    for look in studio.looks():
        made = make()
        made.show()
        QTest.qWait(400)
        made.grab().save(str(out / f"{name}-{look}.png"))
        made.close()
    print(name, flush=True)


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
        ("zoom", 150),
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
        print(name, value, flush=True)
    settings.reset("general.theme")
    theme.notifier().apply("light")
