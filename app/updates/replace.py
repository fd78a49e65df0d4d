"""Puts another version in place of this one, as fits how it was installed, and back.

Nothing of the present version is touched before the new one lies whole beside it; the last step is a rename, or what
the system's own installer does.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from app.core.errors import (
    NoPreviousVersionError,
    SaveDiskFullError,
    UpdateFailedError,
    UpdateFormError,
)
from app.updates import debian, links
from app.updates.installed import Form, Installed
from app.updates.state import Kept

UNPACKED = 4
"""How much larger a program is than its packed installer, at most."""
LONGEST = 900.0
"""Seconds that an installer may take."""
LINKS: Mapping[Form, str] = {"run": "hearth", "appdir": "usr"}
"""What the link to the version in use is called."""

Then = Literal["restart", "command", "quit"]
"""What is left to do: start the program again; run ``command`` (shown to the person); end, so that the installer that
was started can go on."""


class Outcome(Struct, frozen=True):
    """What was done, and what is left."""

    version: str
    then: Then
    command: tuple[str, ...] = ()
    kept: Kept | None = None
    """The version before, where a file of it was put aside."""


def install(installed: Installed, file: Path, version: str, present: str, keep: Path) -> Outcome:
    """Put ``file`` (verified) in place. ``present`` is the version that runs; ``keep`` a folder of ours for it.
    Raises UpdateFormError, UpdateFolderError, UpdateFailedError, SaveDiskFullError; then all is as before."""
    ways: Mapping[str, Callable[[], Outcome]] = {
        "run": lambda: _by_script(installed, file, version),
        "appdir": lambda: _app_dir(installed, file, version),
        "appimage": lambda: _one_file(installed, file, version, present),
        "deb": lambda: _package(file, version, keep),
        "setup": lambda: _windows(installed, file, version, present),
        "app": lambda: _mac(installed, file, version, present, keep),
    }
    if installed.form not in ways:
        raise UpdateFormError(path=str(installed.place))
    return _guarded(ways[installed.form], installed.place)


def previous(installed: Installed, kept: Kept | None) -> str:
    """The version that can be gone back to, or ""."""
    name = LINKS.get(installed.form)
    if name:
        return links.previous(installed.place / name)
    if not kept or not Path(kept.path).exists():
        return ""
    # Its command may not have been run yet, or have been run already: the package manager knows.
    return "" if installed.form == "deb" and debian.present() == kept.version else kept.version


def roll_back(installed: Installed, kept: Kept | None, present: str) -> Outcome:
    """Back to the version before. Raises NoPreviousVersionError and what ``install`` raises."""
    version = previous(installed, kept)
    if not version:
        raise NoPreviousVersionError
    name = LINKS.get(installed.form)
    if name:
        return Outcome(links.swap(installed.place / name), "restart")
    assert kept is not None
    before = Path(kept.path)
    ways: Mapping[str, Callable[[], Outcome]] = {
        "appimage": lambda: _one_file_back(installed, before, version, present),
        "deb": lambda: Outcome(version, "command", debian.command(before, back=True), kept),
        "setup": lambda: _windows_back(installed, before, version, present),
        "app": lambda: _mac_back(installed, before, version, present),
    }
    return _guarded(ways[installed.form], installed.place)


def _guarded(way: Callable[[], Outcome], place: Path) -> Outcome:
    try:
        return way()
    except OSError as error:
        raise links.failure(error, place) from error


# ------------------------------------------------------------------ .run and AppDir: folders and a link


def _by_script(installed: Installed, file: Path, version: str) -> Outcome:
    """The .run unpacks beside, switches last, and knows its own menu entry."""
    place, link = installed.place, installed.place / LINKS["run"]
    _may(place, file)
    usual = place.parent == Path.home() / ".local"
    _script(file, "--no-start", *([] if usual else ["--prefix", str(place.parent)]), place=place)
    if (found := links.version_of(link, link)) != version:
        raise UpdateFailedError(detail=f"the installer put {found} in place, not {version}")
    return Outcome(version, "restart")


def _app_dir(installed: Installed, file: Path, version: str) -> Outcome:
    place, link = installed.place, installed.place / LINKS["appdir"]
    _may(place, file)
    work, target = place / f".new.{os.getpid()}", place / f"{link.name}-{version}"
    try:
        work.mkdir()
        _script(file, "--extract", str(work), place=place)
        if target.exists() and target != link.resolve():
            shutil.rmtree(target)
        (work / "usr").rename(target)
        links.switch(link, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Outcome(version, "restart")


def _may(place: Path, file: Path) -> None:
    links.may_write(place)
    links.room(place, file.stat().st_size * UNPACKED)


def _script(file: Path, *arguments: str, place: Path) -> None:
    """Run the installer. Raises UpdateFailedError with its own last words, SaveDiskFullError."""
    try:
        done = subprocess.run(
            ["sh", str(file), *arguments], capture_output=True, text=True, check=False, timeout=LONGEST
        )
    except subprocess.TimeoutExpired as error:
        raise UpdateFailedError(detail="the installer did not end") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        if "No space left" in said:
            raise SaveDiskFullError(path=str(place), missing="some hundred MB")
        raise UpdateFailedError(detail=said.splitlines()[-1] if said else f"code {done.returncode}")


# ------------------------------------------------------------------ an AppImage: one file


def _one_file(installed: Installed, file: Path, version: str, present: str) -> Outcome:
    place = installed.place
    links.may_write(place.parent)
    links.room(place.parent, file.stat().st_size)
    new, before = place.with_name(f".{place.name}.new"), place.with_name(f"{place.name}{links.PREVIOUS}")
    try:
        shutil.copyfile(file, new)
        new.chmod(0o755)
        _second_name(place, before)
        new.replace(place)
    finally:
        new.unlink(missing_ok=True)
    return Outcome(version, "restart", kept=Kept(present, str(before)))


def _one_file_back(installed: Installed, before: Path, version: str, present: str) -> Outcome:
    place, aside = installed.place, installed.place.with_name(f".{installed.place.name}.aside")
    _second_name(place, aside)
    before.replace(place)
    aside.replace(before)
    return Outcome(version, "restart", kept=Kept(present, str(before)))


def _second_name(path: Path, other: Path) -> None:
    """The same file under another name too, or a copy where the disk knows no second names."""
    other.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        other.hardlink_to(path)
        return
    shutil.copy2(path, other)


# ------------------------------------------------------------------ where the system's own installer does it


def _package(file: Path, version: str, keep: Path) -> Outcome:
    before, packed = debian.pack_present(keep)
    for old in keep.glob("*.deb"):
        if old != packed:
            old.unlink()
    return Outcome(version, "command", debian.command(file), Kept(before, str(packed)))


def _windows(installed: Installed, file: Path, version: str, present: str) -> Outcome:
    """The setup asks to close the program, keeps the version before beside it, and starts the new one."""
    _start([str(file), f"/D={installed.place}"])  # NSIS: the last argument, never in quotes
    return Outcome(version, "quit", kept=Kept(present, f"{installed.place}.previous"))


def _windows_back(installed: Installed, before: Path, version: str, present: str) -> Outcome:
    """No file of a running program can be moved there: a script waits for its end."""
    script = before.with_name("hearth-roll-back.cmd")
    script.write_text(windows_script(installed.place, before), encoding="utf-8", newline="\r\n")
    _start(["cmd", "/c", str(script)])
    return Outcome(version, "quit", kept=Kept(present, str(before)))


def windows_script(place: Path, before: Path) -> str:
    """Wait until the folder can be moved (a minute), change the two for each other, start the program."""
    aside = f"{place}.aside"
    return f"""@echo off
chcp 65001 >nul
for /L %%i in (1,1,60) do (
  move "{place}" "{aside}" >nul 2>&1 && goto moved
  ping -n 2 127.0.0.1 >nul
)
exit /b 1
:moved
move "{before}" "{place}" >nul || (move "{aside}" "{place}" >nul & exit /b 1)
move "{aside}" "{before}" >nul
start "" "{place}\\hearth.exe"
del "%~f0"
"""


def _mac(installed: Installed, file: Path, version: str, present: str, keep: Path) -> Outcome:
    """The image is opened for the person to drag the program from it, after the present one was put aside."""
    copy = keep / f"Hearth-{present}.app"
    shutil.rmtree(keep, ignore_errors=True)
    keep.mkdir(parents=True)
    _run(["ditto", str(installed.place), str(copy)])
    return Outcome(version, "command", ("open", str(file)), Kept(present, str(copy)))


def _mac_back(installed: Installed, before: Path, version: str, present: str) -> Outcome:
    new, aside = installed.place.with_suffix(".new.app"), before.with_name(f"Hearth-{present}.app")
    _run(["ditto", str(before), str(new)])
    shutil.move(installed.place, aside)
    try:
        new.rename(installed.place)
    except OSError:
        shutil.move(aside, installed.place)
        raise
    shutil.rmtree(before, ignore_errors=True)
    return Outcome(version, "restart", kept=Kept(present, str(aside)))


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UpdateFailedError(detail=done.stderr.strip() or f"{command[0]}: code {done.returncode}")


def _start(command: list[str]) -> None:
    flags = getattr(subprocess, "DETACHED_PROCESS", 0) if sys.platform == "win32" else 0
    text = " ".join(_quoted(part) for part in command) if sys.platform == "win32" else command
    subprocess.Popen(text, creationflags=flags, close_fds=True)


def _quoted(part: str) -> str:
    return part if part.startswith("/") or " " not in part else f'"{part}"'


def hand_over(outcome: Outcome) -> None:
    """Run an outcome's command without a terminal, where that is possible. Raises UpdateFailedError: then the person
    runs it."""
    command = outcome.command
    if command[:1] == ("sudo",):
        acting = debian.acting(Path(command[-1]), back="--allow-downgrades" in command)
        if acting is None:
            raise UpdateFailedError(detail="this desktop has no way to ask for the password")
        command = acting
    try:
        _run(list(command))
    except OSError as error:
        raise UpdateFailedError(detail=str(error)) from error
