"""The library: found at any depth, listed once, read in place, and never brought down by a bad file."""

import contextlib
import json
import os
import sqlite3
import sys
import threading
from pathlib import Path

import pytest

from app.core.errors import (
    ModelAmbiguousError,
    ModelNotFoundError,
    TruncatedModelError,
    UnsupportedModelError,
    UsageError,
    WrongMagicError,
)
from app.core.events import Bus, LibraryChanged
from app.core.paths import Paths
from app.core.types import Source
from app.models import library as library_module
from app.models import library_files, library_scan
from app.models.folders import Folder, Found, suggestions
from app.models.library import Library, is_model
from tests.fakes.gguf_writer import model_metadata, model_tensors, write_gguf, write_model


@pytest.fixture
def library(paths: Paths, bus: Bus):  # type: ignore[no-untyped-def]
    found = Library(paths, bus)
    yield found
    found.close()


@pytest.fixture(autouse=True)
def no_bin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_files, "_to_bin", lambda _path: None)


def again(paths: Paths, bus: Bus) -> Library:
    """The library as another process would open it."""
    return Library(paths, bus)


def ids(library: Library) -> list[str]:
    return [record.id for record in library.records()]


def split(folder: Path, name: str, total: int = 2) -> list[Path]:
    tensors = model_tensors()
    files = []
    for number in range(1, total + 1):
        metadata = (model_metadata(name=name) if number == 1 else {}) | {
            "split.no": number - 1,
            "split.count": total,
        }
        path = folder / f"{name}-{number:05d}-of-{total:05d}.gguf"
        files.append(write_gguf(path, metadata, tensors[number - 1 :: total]))
    return files


def test_an_empty_home_has_no_models(library: Library) -> None:
    assert library.records() == ()
    with pytest.raises(ModelNotFoundError):
        library.get("anything")


def test_models_are_found_at_any_depth_and_named_by_their_place(library: Library, paths: Paths) -> None:
    write_model(paths.models / "owner" / "Repo-GGUF" / "Repo-Q8_0.gguf", name="a")
    write_model(paths.models / "flat.gguf", name="b")
    write_model(paths.models / "a" / "b" / "c" / "d" / "e" / "deep.Q4_0.GGUF", name="c")
    write_model(paths.models / "one" / "level.gguf", name="d")
    assert ids(library) == ["a/b:Q4_0", "flat", "level", "owner/Repo-GGUF:Q8_0"]
    record = library.get("owner/Repo-GGUF:Q8_0")
    assert record.name == "Repo"
    assert record.source == Source("owner/Repo-GGUF", "", "Repo-Q8_0.gguf")
    assert record.bytes == Path(record.path).stat().st_size
    assert record.summary is not None
    assert record.added_at > 0


def test_the_real_starter(library: Library, paths: Paths, starter: Path) -> None:
    record = library.import_file(starter)
    assert record.id == "SmolLM2-135M-Instruct.Q4_1"
    assert is_model(record)
    assert Path(record.path).is_relative_to(paths.models)
    assert library.import_file(Path(record.path)) == record


def test_get_takes_an_id_a_prefix_or_a_path(library: Library, paths: Paths) -> None:
    first = write_model(paths.models / "owner" / "Qwen-GGUF" / "Qwen-Q8_0.gguf", name="a")
    write_model(paths.models / "owner" / "Qwen-GGUF" / "Qwen-Q4_0.gguf", name="b")
    write_model(paths.models / "owner" / "Llama-GGUF" / "Llama-Q4_0.gguf", name="c")
    assert library.get("owner/Llama").id == "owner/Llama-GGUF:Q4_0"
    assert library.get("llama").id == "owner/Llama-GGUF:Q4_0"
    assert library.get("QWEN-gguf:q8_0").id == "owner/Qwen-GGUF:Q8_0"
    assert library.get(str(first)).id == "owner/Qwen-GGUF:Q8_0"
    with pytest.raises(ModelAmbiguousError, match="owner/Qwen-GGUF:Q4_0, owner/Qwen-GGUF:Q8_0"):
        library.get("owner/Qwen")
    for name in ("", "mistral", "/nowhere/x.gguf", "x\0.gguf"):
        with pytest.raises(ModelNotFoundError):
            library.get(name)


def test_a_path_outside_is_a_visitor(library: Library, tmp_path: Path) -> None:
    path = write_model(tmp_path / "elsewhere" / "m.gguf")
    record = library.get(str(path))
    assert (record.id, record.path) == (str(path), str(path))
    assert library.records() == ()
    with pytest.raises(ModelNotFoundError):
        library.remove(str(path))
    assert path.exists()
    broken = tmp_path / "page.gguf"
    broken.write_text("<html>")
    with pytest.raises(WrongMagicError):
        library.get(str(broken))


def test_damaged_files_are_listed_with_the_reason(library: Library, paths: Paths) -> None:
    (paths.models / "page.gguf").write_text("<html>")
    (paths.models / "empty.gguf").touch()
    (paths.models / "folder.gguf").mkdir()
    whole = write_model(paths.models / "cut.gguf")
    os.truncate(whole, 9000)
    write_gguf(paths.models / "old.gguf", version=1)
    reasons = {record.id: record.damaged or "" for record in library.records()}
    assert set(reasons) == {"page", "empty", "cut", "old"}
    assert "not a GGUF" in reasons["page"]
    assert "begins with nothing" in reasons["empty"]
    assert "cut short" in reasons["cut"]
    assert "no longer reads" in reasons["old"]
    assert library.models() == ()
    whole.unlink()
    write_model(paths.models / "cut.gguf")
    library.rescan()
    assert library.get("cut").damaged is None


def test_a_split_set_is_one_model(library: Library, paths: Paths) -> None:
    files = split(paths.models / "o" / "r" / "Q8_0", "big-Q8_0", 3)
    (record,) = library.records()
    assert [file.path for file in record.files] == [str(file) for file in files]
    assert record.id == "o/r:Q8_0"
    assert record.summary is not None
    whole = sum(tensor.bytes for tensor in model_tensors())
    assert sum(record.summary.tensor_bytes.values()) == whole
    assert record.summary.split_count == 3
    files[1].unlink()
    for file in (files[0], files[2]):
        os.utime(file, (1, 1))
    library.rescan()
    assert library.records()[0].damaged == "1 of its 3 parts are missing, big-Q8_0-00002-of-00003.gguf first."


def test_a_split_set_on_its_way_is_not_damaged(library: Library, paths: Paths) -> None:
    files = split(paths.models / "o" / "r", "big-Q8_0", 3)
    files[2].unlink()
    assert library.rescan() == ()
    for file in files[:2]:
        os.utime(file, (1, 1))
    part = files[2].with_name(files[2].name + ".part")
    part.touch()
    assert library.rescan() == ()
    part.unlink()
    assert library.rescan()[0].damaged is not None


def test_two_files_of_one_name_get_two_ids(library: Library, paths: Paths) -> None:
    write_model(paths.models / "x" / "m.gguf", name="one")
    write_model(paths.models / "y" / "m.gguf", name="two")
    write_model(paths.models / "o" / "r" / "a-Q8_0.gguf", name="three")
    write_model(paths.models / "o" / "r" / "b-Q8_0.gguf", name="four")
    assert sorted(ids(library)) == ["m", "m-2", "o/r:Q8_0", "o/r:b-Q8_0"]
    before = {record.path: record.id for record in library.records()}
    write_model(paths.models / "a" / "m.gguf", name="five")
    library.rescan()
    after = {record.path: record.id for record in library.records()}
    assert before.items() <= after.items(), "an id never changes"


def test_the_same_bytes_are_shown_once(library: Library, paths: Paths, tmp_path: Path) -> None:
    first = write_model(paths.models / "o" / "r" / "m-Q8_0.gguf", name="one")
    other = tmp_path / "extra"
    other.mkdir()
    os.link(first, other / "linked.gguf")
    (other / "symlink.gguf").symlink_to(first)
    (other / "copy.gguf").write_bytes(first.read_bytes())
    library.add_folder(other)
    assert ids(library) == ["o/r:Q8_0"]
    assert library.copies("o/r:Q8_0") == (str(other / "copy.gguf"), "copy")
    assert library.get("copy").id == "o/r:Q8_0"
    assert library.get(str(other / "copy.gguf")).id == "o/r:Q8_0"
    library.remove("o/r:Q8_0")
    assert sorted(ids(library)) == ["copy"] or sorted(ids(library)) == ["linked"]


def test_projectors_belong_to_the_model_beside_them(library: Library, paths: Paths) -> None:
    folder = paths.models / "o" / "VL-GGUF"
    write_model(folder / "VL-Q8_0.gguf", name="v")
    write_model(folder / "mmproj-BF16.gguf", "clip", name="p1")
    write_model(folder / "mmproj-F16.gguf", "clip", name="p2")
    write_model(paths.models / "o" / "Text-GGUF" / "Text-Q8_0.gguf", name="t")
    assert library.get("o/VL-GGUF:Q8_0").projector == str(folder / "mmproj-F16.gguf")
    assert library.get("o/Text").projector is None
    assert [record.id for record in library.models()] == ["o/Text-GGUF:Q8_0", "o/VL-GGUF:Q8_0"]
    assert "o/VL-GGUF:projector-F16" in ids(library)


def test_adopting_remembers_where_a_download_came_from(library: Library, paths: Paths, bus: Bus) -> None:
    told: list[LibraryChanged] = []
    bus.subscribe(LibraryChanged, told.append)
    path = write_model(paths.models / "o" / "r" / "UD-Q4_K_XL" / "m-UD-Q4_K_XL.gguf")
    source = Source("o/r", "abc123", "UD-Q4_K_XL/m-UD-Q4_K_XL.gguf")
    record = library.adopt([path], source, "f" * 64)
    assert (record.id, record.source, record.files[0].sha256) == ("o/r:UD-Q4_K_XL", source, "f" * 64)
    assert record.summary is not None
    assert record.summary.quant == "UD-Q4_K_XL"
    assert told == [LibraryChanged(("o/r:UD-Q4_K_XL",))]
    other = again(paths, bus)
    assert other.get("o/r").source == source
    assert other.get("o/r").files[0].sha256 == "f" * 64
    other.close()
    with pytest.raises(ModelNotFoundError):
        library.adopt([paths.models / "nothing.gguf"])


def test_a_changed_file_loses_its_hash(library: Library, paths: Paths) -> None:
    path = write_model(paths.models / "m.gguf")
    library.adopt([path], None, ["0" * 64])
    write_model(path, name="Other")
    library.rescan()
    record = library.get("m")
    assert record.files[0].sha256 is None
    assert record.summary is not None
    assert record.summary.name == "Other"


def test_importing_links_copies_or_moves(library: Library, paths: Paths, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    linked = write_model(tmp_path / "a" / "linked.gguf", name="a")
    record = library.import_file(linked)
    assert linked.samefile(record.path)
    assert record.source is None
    moved = write_model(tmp_path / "a" / "moved.gguf", name="b")
    library.import_file(moved, move=True)
    assert not moved.exists()

    def refuse(*_args: object) -> None:
        raise OSError(18, "cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    copied = write_model(tmp_path / "a" / "copied.gguf", name="c")
    steps: list[tuple[int, int]] = []
    record = library.import_file(copied, progress=lambda done, total: steps.append((done, total)))
    assert not copied.samefile(record.path)
    assert steps[-1] == (record.bytes, record.bytes)
    assert sorted(ids(library)) == ["copied", "linked", "moved"]
    assert not list(paths.models.rglob("*.part"))


def test_importing_a_split_set_or_a_second_file_of_the_same_name(library: Library, tmp_path: Path) -> None:
    files = split(tmp_path / "s", "set", 2)
    record = library.import_file(files[1])
    assert (record.id, len(record.files), record.damaged) == ("set", 2, None)
    one = library.import_file(write_model(tmp_path / "x" / "m.gguf", name="one"))
    two = library.import_file(write_model(tmp_path / "y" / "m.gguf", name="two"))
    assert (one.id, two.id) == ("m", "m-2")
    split(tmp_path / "t", "part", 2)[0].unlink()
    with pytest.raises(ModelNotFoundError, match="part-00001-of-00002"):
        library.import_file(tmp_path / "t" / "part-00002-of-00002.gguf")


def test_a_bad_file_is_not_imported(library: Library, paths: Paths, tmp_path: Path) -> None:
    page = tmp_path / "page.gguf"
    page.write_text("<html>")
    with pytest.raises(WrongMagicError):
        library.import_file(page)
    cut = write_model(tmp_path / "cut.gguf")
    os.truncate(cut, 9000)
    with pytest.raises(TruncatedModelError):
        library.import_file(cut)
    with pytest.raises(ModelNotFoundError):
        library.import_file(tmp_path / "nothing.gguf")
    assert list(paths.models.iterdir()) == []


def test_removing_deletes_the_files_and_their_empty_folders(library: Library, paths: Paths) -> None:
    split(paths.models / "o" / "r" / "Q8_0", "big-Q8_0", 2)
    library.remove("o/r:Q8_0")
    assert library.records() == ()
    assert list(paths.models.iterdir()) == []
    with pytest.raises(ModelNotFoundError):
        library.remove("o/r:Q8_0")


def test_uses_are_counted_and_kept(library: Library, paths: Paths, bus: Bus) -> None:
    write_model(paths.models / "m.gguf")
    library.records()
    library.touched("m")
    library.touched("m")
    library.touched("unknown")
    assert library.get("m").times_used == 2
    other = again(paths, bus)
    assert other.get("m").times_used == 2
    assert other.get("m").last_used_at == pytest.approx(library.get("m").last_used_at)
    other.close()


def test_a_moved_file_keeps_what_was_known(library: Library, paths: Paths) -> None:
    path = write_model(paths.models / "o" / "r" / "m-Q8_0.gguf")
    library.records()
    library.touched("o/r:Q8_0")
    added = library.get("o/r").added_at
    (paths.models / "sorted").mkdir()
    path.rename(paths.models / "sorted" / "m-Q8_0.gguf")
    library.rescan()
    record = library.get("o/r:Q8_0")
    assert (record.times_used, record.added_at) == (1, added)


def test_a_second_look_reads_no_header_again(
    library: Library, paths: Paths, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        write_model(paths.models / f"m{number}.gguf", name=str(number))
    library.records()
    monkeypatch.setattr(library_scan, "read_header", lambda *_a, **_k: pytest.fail("read again"))
    assert len(library.rescan()) == 5
    other = again(paths, bus)
    assert len(other.records()) == 5
    other.close()


def test_only_changes_are_published(library: Library, paths: Paths, bus: Bus) -> None:
    told: list[LibraryChanged] = []
    bus.subscribe(LibraryChanged, told.append)
    path = write_model(paths.models / "m.gguf")
    library.rescan()
    library.rescan()
    path.unlink()
    library.rescan()
    assert told == [LibraryChanged(("m",)), LibraryChanged(("m",))]


def test_folders_are_kept_and_can_be_taken_away(
    library: Library, paths: Paths, bus: Bus, tmp_path: Path
) -> None:
    write_model(tmp_path / "extra" / "deep" / "m.gguf")
    library.add_folder(tmp_path / "extra")
    assert ids(library) == ["m"]
    other = again(paths, bus)
    assert other.folders() == (Folder(str(paths.models), "own"), Folder(str(tmp_path / "extra")))
    other.remove_folder(str(tmp_path / "extra"))
    assert ids(other) == []
    other.close()
    with pytest.raises(UsageError):
        library.add_folder(tmp_path / "nowhere")


def test_a_loop_of_links_ends(library: Library, paths: Paths) -> None:
    write_model(paths.models / "a" / "m.gguf")
    (paths.models / "a" / "loop").symlink_to(paths.models)
    (paths.models / "a" / "dead.gguf").symlink_to("nowhere")
    assert ids(library) == ["m"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that are no text")
def test_names_of_any_letters_but_no_broken_ones(library: Library, paths: Paths) -> None:
    write_model(paths.models / "mô\u00a0hình\nhai.gguf", name="a")
    broken = os.fsencode(paths.models) + b"/\xff.gguf"
    os.link(write_model(paths.models / "c.gguf", name="b"), broken)
    (paths.models / "c.gguf").unlink()
    assert ids(library) == ["mô\u00a0hình\nhai"]


def test_the_hub_cache_shows_a_blob_once(library: Library, tmp_path: Path) -> None:
    repo = tmp_path / "hub" / "models--org--Name-GGUF"
    blob = write_model(repo / "blobs" / "aa11")
    for revision in ("rev1", "rev2"):
        (repo / "snapshots" / revision).mkdir(parents=True)
        (repo / "snapshots" / revision / "Name-Q8_0.gguf").symlink_to(blob)
    library.add_folder(Folder(str(tmp_path / "hub"), "huggingface"))
    (record,) = library.records()
    assert record.id == "org/Name-GGUF:Q8_0"
    assert record.source == Source("org/Name-GGUF", "rev1", "Name-Q8_0.gguf")
    library.remove(record.id)
    assert not blob.exists()


def ollama(root: Path, name: str, tag: str, digest: str) -> Path:
    blob = root / "blobs" / f"sha256-{digest}"
    manifest = root / "manifests" / "registry.ollama.ai" / "library" / name / tag
    manifest.parent.mkdir(parents=True, exist_ok=True)
    layers = [("model", digest), ("license", "0" * 64)]
    content = [{"mediaType": f"application/vnd.ollama.image.{k}", "digest": f"sha256:{d}"} for k, d in layers]
    manifest.write_text(json.dumps({"layers": content}))
    return blob


def test_ollamas_store_is_read_in_place(library: Library, tmp_path: Path) -> None:
    root = tmp_path / "ollama"
    write_model(ollama(root, "llama3.2", "1b", "a" * 64), name="x")
    ollama(root, "gone", "latest", "b" * 64)
    (root / "manifests" / "registry.ollama.ai" / "library" / "llama3.2" / "bad").write_text("{")
    library.add_folder(Folder(str(root), "ollama"))
    (record,) = library.records()
    assert (record.id, record.files[0].sha256, record.damaged) == ("llama3.2:1b", "a" * 64, None)
    with pytest.raises(UnsupportedModelError):
        library.remove("llama3.2:1b")


def test_a_chosen_folder_is_recognised_by_what_lies_in_it(library: Library, tmp_path: Path) -> None:
    for name in ("ollama/manifests", "ollama/blobs", "hub/models--o--r/snapshots", "plain"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("ollama", "hub", "plain"):
        library.add_folder(tmp_path / name)
    kinds = {Path(folder.path).name: folder.kind for folder in library.folders()}
    assert (kinds["ollama"], kinds["hub"], kinds["plain"]) == ("ollama", "huggingface", "folder")


def test_stores_of_other_programs_are_suggested(tmp_path: Path) -> None:
    for place in (".lmstudio/models", ".ollama/models", ".cache/huggingface/hub"):
        (tmp_path / place).mkdir(parents=True)
    kinds = [folder.kind for folder in suggestions({}, tmp_path)]
    assert kinds == ["huggingface", "lmstudio", "ollama"]
    assert suggestions({"HF_HUB_CACHE": str(tmp_path)}, tmp_path / "no") == [
        Folder(str(tmp_path), "huggingface")
    ]


def test_a_damaged_index_keeps_what_a_person_wrote(
    library: Library, paths: Paths, bus: Bus, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    write_model(paths.models / "m.gguf")
    write_model(elsewhere / "n.gguf", **{"general.name": "another"})
    library.add_folder(elsewhere)
    library.annotate("m", tags=("good",), notes="for letters")
    library.close()
    index = paths.data / "library.sqlite"
    with contextlib.closing(sqlite3.connect(index)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'file'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with index.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    other = again(paths, bus)
    assert sorted(ids(other)) == ["m", "n"]
    assert list(paths.data.glob("library.damaged-*"))
    assert other.facts("m").tags == ("good",)
    other.close()


def test_a_damaged_index_is_made_anew(library: Library, paths: Paths, bus: Bus) -> None:
    write_model(paths.models / "m.gguf")
    (paths.data / "library.sqlite").write_bytes(b"this is not a database, not at all" * 40)
    assert ids(library) == ["m"]
    assert list(paths.data.glob("library.damaged-*"))
    other = again(paths, bus)
    assert ids(other) == ["m"]
    other.close()


def test_an_index_that_cannot_be_written_is_kept_in_memory(paths: Paths, bus: Bus) -> None:
    write_model(paths.models / "m.gguf")
    (paths.data / "library.sqlite").mkdir()
    library = Library(paths, bus)
    assert ids(library) == ["m"]
    library.touched("m")
    library.rescan()
    assert library.get("m").times_used == 1
    library.close()


def test_a_locked_index_does_not_stop_the_list(paths: Paths, bus: Bus) -> None:
    write_model(paths.models / "m.gguf")
    library = Library(paths, bus)
    library.records()
    holder = sqlite3.connect(paths.data / "library.sqlite", isolation_level=None)
    library._index._open().execute("PRAGMA busy_timeout = 50")
    holder.execute("BEGIN IMMEDIATE")
    write_model(paths.models / "n.gguf", name="n")
    assert len(library.rescan()) == 2
    holder.execute("ROLLBACK")
    holder.close()
    library.close()


def test_two_processes_add_models_at_once(paths: Paths, bus: Bus) -> None:
    libraries = [Library(paths, bus) for _ in range(2)]
    errors: list[BaseException] = []

    def work(library: Library, prefix: str) -> None:
        try:
            for number in range(10):
                path = write_model(
                    paths.models / "o" / prefix / f"m{number}-Q8_0.gguf", name=f"{prefix}{number}"
                )
                library.adopt([path], Source(f"o/{prefix}", "rev", path.name))
                library.touched(library.records()[0].id)
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=work, args=(item, name)) for item, name in zip(libraries, "ab", strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert ids(libraries[0]) == ids(libraries[1]) or len(libraries[0].rescan()) == 20
    for library in libraries:
        assert len(library.rescan()) == 20
        assert all(record.source and record.source.revision == "rev" for record in library.records())
        library.close()


def test_a_model_that_another_process_adds_during_a_look_keeps_its_source(
    paths: Paths, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, other = Library(paths, bus), Library(paths, bus)
    walk = library_module.walk

    def adopt_behind_it(folder: Folder) -> list[Found]:
        found = list(walk(folder))
        monkeypatch.setattr(library_module, "walk", walk)
        path = write_model(paths.models / "o" / "r" / "m-Q8_0.gguf")
        other.adopt([path], Source("o/r", "rev", path.name))
        return found

    monkeypatch.setattr(library_module, "walk", adopt_behind_it)
    library.rescan()
    assert [record.source for record in library.rescan()] == [Source("o/r", "rev", "m-Q8_0.gguf")]
    for one in (library, other):
        one.close()


def test_a_folder_that_cannot_be_read_is_passed_over(library: Library, paths: Paths, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    write_model(paths.models / "good" / "m.gguf")
    (paths.models / "bad").mkdir()
    real = os.scandir

    def scandir(path: str):  # type: ignore[no-untyped-def]
        if path.endswith("bad"):
            raise PermissionError(13, "no")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert ids(library) == ["m"]


def test_the_bin_is_used_where_there_is_one(
    paths: Paths, bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    binned: list[str] = []
    import send2trash

    def take(path: str) -> None:
        binned.append(path)
        Path(path).unlink()

    monkeypatch.setattr(send2trash, "send2trash", take)
    library = Library(Paths(tmp_path / "c", tmp_path / "d", tmp_path / "e", tmp_path / "f").ensure(), bus)
    path = write_model(tmp_path / "d" / "models" / "m.gguf")
    library.remove("m")
    assert binned == [str(path)]
    library.close()
