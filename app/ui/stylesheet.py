"""The style sheet over Fusion: shapes and the few roles a palette has no word for. Small, because Qt re-reads it for
every widget it polishes.

Roles are dynamic properties: ``role`` on buttons (primary, quiet, danger), labels (title, secondary, good, warn, bad,
chip) and frames (card, banner); set them with ``app.ui.widgets``.
"""

import re

_PIXELS = re.compile(r"(\d+)px")

_TEMPLATE = """
QToolTip {{ background: {raised}; color: {text}; border: 1px solid {line}; padding: 4px 6px; }}
QMainWindow::separator {{ background: {line}; width: 1px; height: 1px; }}
QMenuBar {{ background: {window}; border-bottom: 1px solid {line}; padding: 0 4px; }}
QMenuBar::item {{ padding: 5px 9px; background: transparent; border-radius: 4px; }}
QMenuBar::item:selected {{ background: {raised}; }}
QMenu {{ background: {surface}; border: 1px solid {line}; padding: 4px; }}
QMenu::item {{ padding: 6px 24px 6px 12px; border-radius: 4px; }}
QMenu::item:selected {{ background: {raised}; color: {text}; }}
QMenu::item:disabled {{ color: {faded}; }}
QMenu::separator {{ height: 1px; background: {line}; margin: 4px 8px; }}
QMenu::icon {{ padding-left: 8px; }}

QPushButton {{ background: {surface}; color: {text}; border: 1px solid {line}; border-radius: 6px;
  padding: 0 12px; min-height: 30px; }}
QPushButton:hover {{ background: {raised}; }}
QPushButton:pressed, QPushButton:checked {{ background: {raised}; border-color: {text_2}; }}
QPushButton:focus {{ border: 2px solid {accent}; padding: 0 11px; min-height: 28px; }}
QPushButton:disabled {{ color: {faded}; }}
QPushButton[compact="true"] {{ min-height: 26px; padding: 0 10px; }}
QPushButton[compact="true"]:focus {{ min-height: 24px; padding: 0 9px; }}
QPushButton[role="primary"] {{ background: {accent}; color: {on_accent}; border-color: {accent}; }}
QPushButton[role="primary"]:hover {{ background: {accent_2}; border-color: {accent_2}; }}
QPushButton[role="primary"]:focus {{ border-color: {text}; }}
QPushButton[role="primary"]:disabled {{ background: {raised}; color: {faded}; border-color: {line}; }}
QPushButton[role="danger"] {{ color: {bad}; }}
QPushButton[role="quiet"] {{ background: transparent; border-color: transparent; }}
QPushButton[role="quiet"]:hover {{ background: {raised}; }}
QPushButton[role="quiet"]:focus {{ border-color: {accent}; }}
QPushButton[role="link"] {{ background: transparent; border-color: transparent; color: {accent}; padding: 0 4px; }}
QPushButton[role="link"]:focus {{ border-color: {accent}; padding: 0 3px; }}
QDialogButtonBox {{ dialogbuttonbox-buttons-have-icons: 0; }}
QToolButton {{ background: transparent; border: 2px solid transparent; border-radius: 6px; padding: 3px; }}
QToolButton:hover {{ background: {raised}; }}
QToolButton:focus {{ border-color: {accent}; }}
QToolButton::menu-indicator {{ image: none; }}

QSlider:focus {{ border: none; outline: 0; }}
QSlider:horizontal {{ min-height: 22px; }}
QLineEdit, QSpinBox, QDoubleSpinBox, QComboBox {{ background: {surface}; color: {text}; border: 1px solid {line};
  border-radius: 6px; padding: 0 8px; min-height: 30px; selection-background-color: {accent};
  selection-color: {on_accent}; placeholder-text-color: {text_2}; }}
QLineEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QComboBox:focus {{ border: 2px solid {accent};
  padding: 0 7px; min-height: 28px; }}
QLineEdit:disabled, QSpinBox:disabled, QDoubleSpinBox:disabled, QComboBox:disabled {{ color: {faded};
  background: {window}; }}
QLineEdit[invalid="true"], QSpinBox[invalid="true"] {{ border-color: {bad}; }}
QPlainTextEdit {{ placeholder-text-color: {text_2}; }}
QPlainTextEdit[role="field"] {{ background: {surface}; border: 1px solid {line}; border-radius: 6px; padding: 4px; }}
QPlainTextEdit[role="field"]:focus {{ border: 2px solid {accent}; padding: 3px; }}
QPlainTextEdit[role="code"] {{ background: {raised}; border: 1px solid {line}; border-radius: 6px; padding: 8px; }}
QAbstractSpinBox > QLineEdit, QAbstractSpinBox > QLineEdit:focus {{ border: none; border-radius: 0;
  padding: 0 7px; min-height: 0;
  background: transparent; }}
QComboBox::drop-down {{ border: none; width: 22px; }}
QComboBox::down-arrow {{ image: url({icons}/flat/down-{scheme}.svg); width: 12px; height: 12px; }}
QComboBox QAbstractItemView {{ background: {surface}; border: 1px solid {line}; padding: 4px; outline: 0;
  selection-background-color: {raised}; selection-color: {text}; }}
QSpinBox::up-button, QSpinBox::down-button, QDoubleSpinBox::up-button, QDoubleSpinBox::down-button {{
  border: none; width: 18px; background: transparent; }}
QSpinBox::up-arrow, QDoubleSpinBox::up-arrow {{ image: url({icons}/flat/up-{scheme}.svg);
  width: 10px; height: 10px; }}
QSpinBox::down-arrow, QDoubleSpinBox::down-arrow {{ image: url({icons}/flat/down-{scheme}.svg);
  width: 10px; height: 10px; }}
QCheckBox::indicator, QTableView::indicator {{ width: 16px; height: 16px; border: 1px solid {text_2};
  border-radius: 4px; background: {surface}; }}
QCheckBox::indicator:checked, QTableView::indicator:checked {{ background: {accent}; border-color: {accent};
  image: url({icons}/flat/check-{scheme}.svg); }}
QCheckBox::indicator:disabled {{ border-color: {line}; }}
QCheckBox:focus {{ color: {accent}; outline: 0; }}
QCheckBox::indicator:focus {{ border: 2px solid {accent}; }}
QCheckBox::indicator:checked:focus {{ border: 2px solid {text}; }}

QTableView, QListView, QTreeView {{ background: {surface}; border: 1px solid {line}; border-radius: 10px; outline: 0;
  padding: 1px;
  selection-background-color: {raised}; selection-color: {text}; }}
QListWidget::item {{ padding: 0 8px; }}
QListView[role="flat"] {{ border: none; padding: 2px; border-radius: 0; background: transparent; }}
QTextBrowser {{ background: transparent; border: none; }}
QTableView::item {{ border-bottom: 1px solid {line}; padding: 0 8px; }}
QTableView::item:hover {{ background: {hover}; }}
QTableView::item:selected {{ background: {raised}; color: {text}; }}
QTableView:focus, QListView:focus {{ border: 2px solid {accent}; padding: 0; }}
QHeaderView {{ background: transparent; border: none; }}
QHeaderView::section {{ background: transparent; color: {text_2}; border: none; border-bottom: 1px solid {line};
  padding: 0 11px; min-height: 31px; font-size: 12px; }}
QHeaderView::section:hover {{ color: {text}; }}
QHeaderView::down-arrow {{ image: url({icons}/flat/down-{scheme}.svg); width: 9px; height: 9px;
  subcontrol-position: right center; right: 4px; }}
QHeaderView::up-arrow {{ image: url({icons}/flat/up-{scheme}.svg); width: 9px; height: 9px;
  subcontrol-position: right center; right: 4px; }}
QTableCornerButton::section {{ background: {surface}; border: none; }}

QProgressBar {{ background: {line}; border: none; border-radius: 3px; min-height: 6px; max-height: 6px; }}
QProgressBar::chunk {{ background: {accent}; border-radius: 3px; }}
QProgressBar[tone="good"]::chunk {{ background: {good}; }}
QProgressBar[tone="warn"]::chunk {{ background: {text_2}; }}
QProgressBar[tone="bad"]::chunk {{ background: {bad}; }}
QSlider::groove:horizontal {{ height: 4px; background: {line}; border-radius: 2px; }}
QSlider::sub-page:horizontal {{ background: {accent}; border-radius: 2px; }}
QSlider::handle:horizontal {{ width: 14px; height: 14px; margin: -6px 0; border-radius: 7px; background: {surface};
  border: 1px solid {text_2}; }}
QSlider::handle:horizontal:focus {{ border: 2px solid {accent}; }}

QScrollArea {{ background: transparent; border: none; }}
QScrollBar:vertical {{ background: transparent; width: 10px; margin: 0; }}
QScrollBar:horizontal {{ background: transparent; height: 10px; margin: 0; }}
QScrollBar::handle {{ background: {line}; border-radius: 4px; margin: 1px; }}
QScrollBar::handle:vertical {{ min-height: 28px; }}
QScrollBar::handle:horizontal {{ min-width: 28px; }}
QScrollBar::handle:hover {{ background: {text_2}; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}

QFrame[role="card"] {{ background: {surface}; border: 1px solid {line}; border-radius: 10px; }}
QFrame[role="card"]:focus {{ border: 2px solid {accent}; }}
QFrame[role="banner"] {{ background: {surface}; border: 1px solid {line}; border-left: 3px solid {text_2};
  border-radius: 6px; }}
QFrame[role="banner"][tone="bad"] {{ border-left-color: {bad}; }}
QFrame[role="banner"][tone="warn"] {{ border-left-color: {warn}; }}
QFrame[role="banner"][tone="good"] {{ border-left-color: {good}; }}
QFrame[role="hairline"] {{ background: {line}; border: none; max-height: 1px; min-height: 1px; }}
QFrame[role="vline"] {{ background: {line}; border: none; max-width: 1px; min-width: 1px; }}
QFrame[role="bar"] {{ background: {window}; border: none; }}
QLabel[role="title"] {{ font-size: 20px; font-weight: 600; }}
QLabel[role="heading"] {{ font-size: 15px; font-weight: 600; }}
QLabel[role="secondary"] {{ color: {text_2}; font-size: 12px; }}
QLabel[role="muted"] {{ color: {text_2}; }}
QLabel[role="good"] {{ color: {good}; }}
QLabel[role="warn"] {{ color: {warn}; }}
QLabel[role="bad"] {{ color: {bad}; }}
QLabel[role="chip"] {{ background: {raised}; color: {text_2}; border-radius: 4px; padding: 2px 6px; font-size: 12px; }}

QDockWidget {{ font-size: 12px; color: {text_2}; }}
QDockWidget::title {{ background: {window}; padding: 6px 8px; border-bottom: 1px solid {line}; }}
QDockWidget::close-button, QDockWidget::float-button {{ border: none; background: transparent; }}
QStatusBar {{ background: {window}; border-top: 1px solid {line}; color: {text_2}; font-size: 12px; }}
QStatusBar::item {{ border: none; }}
QStatusBar QLabel {{ color: {text_2}; font-size: 12px; }}
QStatusBar QPushButton {{ min-height: 20px; max-height: 22px; padding: 0 6px; font-size: 12px; color: {text_2}; }}
QStatusBar QPushButton:focus {{ min-height: 18px; padding: 0 5px; }}
QSplitter::handle:horizontal {{ background: {line}; }}
QSplitter::handle:vertical {{ background: transparent; }}
QTabBar::tab {{ background: transparent; padding: 8px 12px; color: {text_2}; border-bottom: 2px solid transparent; }}
QTabBar::tab:selected {{ color: {text}; border-bottom-color: {accent}; }}
"""


def _mix(first: str, second: str, share: float) -> str:
    """``share`` of the first colour over the second, as #RRGGBB."""
    pairs = [(int(first[i : i + 2], 16), int(second[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a * share + b * (1 - share)):02X}" for a, b in pairs)


def _sized(sheet: str, zoom: float) -> str:
    """Lines of one and two pixels stay as thin as they are."""
    if zoom == 1.0:
        return sheet
    return _PIXELS.sub(lambda found: f"{_measure(int(found[1]), zoom)}px", sheet)


def _measure(pixels: int, zoom: float) -> int:
    return pixels if pixels <= 2 else round(pixels * zoom)


def stylesheet(
    tokens: dict[str, str], icons: str, scheme: str, *, zoom: float = 1.0, still: bool = False
) -> str:
    """The sheet for a palette; ``icons`` is the folder of the flat arrows Qt can only take as files. ``still``: the
    style animates nothing."""
    named = {name.replace("-", "_"): value for name, value in tokens.items()}
    sheet = _TEMPLATE.format(
        **named,
        icons=icons,
        scheme=scheme,
        faded=_mix(tokens["text-2"], tokens["window"], 0.6),
        hover=_mix(tokens["raised"], tokens["surface"], 0.5),
        accent_2=_mix(tokens["accent"], tokens["text"], 0.85),
    )
    return _sized(sheet, zoom) + ("* { widget-animation-duration: 0; }\n" if still else "")
