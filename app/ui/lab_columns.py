"""A row of what was measured, and the table's columns: each figure with its standard error below."""

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace
from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QWidget

from app.optimize.orders import FULL_CACHE, Point
from app.ui import theme, words
from app.ui.cells import TwoLineDelegate
from app.ui.figures import DASH
from app.ui.lab_plot import Dot
from app.ui.lab_words import error, figure, is_reference, labels, name_of, sentence
from app.ui.table_model import Column, Table, TableModel

translate = QCoreApplication.translate
_ROW, _NAME = 46, 160
"""Pixels of a row, and what the models' names keep."""
YIELDING = (4, 6, 3, 7)
"""Columns that others are worth more than: the maximum, the change of probabilities, 99 %, perplexity."""


class Line(Struct, frozen=True):
    """A row of the table: one of ours, or of a card's (``source`` names its processor)."""

    point: Point
    source: str = ""
    label: str = ""
    """What tells it from the others: the end of its file's name."""

    @property
    def key(self) -> str:
        """Tells rows apart."""
        return f"{self.source}|{self.point.print}|{'/'.join(self.point.cache)}"


def arranged(lines: list[Line]) -> list[Line]:
    """The largest first, each model beside its other caches and copies, with what tells the names apart."""
    found = sorted(lines, key=_rank)
    names = labels([line.point for line in found])
    return [replace(line, label=name) for line, name in zip(found, names, strict=True)]


def _rank(line: Line) -> tuple[int, str, bool]:
    return -line.point.bytes, line.point.model, line.point.cache != FULL_CACHE


def columns() -> list[Column[Line]]:
    """Each figure with its standard error below."""
    return [
        Column(
            lambda: translate("Lab", "Model"),
            lambda line: line.label or name_of(line.point),
            note=_origin,
            tip=_tip,
        ),
        Column(
            lambda: translate("Lab", "Size (GB)"),
            lambda line: words.gigabytes(line.point.bytes),
            sort=lambda line: line.point.bytes,
            note=_bits,
            right=True,
            width=128,
        ),
        _figure(lambda: translate("Lab", "KL mean"), "kl", 4, _kl_tip),
        _figure(lambda: translate("Lab", "KL 99 %"), "kl_p99", 3, _p99_tip),
        _figure(lambda: translate("Lab", "KL max"), "kl_max", 2, _max_tip),
        _figure(lambda: translate("Lab", "Same top (%)"), "same_top", 1, _top_tip, 100.0),
        _figure(lambda: translate("Lab", "RMS Δp (%)"), "rms_change", 2, _rms_tip, 100.0),
        _figure(lambda: translate("Lab", "Perplexity"), "ppl", 3, _ppl_tip),
        Column(
            lambda: translate("Lab", "Tokens/s"),
            _speed,
            sort=lambda line: (line.point.speed.decode if line.point.speed else None) or -1.0,
            note=_energy,
            right=True,
            width=84,
        ),
    ]


def _figure(
    title: Callable[[], str], name: str, digits: int, tip: Callable[[], str], factor: float = 1.0
) -> Column[Line]:
    return Column(
        title,
        lambda line: figure(line.point, name, digits, factor),
        sort=lambda line: line.point.figures.get(name, -1.0),
        note=lambda line: error(line.point, name, digits, factor),
        tip=lambda _line: tip(),
        right=True,
        width=84,
    )


def _kl_tip() -> str:
    return translate("Lab", "How far the probabilities are from the reference's, on average; 0 is the same.")


def _p99_tip() -> str:
    return translate("Lab", "One position in a hundred is farther off than this.")


def _max_tip() -> str:
    return translate("Lab", "The position that is farthest off.")


def _top_tip() -> str:
    return translate("Lab", "How often the likeliest next token is the reference's.")


def _rms_tip() -> str:
    return translate("Lab", "How much the right token's probability changes, root mean square.")


def _ppl_tip() -> str:
    return translate(
        "Lab", "How surprised the model is by the text; lower is better, the same text compared."
    )


def _origin(line: Line) -> str:
    if line.source:
        return translate("Lab", "imported, {machine}").format(machine=line.source)
    if is_reference(line.point):
        return translate("Lab", "the reference: noise floor")
    return words.quant_note(line.point.quant) if line.point.quant else ""


def _tip(line: Line) -> str:
    tail = line.point.figures.get("tail")
    text = f"{name_of(line.point)}\n{sentence(line.point)}"
    if tail:
        share = words.number(tail * 100, 3)
        missed = translate(
            "Lab", "Of the reference's probability {share} % lies outside the tokens that were kept."
        )
        text += "\n" + missed.format(share=share)
    if noise := line.point.figures.get("noise"):
        floor = translate("Lab", "Below {value} nats it is the noise of measuring.")
        text += "\n" + floor.format(value=words.number(noise, 5))
    return text


def _bits(line: Line) -> str:
    bits = line.point.bits
    return translate("Lab", "{bits} bits").format(bits=words.number(bits, 2)) if bits else ""


def _speed(line: Line) -> str:
    speed = line.point.speed.decode if line.point.speed else None
    return DASH if speed is None else words.number(speed, 1 if speed < 100 else 0)


def _energy(line: Line) -> str:
    joules = line.point.speed.joules if line.point.speed else None
    return "" if joules is None else translate("Lab", "{count} J/token").format(count=words.number(joules, 2))


class LossTable(Table):
    """Rows of two lines; where there is no room, columns go."""

    def __init__(self, model: TableModel[Line], parent: QWidget) -> None:
        super().__init__(model, parent)
        self.verticalHeader().setDefaultSectionSize(theme.px(_ROW))
        for at in range(len(model.columns)):
            self.setItemDelegateForColumn(at, TwoLineDelegate(self))

    def yield_to(self, width: int) -> None:
        """Hide as many of ``YIELDING``, the first ones first, as don't fit into a width."""
        room = width - theme.px(_NAME)
        for at in YIELDING:
            self.setColumnHidden(at, False)
        for at in YIELDING:
            shown = [n for n in range(1, len(self.source.columns)) if not self.isColumnHidden(n)]
            if sum(self.columnWidth(n) for n in shown) <= room:
                break
            self.setColumnHidden(at, True)


def dot_of(line: Line) -> Dot | None:
    """The line in the picture; None where no divergence was measured."""
    point = line.point
    if "kl" not in point.figures:
        return None
    return Dot(
        line.label, point.bytes, max(point.figures["kl"], 0.0), point.figures.get("kl_error", 0.0),
        point.speed.decode if point.speed else None, key=line.key,
    )  # fmt: skip
