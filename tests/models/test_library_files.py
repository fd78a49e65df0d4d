"""Bringing files in and putting them into the bin, when the disk does not play along."""

import errno
import os
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from app.core.errors import DiskFullError, ReadOnlyError
from app.models import library_files
from tests.fakes.gguf_writer import write_model


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "from" / "m.gguf")


def no_links(monkeypatch: pytest.MonkeyPatch, number: int = errno.EXDEV) -> None:
    def refuse(*_args: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)


def bring(model: Path, folder: Path, move: bool = False) -> list[Path]:
    return library_files.bring_in([model], folder, move=move, progress=None)


def test_a_full_disk_is_known_before_copying(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_links(monkeypatch)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(1, 1, 1000))
    with pytest.raises(DiskFullError, match="then try again") as caught:
        bring(model, tmp_path / "to")
    assert caught.value.params["missing"] == "64 MiB"
    assert list((tmp_path / "to").iterdir()) == []


def test_a_disk_that_fills_while_linking(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_links(monkeypatch, errno.ENOSPC)
    with pytest.raises(DiskFullError):
        bring(model, tmp_path / "to")


def test_a_folder_that_cannot_be_made(model: Path, tmp_path: Path) -> None:
    (tmp_path / "to").touch()
    with pytest.raises(ReadOnlyError):
        bring(model, tmp_path / "to" / "below")


def test_a_copy_that_breaks_leaves_nothing(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_links(monkeypatch)
    monkeypatch.setattr(os, "fsync", lambda _handle: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))
    with pytest.raises(ReadOnlyError):
        bring(model, tmp_path / "to")
    assert list((tmp_path / "to").iterdir()) == []
    assert model.exists()


def test_moving_across_disks_copies_then_deletes(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = model.stat().st_size

    def refuse(*_args: object) -> None:
        raise OSError(errno.EXDEV, "cross-device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refuse)
        (placed,) = bring(model, tmp_path / "to", move=True)
    assert placed.stat().st_size == size
    assert not model.exists()


def test_names_that_are_taken_get_a_number(model: Path, tmp_path: Path) -> None:
    for expected in ("to", "to-2", "to-3"):
        (placed,) = bring(model, tmp_path / "to")
        assert placed.parent.name == expected


class Bin:
    """Stands for the module ``send2trash``."""

    def __init__(self, error: OSError | None = None) -> None:
        self.error, self.taken = error, list[str]()

    def send2trash(self, path: str) -> None:
        if self.error:
            raise self.error
        self.taken.append(path)


@pytest.mark.parametrize(
    ("error", "binned"),
    [(None, True), (FileNotFoundError(2, "gone"), True), (OSError(5, "no bin here"), False)],
)
def test_the_bin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError | None, binned: bool
) -> None:
    monkeypatch.setitem(sys.modules, "send2trash", Bin(error))  # type: ignore[arg-type]
    (tmp_path / "x").touch()
    assert (library_files._to_bin(tmp_path / "x") is not None) is binned


def test_no_bin_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "send2trash", None)
    path = tmp_path / "x"
    path.touch()
    library_files._discard_file(path)
    assert not path.exists()
    library_files._discard_file(path)


def test_a_file_that_cannot_be_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_files, "_to_bin", lambda _path: None)
    with pytest.raises(ReadOnlyError):
        library_files._discard_file(tmp_path)
