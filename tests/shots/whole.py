"""Pictures of what belongs to the whole window: palette, shortcuts, quick ask, high contrast, zoom, levels."""

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

    studio.popup(out, "palette", palette)
    studio.popup(out, "shortcuts", lambda: ShortcutsDialog(window.actions_, services.settings, window))
    studio.popup(out, "quick-ask", quick)
    _looks(studio, out)


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
