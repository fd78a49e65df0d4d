"""Numbers between bounds as GBNF: every number written in the usual way that the bounds allow, and no other."""

from decimal import Decimal

from app.runtime.grammar_text import either, literal

_DIGITS = 15


def integers(low: int | None, high: int | None) -> str:
    """Whole numbers from ``low`` to ``high``; at most 15 digits where a side is open."""
    parts = []
    if low is None or low < 0:
        # -b..-a are the magnitudes a..b behind a minus; zero has none.
        top = -high if high is not None and high < 0 else 1
        parts.append(f'"-" {_magnitudes(top, None if low is None else -low)}')
    if high is None or high >= 0:
        parts.append(_magnitudes(max(low or 0, 0), high))
    return either(parts)


def _magnitudes(low: int, high: int | None) -> str:
    parts = []
    if high is None:
        size = len(str(low))
        parts.append(_same_size(str(low), "9" * size))
        if size < _DIGITS:
            parts.append(f"[1-9] [0-9]{{{size},{_DIGITS}}}")
        return either(parts)
    for size in range(len(str(low)), len(str(high)) + 1):
        start = str(low) if size == len(str(low)) else "1" + "0" * (size - 1)
        end = str(high) if size == len(str(high)) else "9" * size
        parts.append(_same_size(start, end))
    return either(parts)


def _same_size(low: str, high: str) -> str:
    """Digit strings of one length from ``low`` to ``high``."""
    if low == high:
        return literal(low)
    if low[0] == high[0]:
        return f"{literal(low[0])} {_same_size(low[1:], high[1:])}"
    rest = len(low) - 1
    if not rest:
        return _digits(low, high)
    first, last = int(low[0]), int(high[0])
    parts = []
    if set(low[1:]) != {"0"}:
        parts.append(f"{literal(low[0])} {_same_size(low[1:], '9' * rest)}")
        first += 1
    if set(high[1:]) != {"9"}:
        last -= 1
    if first <= last:
        parts.append(f"{_digits(str(first), str(last))} [0-9]{{{rest}}}")
    if set(high[1:]) != {"9"}:
        parts.append(f"{literal(high[0])} {_same_size('0' * rest, high[1:])}")
    return either(parts)


def _digits(low: str, high: str) -> str:
    return literal(low) if low == high else f"[{low}-{high}]"


class Bounds:
    """Where a number may lie; None: open."""

    def __init__(
        self, low: Decimal | None, high: Decimal | None, low_open: bool = False, high_open: bool = False
    ) -> None:
        self.low, self.high, self.low_open, self.high_open = low, high, low_open, high_open


def numbers(bounds: Bounds) -> str | None:
    """Decimal numbers within ``bounds``, without exponents; None: there is none."""
    parts = []
    low, high = bounds.low, bounds.high
    if low is None or low < 0:
        mirrored = Bounds(
            -high if high is not None and high < 0 else Decimal(0),
            None if low is None else -low,
            bounds.high_open if high is not None and high < 0 else True,
            bounds.low_open,
        )
        parts += [f'"-" {part}' for part in _positive(mirrored)]
    if high is None or high >= 0:
        floor = Decimal(0) if low is None or low < 0 else low
        parts += _positive(
            Bounds(floor, high, bounds.low_open and low is not None and low >= 0, bounds.high_open)
        )
    return either(parts) if parts else None


def _positive(bounds: Bounds) -> list[str]:
    low, high = bounds.low or Decimal(0), bounds.high
    whole, fraction = int(low), _fraction(low)
    if high is not None and int(high) == whole:
        tail = _tail(fraction, _fraction(high), bounds.low_open, bounds.high_open)
        return [f"{literal(str(whole))} {tail}"] if tail else []
    parts = []
    tail = _tail(fraction, None, bounds.low_open, False)
    if tail:
        parts.append(f"{literal(str(whole))} {tail}")
    if high is None or int(high) - 1 >= whole + 1:
        middle = _magnitudes(whole + 1, None if high is None else int(high) - 1)
        parts.append(f'{middle} ("." [0-9]{{1,16}})?')
    if high is not None:
        tail = _tail("", _fraction(high), False, bounds.high_open)
        parts += [f"{literal(str(int(high)))} {tail}"] if tail else []
    return parts


def _fraction(value: Decimal) -> str:
    return f"{value:f}".partition(".")[2].rstrip("0")


def _tail(low: str, high: str | None, low_open: bool, high_open: bool) -> str:
    """What may follow the whole part: "", or a point and digits between ``low`` and ``high`` (fractions)."""
    parts = []
    if not low and not low_open and not (high == "" and high_open):
        parts.append('""')
    inner = [part for part in _between(low, high, low_open, high_open) if part]
    if inner:
        parts.append(f'"." {either(inner)}')
    return either(parts) if parts else ""


def _between(low: str, high: str | None, low_open: bool, high_open: bool) -> list[str]:
    """Digit strings d1 d2 ... (at least one) whose fraction lies between; missing digits of a bound are 0."""
    first = int(low[0]) if low else 0
    last = int(high[0]) if high else 0 if high is not None else 9
    parts = []
    for digit in range(first, last + 1):
        at_low = digit == first and (low != "" or low_open)
        at_high = high is not None and digit == last
        if not at_low and not at_high:
            continue
        parts.append(_edge(digit, low[1:], high[1:] if high else high, at_low, at_high, low_open, high_open))
    free_from = first + 1 if low or low_open else first
    free_to = last - 1 if high is not None else last
    if free_from <= free_to:
        parts.append(f"{_digits(str(free_from), str(free_to))} [0-9]{{0,15}}")
    return [part for part in parts if part]


def _edge(
    digit: int, low: str, high: str | None, at_low: bool, at_high: bool, low_open: bool, high_open: bool
) -> str:
    """A first digit that equals a bound's: what may follow is bounded too."""
    low, low_open = (low, low_open) if at_low else ("", False)
    high = high if at_high else None
    stop = (not low and not low_open) and not (high == "" and high_open)
    if not low and high == "":
        # The bounds meet here: only zeros may follow.
        follow = "" if low_open or high_open else "[0]{0,15}"
        return f"{literal(str(digit))} {follow}" if follow else ""
    if not low and low_open and high is None:
        return f"{literal(str(digit))} [0]{{0,14}} [1-9] [0-9]{{0,15}}"
    inner = _between(low, high, low_open, high_open)
    if stop and high is None and not low:
        return f"{literal(str(digit))} [0-9]{{0,15}}"
    if not inner and not stop:
        return ""
    follow = f"({' | '.join(inner)}){'?' if stop else ''}" if inner else ""
    return f"{literal(str(digit))} {follow}".rstrip()
