"""The window and a Linux desktop: a key for everywhere under Wayland, notifications to click, less motion."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from app.ui import look, motion, tasks, theme, translate
from app.ui.desktop_bus import DesktopBus, variant
from app.ui.hotkey import GlobalKey, portal_trigger, sequence_of
from app.ui.windows import Windows
from tests.fakes.desktop import DAEMON, NOTES, PATH, FakeDesktop, fake_desktop

SETTINGS = "org.freedesktop.portal.Settings"
pytestmark = pytest.mark.skipif(DAEMON is None, reason="needs dbus-daemon")


@pytest.fixture
def desktop(qtbot: Any) -> Iterator[FakeDesktop]:
    with fake_desktop() as made:
        yield made


@pytest.fixture
def wayland(monkeypatch: Any) -> None:
    monkeypatch.setattr("app.ui.hotkey.QGuiApplication.platformName", staticmethod(lambda: "wayland"))


@pytest.fixture
def bus(desktop: FakeDesktop) -> Iterator[DesktopBus]:
    made = DesktopBus()
    yield made
    made.close()
    tasks.close()


@pytest.fixture
def windows(qtbot: Any, services: Any, desktop: FakeDesktop) -> Iterator[Windows]:
    """The program with one window on the fake desktop."""
    translate.install("en")
    theme.notifier().apply("light")
    services.settings.set("general.welcomed", True)
    made = Windows(services, QApplication.instance())
    qtbot.waitExposed(made.open())
    made.start()
    yield made
    made.close()
    QApplication.setQuitOnLastWindowClosed(True)
    motion.forget()
    look.apply(services.settings.value.general)


def test_a_key_is_written_as_the_portal_wants_it() -> None:
    assert portal_trigger(sequence_of("Ctrl+Alt+Space")) == "CTRL+ALT+space"
    assert portal_trigger(sequence_of("Meta+Shift+F5")) == "SHIFT+LOGO+F5"


def test_a_variant_in_a_variant_is_its_value() -> None:
    assert variant(("v", ("u", 1))) == 1
    assert variant(("(ss)", ("a", "b"))) == ("a", "b")


def test_the_portal_gives_a_key_and_tells_when_it_is_pressed(
    qtbot: Any, wayland: None, desktop: FakeDesktop, bus: DesktopBus, monkeypatch: Any
) -> None:
    monkeypatch.setenv("XDG_ACTIVATION_TOKEN", "")
    key = GlobalKey(None, bus)
    with qtbot.waitSignal(key.settled):
        key.take("Ctrl+Alt+Space")
        assert key.problem == "asked"
    assert (key.problem, key.words) == ("", "Press Ctrl+Alt+Space")
    asked = desktop.called("BindShortcuts")
    assert asked is not None
    (name, about), *_ = asked[1]
    assert name == "quick-ask"
    assert about["preferred_trigger"] == ("s", "CTRL+ALT+space")
    with qtbot.waitSignal(key.pressed):
        desktop.press()
    assert os.environ["XDG_ACTIVATION_TOKEN"] == "token-1"
    key.close()
    qtbot.waitUntil(lambda: desktop.called("Close") is not None)


def test_a_key_that_the_user_declines_is_said_so(qtbot: Any, wayland: None) -> None:
    with fake_desktop(declines=True):
        bus = DesktopBus()
        key = GlobalKey(None, bus)
        with qtbot.waitSignal(key.settled):
            key.take("Ctrl+Alt+Space")
        assert key.problem == "the desktop said no"
        key.close()
        bus.close()
        tasks.close()


def test_the_desktop_is_asked_for_a_key_only_when_its_user_chose_it(
    qtbot: Any, wayland: None, windows: Windows, desktop: FakeDesktop
) -> None:
    settings, banner = windows.services.settings, windows.front().banner
    assert windows.key is not None
    assert windows.key.problem == "off"  # the usual key is not asked for at the first start
    settings.set("general.quick_key", "Ctrl+Alt+H")
    qtbot.waitUntil(lambda: "any program" in banner.words.text())
    qtbot.waitUntil(lambda: settings.value.general.quick_key_agreed == "Ctrl+Alt+H")
    desktop.press()
    qtbot.waitUntil(lambda: windows.quick is not None and windows.quick.isVisible())


def test_without_a_bus_nothing_is_asked(qtbot: Any, monkeypatch: Any) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    bus, why = DesktopBus(), []
    bus.call(("a.b", "/", "a.b"), "Nothing", "", (), lambda: None, why.append)
    assert why == ["there is no session bus"]
    assert not bus.there
    bus.close()


def test_a_bus_that_goes_away_is_an_answer_too(qtbot: Any, bus: DesktopBus, desktop: FakeDesktop) -> None:
    why: list[str] = []
    place = ("org.freedesktop.portal.Desktop", PATH, "x.y")
    bus.call(place, "Unknown", "", (), lambda: None, why.append)
    qtbot.waitUntil(lambda: why == ["unknown"])
    bus._line.sock.shutdown(2)
    qtbot.waitUntil(lambda: not bus.there)
    bus.call(place, "Unknown", "", (), lambda: None, why.append)
    assert why[-1] == "there is no session bus"


def test_a_click_on_a_notification_opens_what_it_told_of(
    qtbot: Any, windows: Windows, desktop: FakeDesktop
) -> None:
    clicked: list[bool] = []
    assert windows.notifications is not None
    qtbot.waitUntil(lambda: windows.notifications is not None and windows.notifications._markup)
    windows.notifications.tell("Title", "a <b>\nlong " * 100, lambda: clicked.append(True))
    qtbot.waitUntil(lambda: desktop.called("Notify") is not None)
    name, _replaces, _icon, title, text, actions, hints, _time = desktop.called("Notify") or ()
    assert (name, title) == ("Hearth", "Title")
    assert text.startswith("a &lt;b&gt; long a &lt;b&gt;")
    assert actions == ["default", "Open"]
    assert hints == {"desktop-entry": ("s", "hearth")}
    qtbot.waitUntil(lambda: windows.notifications is not None and 7 in windows.notifications._acts)
    desktop.signal(NOTES, "org.freedesktop.Notifications", "ActionInvoked", "us", (7, "default"))
    qtbot.waitUntil(lambda: clicked == [True])


@pytest.mark.parametrize(
    ("group", "name", "value", "other"),
    [
        ("org.freedesktop.appearance", "reduced-motion", ("u", 1), ("u", 0)),
        ("org.gnome.desktop.interface", "enable-animations", ("b", False), ("b", True)),
        ("org.kde.kdeglobals.KDE", "AnimationDurationFactor", ("s", "0"), ("s", "1")),
    ],
)
def test_every_desktop_s_wish_for_less_motion_is_understood(
    qtbot: Any, desktop: FakeDesktop, bus: DesktopBus, group: str, name: str, value: Any, other: Any
) -> None:
    desktop.settings = {group: {name: value}}
    motion.follow(bus, lambda: None)
    qtbot.waitUntil(motion.reduced)
    desktop.signal(PATH, SETTINGS, "SettingChanged", "ssv", (group, name, other))
    qtbot.waitUntil(lambda: not motion.reduced())
    motion.forget()


def test_less_motion_follows_the_desktop(qtbot: Any, windows: Windows, desktop: FakeDesktop) -> None:
    assert not theme.reduced_motion()
    qtbot.waitUntil(lambda: desktop.called("ReadAll") is not None)
    wish = ("org.freedesktop.appearance", "reduced-motion")
    desktop.signal(PATH, SETTINGS, "SettingChanged", "ssv", (*wish, ("u", 1)))
    qtbot.waitUntil(theme.reduced_motion)
    assert not QApplication.isEffectEnabled(Qt.UIEffect.UI_AnimateMenu)
    desktop.signal(PATH, SETTINGS, "SettingChanged", "ssv", (*wish, ("u", 0)))
    qtbot.waitUntil(lambda: not theme.reduced_motion())
