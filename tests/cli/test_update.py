"""``hearth update`` against a local server, with a .run in a folder of the test's own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli.main import main
from app.core.events import Bus
from app.core.settings import SettingsStore
from app.updates import service
from app.updates.installed import find_installed
from tests.fakes.update_site import UpdateSite, make_run_file, says

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="shell scripts and links")


@pytest.fixture
def start(
    tmp_path: Path, home: Path, paths: object, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[UpdateSite, Path]]:
    """The site with 0.2.0, and the installed command of 0.1.0, which this process takes for its own."""
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    old = make_run_file(tmp_path / "old", "0.1.0")
    subprocess.run(["sh", old, "--no-start"], check=True, capture_output=True)
    new = make_run_file(tmp_path / "new", "0.2.0")
    program = tmp_path / "person/.local/bin/hearth"
    with UpdateSite(tmp_path / "site") as site:
        (site.folder / new.name).write_bytes(new.read_bytes())
        site.publish("0.2.0")
        settings = SettingsStore(paths.settings_file, Bus())  # type: ignore[attr-defined]
        settings.set("updates.address", site.url)
        settings.set("updates.key", site.key)
        found = service.Updates.__init__.__kwdefaults__
        monkeypatch.setitem(found, "version", "0.1.0")
        monkeypatch.setitem(found, "installed", lambda: find_installed(str(program), frozen=True, environ={}))
        yield site, program


def test_it_looks_installs_and_goes_back(
    start: tuple[UpdateSite, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    site, program = start
    assert main(["update", "--check", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["version"], told["newer"], told["problem"]) == ("0.2.0", True, None)
    assert main(["update"]) == 2
    assert "add --yes" in capsys.readouterr().err
    assert main(["update", "--yes"]) == 0
    said = capsys.readouterr()
    assert "What 0.2.0 brings." in said.err
    assert "in place" in said.out
    assert says(program) == "hearth 0.2.0"
    assert main(["update", "--rollback", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == "0.1.0"
    assert says(program) == "hearth 0.1.0"
    site.publish("0.1.0", serial=2)
    assert main(["update"]) == 0
    assert "is the newest at" in capsys.readouterr().out


def test_what_is_refused_is_said(start: tuple[UpdateSite, Path], capsys: pytest.CaptureFixture[str]) -> None:
    site, program = start
    site.publish("0.2.0", serial=2, minimum="0.1.9")
    assert main(["update", "--check"]) == 0
    assert "needs 0.1.9 or newer" in capsys.readouterr().out
    assert main(["update", "--yes"]) == 1
    site.publish("0.2.0", serial=1)
    assert main(["update", "--check", "--json"]) == 1
    assert json.loads(capsys.readouterr().err.splitlines()[-1])["error"]["code"] == "update_replayed"
    assert says(program) == "hearth 0.1.0"
