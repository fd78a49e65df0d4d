"""The wish to stay awake is held by a helper that ends with us."""

import subprocess
import sys

import psutil
import pytest

from app.models import downloads_awake
from app.models.downloads_awake import Awake
from tests.waiting import ended, until

needs_helper = pytest.mark.skipif(sys.platform == "win32", reason="Windows needs no helper")


def helpers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]


@needs_helper
def test_on_and_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads_awake, "_command", lambda: ["cat"])
    before, awake = len(helpers()), Awake()
    awake.set(True)
    awake.set(True)
    assert len(helpers()) == before + 1
    awake.set(False)
    awake.set(False)
    assert len(helpers()) == before


@needs_helper
@pytest.mark.parametrize("command", [None, ["/nowhere/to/be/found"]])
def test_where_it_is_not_possible_nothing_happens(
    monkeypatch: pytest.MonkeyPatch, command: list[str] | None
) -> None:
    monkeypatch.setattr(downloads_awake, "_command", lambda: command)
    before, awake = len(helpers()), Awake()
    awake.set(True)
    assert len(helpers()) == before
    awake.set(False)
    assert len(helpers()) == before


@needs_helper
def test_a_helper_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads_awake, "_command", lambda: ["sleep", "60"])
    before, awake = len(helpers()), Awake()
    awake.set(True)
    awake.set(False)
    assert len(helpers()) == before


@needs_helper
def test_it_ends_when_we_are_killed() -> None:
    code = (
        "import time\nfrom app.models import downloads_awake as a\na._command = lambda: ['cat']\n"
        "w = a.Awake()\nw.set(True)\nprint(w._helper.pid, flush=True)\ntime.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    helper = int(parent.stdout.readline())
    assert not ended(helper)
    parent.kill()
    parent.communicate()
    until(lambda: ended(helper))


@pytest.mark.parametrize(
    ("system", "program", "first"),
    [
        ("darwin", "caffeinate", "caffeinate"),
        ("linux", "systemd-inhibit", "systemd-inhibit"),
        ("linux", "", ""),
    ],
)
def test_the_command_of_each_system(
    monkeypatch: pytest.MonkeyPatch, system: str, program: str, first: str
) -> None:
    monkeypatch.setattr(downloads_awake.sys, "platform", system)
    monkeypatch.setattr(downloads_awake.shutil, "which", lambda name: name if name == program else None)
    command = downloads_awake._command()
    assert (command[0] if command else "") == first
