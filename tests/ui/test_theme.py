"""Colours that can be read, icons that are there, languages of the look."""

import re
from typing import Any

import pytest
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication

from app.ui import theme
from app.ui.resources import ROOT, resource

TEXTS = ("text", "text-2", "accent", "good", "warn", "bad")
GROUNDS = ("window", "surface", "raised")


def luminance(color: str) -> float:
    def channel(value: float) -> float:
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue = (channel(int(color[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("text", TEXTS)
def test_text_is_readable_on_every_ground(scheme: Any, ground: str, text: str) -> None:
    palette = theme.PALETTES[scheme]
    assert contrast(palette[text], palette[ground]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_on_accent_is_readable(scheme: Any) -> None:
    palette = theme.PALETTES[scheme]
    assert contrast(palette["on-accent"], palette["accent"]) >= 4.5


def test_the_contrast_formula_knows_black_on_white() -> None:
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21.0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_high_contrast_has_no_secondary_text_and_strong_lines(scheme: Any) -> None:
    palette = theme.high_contrast(scheme)
    assert palette["line"] == palette["text-2"] == palette["text"]
    assert palette.keys() == theme.PALETTES[scheme].keys()
    assert contrast(palette["text"], palette["window"]) == pytest.approx(21.0)
    for text in TEXTS:
        assert min(contrast(palette[text], palette[ground]) for ground in GROUNDS) >= 7.0, text
    assert contrast(palette["on-accent"], palette["accent"]) >= 7.0


@pytest.mark.parametrize("mode", ["light", "dark", "contrast-light", "contrast-dark"])
def test_every_pair_of_qt_s_own_palette_is_readable(qtbot: Any, mode: Any) -> None:
    theme.notifier().apply(mode)
    palette, role = QApplication.palette(), QPalette.ColorRole
    pairs = (
        (role.WindowText, role.Window),
        (role.Text, role.Base),
        (role.Text, role.AlternateBase),
        (role.ButtonText, role.Button),
        (role.PlaceholderText, role.Base),
        (role.ToolTipText, role.ToolTipBase),
        (role.HighlightedText, role.Highlight),
        (role.Link, role.Base),
        (role.BrightText, role.Window),
    )
    for front, back in pairs:
        assert contrast(palette.color(front).name(), palette.color(back).name()) >= 4.5, (front, back)
    theme.notifier().apply("light")


def test_both_palettes_have_the_same_tokens() -> None:
    assert theme.PALETTES["light"].keys() == theme.PALETTES["dark"].keys()


def test_applying_a_mode_changes_colours_and_tells(qtbot: Any) -> None:
    theme.notifier().apply("light")
    with qtbot.waitSignal(theme.notifier().changed):
        theme.notifier().apply("dark")
    assert theme.color("window") == QColor("#1B1A18")
    theme.notifier().apply("light")


def test_every_icon_named_in_the_code_exists_and_is_drawn(qtbot: Any) -> None:
    theme.notifier().apply("light")
    names = set()
    for file in (ROOT.parent / "app" / "ui").rglob("*.py"):
        names |= set(re.findall(r"""theme\.icon\("([a-z-]+)\"""", file.read_text("utf-8")))
        names |= set(re.findall(r"""IconButton\("([a-z-]+)\"""", file.read_text("utf-8")))
    assert {"copy", "close"} <= names
    for name in names:
        assert resource("icons", f"{name}.svg").is_file(), name
        assert not theme.icon(name).pixmap(20, 20).isNull()


def test_icons_take_no_colour_but_the_theme_s() -> None:
    for file in resource("icons").glob("*.svg"):
        text = file.read_text("utf-8")
        assert "currentColor" in text, file.name
        assert not re.search(r"#[0-9A-Fa-f]{3,8}\b", text), file.name


def test_an_unknown_token_is_an_error() -> None:
    with pytest.raises(KeyError):
        theme.color("no such token")
