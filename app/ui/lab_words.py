"""Measurements in plain words."""

import itertools
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct
from PySide6.QtCore import QCoreApplication

from app.optimize.orders import FULL_CACHE, Point
from app.ui import words
from app.ui.figures import DASH
from app.ui.lab_draft import short_name
from app.ui.resources import resource

translate = QCoreApplication.translate
_MANY = 0.6
_SAME = 0.9995


def name_of(point: Point) -> str:
    """The file, and the cache types when they are not the usual ones."""
    name = short_name(point.model)
    if point.cache == FULL_CACHE:
        return name
    return f"{name}, {cache_words(point.cache)}"


def cache_words(cache: tuple[str, str]) -> str:
    """``K/V q8_0``."""
    key, value = cache
    return f"K/V {key}" if key == value else f"K {key}, V {value}"


def is_reference(point: Point) -> bool:
    """Measured against itself: what is left is the backend's noise."""
    return point.print == point.reference_print and point.cache == FULL_CACHE


def labels(points: Sequence[Point]) -> list[str]:
    """What tells each from the others: its name without how all of them begin."""
    names = [name_of(point) for point in points]
    columns = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    common = "".join(letters[0] for letters in columns) if len(set(names)) > 1 else ""
    start = max(common.rfind("-"), common.rfind("."), common.rfind(" ")) + 1
    if common and all(name[len(common) : len(common) + 1] in {"-", ".", "_"} for name in names):
        start = len(common) + 1
    return [name[start:] for name in names]


def sentence(point: Point, label: str = "") -> str:
    """What it lost, as one would say it; ``label`` for its name, and the reference goes without saying."""
    name, reference = label or name_of(point), short_name(point.reference)
    same = point.figures.get("same_top")
    if is_reference(point):
        text = translate("Lab", "{name} is the reference: what it shows is the noise of measuring.")
        return text.format(name=name)
    if same is None:
        text = translate("Lab", "{name}: perplexity {value}.")
        return text.format(name=name, value=figure(point, "ppl", 2))
    if same >= _SAME and label:
        return translate("Lab", "{name}: practically every token would be the same.").format(name=name)
    if same >= _SAME:
        text = translate("Lab", "{name}: practically every token would be the same as {reference}'s.")
        return text.format(name=name, reference=reference)
    return _differ(name, same, "" if label else reference)


def _differ(name: str, same: float, reference: str) -> str:
    if same >= _MANY:
        count = words.number(max(2, round(1 / (1 - same))))
        text = translate("Lab", "{name}: 1 in {count} tokens would differ.")
        other = translate("Lab", "{name}: 1 in {count} tokens would differ from {reference}'s.")
    else:  # "1 in 2" would say too little
        count = words.number(round(10 * (1 - same)))
        text = translate("Lab", "{name}: {count} in 10 tokens would differ.")
        other = translate("Lab", "{name}: {count} in 10 tokens would differ from {reference}'s.")
    return (other if reference else text).format(name=name, count=count, reference=reference)


def figure(point: Point, name: str, digits: int, factor: float = 1.0) -> str:
    """One figure, or a dash."""
    value = point.figures.get(name)
    return DASH if value is None else words.number(value * factor, digits)


def error(point: Point, name: str, digits: int, factor: float = 1.0) -> str:
    """Its standard error as ``± 0.0012``, or nothing."""
    value = point.figures.get(f"{name}_error")
    return "" if value is None else f"± {words.number(value * factor, digits)}"


class Group(Struct, frozen=True):
    """Measurements that can be compared: one text, one reference, as many pieces."""

    text: str
    text_hash: str
    chunks: int
    reference: str
    reference_print: str

    @property
    def key(self) -> tuple[object, ...]:
        """What makes it the same group, whatever a text is called."""
        return (self.text_hash, self.chunks, self.reference_print)

    @property
    def words(self) -> str:
        """What a person chooses it by."""
        text = translate("Lab", "{text}, against {reference}")
        said = text.format(text=self.text, reference=short_name(self.reference))
        if not self.chunks:
            return said
        count = self.chunks
        return said + translate("Lab", ", %n piece(s)", "", count)


def group_of(point: Point) -> Group:
    """Where a measurement belongs."""
    return Group(point.text, point.text_hash, point.chunks, point.reference, point.reference_print)


def groups(points: Sequence[Point]) -> list[Group]:
    """Every group, the latest measured first."""
    found: dict[tuple[object, ...], Group] = {}
    for point in sorted(points, key=lambda each: -each.at):
        key = (point.text_hash, point.chunks, point.reference_print)
        found.setdefault(key, group_of(point))
    return list(found.values())


def in_group(points: Sequence[Point], group: Group) -> list[Point]:
    """Those of a group, the largest first."""
    wanted = (group.text_hash, group.chunks, group.reference_print)
    inside = [p for p in points if (p.text_hash, p.chunks, p.reference_print) == wanted]
    return sorted(inside, key=lambda point: (-point.bytes, point.model, point.cache))


class PublishedPoint(Struct, frozen=True):
    """One published value; ``bits`` are per weight."""

    quant: str
    bits: float
    kl: float
    matrix: bool = False
    kl_error: float = 0.0
    ppl_change: float = 0.0


class Published(Struct, frozen=True):
    """Reference values that others measured, and where they stand."""

    model: str
    source: str
    address: str
    text: str
    points: tuple[PublishedPoint, ...]
    license: str = ""


def published() -> Published:
    """``resources/published_kl.json``."""
    data: Any = resource("published_kl.json").read_bytes()
    return msgspec.json.decode(data, type=Published)


def published_words() -> str:
    """Where the published values are from."""
    table = published()
    text = translate(
        "Lab", "{model} on {text}, from {source}. Another model than yours: larger ones lose less."
    )
    return text.format(model=table.model, text=table.text, source=table.source)
