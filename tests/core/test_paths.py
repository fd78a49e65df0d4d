"""Folders: HEARTH_HOME moves everything; a folder that can't be written is named."""

from pathlib import Path

import pytest

from app.core.errors import ReadOnlyError
from app.core.paths import find_paths


def test_hearth_home_moves_every_file(tmp_path: Path) -> None:
    paths = find_paths({"HEARTH_HOME": str(tmp_path)})
    for path in (
        paths.settings_file,
        paths.models,
        paths.chats_file,
        paths.cache,
        paths.logs,
        paths.lock_file,
    ):
        assert tmp_path in path.parents


def test_without_it_the_platform_s_folders_are_used() -> None:
    paths = find_paths({})
    assert paths.data.name == "Hearth"
    assert paths.data.is_absolute()


def test_ensure_makes_the_folders_and_can_be_repeated(tmp_path: Path) -> None:
    paths = find_paths({"HEARTH_HOME": str(tmp_path / "new")})
    assert paths.ensure().ensure().models.is_dir()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReadOnlyError, match="HEARTH_HOME") as caught:
        find_paths({"HEARTH_HOME": str(tmp_path / "file")}).ensure()
    assert str(tmp_path / "file") in str(caught.value)
