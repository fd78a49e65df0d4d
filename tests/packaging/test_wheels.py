"""The kept wheels: pip is told what to do, and does it to files here, without a registry."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from devkit import wheels
from devkit.say import Problem
from devkit.venvs import Environment

CONTENTS = {"one-1-py3-none-any.whl": b"one", "two-2-py3-none-any.whl": b"two"}


@dataclass(frozen=True)
class Files(Environment):
    """An environment whose pip copies files: ``registry`` is what can be fetched, ``done`` what it was told."""

    registry: dict[str, bytes] = field(default_factory=lambda: dict(CONTENTS))
    done: list[str] = field(default_factory=list)

    def pip(self, what: str, doing: str, *arguments: str | Path, **_more: object) -> None:
        words = [str(word) for word in arguments]
        assert "--require-hashes" in words
        if "download" in words:
            self.done.append("fetched")
            target = Path(words[words.index("--dest") + 1])
            target.mkdir(parents=True)
            for name, data in self.registry.items():
                (target / name).write_bytes(data)
        elif "--no-index" in words:
            place = Path(words[words.index("--find-links") + 1])
            if any(not (place / name).exists() for name in CONTENTS):
                raise Problem("No matching distribution found")
            self.done.append("from the cache")
        else:
            self.done.append("from the registry")


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A requirement file that names both by their hashes."""
    monkeypatch.setenv("HEARTH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(wheels, "REQUIREMENTS", tmp_path)
    path = tmp_path / "core.txt"
    path.write_text("\n".join(hashlib.sha256(data).hexdigest() for data in CONTENTS.values()))
    return path


def made(tmp_path: Path, name: str = "here") -> Files:
    return Files(name, tmp_path / name, ("core.txt",), lazy=True)


def test_they_are_fetched_once_for_a_lock(locked: Path, tmp_path: Path) -> None:
    environment = made(tmp_path)
    for _ in range(2):
        wheels.install(environment, [locked])
    assert environment.done == ["fetched", "from the cache", "from the cache"]
    locked.write_text(locked.read_text() + "\nthree")
    wheels.install(environment, [locked])
    assert environment.done[3:] == ["fetched", "from the cache"]


def test_a_lost_file_is_fetched_again(locked: Path, tmp_path: Path) -> None:
    environment = made(tmp_path)
    wheels.install(environment, [locked])
    next(wheels.folder().glob("one-*")).unlink()
    wheels.install(environment, [locked])
    assert environment.done[2:] == ["fetched", "from the cache"]


def test_what_no_lock_names_any_more_goes(locked: Path, tmp_path: Path) -> None:
    environment = made(tmp_path)
    environment.registry["old-0-py3-none-any.whl"] = b"old"
    wheels.install(environment, [locked])
    assert {path.name for path in wheels.folder().iterdir()} == {*CONTENTS, "kept.json"}


def test_what_pip_must_build_comes_from_the_registry(locked: Path, tmp_path: Path) -> None:
    environment = made(tmp_path)
    del environment.registry["two-2-py3-none-any.whl"]
    wheels.install(environment, [locked])
    assert environment.done == ["fetched", "from the registry"]


def test_no_network_is_said_and_keeps_nothing_half(locked: Path, tmp_path: Path, monkeypatch) -> None:
    def gone(*_arguments: object, **_more: object) -> None:
        raise Problem("The package registry can't be reached.")

    monkeypatch.setattr(Files, "pip", gone)
    with pytest.raises(Problem, match="can't be reached"):
        wheels.install(made(tmp_path), [locked])
    assert not list(wheels.folder().glob("*"))


def test_an_environment_without_pip_is_filled_by_its_lender(tmp_path: Path, monkeypatch) -> None:
    told: list[list[str]] = []
    monkeypatch.setattr(
        "devkit.venvs.run_logged", lambda command, *_, **__: told.append([*map(str, command)])
    )
    lender = Environment("venv", tmp_path / "lender", ())
    borrower = Environment("other", tmp_path / "other", (), lender=lender)
    borrower.pip("requirements", "installing", "install", "x")
    assert told[0][0] == str(lender.python)
    assert told[0][told[0].index("--python") + 1] == str(borrower.python)


def test_it_is_compiled_at_once_unless_it_is_lazy(locked: Path, tmp_path: Path, monkeypatch) -> None:
    told: list[list[str]] = []
    monkeypatch.setattr(wheels, "run_logged", lambda command, *_, **__: told.append([*map(str, command)]))
    for lazy in (True, False):
        environment = Files("here", tmp_path / "here", ("core.txt",), lazy=lazy)
        wheels.install(environment, [locked])
        assert told == ([] if lazy else [[str(environment.python), "-c", wheels.COMPILE]])
