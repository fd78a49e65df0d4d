"""Where the system's package manager owns the program: the command that replaces it, and the present version as a
package to go back to. Only root may change anything there, so the person runs the command, or is asked by the system.
"""

import io
import os
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

from app.core.errors import UpdateFailedError

PACKAGE = "hearth"
INFO = Path("/var/lib/dpkg/info")
SCRIPTS = ("postinst", "postrm", "prerm", "preinst", "md5sums")


def command(file: Path, *, back: bool = False) -> tuple[str, ...]:
    """What a person types to install it; ``back`` allows an older one."""
    return ("sudo", "apt", "install", *(["--allow-downgrades"] if back else []), str(file))


def acting(file: Path, *, back: bool = False) -> tuple[str, ...] | None:
    """The same without a terminal: as root at once, else through the desktop's own question for a password. None
    where there is neither."""
    apt = ("apt-get", "install", "--yes", *(["--allow-downgrades"] if back else []), str(file))
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return apt
    return ("pkexec", *apt) if shutil.which("pkexec") else None


def present() -> str:
    """The version that the package manager has in place, "" where it does not say."""
    try:
        return _ask("dpkg-query", "--show", "--showformat=${Version}", PACKAGE).strip()
    except UpdateFailedError:
        return ""


def pack_present(folder: Path, info: Path = INFO) -> tuple[str, Path]:
    """The installed package as a file in ``folder``, as it is on the disk now; returns its version and the file.
    Raises UpdateFailedError, OSError."""
    control = _ask("dpkg-query", "--status", PACKAGE)
    kept = [line for line in control.splitlines() if not line.startswith(("Status:", "Conffiles:"))]
    fields = dict(line.partition(": ")[::2] for line in kept if not line.startswith(" "))
    version = fields.get("Version", "")
    target = folder / f"{PACKAGE}_{version}_{fields.get('Architecture', 'all')}.deb"
    folder.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    data = target.with_suffix(".data")
    try:
        _data(data, _ask("dpkg-query", "--listfiles", PACKAGE).splitlines())
        _join(part, _control("\n".join(kept).rstrip() + "\n", info), data)
        part.replace(target)
    finally:
        data.unlink(missing_ok=True)
        part.unlink(missing_ok=True)
    return version, target


def _ask(*words: str) -> str:
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True, env=_english()).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise UpdateFailedError(detail=f"the present version can't be kept ({said.strip()})") from error


def _english() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8"}


def _data(target: Path, names: list[str]) -> None:
    """The package's files. Of a folder only its own entry: what is in it may be somebody else's."""
    with tarfile.open(target, "w:gz", compresslevel=1, format=tarfile.GNU_FORMAT) as archive:
        for name in names:
            path = Path(name)
            if path.is_symlink() or path.exists():
                archive.add(path, arcname=f".{path}", recursive=False)


def _control(text: str, info: Path) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.GNU_FORMAT) as archive:
        _add(archive, "control", text.encode(), 0o644)
        for name in SCRIPTS:
            path = info / f"{PACKAGE}.{name}"
            if path.is_file():
                _add(archive, name, path.read_bytes(), 0o644 if name == "md5sums" else 0o755)
    return out.getvalue()


def _add(archive: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    item = tarfile.TarInfo(f"./{name}")
    item.size, item.mode, item.mtime = len(data), mode, int(time.time())
    archive.addfile(item, io.BytesIO(data))


def _join(target: Path, control: bytes, data: Path) -> None:
    """A .deb is an ``ar`` of three members."""
    with target.open("wb") as out:
        out.write(b"!<arch>\n")
        for name, member in (("debian-binary", b"2.0\n"), ("control.tar.gz", control)):
            out.write(_head(name, len(member)) + member + b"\n" * (len(member) % 2))
        size = data.stat().st_size
        out.write(_head("data.tar.gz", size))
        with data.open("rb") as source:
            shutil.copyfileobj(source, out, 1 << 20)
        out.write(b"\n" * (size % 2))


def _head(name: str, size: int) -> bytes:
    return f"{name:<16}{int(time.time()):<12}{0:<6}{0:<6}{'100644':<8}{size:<10}`\n".encode()
