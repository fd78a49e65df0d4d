"""The settings that change how the whole window looks, put into force."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from app.core.settings_groups import General
from app.ui import motion, theme, zoom
from app.ui.levels import levels

KEYS = ("general.theme", "general.zoom", "general.level", "general.reduced_motion")
_EFFECTS = (
    Qt.UIEffect.UI_General,
    Qt.UIEffect.UI_AnimateMenu,
    Qt.UIEffect.UI_FadeMenu,
    Qt.UIEffect.UI_AnimateCombo,
    Qt.UIEffect.UI_AnimateTooltip,
    Qt.UIEffect.UI_FadeTooltip,
    Qt.UIEffect.UI_AnimateToolBox,
)
_blink: list[int] = []
"""The desktop's own blinking time, once it was taken away."""


def apply(general: General) -> None:
    """Theme, zoom, level and motion as the settings say; what is so already costs nothing."""
    look, wanted = theme.notifier(), general.zoom / 100
    zoomed = wanted != look.zoom
    if zoomed:
        zoom.resize_all(look.zoom, wanted)
        look.set_zoom(wanted)
    still = general.reduced_motion or motion.reduced()
    if still != look.reduced_motion:
        _set_motion(still)
    look.apply(general.theme)
    if zoomed:
        zoom.renew_fonts(wanted)
    levels().set_level(general.level)


def _set_motion(reduced: bool) -> None:
    theme.notifier().set_motion(reduced)
    if reduced:
        _blink.append(QApplication.cursorFlashTime())
        QApplication.setCursorFlashTime(0)
        for effect in _EFFECTS:
            QApplication.setEffectEnabled(effect, False)
    elif _blink:
        QApplication.setCursorFlashTime(_blink.pop())
