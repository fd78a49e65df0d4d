"""What a smaller K/V cache, or a context past the trained length, costs this model: as measured in the lab, or a button
that measures it."""

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from PySide6.QtCore import QEvent, QTimer
from PySide6.QtWidgets import QHBoxLayout, QWidget

from app.core.types import ModelRecord
from app.optimize.cards import Measurements, Prices
from app.optimize.orders import ENDED, FULL_CACHE, LabItem, MeasureOrder, Order, Point, Price, PriceOrder
from app.ui import tasks, words
from app.ui.errors import describe
from app.ui.lab_job_words import price as price_words
from app.ui.widgets import make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services
    from app.planning.planner import Wishes

QUICK = 8
"""Pieces of the text that a cache type is measured on."""
WHOLE = frozenset({"f32", "f16", "bf16"})
"""Cache types that lose nothing to speak of."""
NEAR = 1.3
"""A price measured in a context up to so many times shorter or longer is told."""
_LOOK_MS, _MANY = 1000, 0.4


class Known(Struct, frozen=True):
    """What was measured of one file."""

    points: tuple[Point, ...] = ()
    prices: tuple[Price, ...] = ()

    def cache(self, kind: str) -> tuple[Point, Point] | None:
        """(with this cache type, with the full one), on the same text against the same reference, the latest."""
        full = {(p.text_hash, p.chunks, p.reference_print): p for p in self.points if p.cache == FULL_CACHE}
        found = [p for p in self.points if p.cache == (kind, kind) and "same_top" in p.figures]
        for point in sorted(found, key=lambda point: -point.at):
            other = full.get((point.text_hash, point.chunks, point.reference_print))
            if other is not None and "same_top" in other.figures:
                return point, other
        return None

    def context(self, n_ctx: int, trained: int) -> Price | None:
        """The price measured nearest to a context past the trained length."""
        near = [p for p in self.prices if 1 / NEAR <= p.n_ctx / n_ctx <= NEAR and p.n_ctx > trained]
        return min(near, key=lambda price: abs(price.n_ctx - n_ctx), default=None)


def known_of(record: ModelRecord, services: "Services") -> Known:
    """Read it (pool thread). Raises OSError when the model's file is gone."""
    from app.runtime.kvstore import fingerprint  # noqa: PLC0415 - off the GUI thread

    folder, mark = services.paths.data / "lab", fingerprint(Path(record.path))
    points = Measurements(folder / "measurements.json").all()
    prices = Prices(folder / "prices.json").all()
    return Known(
        tuple(point for point in points if point.print == mark),
        tuple(price for price in prices if price.print == mark),
    )


def every(point: Point) -> str:
    """``1 in 20``; or ``none`` where practically all are the same."""
    lost = 1 - point.figures["same_top"]
    if lost > _MANY:
        return f"{words.number(round(10 * lost))} / 10"
    return f"1 / {words.number(max(1, round(1 / lost)))}" if lost > 0.0005 else "0"


class PriceLine(QWidget):
    """Hidden while there is nothing to say."""

    def __init__(self, record: ModelRecord, services: "Services", parent: QWidget) -> None:
        super().__init__(parent)
        self._record, self._services = record, services
        self._known: Known | None = None
        self._wishes: Wishes | None = None
        self._asked: tuple[str, int, int] = ("f16", 0, 0)
        self._note = ""
        self._jobs: tuple[str, ...] = ()
        self._look = QTimer(self, interval=_LOOK_MS)
        self._look.timeout.connect(self._look_after)
        self.text = make_label("secondary", self, wrap=True)
        self.measure = make_button(self._measure, "link", self, compact=True)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.text, 1)
        row.addWidget(self.measure)
        self.hide()
        tasks.run(lambda: known_of(record, services), self._learn, self._unknown, self)

    def _learn(self, known: Known) -> None:
        self._known = known
        self._show()

    def _unknown(self, _error: Exception) -> None:
        self._known = Known()

    def show_plan(self, kind: str, n_ctx: int, trained: int, wishes: "Wishes") -> None:
        """The K/V type and the context that are asked for now."""
        if (kind, n_ctx, trained) != self._asked:
            self._note = ""
        self._asked, self._wishes = (kind, n_ctx, trained), wishes
        self._show()

    def _show(self) -> None:
        cache, context = self._cache_words(), self._context_words()
        missing = self._needs_cache() and not cache, self._needs_context() and not context
        if missing[0]:
            text = self.tr("What a {kind} cache loses with this model is not measured yet.")
            cache = text.format(kind=self._asked[0])
        if missing[1]:
            context = self.tr("What a context past the trained length loses is not measured yet.")
        said = [text for text in (cache, context) if text]
        self.text.setText(self._note or " ".join(said))
        self.measure.setText(self.tr("Measure what this costs"))
        self.measure.setToolTip(self.tr("A job of the lab reads a text with this model."))
        self.measure.setVisible(any(missing) and not self._note)
        self.setVisible(bool(said or self._note))

    def _needs_cache(self) -> bool:
        return self._asked[0] not in WHOLE

    def _needs_context(self) -> bool:
        _kind, n_ctx, trained = self._asked
        return bool(trained) and n_ctx > trained

    def _cache_words(self) -> str:
        kind = self._asked[0]
        pair = (self._known or Known()).cache(kind) if self._needs_cache() else None
        if pair is None:
            return ""
        text = self.tr("Measured: with {kind} {share} of the tokens would differ, with f16 {full}.")
        return text.format(kind=kind, share=every(pair[0]), full=every(pair[1]))

    def _context_words(self) -> str:
        _kind, n_ctx, trained = self._asked
        price = (self._known or Known()).context(n_ctx, trained) if self._needs_context() else None
        return price_words(price) if price is not None else ""

    def orders(self) -> tuple[Order, ...]:
        """What measures the price of what is asked for now (pool thread)."""
        from app.optimize import texts  # noqa: PLC0415

        kind, _n_ctx, trained = self._asked
        made: list[Order] = []
        if self._needs_cache():
            path, text = self._record.path, texts.path_of(texts.TESTS[0])
            caches = (FULL_CACHE, (kind, kind))
            made.append(
                MeasureOrder(
                    models=(path,), reference=path, texts=(str(text),), names=(text.stem,), chunks=QUICK, caches=caches
                )
            )  # fmt: skip
        if self._needs_context():
            plan = self._services.planner(self._record, self._wishes).plan
            long = texts.find_all((*texts.TEXTS, *texts.TESTS), self._services.paths.data / "lab" / "texts")
            made.append(PriceOrder(plan=plan, text=str(long), trained=trained))
        return tuple(made)

    def _measure(self) -> None:
        services = self._services
        self.measure.hide()

        def done(items: tuple[LabItem, ...]) -> None:
            self._jobs = tuple(item.id for item in items)
            self._look.start()
            self._note = self.tr("It is in the lab's queue; the price stands here when it is done.")
            self._show()

        def failed(error: Exception) -> None:
            self._note = describe(error).sentence
            self._show()

        tasks.run(lambda: services.lab.submit(*self.orders()), done, failed, self)

    def _look_after(self) -> None:
        """Show the price once the jobs have ended."""
        found = [item for key in self._jobs if (item := self._services.lab.get(key)) is not None]
        if not all(item.state in ENDED for item in found):
            return
        self._look.stop()
        failed = next((item.error for item in found if item.error is not None), None)
        self._note = describe(failed).sentence if failed is not None else ""
        record, services = self._record, self._services
        tasks.run(lambda: known_of(record, services), self._learn, self._unknown, self)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._show()
        super().changeEvent(event)
