"""The workflow for hosted runners asks only for what is there: a renamed command or script would be seen by nobody else
until a release."""

import re

import pytest

from devkit import commands
from devkit.folders import ROOT

TEXT = (ROOT / ".github/workflows/installers.yml").read_text(encoding="utf-8")
SCRIPTS = "\n".join(line for line in TEXT.splitlines() if not line.lstrip().startswith("#"))


def test_its_commands_are_there() -> None:
    asked = re.findall(r"(?:run: make|dev\.py) ([a-z-]+)", SCRIPTS)
    assert {"package", "package-test", "update-list"} <= set(asked)
    assert set(asked) <= set(commands.COMMANDS)


def test_its_files_are_there() -> None:
    named = {path.replace("\\", "/") for path in re.findall(r"packaging[\\/][\w\\/.]+", SCRIPTS)}
    assert {"packaging/dev.py", "packaging/smoke/quick.py"} <= named
    assert [path for path in named if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("name", sorted(set(re.findall(r"secrets\.(\w+)", TEXT))))
def test_each_secret_is_explained_and_may_be_missing(name: str) -> None:
    assert name in TEXT[: TEXT.index("\non:")]


def test_a_chroot_may_be_mounted_in() -> None:
    assert "options: --privileged" in SCRIPTS
