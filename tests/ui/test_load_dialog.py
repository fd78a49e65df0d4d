"""The load dialog over the starter model: it moves live, offers every option, keeps what was chosen, and warns."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import shiboken6

from app.core.engine_settings import Engine
from app.core.errors import SettingsError
from app.core.types import Forecast
from app.planning.rates import Rates, RatesStore, TypeRate
from app.ui import tasks, translate, words
from app.ui.dialogs.load import LoadDialog

LONG = 20000
RATES = Rates("CPU", 1, 1e-5, 1e-5, {"Q4_1": TypeRate(25e9, 2e11, 2e-9)}, {"f16": 8e9})


@pytest.fixture
def record(services: Any, starter: Path) -> Any:
    folder = services.paths.models / "starter"
    folder.mkdir(parents=True)
    os.link(starter, folder / starter.name)
    return services.library.get(str(folder / starter.name))


@pytest.fixture
def open_dialog(qtbot: Any, services: Any, record: Any) -> Iterator[Any]:
    translate.install("en")
    made: list[LoadDialog] = []

    def open_() -> LoadDialog:
        dialog = LoadDialog(record, services, None)
        dialog.show()
        made.append(dialog)
        settled(qtbot, dialog)
        return dialog

    yield open_
    for dialog in made:
        if shiboken6.isValid(dialog):
            dialog.close()
    tasks.close()


def settled(qtbot: Any, dialog: LoadDialog, n_ctx: int | None = None) -> None:
    """Wait for the forecast of what is chosen."""
    wanted = n_ctx or dialog.context.value()
    qtbot.waitUntil(
        lambda: dialog._outcome is not None and dialog._outcome.after.planned.plan.n_ctx == wanted,
        timeout=LONG,
    )


def cell(dialog: LoadDialog, row: int, column: int) -> str:
    return dialog.outcome._cells[row, column].text()


def test_everything_follows_the_context(qtbot: Any, services: Any, open_dialog: Any) -> None:
    machine = services.machine()
    key = services.outlook._key("CPU")
    RatesStore(services.paths.cache / "rates.json").put(
        Rates(RATES.device, RATES.threads, RATES.token, RATES.layer, RATES.types, RATES.attention, key=key)
    )
    assert machine.memory.total
    dialog = open_dialog()
    assert cell(dialog, 0, 2) == "With these choices, 4k"
    assert not dialog.measure.isVisible()
    before = cell(dialog, 3, 2)
    assert before.startswith("about ")
    assert "f16 · 90 MiB" in [dialog.kv.itemText(at) for at in range(dialog.kv.count())]
    dialog.context.setValue(8192)
    settled(qtbot, dialog, 8192)
    assert cell(dialog, 0, 1) == "As it is set, 4k"
    assert cell(dialog, 0, 2) == "With these choices, 8k"
    assert cell(dialog, 3, 2) != before
    assert cell(dialog, 4, 2).endswith(" s")
    assert "f16 · 180 MiB" in [dialog.kv.itemText(at) for at in range(dialog.kv.count())]
    assert "8k" in dialog.scale.accessibleDescription()
    assert "trained length" in dialog.scale.accessibleDescription()


def test_the_button_names_the_context_that_fits(qtbot: Any, open_dialog: Any) -> None:
    dialog = open_dialog()
    dialog.tabs.setCurrentIndex(1)
    for name, value in (("guardrail", "custom"), ("guardrail_gib", 0.3)):
        row = dialog.options.rows[f"engine.{name}"]
        row.show_value(value)
        row._save()
    dialog.context.setValue(6000)
    settled(qtbot, dialog, 4608)
    assert dialog.load.text() == "Load with 5k context"
    dialog.context.setValue(3000)
    assert dialog.load.text() == "Load with 3k context"
    assert dialog.options.rows["engine.guardrail"].field.currentText() == "Custom"


def test_an_unmeasured_machine_says_so_and_offers_to_measure(open_dialog: Any) -> None:
    dialog = open_dialog()
    assert cell(dialog, 2, 2) == "–"
    assert "has not been measured" in dialog.outcome._cells[2, 2].toolTip()
    assert dialog.measure.isVisible()


def test_every_option_of_a_load_is_there(qtbot: Any, open_dialog: Any) -> None:
    dialog = open_dialog()
    dialog.tabs.setCurrentIndex(1)
    shown = {key.partition(".")[2] for key in dialog.options.rows} | {
        "n_ctx",
        "n_gpu_layers",
        "n_parallel",
        "kv_type",
    }
    missing = set(Engine.__struct_fields__) - shown - {"idle_minutes", "packs"}
    assert not {name for name in missing if not name.startswith("_")} & {
        "n_batch",
        "tensor_overrides",
        "rope_scaling",
    }
    row = dialog.options.rows["engine.rope_freq_scale"]
    row.show_value(0.5)
    row._save()
    qtbot.waitUntil(lambda: dialog.context.maximum() == 4 * 8192, timeout=LONG)
    assert dialog.wishes().beyond_trained


def test_all_options_have_the_room_and_are_found_by_words(qtbot: Any, open_dialog: Any) -> None:
    dialog = open_dialog()
    height = dialog.height()
    dialog.tabs.setCurrentIndex(1)
    qtbot.waitUntil(lambda: dialog.stack.height() > height // 2)
    assert dialog.height() <= height
    assert dialog.verdict.isVisible()
    dialog.options.search.setText("flash")
    assert {key for key, row in dialog.options.rows.items() if row.isVisibleTo(dialog)} == {
        "engine.flash_attn",
        "engine.v_type",
    }
    dialog.options.search.setText("no such thing")
    assert dialog.options.nothing.isVisible()
    dialog.tabs.setCurrentIndex(0)
    assert dialog.what_if.isVisible()


def test_what_was_changed_just_before_loading_counts(qtbot: Any, open_dialog: Any) -> None:
    dialog, asked = open_dialog(), list[Any]()
    dialog.load_asked.connect(asked.append)
    dialog.tabs.setCurrentIndex(1)
    dialog.options.rows["engine.n_threads"].field.setValue(3)
    dialog._accept()
    assert [wishes.n_threads for wishes in asked] == [3]


def test_an_option_that_was_refused_is_shown_instead_of_loading(qtbot: Any, open_dialog: Any) -> None:
    dialog, asked = open_dialog(), list[Any]()
    dialog.load_asked.connect(asked.append)
    dialog.tabs.setCurrentIndex(1)
    row = dialog.options.rows["engine.rope_freq_scale"]
    row._refused(SettingsError(key="engine.rope_freq_scale", value="-1", detail="a number from 0"))
    dialog.tabs.setCurrentIndex(0)
    dialog._accept()
    assert asked == []
    assert dialog.tabs.currentIndex() == 1


def test_what_is_chosen_is_kept_as_defaults_and_as_a_preset(
    qtbot: Any, services: Any, record: Any, open_dialog: Any
) -> None:
    dialog = open_dialog()
    dialog.context.setValue(2048)
    dialog.keep._keep_default()
    qtbot.waitUntil(lambda: services.planner.engine(record.id).n_ctx == 2048, timeout=LONG)
    dialog.keep.keep_as("Small")
    qtbot.waitUntil(lambda: dialog.presets.count() == 2, timeout=LONG)
    again = open_dialog()
    assert again.context.value() == 2048
    again.context.setValue(1024)
    qtbot.waitUntil(lambda: again.presets.count() == 2, timeout=LONG)
    again.presets.setCurrentIndex(1)
    again.presets._choose()
    settled(qtbot, again, 2048)
    again.keep._forget_default()
    qtbot.waitUntil(lambda: services.planner.engine(record.id).n_ctx == 4096, timeout=LONG)


def test_another_machine_is_imagined_and_nothing_is_loaded_on_it(qtbot: Any, open_dialog: Any) -> None:
    dialog = open_dialog()
    dialog.what_if.gpu.setCurrentIndex(dialog.what_if.gpu.findData(24))
    qtbot.waitUntil(lambda: dialog._outcome.after.planned.fit == "full_gpu", timeout=LONG)
    assert not dialog.load.isEnabled()
    assert [device.device for device in dialog._outcome.before.memory] == [
        "CPU"
    ]  # as it is set, on this machine
    dialog.what_if.gpu.setCurrentIndex(0)
    qtbot.waitUntil(dialog.load.isEnabled, timeout=LONG)


def test_a_guardrail_is_passed_on_purpose_only(qtbot: Any, services: Any, open_dialog: Any) -> None:
    services.settings.set("engine.guardrail", "custom")
    services.settings.set("engine.guardrail_gib", 0.05)
    dialog = open_dialog()
    qtbot.waitUntil(lambda: dialog.load.text() == "Load anyway", timeout=LONG)
    assert dialog.outcome.reasons.text()
    with qtbot.waitSignal(dialog.load_asked) as asked:
        dialog.load.click()
    assert asked.args[0].guardrail == "off"


def test_a_text_that_can_t_be_read_is_said(qtbot: Any, open_dialog: Any) -> None:
    dialog = open_dialog()
    dialog._draft.set("engine.tensor_split", "many")
    dialog._changed()
    qtbot.waitUntil(lambda: "must be a number" in dialog.verdict.text(), timeout=LONG)


def test_a_forecast_says_where_it_comes_from(qtbot: Any) -> None:
    translate.install("en")
    assert "no answer has corrected it" in words.forecast_words(Forecast(1.0, 2.0, "measured rates"))
    assert words.forecast_words(Forecast(1.0, 2.0, "measured rates, 1 runs")).endswith("by 1 answer.")
    assert words.forecast_words(Forecast(1.0, 2.0, "measured rates, 12 runs")).endswith("by 12 answers.")
