"""Energy, money and tokens in words, in the user's separators."""

from PySide6.QtCore import QCoreApplication

from app.ui.figures import DASH
from app.ui.words import number

translate = QCoreApplication.translate

_WHOLE = ("VND", "JPY", "KRW", "IDR")
"""Currencies without a smaller unit in use."""


def energy(joules: float | None) -> str:
    """``3.2 Wh``, ``1.25 kWh``; a dash when it was not measured."""
    if joules is None:
        return DASH
    hours = joules / 3600
    if hours >= 1000:
        return f"{number(hours / 1000, 2)} kWh"
    return f"{number(hours, 0 if hours >= 100 else 1 if hours >= 10 else 2)} Wh"


def money(value: float | None, currency: str) -> str:
    """``1.234 VND``, ``0.032 USD``: three figures that say something, at most four decimals."""
    if value is None:
        return DASH
    digits = 0 if value >= 1000 or (currency in _WHOLE and value >= 10) else 2 if value >= 1 else 4
    if currency in _WHOLE and value < 10:
        digits = 2
    if 0 < value < 0.5 * 10**-digits:  # something is not nothing
        return f"< {number(10**-digits, digits)} {currency}".strip()
    return f"{number(value, 0 if value == 0 else digits)} {currency}".strip()


def amount(value: float) -> str:
    """Money beside another sum of the same currency, which is named once."""
    return number(value, 0 if value >= 100 else 2 if value >= 0.1 else 4)


def per_token(joules: float | None) -> str:
    """Joules for a token."""
    return DASH if joules is None else f"{number(joules, 2 if joules < 10 else 1)} J"
