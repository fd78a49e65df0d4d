"""The Lab page over real services: the form and what it says before the start, jobs to their end, what was measured."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from PySide6.QtCore import QEvent, Qt

from app.optimize import cards
from app.optimize.cards import Hardware, Prices, RunCard
from app.optimize.orders import ENDED, JobState, LabItem, MeasureOrder, Point, Price, QuantOrder, Speed
from app.runtime.kvstore import fingerprint
from app.ui import tasks, translate, words
from app.ui.bridge import Bridge
from app.ui.dialogs.load_price import PriceLine
from app.ui.lab_bring import BringDialog
from app.ui.lab_cards import measurements
from app.ui.lab_compare import CompareQuants
from app.ui.lab_duel import Answer
from app.ui.lab_job_words import note
from app.ui.lab_measure import MeasureDialog
from app.ui.lab_recipe import RecipeDialog
from app.ui.pages.lab import LabPage
from tests.fakes.hf_folder import NO_TENSORS
from tests.fakes.hub_data import STARTER_REPO
from tests.fakes.hub_server import FakeFile, FakeRepo, LocalHub
from tests.fakes.tiny_models import write_windowed

WORDS = "The river ran past the mill, and the miller's daughter counted {} boats before the rain came back. "


@pytest.fixture(scope="module")
def full(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with full weights that llama.cpp really runs."""
    return write_windowed(tmp_path_factory.mktemp("full") / "Tiny-F32.gguf", starter)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "boats.txt"
    path.write_text("".join(WORDS.format(number * 37 % 101) for number in range(60)))
    return path


def _put(services: Any, *files: Path) -> None:
    for file in files:
        folder = services.paths.models / file.stem
        folder.mkdir(parents=True)
        try:
            os.link(file, folder / file.name)
        except OSError:
            shutil.copy(file, folder / file.name)
    services.library.rescan()


def _starter(page: Any) -> str:
    return str(next(r.id for r in page.services.library.models() if "Q4_1" in r.path))


@pytest.fixture
def page(qtbot: Any, services: Any, full: Path, starter: Path) -> Iterator[Any]:
    """The page over the F16 model and the starter."""
    translate.install("en")
    _put(services, full, starter)
    made = LabPage(services, Bridge(services.bus))
    qtbot.addWidget(made)
    made.resize(1100, 800)
    made.show()
    qtbot.waitUntil(lambda: made.make.source.record() is not None)
    yield made
    made.make.forecast.stop()
    made.bridge.close()
    tasks.close()


def test_without_a_model_it_says_what_it_is_for(qtbot: Any, services: Any) -> None:
    page = LabPage(services, Bridge(services.bus))
    qtbot.addWidget(page)
    page.show()
    qtbot.waitUntil(lambda: page.stack.currentWidget() is page.empty)
    with qtbot.waitSignal(page.asked) as asked:
        qtbot.mouseClick(page.empty.button, Qt.MouseButton.LeftButton)
    assert asked.args[0] == "starter"
    page.bridge.close()
    tasks.close()


def test_what_it_takes_is_told_before_the_start(qtbot: Any, page: Any) -> None:
    make = page.make
    assert make.source.record().name.startswith("Tiny"), "the least quantized first"
    page.begin_with(_starter(page))
    make.types.check("Q4_0", "IQ2_XXS")
    qtbot.waitUntil(
        lambda: {"Q4_0", "IQ2_XXS"} <= make.forecast.sizes.keys() and make.forecast.cost is not None
    )
    make.forecast.stop()
    assert "IQ2_XXS can't be made without" in make.before.problem.text()
    assert not make.before.start.isEnabled()
    assert "about" in make.before.values[0].text()
    assert "GiB free" in make.before.values[3].text()
    assert "can't take IQ2_XXS" in make.before.fallbacks.text()
    make.before.fix.click()
    assert make.matrix.kind == "text"
    assert make.before.problem.isHidden()
    make.forecast.stop()


def test_a_listed_type_that_the_rows_can_not_take_hides_no_other(qtbot: Any, page: Any) -> None:
    page.begin_with(_starter(page))
    forecast = page.make.forecast
    forecast.ask(page.make.draft(), ("Q1_0", "Q4_1"))
    qtbot.waitUntil(lambda: "Q4_1" in forecast.sizes)
    assert "Q1_0" not in forecast.sizes
    assert forecast.error is None, "nobody ticked it"
    forecast.stop()


def test_a_poor_source_and_bad_options_are_named(qtbot: Any, page: Any, starter: Path) -> None:
    make = page.make
    page.begin_with(_starter(page))
    assert "what it lost stays lost" in make.source.note.text()
    make.fold.click()
    options = make.options
    options.overrides.setPlainText("ffn_down=Q9")
    qtbot.waitUntil(lambda: "Q9 is no type of a tensor" in make.before.problem.text())
    options.overrides.setPlainText("ffn_(=Q6_K")
    qtbot.waitUntil(lambda: "can't be read" in make.before.problem.text())
    options.overrides.setPlainText("ffn_down=q6_k\nattn_v=Q8_0")
    options.prune.setText("3, 20-x")
    qtbot.waitUntil(lambda: "Layers are numbers" in make.before.problem.text())
    options.prune.setText("3, 20-22")
    assert options.options().overrides == (("ffn_down", "Q6_K"), ("attn_v", "Q8_0"))
    assert options.options().prune == (3, 20, 21, 22)
    options.prune.setText("")
    options.overrides.setPlainText("nosuch=Q8_0")
    qtbot.waitUntil(lambda: "is called like nosuch" in page.make.before.problem.text())
    assert not page.make.before.start.isEnabled()
    make.forecast.stop()


def test_a_job_runs_to_a_model_in_the_library(qtbot: Any, page: Any) -> None:
    make, jobs, services = page.make, page.jobs, page.services
    make.types.check("Q4_0")
    make.start()
    qtbot.waitUntil(lambda: [row.state for row in jobs.model.rows] == ["done"])
    (item,) = jobs.model.rows
    assert item.result.bits > 4
    assert "bits per weight" in jobs.model.index(0, 0).data(
        jobs.model.index(0, 0).model().__class__ and 0x103
    )
    record = services.library.get(item.result.model)
    assert Path(record.path).with_suffix(".recipe.json").exists()
    with qtbot.waitSignal(page.asked) as asked:
        jobs._cells[item.id].button("library").click()
    assert asked.args == ["library", record.id]
    make.start()  # the same again: another name, nothing is written over
    qtbot.waitUntil(lambda: len(jobs.model.rows) == 2)
    jobs._do("cancel", jobs.model.rows[1].id)
    qtbot.waitUntil(lambda: jobs.model.rows[1].state in {"cancelled", "done"})
    assert jobs.model.rows[1].order.target.endswith("-2.gguf")
    make.forecast.stop()


def test_a_recipe_is_shown_and_makes_the_same_bytes_again(
    qtbot: Any, page: Any, full: Path, tmp_path: Path
) -> None:
    make, jobs = page.make, page.jobs
    make.options.overrides.setPlainText("ffn_down=Q8_0")
    make.types.check("Q4_0")
    make.start()
    qtbot.waitUntil(lambda: [row.state for row in jobs.model.rows] == ["done"])
    first = Path(jobs.model.rows[0].result.path)
    jobs._cells[jobs.model.rows[0].id].button("recipe").click()
    dialog = page.findChild(RecipeDialog)
    qtbot.waitUntil(dialog.again.isEnabled)
    texts = dialog.grid.texts()
    assert (texts["Source"], texts["Matrix"], texts["Single tensors"]) == (
        full.name,
        "none",
        "ffn_down = Q8_0",
    )
    assert texts["Type"].startswith("Q4_0: ")
    assert texts["Result's SHA-256"] == hashlib.sha256(first.read_bytes()).hexdigest()
    assert not dialog.matrix.choose.isVisible()
    dialog.again.click()
    qtbot.waitUntil(lambda: [row.state for row in jobs.model.rows] == ["done", "done"])
    again = jobs.model.rows[1].result
    assert again.same
    assert again.path != str(first)
    assert Path(again.path).read_bytes() == first.read_bytes()
    assert "the same bytes as in the recipe" in note(jobs.model.rows[1])
    page.show_recipe(again.model)  # as the library asks for it
    qtbot.waitUntil(lambda: any(d.recipe is not None for d in page.findChildren(RecipeDialog)))
    for each in page.findChildren(RecipeDialog):
        each.close()
    elsewhere = shutil.copy(first.with_suffix(".recipe.json"), tmp_path / "other.recipe.json")
    Path(elsewhere).write_text(Path(elsewhere).read_text().replace(full.name, "Foreign-F16.gguf"))
    foreign = page.open_recipe(Path(elsewhere))
    qtbot.waitUntil(lambda: "Foreign-F16.gguf was not found here" in foreign.source.file.toolTip())
    assert not foreign.again.isEnabled()
    foreign.close()
    make.forecast.stop()


def _points(*, machine: str = "") -> list[Point]:
    rows = (
        ("F16", 271, 0.0006, 1.0),
        ("Q8_0", 145, 0.004, 0.985),
        ("Q4_0", 92, 0.25, 0.84),
        ("Q5_0", 93, 0.3, 0.8),
    )
    return [
        Point(
            model=f"Small-{quant}.gguf", print=quant, bytes=size * 10**6, quant=quant, bits=16.0 * size / 271,
            text="English", text_hash="t", reference="Small-F16.gguf", reference_print="F16",
            figures={"kl": kl + (0.001 if machine else 0), "kl_error": kl / 20, "same_top": same, "ppl": 11.3},
            speed=Speed(decode=40.0 + at), at=1000.0 + at,
        )
        for at, (quant, size, kl, same) in enumerate(rows)
    ]  # fmt: skip


def test_a_paused_job_stays_where_it_was_paused(page: Any) -> None:
    order = MeasureOrder(models=("m.gguf",), reference="m.gguf", texts=("t",))
    page.show_view("compare")
    states: dict[JobState, bool] = {"paused": False, "done": True, "failed": False, "cancelled": True}
    for state, hidden in states.items():
        page.jobs._show((LabItem(id="a", order=order, state=state),))
        assert page.jobs.isHidden() is hidden, state


@pytest.fixture
def measured(qtbot: Any, services: Any) -> Iterator[Any]:
    """The view of what was lost, over four measurements."""
    translate.install("en")
    measurements(services).add(_points())
    made = CompareQuants(services, Bridge(services.bus))
    qtbot.addWidget(made)
    made.resize(1000, 700)
    made.show()
    qtbot.waitUntil(lambda: len(made.lines()) == 4)
    yield made
    tasks.close()


def test_what_was_lost_as_table_picture_and_words(measured: Any) -> None:
    texts = [measured.table.model().index(row, 0).data() for row in range(4)]
    assert texts == ["F16", "Q8_0", "Q5_0", "Q4_0"], "the largest first, without what all names begin with"
    assert "Q4_0: 1 in 6 tokens would differ." in measured.plain.text()
    assert "F16 is the reference" in measured.plain.text()
    plot = measured.plot
    assert {plot.dots[at].name for at in plot.edge} == {"F16", "Q8_0", "Q4_0"}, (
        "Q5_0 is larger and worse than Q4_0"
    )
    assert any(dot.published for dot in plot.dots)
    assert "published, not measured here" in plot.words(len(plot.dots) - 1)
    measured.published.click()
    assert not any(dot.published for dot in plot.dots)
    assert "41" in plot.accessibleDescription()


def test_what_the_command_line_measured_is_there_when_the_page_is_looked_at_again(
    qtbot: Any, services: Any, measured: Any
) -> None:
    measured.hide()
    measurements(services).remove([_points()[2].key])
    measured.show()
    qtbot.waitUntil(lambda: len(measured.lines()) == 3)


def test_the_picture_is_walked_with_arrow_keys(qtbot: Any, measured: Any) -> None:
    qtbot.keyClick(measured.plot, Qt.Key.Key_Right)
    assert measured.table.current().point.quant == "Q4_0"
    qtbot.keyClick(measured.plot, Qt.Key.Key_Right)
    qtbot.keyClick(measured.plot, Qt.Key.Key_Right)
    assert measured.table.current().point.quant == "Q8_0"
    qtbot.keyClick(measured.plot, Qt.Key.Key_Left)
    assert measured.table.current().point.quant == "Q5_0"


def test_exported_and_read_by_another_copy(qtbot: Any, measured: Any, tmp_path: Path) -> None:
    for name in ("c.png", "c.csv", "c.json"):
        measured.export_to(tmp_path / name)
        qtbot.waitUntil(lambda name=name: name in measured.banner.words.text())
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    assert len((tmp_path / "c.csv").read_text().splitlines()) == 5
    card = cards.read((tmp_path / "c.json").read_bytes(), "c.json")
    assert card.hardware.cpu
    assert "llama-cpp-python" in card.engine
    theirs = RunCard(hardware=Hardware(cpu="Their processor"), points=tuple(_points(machine="other")))
    (tmp_path / "theirs.json").write_bytes(cards.export(theirs))
    measured.import_from(tmp_path / "theirs.json")
    qtbot.waitUntil(lambda: len(measured.lines()) == 8)
    assert (
        "Their processor: 4 files the same as here; their KL differs by 0.00100 at most."
        in measured.against.text()
    )
    measured._forget()
    qtbot.waitUntil(lambda: len(measured.lines()) == 4)
    other = [replace(point, text="Theirs", text_hash="u", at=1.0) for point in _points()[:3]]
    (tmp_path / "other.json").write_bytes(cards.export(replace(theirs, points=tuple(other))))
    measured.import_from(tmp_path / "other.json")
    qtbot.waitUntil(lambda: measured.group.currentText().startswith("Theirs"))
    assert len(measured.lines()) == 3, "of another text than the one on show"
    measured._forget()
    qtbot.waitUntil(lambda: len(measured.lines()) == 4)
    (tmp_path / "no.json").write_text("{")
    measured.import_from(tmp_path / "no.json")
    qtbot.waitUntil(lambda: "no.json is no run card" in measured.banner.words.text())


def test_what_to_measure_is_asked_with_its_price(qtbot: Any, page: Any, text: Path) -> None:
    page.make.forecast.stop()
    dialog = page.compare.open_dialog(_starter(page))
    assert [record.name for record in dialog.model.chosen()] == [
        page.services.library.get(_starter(page)).name
    ]
    for box, _text in dialog._texts:
        box.setChecked(False)
    dialog._changed()
    assert not dialog.start.isEnabled()
    dialog.take_file(str(text))
    dialog.pieces.setCurrentIndex(0)
    dialog.caches.setChecked(True)
    dialog.speed.setChecked(False)
    qtbot.waitUntil(lambda: "of memory" in dialog.note.text())
    page.services.lab.close()  # what is asked stays in the queue
    with qtbot.waitSignal(page.compare.started):
        dialog.start.click()
    (item,) = page.services.lab.snapshots()
    assert item.order.caches == (("f16", "f16"), ("q8_0", "q8_0"), ("q4_0", "q4_0"))
    assert (item.order.names, item.order.chunks) == (("boats",), 8)


def test_a_wish_finds_types_and_says_why(qtbot: Any, page: Any) -> None:
    make = page.make
    make.by_wish(True)
    make.wish.choose("bytes", 0.004)
    make.wish.ask()
    qtbot.waitUntil(lambda: "fits" in make.wish.reasons.text())
    make.forecast.stop()
    assert len(make.types.types()) == 1
    make.wish.choose("speed", 30)
    make.wish.ask()
    qtbot.waitUntil(make.wish.measure.isVisible)
    assert "was not measured yet" in make.wish.reasons.text()
    make.wish.changeEvent(QEvent(QEvent.Type.LanguageChange))
    assert make.wish.measure.isVisible()
    make.wish.choose("loss", 0.05)
    assert make.wish.measure.isHidden()
    make.forecast.stop()
    assert make.before.start.text() == "Measure and make"
    make.refresh()
    qtbot.waitUntil(lambda: "at most" in make.before.values[1].text())
    assert "about" in make.before.values[0].text()
    make.forecast.stop()
    page.services.lab.close()
    make.start()
    qtbot.waitUntil(lambda: len(page.services.lab.snapshots()) == 1)
    (item,) = page.services.lab.snapshots()
    assert (item.order.wish, item.order.value) == ("loss", 0.05)
    assert item.order.target.endswith("Tiny-MIX-KL0.05.gguf")
    make.forecast.stop()


def test_a_source_from_elsewhere_is_a_job(qtbot: Any, page: Any) -> None:
    page.make.forecast.stop()
    page.services.lab.close()
    dialog = page.make.open_bring()
    dialog.name.setText("words that name nothing")
    assert not dialog.bring.isEnabled()
    dialog.name.setText("owner/model-GGUF:Q8_0")
    dialog.bring.click()
    qtbot.waitUntil(lambda: len(page.services.lab.snapshots()) == 1)
    (item,) = page.services.lab.snapshots()
    assert (item.order.repo, item.order.quant) == ("owner/model-GGUF", "Q8_0")


def test_a_source_says_what_would_be_fetched(
    qtbot: Any, local_hub: Any, services: Any, tmp_path: Path
) -> None:
    dialog = BringDialog(services, None)
    qtbot.addWidget(dialog)
    qtbot.waitUntil(lambda: not dialog.set_up.isHidden())
    dialog.name.setText(STARTER_REPO)
    qtbot.waitUntil(lambda: dialog.found.text().startswith("Q8_0: 149 MB to fetch"))
    (tmp_path / "config.json").write_text("{}")
    dialog.name.setText(str(tmp_path))
    qtbot.waitUntil(lambda: "has no safetensors" in dialog.found.text())
    (tmp_path / "model.safetensors").write_bytes(NO_TENSORS)
    dialog.name.setText(str(tmp_path) + "/")
    qtbot.waitUntil(lambda: "It needs the converter, which is not set up yet" in dialog.found.text())
    dialog.set_up.setChecked(True)
    assert "It needs" not in dialog.found.text()
    assert dialog.order().set_up
    tasks.close()


def test_two_answers_are_judged_blind(qtbot: Any, page: Any) -> None:
    view = page.blind
    page.make.forecast.stop()
    page.show_view("blind")
    view.boxes[0].setCurrentIndex(0)
    view.boxes[1].setCurrentIndex(0)
    view.prompt.setPlainText("Say one word.")
    assert not view.ask_button.isEnabled(), "the same model twice"
    view.boxes[1].setCurrentIndex(1)
    view._enable()
    view._sides = [box.currentData() for box in view.boxes]
    view.stack.setCurrentWidget(view.compare)
    view.duel.ended.emit(0, Answer("One"))
    view.duel.ended.emit(1, Answer("Two"))
    view.duel.over.emit()
    assert [view._name(at) for at in (0, 1)] == ["Answer A", "Answer B"]
    assert view.tie.isVisible()
    view.vote("b")
    assert "Q4_1" in view.status.text() or "Tiny" in view.status.text()
    view.vote("a")  # one vote each
    qtbot.waitUntil(lambda: "could be chance" in view.sum.text())
    assert view.sum.text().count("1") >= 1
    assert "Tiny" in view.compare.columns[0].model.text()
    view._votes.forget()


def test_the_load_dialog_tells_what_a_cache_and_a_long_context_cost(qtbot: Any, page: Any) -> None:
    page.make.forecast.stop()
    services = page.services
    services.lab.close()
    record = services.library.get(_starter(page))
    mark, wishes = fingerprint(Path(record.path)), services.planner.wishes(record.id)
    line = PriceLine(record, services, page)
    line.show_plan("q8_0", 8192, 8192, wishes)
    qtbot.waitUntil(lambda: line.measure.isVisibleTo(page))
    line.show_plan("q4_0", 16384, 8192, wishes)
    line.measure.click()
    qtbot.waitUntil(lambda: len(services.lab.snapshots()) == 2)
    cache, context = (item.order for item in services.lab.snapshots())
    assert cache.caches == (("f16", "f16"), ("q4_0", "q4_0"))
    assert (context.plan.model_path, context.trained) == (record.path, 8192)
    services.lab.cancel(services.lab.snapshots()[0].id)
    services.lab.cancel(services.lab.snapshots()[1].id)
    qtbot.waitUntil(lambda: "not measured yet" in line.text.text())
    assert line.measure.isVisibleTo(page), "a job that was given up can be asked for again"
    full = Point(model="m", print=mark, bytes=1, reference_print=mark, figures={"same_top": 1.0})
    measurements(services).add([full, replace(full, cache=("q4_0", "q4_0"), figures={"same_top": 0.95})])
    Prices(services.paths.data / "lab" / "prices.json").add(
        Price(mark, 16384, 8192, "model", {"ln_price": 0.693})
    )
    again = PriceLine(record, services, page)
    again.show_plan("q4_0", 16384, 8192, wishes)
    qtbot.waitUntil(lambda: "Measured: with q4_0 1 / 20 of the tokens" in again.text.text())
    assert "Behind 8,192 tokens perplexity is 2.00 times" in again.text.text()
    assert again.measure.isHidden()
    again.show_plan("f16", 8192, 8192, wishes)
    assert again.isHidden()


def test_the_rail_counts_what_runs_and_waits(qtbot: Any, window: Any, services: Any) -> None:
    services.lab.close()
    (item,) = services.lab.submit(QuantOrder(source="a.gguf", target="b.gguf", type="Q4_0"))
    qtbot.waitUntil(lambda: window.rail.buttons["lab"].count == 1)
    services.lab.cancel(item.id)
    qtbot.waitUntil(lambda: window.rail.buttons["lab"].count == 0)


def test_the_quants_of_a_repository_are_downloaded_and_compared(
    qtbot: Any, local_hub: LocalHub, page: Any, full: Path, text: Path
) -> None:
    page.make.forecast.stop()
    other = FakeFile.of(full.read_bytes() + bytes(32))  # another file, as far as anybody looks
    local_hub.add(FakeRepo("owner/model", {full.name: FakeFile.of(full), "Tiny-Q8_0.gguf": other}))
    page.compare_repo("owner/nothing")
    qtbot.waitUntil(lambda: "owner/nothing" in page.compare.banner.words.text())
    page.compare_repo("owner/model")
    qtbot.waitUntil(lambda: page.findChild(MeasureDialog) is not None)
    dialog = page.findChild(MeasureDialog)
    assert [record.id for record in dialog.model.rows] == ["owner/model:F32", "owner/model:Q8_0"]
    assert dialog.model.data(dialog.model.index(1, 3)) == "to download"
    assert dialog.reference.currentData().id == "owner/model:Q8_0", "a quarter of the bytes, and hardly worse"
    dialog.reference.setCurrentIndex(0)
    dialog.reference.activated.emit(0)
    dialog.tick({"owner/model:Q8_0"})
    for box, _text in dialog._texts:
        box.setChecked(False)
    dialog.take_file(str(text))
    dialog.pieces.setCurrentIndex(0)
    dialog.speed.setChecked(False)
    size = words.size(2 * full.stat().st_size + 32)
    qtbot.waitUntil(lambda: f"{size} to download first" in dialog.note.text())
    with qtbot.waitSignal(page.compare.started):
        dialog.start.click()
    qtbot.waitUntil(lambda: page.services.lab.snapshots()[0].state in ENDED)
    (item,) = page.services.lab.snapshots()
    assert (item.state, item.error) == ("done", None)
    assert [point.model for point in item.result.points] == ["Tiny-Q8_0.gguf"]
    page.compare_repo("owner/model")
    qtbot.waitUntil(lambda: any(each.isVisible() for each in page.findChildren(MeasureDialog)))
    again = next(each for each in page.findChildren(MeasureDialog) if each.isVisible())
    assert [again.model.data(again.model.index(at, 3)) for at in range(2)] == ["on this machine"] * 2
    again.close()


def test_other_pages_ask_for_the_lab(
    qtbot: Any, local_hub: LocalHub, window: Any, services: Any, full: Path
) -> None:
    _put(services, full)
    record = services.library.models()[0]
    window.obey("quantize", record.id)
    lab = window.pages["lab"]
    qtbot.waitUntil(lambda: lab.make.source.record() is not None)
    assert window.page_shown() == "lab"
    lab.make.forecast.stop()
    window.obey("measure", record.id)
    dialog = lab.findChild(MeasureDialog)
    assert [each.id for each in dialog.model.chosen()] == [record.id]
    dialog.close()
    window.obey("compare_quants", "owner/other")
    qtbot.waitUntil(lambda: "owner/other" in lab.compare.banner.words.text())
