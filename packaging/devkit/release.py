"""What goes beside the installers: checksums, signatures, and backend packs as files to hand out."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from devkit import cuda, linux, rocm, venvs, vulkan
from devkit.folders import ROOT
from devkit.freeze import WORK
from devkit.say import Problem, step, tell
from devkit.shell import run_logged
from devkit.stamps import remove, sha256_of, write_text
from devkit.venvs import PACKAGER

OUT = WORK / "out"
SUMS = "SHA256SUMS"
UPDATE_KEY = "HEARTH_UPDATE_KEY"
"""The variable that names a file with the Ed25519 key that lists of updates are signed with."""
LIST_SCRIPT = ROOT / "packaging" / "update_manifest.py"


def pack_archive(folder: Path) -> Path:
    """One backend pack as a file for ``hearth engine install``; the same bytes each time."""
    target = OUT / f"hearth-engine-{folder.name}-{sys.platform}-{platform.machine()}.tar.xz"
    with step(target.name):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(linux.packed(linux.tar_bytes(linux.below(folder, folder.name))))
    tell(f"{target.stat().st_size / 1e6:.1f} MB: {target}")
    return target


def packs() -> list[Path]:
    """Those that are built here, as archives."""
    if sys.platform != "linux":
        return []
    return [pack_archive(found) for found in (vulkan.built(), cuda.built(), rocm.built()) if found]


def update_list(folder: Path | None = None, *arguments: str) -> Path | None:
    """The signed list of what is in ``folder`` (``out`` unless another one is named), when there is a key."""
    key = os.environ.get(UPDATE_KEY)
    if not key:
        tell(
            f"no list of updates: set {UPDATE_KEY} to a key's file (make one with: make update-list ARGS=--help)"
        )
        return None
    venvs.ensure(PACKAGER)
    folder = folder or OUT
    if address := os.environ.get("HEARTH_UPDATE_URL"):
        arguments = ("--url", address, *arguments)
    command: list[str | Path] = [
        PACKAGER.python, LIST_SCRIPT, "write", folder, "--key", key, *arguments,
    ]  # fmt: skip
    run_logged(command, PACKAGER.log("update-list"), doing="signing the list of updates")
    return folder / "hearth-updates.json"


def trust_own_key(program: Path) -> None:
    """Have the frozen program trust the key that its updates will be signed with."""
    if not (key := os.environ.get(UPDATE_KEY)):
        return
    done = subprocess.run(
        [PACKAGER.python, LIST_SCRIPT, "public", key], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Problem(f"{UPDATE_KEY}: {done.stderr.strip()}")
    for path in program.rglob("update-keys.txt"):
        if not path.is_symlink():
            path.write_text(path.read_text(encoding="utf-8") + done.stdout, encoding="utf-8")


def seal() -> Path:
    """SHA256SUMS over everything in ``out``, signed when HEARTH_GPG_KEY names a key of gpg's."""
    names = sorted(
        path.name
        for path in OUT.iterdir()
        if path.is_file() and not path.name.startswith(SUMS) and path.suffix != ".asc"
    )
    write_text(OUT / SUMS, "".join(f"{sha256_of(OUT / name)}  {name}\n" for name in names))
    for old in OUT.glob("*.asc"):
        remove(old)
    if key := os.environ.get("HEARTH_GPG_KEY"):
        for name in [*names, SUMS]:
            _sign(OUT / name, key)
    else:
        tell("not signed: set HEARTH_GPG_KEY to a key of gpg's for detached signatures")
    return OUT / SUMS


def _sign(path: Path, key: str) -> None:
    gpg = shutil.which("gpg")
    if not gpg:
        raise Problem("HEARTH_GPG_KEY is set, but gpg is missing. Install gnupg, or unset it.")
    command = [
        gpg,
        "--batch",
        "--yes",
        "--local-user",
        key,
        "--armor",
        "--output",
        f"{path}.asc",
        "--detach-sign",
    ]
    run_logged([*command, path], PACKAGER.log("sign"), doing=f"signing {path.name}")
