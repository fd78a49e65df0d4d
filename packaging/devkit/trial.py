"""``make package-test``: the installed program, tried in an empty Debian 12 as a person would.

debootstrap makes the system once (kept in the cache); each run copies it, installs the .deb there, and hands over to
``packaging/smoke/story.py``, which works the window by synthetic input in a network namespace that has a local Hub and
nothing else. Needs root, because of chroot.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from devkit import freeze, nextdebian, package, qtlibs, starter, venvs
from devkit.folders import BUILD, ROOT, cache_dir
from devkit.say import Problem, step, tell
from devkit.shell import run_logged
from devkit.stamps import locked, remove
from devkit.venvs import MAIN

SUITE = "bookworm"
TOOLS = {"debootstrap": "debootstrap", "Xvfb": "xvfb", "xdotool": "xdotool", "import": "imagemagick"}
DESKTOP = "xdg-utils shared-mime-info desktop-file-utils libglib2.0-bin xz-utils"
"""What a desktop has and an empty system lacks, for the double click."""
STATE = freeze.WORK / "test"
LOGS = BUILD / "logs"


def package_test(arguments: Sequence[str]) -> int:
    """Build the installers unless they are there (``--rebuild`` always does), then try them."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or sys.platform != "linux":
        raise Problem(
            "make package-test needs root on Debian (it installs into a chroot): run it with sudo there."
        )
    missing = [name for tool, name in TOOLS.items() if not shutil.which(tool)]
    if missing and not qtlibs.apt_install(missing):
        raise Problem(f"Tools are missing. Run:  {qtlibs.apt_command(missing)}")
    if "--rebuild" in arguments or not _deb(freeze.version()):
        package.package(())
    venvs.ensure(MAIN)  # tells the story, with the tests' Hub; a clean clone has none yet
    starter.ensure(MAIN)
    with locked(BUILD / "package.lock", "trying the installers"):
        return _try()


def _deb(version: str) -> Path | None:
    return next(iter((freeze.WORK / "out").glob(f"hearth_{version}_*.deb")), None)


def _try() -> int:
    found = _deb(freeze.version())
    if found is None:
        raise Problem("There is no .deb in build/package/out.")
    with step(f"An empty Debian ({SUITE})"):
        root = new_root(base())
    try:
        _run_story(root, found)
    finally:
        unmount(root)
        remove(root)
    print(f"The installed program works. Screenshots: {STATE}")
    return 0


def _run_story(root: Path, package: Path) -> None:
    (root / "tmp").joinpath(package.name).write_bytes(package.read_bytes())
    with step("The .deb and what it depends on, in there"):
        inside(root, "apt-get install -y --no-install-recommends /tmp/" + package.name, "install")
        inside(root, "apt-get install -y --no-install-recommends " + DESKTOP, "desktop")
        _next_version(root, root / "tmp" / package.name)
    with step("A person's story, with no network but a local Hub"):
        story = [MAIN.python, "-m", "smoke.story", root, STATE, package]
        env = {
            **venvs.child_env(),
            "HEARTH_STARTER": str(starter.installed()),
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'packaging'}",
        }
        command = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", *map(str, story)]
        if subprocess.call(command, env=env, cwd=ROOT):
            raise Problem(f"The story failed; pictures and logs are in {STATE}.")


def _next_version(root: Path, package: Path) -> None:
    """The same package under a later number, to upgrade to."""
    folder = root / "tmp" / "next"
    log = LOGS / "next-version.log"
    run_logged(["dpkg-deb", "--raw-extract", package, folder], log, doing="unpacking the package")
    control = folder / "DEBIAN" / "control"
    text = control.read_text(encoding="utf-8").replace(f"Version: {freeze.version()}\n", "Version: 0.99\n")
    control.write_text(text, encoding="utf-8")
    run_logged(
        ["dpkg-deb", "-Znone", "--build", folder, root / "tmp/next.deb"],
        log,
        doing="packing the next version",
    )
    remove(folder)


def base() -> Path:
    """A minimal Debian, made once and kept."""
    folder = cache_dir() / "chroots" / SUITE
    if (folder / "made").exists():
        return folder / "root"
    remove(folder)
    folder.mkdir(parents=True)
    address = nextdebian.mirror(nextdebian.system_sources(), SUITE)
    log = LOGS / "debootstrap.log"
    command = ["debootstrap", "--variant=minbase", SUITE, str(folder / "root"), address]
    run_logged(command, log, doing="fetching a minimal Debian")
    (folder / "made").touch()
    return folder / "root"


def new_root(source: Path) -> Path:
    """A fresh copy with a /proc and shared memory of its own. Nothing of this machine is mounted in it: it is removed
    with all that is below."""
    root = STATE / "root"
    unmount(root)
    remove(STATE)
    root.parent.mkdir(parents=True)
    run_logged(["cp", "-a", source, root], LOGS / "chroot.log", doing="copying the system")
    (root / "dev/shm").mkdir(exist_ok=True)
    for kind, place in (("proc", "proc"), ("tmpfs", "dev/shm")):
        subprocess.run(["mount", "-t", kind, kind, root / place], check=True)
    shutil.copy2("/etc/resolv.conf", root / "etc/resolv.conf")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n", encoding="ascii")
    inside(root, "apt-get update", "update")
    inside(root, "useradd --create-home --shell /bin/sh ann", "user")
    return root


def unmount(root: Path) -> None:
    """Let go of what ``new_root`` mounted, innermost first."""
    text = Path("/proc/mounts").read_text(encoding="utf-8")
    mounted = [line.split()[1] for line in text.splitlines() if line.split()[1].startswith(f"{root}/")]
    for place in sorted(mounted, key=len, reverse=True):
        subprocess.run(["umount", "--lazy", place], check=False)
    left = Path("/proc/mounts").read_text(encoding="utf-8")
    if f" {root}/" in left:
        raise Problem(f"Something is still mounted below {root}: unmount it before you go on.")


def inside(root: Path, command: str, name: str) -> None:
    """Run as root in there. Raises Problem with the last lines."""
    env = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    log = LOGS / f"package-test-{name}.log"
    run_logged(
        ["chroot", root, "/bin/sh", "-c", command],
        log,
        doing=f"running {command.split(maxsplit=1)[0]} in there",
        env=env,
    )
    tell(f"{' '.join(command.split()[:2])}: done")
