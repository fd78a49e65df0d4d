"""The Library page over real services: what it lists, finds, notes, verifies, deletes and takes back."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QApplication, QInputDialog, QMenu

from app.core.errors import BadHeaderError, WrongMagicError
from app.core.events import InstanceChanged
from app.core.generate import SamplingParams
from app.core.types import Source
from app.models.folders import Folder
from app.models.gguf import Header
from app.models.library import MISMATCH
from app.models.presets import LoadChoices, Preset
from app.models.summary import unusable
from app.ui import translate
from app.ui.damage_words import _OWN, _pattern, damage_words
from app.ui.library_menu import fill_menu
from app.ui.library_rows import ORDER
from app.ui.treemap import Tile, Treemap, squarify
from tests.fakes.gguf_writer import write_model
from tests.fakes.hub_data import STARTER_REPO

LONG = 20000
STARTER = f"{STARTER_REPO}:Q4_1"


def dialog_of(name: str) -> Any:
    return next(
        (w for w in QApplication.topLevelWidgets() if type(w).__name__ == name and w.isVisible()), None
    )


@pytest.fixture(autouse=True)
def a_home_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No store of another program, and a bin on the models' disk."""
    from send2trash import plat_other

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(plat_other, "HOMETRASH_B", bytes(tmp_path / "data" / "Trash"))
    monkeypatch.setattr(plat_other, "XDG_DATA_HOME", bytes(tmp_path / "data"))
    for name in ("HF_HOME", "HF_HUB_CACHE", "OLLAMA_MODELS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def library(qtbot: Any, window: Any, paths: Any) -> Any:
    """Two small models and a damaged file."""
    write_model(paths.models / "me" / "tiny-GGUF" / "tiny-Q8_0.gguf")
    write_model(paths.models / "you" / "other-GGUF" / "other-Q4_0.gguf", name="Other")
    (paths.models / "me" / "broken.Q4_0.gguf").write_bytes(b"GGUF\x03\0\0\0")
    page = window.open_page("library")
    qtbot.waitUntil(lambda: len(page.model.rows) == 3, timeout=LONG)
    return page


def shown(page: Any) -> list[str]:
    model = page.table.model()
    return [model.index(at, 0).data() for at in range(model.rowCount())]


def facts(page: Any) -> dict[str, str]:
    texts: dict[str, str] = page.details.grid.texts()
    return texts


# -------------------------------------------------------------------------------------------- the list


def test_a_damaged_file_is_listed_with_its_reason(qtbot: Any, library: Any) -> None:
    damaged = next(row for row in library.model.rows if row.damaged)
    library.select(damaged.id)
    qtbot.waitUntil(library.details.problem.isVisible)
    told = library.details.problem.text()
    assert told.startswith("broken.Q4_0.gguf is cut short")
    translate.install("vi")
    qtbot.waitUntil(lambda: "broken.Q4_0.gguf" in library.details.problem.text() != told)
    translate.install("en")
    assert not library.details.load.isVisible()
    assert not library.details.profiles.isVisible()


@pytest.mark.parametrize(
    "error",
    [WrongMagicError(path="/m/x.gguf", found="'PK'"), BadHeaderError(path="/m/x.gguf", detail="a: b. c")],
)
def test_every_reason_is_said_in_vietnamese(qtbot: Any, error: Exception) -> None:
    assert damage_words(str(error)) == str(error).replace("/m/x.gguf", "x.gguf")
    assert damage_words("something else") == "something else"
    translate.install("vi")
    said = [damage_words(template) for template in _OWN]
    translated = damage_words(str(error))
    translate.install("en")
    assert all(one != template for one, template in zip(said, _OWN, strict=True))
    assert "x.gguf" in translated != damage_words(str(error))


def test_every_reason_of_the_library_is_known() -> None:
    header = read_header_of({"general.architecture": 1})
    for reason in (MISMATCH, unusable(header), "2 of its 3 parts are missing, a.gguf first."):
        assert any(_pattern(template).fullmatch(str(reason)) for template in _OWN), reason


def read_header_of(metadata: dict[str, Any]) -> Header:
    return Header("x", 3, False, metadata, (), 0, 32)


def test_words_tags_and_views_narrow_the_list(qtbot: Any, library: Any, services: Any) -> None:
    library.select("me/tiny-GGUF:Q8_0")
    library.details.tags.setText("#work,  code , work")
    library.details.tags.editingFinished.emit()
    qtbot.waitUntil(lambda: services.library.facts("me/tiny-GGUF:Q8_0").tags == ("work", "code"))
    qtbot.waitUntil(lambda: library.view.findData("#code") > 0)
    for text, count in (("tiny q8", 1), ("tiny q4", 0), ("#code", 1), ("llama", 2), ("", 3)):
        library.search.setText(text)
        assert library.table.model().rowCount() == count, text
    for view, names in (("#work", ["tiny"]), ("damaged", ["broken.Q4_0"]), ("loaded", [])):
        library.view.setCurrentIndex(library.view.findData(view))
        library._show_view()
        assert shown(library) == names


def test_details_say_what_the_file_is(qtbot: Any, library: Any, services: Any) -> None:
    library.select("me/tiny-GGUF:Q8_0")
    texts = facts(library)
    assert texts["Architecture"] == "llama"
    assert texts["Trained context"] == "2,048 tokens"
    assert texts["Source"] == "me/tiny-GGUF"
    assert texts["Times used"] == "0"
    services.library.touched("me/tiny-GGUF:Q8_0")
    qtbot.waitUntil(lambda: facts(library)["Times used"] == "1")
    assert library.details.mix.bar._parts
    library.details.asked.emit("file")
    qtbot.waitUntil(lambda: dialog_of("ModelFileDialog") is not None)
    dialog = dialog_of("ModelFileDialog")
    qtbot.waitUntil(lambda: bool(dialog.tensors.rows), timeout=LONG)
    assert dialog.note.text().startswith(f"{len(dialog.tensors.rows)} tensors")
    dialog.close()


def test_columns_give_way_in_a_narrow_window(qtbot: Any, library: Any, window: Any) -> None:
    for width, hidden in ((2100, set()), (960, {"added", "context", "used", "parameters"})):
        window.resize(width, 800)
        qtbot.waitUntil(
            lambda hidden=hidden: {n for n in ORDER if library.table.isColumnHidden(ORDER.index(n))} == hidden
        )
    assert library.table.columnWidth(0) > 80


# ------------------------------------------------------------------------------------------- noting


def test_two_clicks_on_the_star_are_undone_by_each_other(
    qtbot: Any, library: Any, services: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotate, gate, noted = services.library.annotate, threading.Event(), list[object]()

    def slow(model: str, **changes: object) -> None:
        if changes.get("favourite"):
            assert gate.wait(60)
        annotate(model, **changes)
        noted.append(changes["favourite"])

    monkeypatch.setattr(services.library, "annotate", slow)
    library.details.star.click()
    library.details.star.click()
    gate.set()
    qtbot.waitUntil(lambda: len(noted) == 2)
    assert noted == [True, False]


def test_notes_and_favourites_are_kept(qtbot: Any, library: Any, services: Any) -> None:
    library.select("me/tiny-GGUF:Q8_0")
    library.details.star.click()
    library.details.notes.setPlainText("ghi chú")
    library.select("you/other-GGUF:Q4_0")  # leaving a model keeps what was typed
    assert library.details.notes.toPlainText() == ""
    qtbot.waitUntil(lambda: services.library.facts("me/tiny-GGUF:Q8_0").notes == "ghi chú")
    qtbot.waitUntil(lambda: services.library.facts("me/tiny-GGUF:Q8_0").favourite)


def test_a_model_can_be_called_otherwise(
    qtbot: Any, library: Any, services: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QInputDialog, "getText", lambda *_args: ("My coder", True))
    library.select("me/tiny-GGUF:Q8_0")
    qtbot.keyClick(library.table, Qt.Key.Key_F2)
    qtbot.waitUntil(lambda: "My coder" in shown(library))
    assert services.library.get("me/tiny-GGUF:Q8_0").name == "My coder"
    library.rename("me/tiny-GGUF:Q8_0", "")
    qtbot.waitUntil(lambda: "tiny" in shown(library))


# ------------------------------------------------------------------------------------------ deleting


def test_what_was_deleted_comes_back(qtbot: Any, library: Any, services: Any) -> None:
    library.select("me/tiny-GGUF:Q8_0")
    qtbot.keyClick(library.table, Qt.Key.Key_Delete)
    dialog = dialog_of("ConfirmDialog")
    assert dialog.focusWidget() is dialog.cancel
    dialog.act.click()
    qtbot.waitUntil(library.undo.isVisible, timeout=LONG)
    assert "me/tiny-GGUF:Q8_0 is in the bin." in library.undo._words.text()
    assert len(services.library.records()) == 2
    library.undo._button.click()
    qtbot.waitUntil(lambda: len(library.model.rows) == 3, timeout=LONG)
    qtbot.waitUntil(lambda: library.table.current().id == "me/tiny-GGUF:Q8_0")


def test_ollamas_own_are_left_to_it(qtbot: Any, library: Any, services: Any, tmp_path: Path) -> None:
    store = tmp_path / ".ollama" / "models"
    blob = write_model(store / "blobs" / f"sha256-{'a' * 64}", name="Theirs")
    manifest = store / "manifests" / "registry.ollama.ai" / "library" / "theirs" / "latest"
    manifest.parent.mkdir(parents=True)
    digest = f'"digest": "sha256:{"a" * 64}"'
    manifest.write_text(
        f'{{"layers": [{{"mediaType": "application/vnd.ollama.image.model", {digest}}}]}}', "utf-8"
    )
    library.reload()
    qtbot.waitUntil(library.banner.isVisible)
    assert "Ollama's store is on this machine" in library.banner.words.text()
    library.banner.button.click()
    qtbot.waitUntil(lambda: dialog_of("FoldersDialog") is not None)
    dialog = dialog_of("FoldersDialog")
    qtbot.waitUntil(lambda: str(store) in dialog.rows)
    dialog.add_folder(Folder(str(store), "ollama"))
    qtbot.waitUntil(lambda: len(library.model.rows) == 4, timeout=LONG)
    dialog.close()
    library.select("theirs:latest")
    assert not library.details.delete.isEnabled()
    library._ask_delete()
    assert dialog_of("ConfirmDialog") is None
    assert blob.exists()


def test_disk_use_says_what_could_go_first(qtbot: Any, library: Any, services: Any) -> None:
    library.select("you/other-GGUF:Q4_0")
    library.details.star.click()
    qtbot.waitUntil(lambda: services.library.facts("you/other-GGUF:Q4_0").favourite)
    library.disk_button.click()
    rest = ["me/tiny-GGUF:Q8_0", "broken.Q4_0"]  # the favourite stays
    qtbot.waitUntil(lambda: [item.id for item in library.disk.model.rows] == rest)
    assert {tile.key for tile in library.disk.map.tiles} == {row.id for row in library.model.rows}
    qtbot.keyClick(library.disk.map, Qt.Key.Key_Right)
    qtbot.waitUntil(lambda: library.table.current().id == library.disk.map.current)
    library.disk.table.selectAll()
    assert library.disk.delete.isEnabled()
    library.disk.delete.click()
    dialog = dialog_of("ConfirmDialog")
    assert dialog.title.text() == "Delete 2 models?"
    dialog.act.click()
    qtbot.waitUntil(lambda: len(library.model.rows) == 1, timeout=LONG)
    assert "2 models are in the bin." in library.undo._words.text()


def test_squares_fill_the_picture() -> None:
    sizes = [6.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0]
    rects = squarify(sizes, 600, 400)
    assert [round(w * h) for _, _, w, h in rects] == [round(size * 10000) for size in sizes]
    assert max(x + w for x, _, w, _ in rects) == pytest.approx(600)
    assert max(y + h for _, y, _, h in rects) == pytest.approx(400)
    assert all(max(w / h, h / w) < 3 for _, _, w, h in rects)
    assert squarify([], 10, 10) == squarify([1.0], 0, 10) == []


def test_the_picture_answers_to_the_mouse(qtbot: Any) -> None:
    picture = Treemap()
    qtbot.addWidget(picture)
    picture.resize(300, 200)
    picture.show_tiles(
        [Tile("a", 3, "A", "3", "good"), Tile("b", 1, "B", "1", "warn"), Tile("c", 0, "C", "", "bad")]
    )
    picture.show()
    picture.grab()
    assert [tile.key for tile in picture.tiles] == ["a", "b"]
    with qtbot.waitSignal(picture.chosen) as caught:
        qtbot.mouseClick(picture, Qt.MouseButton.LeftButton, pos=QPoint(10, 10))
    assert caught.args == ["a"]
    with qtbot.waitSignal(picture.opened):
        qtbot.keyClick(picture, Qt.Key.Key_Return)
    assert picture.accessibleDescription() == "A, 3"


# --------------------------------------------------------------------------------------------- care


def test_verify_reads_every_byte_and_keeps_the_verdict(
    qtbot: Any, library: Any, services: Any, paths: Any
) -> None:
    path = paths.models / "me" / "tiny-GGUF" / "tiny-Q8_0.gguf"
    care = library.details.care
    library.select("me/tiny-GGUF:Q8_0")
    care.verify.button.click()
    qtbot.waitUntil(lambda: "no hash to compare with" in care.verify.result.text(), timeout=LONG)
    services.library.adopt([path], Source("me/tiny-GGUF"), "0" * 64)
    care.verify.button.click()
    qtbot.waitUntil(lambda: "differ" in care.verify.result.text(), timeout=LONG)
    qtbot.waitUntil(library.details.problem.isVisible, timeout=LONG)
    library.select("you/other-GGUF:Q4_0")
    assert not care.verify.result.isVisible()


def test_a_newer_file_is_offered(
    qtbot: Any, local_hub: Any, library: Any, window: Any, services: Any, paths: Any
) -> None:
    path = write_model(paths.models / STARTER_REPO / "SmolLM2-135M-Instruct-Q4_1.gguf", name="Old")
    services.library.adopt([path], Source(STARTER_REPO, "old"), "1" * 64)
    library.select(STARTER)
    qtbot.waitUntil(lambda: library.details.record and library.details.record.id == STARTER, timeout=LONG)
    care = library.details.care
    assert not care.fetch.isVisible()
    care.update_.button.click()
    qtbot.waitUntil(care.fetch.isVisible, timeout=LONG)
    assert "another file" in care.update_.result.text()
    assert care.fetch.text() == "Download 98 MB"
    care.fetch.click()
    qtbot.waitUntil(lambda: [row.id for row in services.downloads.snapshots()] == [STARTER], timeout=LONG)
    services.downloads.cancel(STARTER)
    services.downloads.remove(STARTER)
    path.write_bytes(path.read_bytes()[:4000])  # damaged: the same button brings it back
    qtbot.waitUntil(lambda: window.page_shown() == "downloads")
    window.open_page("library")
    qtbot.waitUntil(care.fetch.isVisible, timeout=LONG)
    assert care.fetch.text() == "Download again"
    care.fetch.click()
    qtbot.waitUntil(lambda: [row.id for row in services.downloads.snapshots()] == [STARTER], timeout=LONG)


# ----------------------------------------------------------------------------------------- profiles


@pytest.fixture
def real(qtbot: Any, window: Any, services: Any, starter: Path, paths: Any) -> Iterator[Any]:
    """The starter model, listed."""
    place = paths.models / "me" / "tiny"
    place.mkdir(parents=True)
    (place / starter.name).symlink_to(starter)
    page = window.open_page("library")
    qtbot.waitUntil(lambda: len(page.model.rows) == 1, timeout=LONG)
    yield page
    services.supervisor.close()


def test_how_long_a_model_rests_follows_its_answers(
    library: Any, services: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = next(row.id for row in library.model.rows if not row.damaged)
    library.select(model)
    loaded = InstanceChanged(model, model, "ready", last_used=time.time() - 600)
    library._on_instance(loaded)
    assert "idle 10 min" in library.details.live.text()
    writing = msgspec.structs.replace(loaded, active=1)
    monkeypatch.setattr(services.supervisor, "snapshots", lambda: (writing,))
    library._tell_time()
    assert "answering" in library.details.live.text()


def test_a_profile_is_made_and_loaded_without_a_second_copy(
    qtbot: Any, real: Any, window: Any, services: Any
) -> None:
    model = real.model.rows[0].id
    real.select(model)
    box = real.details.profiles
    box.new.click()
    dialog = dialog_of("PresetDialog")
    dialog.name.setText("Careful")
    dialog.load.checks["n_ctx"].setChecked(True)
    dialog.load.fields["n_ctx"].setValue(1024)
    dialog.own.setChecked(True)
    dialog.sampling.fields["temperature"].setValue(0.2)
    dialog.save.click()
    qtbot.waitUntil(lambda: box._list.count() == 1)
    (preset,) = services.presets.all(model)
    assert (preset.model, preset.load.chosen()) == (model, {"n_ctx": 1024})
    assert preset.sampling is not None
    assert preset.sampling.temperature == 0.2
    box.load_asked.emit(model, preset)
    qtbot.waitUntil(lambda: services.supervisor.snapshot(model) is not None, timeout=LONG)
    qtbot.waitUntil(lambda: services.supervisor.snapshot(model).state == "ready", timeout=60000)
    assert services.supervisor.snapshot(model).n_ctx == 1024
    assert services.presets.current(model) == preset
    window.open_page("library")
    qtbot.waitUntil(real.details.unload.isVisible, timeout=LONG)
    qtbot.waitUntil(lambda: "GiB" in real.details.live.text(), timeout=LONG)
    assert "1k context" in real.details.live.text()
    real.details.keep.click()
    assert services.residency.pinned(model)
    assert "kept loaded" in real.states.note(real.model.rows[0])
    menu = QMenu()
    fill_menu(menu, real.model.rows[0], real.states, real._ask)
    possible = {action.text().split("\t")[0] for action in menu.actions() if action.isEnabled()}
    assert {"Unload", "Chat", "Rename…"} <= possible
    assert not {"Load…", "Delete…"} & possible
    real.details.unload.click()
    qtbot.waitUntil(real.details.load.isVisible, timeout=LONG)
    qtbot.waitUntil(lambda: services.presets.current(model) is None)  # until it is unloaded


def test_defaults_and_profiles_can_be_changed_exported_and_taken(
    qtbot: Any, library: Any, services: Any, tmp_path: Path
) -> None:
    model = "me/tiny-GGUF:Q8_0"
    kept = LoadChoices(kv_type="q8_0", extra={"n_batch": 512})
    library.select(model)
    box = library.details.profiles
    qtbot.waitUntil(lambda: box.default.text() == "Usually: as the settings say" and bool(box._model))
    # Written elsewhere, as the load dialog does, while they are shown.
    services.presets.set_default(model, Preset(model, load=kept))
    services.presets.save(Preset("Bold", sampling=SamplingParams(temperature=1.5)))
    qtbot.waitUntil(lambda: "KV q8_0, 1 more" in box.default.text())
    box.change.click()
    dialog = dialog_of("PresetDialog")
    assert "n_batch" in dialog.further.text()
    dialog.load.checks["n_ctx"].setChecked(True)
    dialog.load.fields["n_ctx"].setValue(512)
    dialog.save.click()
    qtbot.waitUntil(lambda: services.presets.default_for(model).load.n_ctx == 512)
    qtbot.waitUntil(lambda: dialog_of("PresetDialog") is None)
    assert services.presets.default_for(model).load.extra == {"n_batch": 512}
    assert services.planner.engine(model).n_ctx == 512
    box._edit(services.presets.get("Bold"))
    dialog = dialog_of("PresetDialog")
    dialog.name.setText("")
    assert dialog.preset().name == "Bold"
    dialog.export_to(tmp_path / "bold.json")
    qtbot.waitUntil((tmp_path / "bold.json").exists)
    dialog.forget.click()
    dialog_of("ConfirmDialog").act.click()
    qtbot.waitUntil(lambda: services.presets.all() == ())
    box.import_file(tmp_path / "bold.json")
    qtbot.waitUntil(lambda: [one.name for one in services.presets.all()] == ["Bold"])
    box.import_file(tmp_path / "nothing.json")
    qtbot.waitUntil(box.problem.isVisible)


def test_the_page_speaks_vietnamese(qtbot: Any, library: Any) -> None:
    library.select("me/tiny-GGUF:Q8_0")
    translate.install("vi")
    qtbot.waitUntil(lambda: library.details.load.text() == "Nạp…")
    assert library.view.itemText(0) == "Tất cả mô hình"
    assert facts(library)["Kiến trúc"] == "llama"
    translate.install("en")
    qtbot.waitUntil(lambda: library.details.load.text() == "Load…")


# --------------------------------------------------------------------------------------- from elsewhere


def test_parts_of_a_split_set_are_imported_once() -> None:
    from app.ui.model_commands import first_parts

    parts = [Path(f"/x/big-0000{n}-of-00003.gguf") for n in (2, 1, 3)]
    assert first_parts([*parts, Path("/x/small.gguf")]) == [parts[1], Path("/x/small.gguf")]


def test_files_and_folders_can_be_dropped(qtbot: Any, window: Any, services: Any, tmp_path: Path) -> None:
    file = write_model(tmp_path / "elsewhere" / "one.gguf", name="One")
    write_model(tmp_path / "folder" / "deep" / "er" / "two.gguf", name="Two")
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in (file, tmp_path / "folder", tmp_path / "x.txt")])
    event = QDropEvent(
        QPoint(5, 5).toPointF(),
        Qt.DropAction.CopyAction,
        mime,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    window.dropEvent(event)
    assert event.isAccepted()
    qtbot.waitUntil(lambda: {r.id for r in services.library.records()} == {"one", "two"}, timeout=LONG)
    qtbot.waitUntil(lambda: window.page_shown() == "library", timeout=LONG)
    assert file.exists()
    assert str(tmp_path / "folder") in [folder.path for folder in services.library.folders()]


def test_after_unloading_the_keyboard_is_at_loading(qtbot: Any, library: Any) -> None:
    model = next(row.id for row in library.model.rows if not row.damaged and row.runs)
    library.select(model)
    library._on_instance(InstanceChanged(model, model, "ready"))
    library.details.unload.setFocus()
    assert library.details.unload.hasFocus()
    library._on_instance(InstanceChanged(model, model, "stopped"))
    assert library.details.load.hasFocus()
