"""The Lab page over real services: the form and what it says before the start, jobs to their end, what was measured."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt

from app.ui import tasks, translate
from app.ui.bridge import Bridge
from app.ui.pages.lab import LabPage
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
