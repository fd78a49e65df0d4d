"""The documents name only what exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATH = re.compile(r"`((?:app|packaging|resources|tests|docs)/[\w./-]*)`")


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md"])
def test_every_path_that_is_named_exists(name: str) -> None:
    paths = PATH.findall((ROOT / name).read_text("utf-8"))
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_architecture_names_paths_and_every_package() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    packages = sorted(path.parent.name for path in (ROOT / "app").glob("*/__init__.py"))
    assert len(PATH.findall(text)) > 20
    assert [name for name in packages if f"`app/{name}/`" not in text] == []
