"""Taking models back from a bin as freedesktop.org describes it, in a home of the test's own."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.errors import ReadOnlyError, UsageError
from app.core.events import Bus
from app.core.paths import Paths
from app.models import library_bin, library_files
from app.models.folders import Folder
from app.models.library import Library
from tests.fakes.gguf_writer import write_model

pytestmark = pytest.mark.skipif(
    sys.platform in {"win32", "darwin"}, reason="freedesktop.org's bin is tried here"
)


@pytest.fixture
def trash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Home, its bin and the models on one disk, as most people have them."""
    from send2trash import plat_other

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    place = tmp_path / "data" / "Trash"
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(plat_other, "HOMETRASH_B", bytes(place))
    monkeypatch.setattr(plat_other, "XDG_DATA_HOME", bytes(tmp_path / "data"))
    return place


@pytest.fixture
def library(paths: Paths, bus: Bus) -> Iterator[Library]:
    found = Library(paths, bus)
    yield found
    found.close()


def test_a_removed_model_comes_back_with_its_notes(library: Library, paths: Paths, trash: Path) -> None:
    path = write_model(paths.models / "me" / "tiny" / "m-Q8_0.gguf")
    library.annotate("me/tiny:Q8_0", favourite=True, tags=("work",), title="My coder")
    removed = library.remove("me/tiny:Q8_0")
    assert removed.in_bin
    assert not path.parent.exists()
    assert library.records() == ()
    assert library.restore(removed).name == "My coder"
    assert library.facts("me/tiny:Q8_0").favourite
    assert list((trash / "info").iterdir()) == []
    with pytest.raises(UsageError, match="no longer in the bin"):
        library.restore(removed)


def test_a_place_that_is_taken_is_left_alone(library: Library, paths: Paths, trash: Path) -> None:
    path = write_model(paths.models / "m.gguf")
    removed = library.remove("m")
    path.write_bytes(b"new")
    with pytest.raises(UsageError, match=r"another m\.gguf"):
        library.restore(removed)
    assert path.read_bytes() == b"new"
    assert len(list((trash / "files").iterdir())) == 1


def test_a_link_of_the_hubs_cache_goes_and_comes_with_its_blob(
    library: Library, tmp_path: Path, trash: Path
) -> None:
    repo = tmp_path / "hub" / "models--me--tiny"
    blob = write_model(repo / "blobs" / ("a" * 64))
    link = repo / "snapshots" / "abc" / "m-Q8_0.gguf"
    link.parent.mkdir(parents=True)
    link.symlink_to(Path("../../blobs") / blob.name)
    library.add_folder(Folder(str(tmp_path / "hub"), "huggingface"))
    (record,) = library.records()
    assert record.files[0].sha256 == "a" * 64
    removed = library.remove(record.id)
    assert (link.is_symlink(), blob.exists()) == (False, False)
    library.restore(removed)
    assert link.resolve() == blob.resolve()
    assert library.get(record.id) == record


def test_a_file_that_stays_brings_the_others_back(
    library: Library, paths: Paths, trash: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_model(paths.models / "m.gguf")
    item = library._item("m")
    monkeypatch.setattr(library_files, "_all_files", lambda _item: [path, paths.models / "other"])
    real = library_files._discard_file

    def discard(found: Path) -> object:
        if found != path:
            raise ReadOnlyError(path=str(found))
        return real(found)

    monkeypatch.setattr(library_files, "_discard_file", discard)
    with pytest.raises(ReadOnlyError):
        library_files.discard(item, paths.models)
    assert path.exists()


def test_what_is_found_nowhere_is_not_offered(tmp_path: Path, trash: Path) -> None:
    path = tmp_path / "x"
    path.touch()
    binned = library_bin.put(path)
    assert binned
    assert binned.place == str(trash / "files" / "x")
    assert library_bin._find(path, (0, 0)) is None
    assert library_bin._find(path, (1, 2)) is None
    with pytest.raises(UsageError):
        library_bin.take_back(library_bin.Binned(str(path)))
