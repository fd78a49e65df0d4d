"""Pictures of the lab: the form, jobs that run, what was measured, and two answers side by side. All of it is real."""

from typing import TYPE_CHECKING, Any

from app.core.lab import QuantizeJob
from app.optimize import texts
from app.optimize.orders import QuantOrder
from app.optimize.process import run_job
from app.ui.lab_measure import MeasureDialog
from tests.fakes.gguf_writer import Tensor, write_gguf
from tests.fakes.hub_data import STARTER_REPO
from tests.starter import find_starter

if TYPE_CHECKING:
    from tests.shots.__main__ import Studio

LETTERS = 5200
"""Of a text, for two pieces of 512 tokens and some."""


def shoot(studio: "Studio") -> None:
    """Make, measure, compare, judge."""
    services, window, starter = studio.services, studio.window, find_starter()
    target = services.paths.models / "full" / "SmolLM2-135M-Instruct-F16.gguf"
    target.parent.mkdir(parents=True)
    run_job(QuantizeJob(source=str(starter), target=str(target), type="F16", requantize=True))
    services.library.rescan()
    page = window.open_page("lab")
    studio.wait(lambda: page.make.source.record() is not None)
    page.make.types.check("Q8_0", "Q4_K_M", "Q4_0")
    studio.wait(lambda: page.make.forecast.cost is not None and not page.make.forecast.busy)
    studio.take("lab-make")
    page.make.by_wish(True)
    page.make.wish.choose("bytes", 0.12)
    page.make.wish.ask()
    studio.wait(lambda: page.make.wish.reasons.text().count("\n") > 0)
    studio.take("lab-wish")
    page.make.by_wish(False)
    page.make.types.check("Q8_0", "Q4_0")
    page.make.start()
    studio.wait(lambda: any(row.state == "running" and row.total for row in page.jobs.model.rows))
    studio.take("lab-jobs")
    studio.wait(lambda: all(row.state == "done" for row in page.jobs.model.rows), 300)
    page.make.forecast.stop()
    _refused(studio, page)
    _compare(studio, page)
    _repo(studio, page)
    _blind(studio, page)


def _compare(studio: "Studio", page: Any) -> None:
    services = studio.services
    page.show_view("compare")
    studio.take("lab-nothing-measured")
    short = services.paths.data / "short.txt"
    short.write_text(texts.path_of("en-test").read_text("utf-8")[:LETTERS], "utf-8")
    dialog = page.compare.open_dialog()
    for box, _text in dialog._texts:
        box.setChecked(False)
    dialog.take_file(str(short))
    dialog.pieces.setCurrentIndex(0)
    dialog.model.check(
        {record.id for record in dialog.model.rows if record.path != dialog.reference.currentData().path}
    )
    dialog._changed()
    studio.wait(dialog.start.isEnabled)
    studio.take("lab-measure", dialog)
    dialog.start.click()
    studio.wait(lambda: page.compare.lines() and page.jobs.model.rows[-1].state == "done", 600)
    studio.take("lab-compare")


def _refused(studio: "Studio", page: Any) -> None:
    """A job that failed, with llama.cpp's reason."""
    source = studio.services.paths.data / "strange.gguf"
    write_gguf(source, {"general.architecture": "never-heard-of"}, [Tensor("x.weight", (64, 64))])
    target = str(studio.services.paths.models / "lab" / "strange-Q8_0.gguf")
    (item,) = studio.services.lab.submit(QuantOrder(source=str(source), target=target, type="Q8_0"))
    studio.wait(lambda: studio.services.lab.get(item.id).state == "failed")
    studio.take("lab-failed")
    studio.services.lab.remove(item.id)
    page.jobs.sweep()


def _repo(studio: "Studio", page: Any) -> None:
    """What a repository has, here and still to be downloaded."""
    studio.window.obey("compare_quants", STARTER_REPO)
    studio.wait(lambda: page.findChild(MeasureDialog) is not None)
    dialog = page.findChild(MeasureDialog)
    dialog.tick({record.id for record in dialog.model.rows[:3]})
    studio.wait(lambda: any(letter.isdigit() for letter in dialog.note.text()))
    studio.take("lab-repo", dialog)
    dialog.reject()


def _blind(studio: "Studio", page: Any) -> None:
    page.show_view("blind")
    view = page.blind
    view.prompt.setPlainText("Write two sentences about the sea.")
    view.ask()
    studio.wait(lambda: not view.duel.busy, 300)
    studio.take("lab-blind")
    view.vote("a")
    studio.wait(view.sum.text)
    studio.take("lab-voted")
