"""Updates against a local server with a real key: when it looks, what it refuses, what is put in place and undone."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace as changed

from app.core import errors
from app.core.paths import Paths
from app.core.settings import Settings
from app.core.update_settings import Updates as UpdateSettings
from app.updates import debian, links, replace
from app.updates.installed import Installed, find_installed
from app.updates.manifest import read_keys
from app.updates.service import DAY, Updates
from app.updates.state import Kept
from app.updates.versions import newer
from tests.fakes.update_site import UpdateSite, make_run_file, make_tree, says

LINUX_ONLY = pytest.mark.skipif(sys.platform == "win32", reason="shell scripts and links")
FILE = "hearth_0.2.0_amd64.deb"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[UpdateSite]:
    with UpdateSite(tmp_path / "site") as running:
        yield running


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(*(tmp_path / "home" / name for name in ("config", "data", "cache", "logs"))).ensure()


def make(paths: Paths, site: UpdateSite | None, *, look: str = "ask", **others: object) -> Updates:
    address, key = (site.url, site.key) if site else ("", "")
    group = UpdateSettings(look=look, address=address, key=key)  # type: ignore[arg-type]
    given = {"version": "0.1.0", "installed": lambda: DEB, "shipped_keys": paths.data / "none", **others}
    return Updates(paths, lambda: Settings(updates=group), **given)  # type: ignore[arg-type]


DEB = Installed("deb", Path("/usr/lib/hearth"), Path("/usr/lib/hearth/hearth"))


class TestAllowed:
    def test_nothing_is_asked_for_without_an_address(self, paths: Paths) -> None:
        updates = make(paths, None, look="day")
        assert (updates.due(), updates.should_ask()) == (False, False)
        with pytest.raises(errors.NoUpdateAddressError):
            updates.check()

    def test_the_person_is_asked_once_for_each_address(self, paths: Paths, site: UpdateSite) -> None:
        updates = make(paths, site)
        assert updates.should_ask()
        updates.asked()
        assert not updates.should_ask()
        assert not make(paths, site, look="never").should_ask()
        assert site.asked == []

    @pytest.mark.parametrize(("look", "days"), [("day", 1), ("week", 7), ("month", 30)])
    def test_it_looks_by_itself_as_often_as_allowed(
        self, paths: Paths, site: UpdateSite, look: str, days: int
    ) -> None:
        updates = make(paths, site, look=look)
        assert updates.due()
        site.publish("0.1.0")
        updates.check()
        last = updates.state.looked_at
        assert not updates.due(last + days * DAY - 1)
        assert updates.due(last + days * DAY)
        assert updates.due(last - 1), "the clock was set back"
        assert not make(paths, site, look="never").due(last + 99 * DAY)

    def test_by_itself_it_tells_news_only(self, paths: Paths, site: UpdateSite) -> None:
        site.publish("0.1.0")
        assert make(paths, site, look="day").look_by_itself() is None
        updates = make(paths, site, look="day")
        updates._state.change(looked_at=0)
        site.publish("0.2.0")
        found = updates.look_by_itself()
        assert found is not None
        assert found.notes_in("vi") == "Những gì 0.2.0 mang lại."
        updates.skip("0.2.0")
        updates._state.change(looked_at=0)
        assert updates.look_by_itself() is None
        updates._state.change(looked_at=0)
        site.status = 500
        assert updates.look_by_itself() is None


class TestRefused:
    def test_a_wrong_signature_and_a_changed_list(self, paths: Paths, site: UpdateSite) -> None:
        site.publish("0.2.0", key=Ed25519PrivateKey.generate())
        with pytest.raises(errors.UpdateSignatureError, match="not signed by the key"):
            make(paths, site).check()
        site.publish("0.2.0")
        file = site.folder / "hearth-updates.json"
        file.write_text(file.read_text().replace("0.2.0", "0.3.0"))
        with pytest.raises(errors.UpdateSignatureError):
            make(paths, site).check()
        assert make(paths, site).state.seen == {}

    def test_an_older_list_than_one_seen(self, paths: Paths, site: UpdateSite) -> None:
        site.publish("0.2.0", serial=5)
        assert make(paths, site).check().newer
        site.publish("0.2.0", serial=4)
        with pytest.raises(errors.UpdateReplayedError, match="holding a newer one back"):
            make(paths, site).check()
        site.publish("0.2.0", serial=1_795_258_889)
        make(paths, site).check()
        site.publish("0.2.0", serial=1_795_000_000)
        with pytest.raises(errors.UpdateReplayedError, match=r"\(2026-11-18 \d\d:06 UTC\)"):
            make(paths, site).check()

    def test_an_older_version(self, paths: Paths, site: UpdateSite) -> None:
        site.publish("0.0.9")
        with pytest.raises(errors.UpdateOlderError, match=r"0\.0\.9, which is older"):
            make(paths, site).check()

    def test_what_is_no_list(self, paths: Paths, site: UpdateSite) -> None:
        (site.folder / "hearth-updates.json").write_text("<html>")
        with pytest.raises(errors.UpdateListError):
            make(paths, site).check()
        for change in ({"product": "other"}, {"version": "new"}, {"format": 2}, {"serial": -1}):
            site.publish(**{"version": "0.2.0", **change})
            with pytest.raises(errors.UpdateListError):
                make(paths, site).check()

    def test_a_name_that_leads_elsewhere(self, paths: Paths, site: UpdateSite) -> None:
        (site.folder / FILE).write_bytes(b"x")
        entry = site.publish("0.2.0")["files"][0]
        site.publish("0.2.0", files=[{**entry, "name": "../../.bashrc"}])
        with pytest.raises(errors.UpdateListError, match="no name of a file"):
            make(paths, site).check()

    def test_no_key_or_a_wrong_one(self, paths: Paths, site: UpdateSite) -> None:
        site.publish("0.2.0")
        group = UpdateSettings(address=site.url)
        with pytest.raises(errors.UpdateKeyError, match="settings name none"):
            Updates(paths, lambda: Settings(updates=group), shipped_keys=paths.data / "none").check()
        with pytest.raises(errors.UpdateKeyError, match="no Ed25519"):
            read_keys("# mine\nAAAA")

    def test_a_key_that_came_with_the_program(self, paths: Paths, site: UpdateSite) -> None:
        site.publish("0.2.0")
        shipped = paths.data / "keys.txt"
        shipped.write_text(f"# ours\n{site.key}\n")
        group = UpdateSettings(address=site.url)
        updates = Updates(paths, lambda: Settings(updates=group), version="0.1.0", shipped_keys=shipped)
        assert updates.check().newer

    def test_no_network_no_file_and_no_address(self, paths: Paths, site: UpdateSite) -> None:
        with pytest.raises(errors.UpdateUnreachableError, match="HTTP 404"):
            make(paths, site).check()
        group = UpdateSettings(address="http://127.0.0.1:9", key=site.key)
        with pytest.raises(errors.UpdateUnreachableError, match="stays as it is"):
            Updates(paths, lambda: Settings(updates=group)).check()
        group = UpdateSettings(address="ftp://here", key=site.key)
        with pytest.raises(errors.UpdateListError, match="https"):
            Updates(paths, lambda: Settings(updates=group)).check()

    def test_what_does_not_fit_is_known_before_anything_is_fetched(
        self, paths: Paths, site: UpdateSite
    ) -> None:
        site.publish("0.2.0")
        updates = make(paths, site)
        with pytest.raises(errors.NoUpdateFileError):
            updates.download(updates.check())
        site.publish("0.2.0", minimum="0.1.5")
        with pytest.raises(errors.UpdateTooFarError, match=r"needs 0\.1\.5"):
            updates.download(updates.check())
        copied = make(paths, site, installed=lambda: Installed("copy", paths.data, paths.data / "hearth"))
        with pytest.raises(errors.UpdateFormError):
            copied.download(copied.check())
        assert [path for path, _ in site.asked] == ["/hearth-updates.json"] * 3


class TestFetching:
    @pytest.fixture(autouse=True)
    def _here(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("app.updates.service.machine", lambda: "x86_64")
        monkeypatch.setattr("app.updates.service.system", lambda: "linux")

    def test_a_download_goes_on_where_it_was_cut(self, paths: Paths, site: UpdateSite) -> None:
        data = os.urandom(3 << 20)
        (site.folder / FILE).write_bytes(data)
        site.publish("0.2.0")
        updates = make(paths, site)
        offer = updates.check()
        site.cut_after = 1 << 20
        fetching = threading.Thread(target=_quietly, args=(updates, offer))
        fetching.start()
        until = threading.Event()
        while fetching.is_alive() and not ((now := updates.progress()) and now.done and now.note):
            until.wait(0.02)
        updates.cancel()
        fetching.join(30)
        site.cut_after = None
        site.asked.clear()
        assert updates.download(offer).read_bytes() == data
        again = sum(_length(wanted) for path, wanted in site.asked[1:] if path == f"/{FILE}")
        assert 0 < again < len(data), "what had come was not fetched again"
        site.asked.clear()
        assert updates.download(offer).is_file()
        assert site.asked == [], "it is there and whole"

    def test_a_file_that_is_cut_or_changed_at_its_place(self, paths: Paths, site: UpdateSite) -> None:
        (site.folder / FILE).write_bytes(b"a" * 5000)
        site.publish("0.2.0")
        updates = make(paths, site)
        offer = updates.check()
        (site.folder / FILE).write_bytes(b"a" * 4000)
        with pytest.raises(errors.UpdateFileError, match="4000 bytes of it and the signed list says 5000"):
            updates.download(offer)
        (site.folder / FILE).write_bytes(b"b" * 5000)
        with pytest.raises(errors.UpdateFileError, match="not those that were signed"):
            updates.download(offer)
        (site.folder / FILE).unlink()
        with pytest.raises(errors.UpdateUnreachableError, match="HTTP 404"):
            updates.download(offer)
        assert not list(paths.cache.rglob(FILE))

    def test_a_full_disk(self, paths: Paths, site: UpdateSite, monkeypatch: pytest.MonkeyPatch) -> None:
        (site.folder / FILE).write_bytes(b"a" * 5000)
        site.publish("0.2.0")
        updates = make(paths, site)
        monkeypatch.setattr("app.models.transfer_disk.MARGIN", 1 << 60)
        with pytest.raises(errors.DiskFullError):
            updates.download(updates.check())

    def test_a_file_that_was_changed_after_it_came_is_not_installed(
        self, paths: Paths, site: UpdateSite
    ) -> None:
        (site.folder / FILE).write_bytes(b"a" * 5000)
        site.publish("0.2.0")
        updates = make(paths, site)
        offer = updates.check()
        file = updates.download(offer)
        file.write_bytes(b"b" * 5000)
        with pytest.raises(errors.UpdateFileError, match="not the file that was signed"):
            updates.install(offer, file)
        assert not file.exists()


def _length(wanted: str) -> int:
    """Of a Range."""
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    return int(last) + 1 - int(first)


def _quietly(updates: Updates, offer: object) -> None:
    try:
        updates.download(offer)  # type: ignore[arg-type]
    except errors.TransferCancelledError:
        return


@LINUX_ONLY
class TestSwitching:
    @pytest.fixture
    def home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A person's own folder with 0.1.0 installed by its .run, and 0.2.0 at the site."""
        home = tmp_path / "a person"
        home.mkdir()
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.delenv("XDG_DATA_HOME", raising=False)
        old = make_run_file(tmp_path / "old", "0.1.0")
        subprocess.run(["sh", old, "--no-start"], check=True, capture_output=True)
        new = make_run_file(tmp_path / "new", "0.2.0")
        (tmp_path / "site").mkdir(exist_ok=True)
        shutil.copy(new, tmp_path / "site")
        return home

    def test_the_run_file_s_form_is_switched_and_rolled_back(
        self, home: Path, site: UpdateSite, paths: Paths
    ) -> None:
        lib, start = home / ".local/lib", home / ".local/bin/hearth"
        installed = lambda: find_installed(str(start), frozen=True, environ={})  # noqa: E731
        assert installed() == Installed("run", lib, lib / "hearth/hearth")
        running = (lib / "hearth/hearth").resolve()
        site.publish("0.2.0")
        updates = make(paths, site, installed=installed)
        offer = updates.check()
        with pytest.raises(errors.NoPreviousVersionError):
            updates.roll_back()
        outcome = updates.install(offer, updates.download(offer))
        assert (outcome.then, says(start), updates.previous()) == ("restart", "hearth 0.2.0", "0.1.0")
        assert running.is_file(), "the program that runs keeps its own files"
        still = find_installed(str(running), frozen=True, environ={})
        assert still == installed(), "and knows what to start in its place"
        assert not list(paths.cache.rglob("*.run"))

        new = make(paths, site, installed=installed, version="0.2.0", look="day")
        assert new.just_updated()
        assert not new.just_updated()
        assert new.roll_back().version == "0.1.0"
        assert (says(start), new.previous()) == ("hearth 0.1.0", "0.2.0")
        back = make(paths, site, installed=installed, look="day")
        assert back.look_by_itself() is None, "what was gone back from is not offered by itself"
        assert back.check().newer

    def test_a_damaged_installer_changes_nothing(self, home: Path, tmp_path: Path) -> None:
        lib = home / ".local/lib"
        file = tmp_path / "bad.run"
        file.write_bytes(next((tmp_path / "new").glob("*.run")).read_bytes()[:-20])
        installed = Installed("run", lib, lib / "hearth/hearth")
        with pytest.raises(errors.UpdateFailedError, match="damaged or not complete"):
            replace.install(installed, file, "0.2.0", "0.1.0", tmp_path)
        assert says(lib / "hearth/hearth") == "hearth 0.1.0"
        assert sorted(path.name for path in lib.iterdir()) == ["hearth", "hearth-0.1.0"]

    def test_no_room_and_no_right_to_write(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lib, file = home / ".local/lib", next((tmp_path / "new").glob("*.run"))
        installed = Installed("run", lib, lib / "hearth/hearth")
        monkeypatch.setattr(links, "free_space", lambda _path: 1000)
        with pytest.raises(errors.DiskFullError):
            replace.install(installed, file, "0.2.0", "0.1.0", tmp_path)
        with pytest.raises(errors.UpdateFolderError, match="may not write"):
            replace.install(Installed("run", Path("/proc"), lib), file, "0.2.0", "0.1.0", tmp_path)
        assert says(lib / "hearth/hearth") == "hearth 0.1.0"

    def test_two_versions_are_kept(self, home: Path, tmp_path: Path) -> None:
        lib = home / ".local/lib"
        for version in ("0.2.0", "0.3.0", "0.3.0"):
            file = make_run_file(tmp_path / version, version)
            subprocess.run(["sh", file, "--no-start"], check=True, capture_output=True)
        names = sorted(path.name for path in lib.iterdir())
        assert names == ["hearth", "hearth-0.2.0", "hearth-0.3.0", "hearth.previous"]
        assert links.previous(lib / "hearth") == "0.2.0"
        subprocess.run([home / ".local/bin/hearth-uninstall"], check=True, capture_output=True)
        assert list(lib.iterdir()) == []

    def test_an_app_dir_is_switched_and_rolled_back(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from devkit import linux

        monkeypatch.setattr(linux, "version", lambda: "0.1.0")
        monkeypatch.setattr(linux, "WORK", tmp_path)
        (tmp_path / "Hearth.AppDir").mkdir()
        top = linux.app_dir(make_tree(tmp_path / "tree", "0.1.0"))
        installed = find_installed(str(top / "usr/lib/hearth/hearth"), frozen=True, environ={})
        assert installed == Installed("appdir", top, top / "AppRun")
        file = next((tmp_path / "new").glob("*.run"))
        replace.install(installed, file, "0.2.0", "0.1.0", tmp_path)
        assert (says(top / "AppRun"), replace.previous(installed, None)) == ("hearth 0.2.0", "0.1.0")
        assert not list(top.glob(".new*"))
        assert replace.roll_back(installed, None, "0.2.0").version == "0.1.0"
        assert says(top / "AppRun") == "hearth 0.1.0"

    def test_an_appimage_is_switched_and_rolled_back(self, tmp_path: Path) -> None:
        image, file = tmp_path / "Hearth.AppImage", tmp_path / "new.AppImage"
        image.write_text("#!/bin/sh\necho old\n")
        image.chmod(0o755)
        file.write_text("#!/bin/sh\necho new\n")
        program = tmp_path / "mount/usr/lib/hearth/hearth"
        installed = find_installed(str(program), frozen=True, environ={"APPIMAGE": str(image)})
        assert installed.form == "appimage"
        outcome = replace.install(installed, file, "0.2.0", "0.1.0", tmp_path)
        assert (says(image), replace.previous(installed, outcome.kept)) == ("new", "0.1.0")
        back = replace.roll_back(installed, outcome.kept, "0.2.0")
        assert (says(image), back.version) == ("old", "0.1.0")
        assert back.kept == Kept("0.2.0", f"{image}.previous")
        again = replace.roll_back(installed, back.kept, "0.1.0")
        assert (says(image), again.version) == ("new", "0.2.0")


class TestOtherForms:
    def test_a_clone_and_a_copied_folder_say_what_they_are(self, tmp_path: Path) -> None:
        assert find_installed(frozen=False).form == "source"
        program = tmp_path / "somewhere/hearth"
        program.parent.mkdir()
        program.touch()
        assert find_installed(str(program), frozen=True, environ={}).form == "copy"

    @LINUX_ONLY
    def test_the_package_is_the_package_manager_s(self, tmp_path: Path) -> None:
        mark = tmp_path / "hearth.list"
        mark.touch()
        found = find_installed(
            str(tmp_path / "hearth"), frozen=True, environ={}, dpkg_list=mark, deb_place=tmp_path
        )
        assert found.form == "deb"

    def test_commands_are_shown_as_a_person_types_them(self) -> None:
        assert debian.command(Path("/a/b.deb")) == ("sudo", "apt", "install", "/a/b.deb")
        assert "--allow-downgrades" in debian.command(Path("/a/b.deb"), back=True)

    def test_the_script_of_windows_waits_and_puts_back_what_it_can_t_change(self) -> None:
        text = replace.windows_script(Path("C:/Hearth"), Path("C:/Hearth.previous"))
        assert text.index('move "C:/Hearth"'.replace("/", os.sep)) < text.index("start")
        assert "goto moved" in text

    def test_versions_are_numbers(self) -> None:
        assert newer("0.10.0", "0.9.9")
        assert not newer("0.1.0", "0.1")
        assert not newer("9.9-evil", "0.1.0")


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg is not here")
def test_the_present_package_is_kept_as_one_that_dpkg_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a small package that every Debian has: what is kept can be installed again."""
    monkeypatch.setattr(debian, "PACKAGE", "debianutils")
    version, file = debian.pack_present(tmp_path / "previous")
    told, held = (
        subprocess.run(["dpkg-deb", what, file], capture_output=True, text=True, check=True).stdout
        for what in ("--info", "--contents")
    )
    assert f" Version: {version}\n" in told
    assert "/run-parts" in held
    assert [path.suffix for path in (tmp_path / "previous").iterdir()] == [".deb"]
    assert replace.previous(DEB, Kept("0.0.1", str(file))) == "0.0.1"
    assert replace.previous(DEB, Kept(version, str(file))) == "", (
        "it is in place: there is nothing to go back to"
    )


def test_an_outcome_for_the_state_is_json(paths: Paths) -> None:
    updates = make(paths, None)
    updates._state.change(kept=Kept("0.1.0", "/x"), seen={"k": 3})
    assert json.loads((paths.data / "updates.json").read_text())["seen"] == {"k": 3}
    assert changed(updates.state, skipped="").kept == Kept("0.1.0", "/x")
    (paths.data / "updates.json").write_text("{")
    assert updates.state.seen == {}
