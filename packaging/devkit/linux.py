"""The installers for Linux, of one tree: a .deb, a .run that needs no root, an AppDir.

The tree is what goes below ``/usr``. Every file in an archive has the same date and owner, and archives are in a fixed
order, so that the same frozen program gives the same bytes.
"""

import datetime as dt
import hashlib
import io
import lzma
import os
import platform
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from devkit import qtlibs
from devkit.folders import ROOT
from devkit.freeze import WORK, epoch, files, version
from devkit.say import Problem, step, tell
from devkit.shell import run_logged
from devkit.stamps import remove, write_text
from devkit.venvs import PACKAGER

SOURCES = ROOT / "packaging" / "linux"
METAINFO = "io.github.hearth.Hearth.metainfo.xml"
MOST_BYTES = 75_000_000
DEBIAN = {"x86_64": "amd64", "aarch64": "arm64"}
BLOCK = 24 << 20
PROGRAM = "lib/hearth"
DEPENDS = (
    "libc6 (>= 2.36)",
    "libstdc++6 (>= 12)",
    "libgcc-s1",
    "libgssapi-krb5-2",
    "fonts-dejavu-core | fonts-noto-core | fonts-liberation",
)
RECOMMENDS = ("libvulkan1", "xdg-utils")
SUGGESTS = ("mesa-vulkan-drivers",)


def tree(program: Path) -> Path:
    """What goes below ``/usr``, made anew from the frozen program."""
    usr = WORK / "usr"
    remove(usr)
    shutil.copytree(program, usr / PROGRAM, symlinks=True)
    (usr / "bin").mkdir()
    (usr / "bin" / "hearth").symlink_to(f"../{PROGRAM}/hearth")
    desktop_files(usr / "share")
    icons = {path.stem: path for path in sorted((WORK / "icons" / "hicolor").glob("*.png"))}
    for name, path in icons.items():
        _copy(path, usr / "share/icons/hicolor" / name / "apps/hearth.png")
    _copy(ROOT / "resources/icons/app/hearth.svg", usr / "share/icons/hicolor/scalable/apps/hearth.svg")
    _one_mode(usr)
    return usr


def desktop_files(share: Path) -> None:
    """Menu entry, file type and description for software centres."""
    _copy(SOURCES / "hearth.desktop", share / "applications" / "hearth.desktop")
    _copy(SOURCES / "hearth-mime.xml", share / "mime/packages/hearth.xml")
    date = dt.datetime.fromtimestamp(epoch(), dt.UTC).strftime("%Y-%m-%d")
    text = (SOURCES / METAINFO).read_text(encoding="utf-8")
    write_text(share / "metainfo" / METAINFO, text.replace("@VERSION@", version()).replace("@DATE@", date))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _one_mode(folder: Path) -> None:
    """Readable by all, writable by the owner, whatever umask made it."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            runs = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if runs else 0o644)


# ---------------------------------------------------------------------------------------------- archives


def tar_bytes(entries: Iterable[tuple[str, Path | bytes | None]]) -> bytes:
    """A tar of (name, file or bytes or None for a folder), owned by root, with our one date."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, source in entries:
            _add(archive, name, source)
    return out.getvalue()


def _add(archive: tarfile.TarFile, name: str, source: Path | bytes | None) -> None:
    info = tarfile.TarInfo(name)
    info.mtime, info.uname, info.gname, info.mode = epoch(), "root", "root", 0o644
    if isinstance(source, bytes):
        info.size = len(source)
        info.mode = 0o755 if source.startswith(b"#!") else 0o644
        archive.addfile(info, io.BytesIO(source))
    elif source is None or (source.is_dir() and not source.is_symlink()):
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(info)
    elif source.is_symlink():
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, str(source.readlink()), 0o777
        archive.addfile(info)
    else:
        status = source.stat()
        info.size, info.mode = status.st_size, status.st_mode & 0o777
        with source.open("rb") as file:
            archive.addfile(info, file)


def below(folder: Path, prefix: str) -> list[tuple[str, Path]]:
    """Everything in the folder, folders included, in a fixed order, named below ``prefix``."""
    return [(f"{prefix}/{path.relative_to(folder)}", path) for path in sorted(folder.rglob("*"))]


def packed(data: bytes) -> bytes:
    """xz, as the same bytes each time: blocks of a fixed size, so that any number of processors may work on them."""
    if not (xz := shutil.which("xz")):
        return lzma.compress(data, format=lzma.FORMAT_XZ, preset=6)
    command = [xz, "-6", f"--block-size={BLOCK}", f"--threads={max(2, os.cpu_count() or 2)}", "--stdout"]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


# ---------------------------------------------------------------------------------------------- .deb


def payload(usr: Path) -> bytes:
    """What the .deb and the .run both carry, packed once."""
    with step("Packing the program (about 2 minutes on 2 cores)"):
        return packed(tar_bytes(_deb_data(usr, _extra())))


def _extra() -> dict[str, bytes]:
    return {"usr/share/doc/hearth/copyright": _copyright().encode()}


def deb(usr: Path, data: bytes) -> Path:
    """The Debian package: an ``ar`` of two tars, written here byte by byte, so that nothing varies."""
    target = WORK / "out" / f"hearth_{version()}_{architecture()}.deb"
    with step(target.name):
        control_tar = packed(_control(usr, _extra()))
        members = {"debian-binary": b"2.0\n", "control.tar.xz": control_tar, "data.tar.xz": data}
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(ar(members))
    return check_size(target)


def check_size(target: Path) -> Path:
    """Refuse a package that is larger than promised."""
    size = target.stat().st_size
    tell(f"{size / 1e6:.1f} MB: {target}")
    if size > MOST_BYTES:
        raise Problem(f"{target.name} has {size / 1e6:.1f} MB, more than {MOST_BYTES / 1e6:.0f}.")
    return target


def architecture() -> str:
    """Debian's name for this processor."""
    return DEBIAN.get(platform.machine(), platform.machine())


def _deb_data(usr: Path, extra: Mapping[str, bytes]) -> list[tuple[str, Path | bytes | None]]:
    found: list[tuple[str, Path | bytes | None]] = [("./", None), ("./usr", None), *below(usr, "./usr")]
    folders = {f"./{parent}" for name in extra for parent in Path(name).parents if str(parent) != "."}
    have = {name for name, _ in found}
    found += [(name, None) for name in sorted(folders - have)]
    return [*found, *((f"./{name}", data) for name, data in extra.items())]


def _control(usr: Path, extra: Mapping[str, bytes]) -> bytes:
    sums = [
        (f"usr/{path.relative_to(usr)}", _md5(path.read_bytes()))
        for path in files(usr)
        if not path.is_symlink()
    ]
    sums += [(name, _md5(data)) for name, data in extra.items()]
    total = sum(path.lstat().st_size for path in files(usr))
    texts = {
        "./control": control(total).encode(),
        "./md5sums": "".join(f"{digest}  {name}\n" for name, digest in sorted(sums)).encode(),
        "./postinst": _script("configure"),
        "./postrm": _script("remove"),
    }
    return tar_bytes([("./", None), *texts.items()])


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def control(total: int) -> str:
    """The package's own description. ``total``: bytes when installed."""
    qt = sorted({*qtlibs.OFFSCREEN.values(), *qtlibs.ON_SCREEN.values()})
    return f"""Package: hearth
Version: {version()}
Architecture: {architecture()}
Maintainer: The Hearth authors <hearth@localhost>
Installed-Size: {-(-total // 1024)}
Depends: {", ".join([*DEPENDS, *qt])}
Recommends: {", ".join(RECOMMENDS)}
Suggests: {", ".join(SUGGESTS)}
Section: science
Priority: optional
Description: run language models on your own machine
 Hearth finds quantized (GGUF) language models, says before the download whether
 they fit this machine, runs them in llama.cpp on the GPU or processor it finds,
 chats, and serves them to programs that speak OpenAI's interface.
"""


def _script(when: str) -> bytes:
    """Tell the desktop what changed, where it has the tools. A user's models and chats are never touched."""
    tools = (
        ("update-mime-database", "/usr/share/mime"),
        ("update-desktop-database", "-q /usr/share/applications"),
        ("gtk-update-icon-cache", "-q -f -t /usr/share/icons/hicolor"),
    )
    lines = "".join(
        f"    if command -v {name} >/dev/null; then {name} {rest} || true; fi\n" for name, rest in tools
    )
    cases = "configure" if when == "configure" else "remove|purge"
    return f'#!/bin/sh\nset -e\ncase "$1" in\n  {cases})\n{lines}    ;;\nesac\nexit 0\n'.encode()


def _copyright() -> str:
    return """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: Hearth

Files: *
Copyright: The Hearth authors
License: Apache-2.0
 The text is in /usr/lib/hearth/licenses/Hearth-LICENSE; the licences of everything
 bundled are beside it, and a CycloneDX list of it all is sbom.cdx.json.
"""


def ar(members: Mapping[str, bytes]) -> bytes:
    """The archive format of Unix, as dpkg reads it."""
    out = bytearray(b"!<arch>\n")
    for name, data in members.items():
        out += f"{name:<16}{epoch():<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
        out += data + b"\n" * (len(data) % 2)
    return bytes(out)


# ---------------------------------------------------------------------------------------------- .run


def run_file(payload: bytes) -> Path:
    """A shell script with the program behind it; installs below the user's own folders."""
    target = WORK / "out" / f"hearth-{version()}-linux-{platform.machine()}.run"
    with step(target.name):
        text = (SOURCES / "install.sh").read_text(encoding="utf-8").replace("@VERSION@", version())
        text = text.replace("@SHA256@", hashlib.sha256(payload).hexdigest())
        head = text.replace("@LINES@", str(text.count("\n") + 1)).encode()
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(head + payload)
        target.chmod(0o755)
    return check_size(target)


# ---------------------------------------------------------------------------------------------- AppDir


def app_dir(usr: Path) -> Path:
    """The folder that an AppImage is made of. Becomes one when HEARTH_APPIMAGE_RUNTIME names the runtime's file."""
    folder = WORK / "Hearth.AppDir"
    remove(folder)
    # A version of its own name behind a link: an update goes beside it (app/updates/links.py).
    shutil.copytree(usr, folder / f"usr-{version()}", symlinks=True)
    (folder / "usr").symlink_to(f"usr-{version()}")
    (folder / "hearth.desktop").symlink_to("usr/share/applications/hearth.desktop")
    (folder / "hearth.svg").symlink_to("usr/share/icons/hicolor/scalable/apps/hearth.svg")
    (folder / ".DirIcon").symlink_to("hearth.svg")
    run = folder / "AppRun"
    run.write_text(
        '#!/bin/sh\nexec "$(dirname "$(readlink -f "$0")")/usr/lib/hearth/hearth" "$@"\n', encoding="ascii"
    )
    run.chmod(0o755)
    return folder


def app_image(folder: Path, runtime: str) -> Path | None:
    """An AppImage: the runtime followed by a squashfs of the folder; None without a runtime or ``mksquashfs``."""
    squash = shutil.which("mksquashfs")
    if not runtime or not squash:
        tell(
            "no AppImage: set HEARTH_APPIMAGE_RUNTIME to the runtime's file and install squashfs-tools for one"
        )
        return None
    target = WORK / "out" / f"Hearth-{version()}-{platform.machine()}.AppImage"
    image = WORK / "appimage.squashfs"
    remove(image)
    options = [
        "-root-owned",
        "-noappend",
        "-comp",
        "xz",
        "-no-xattrs",
        "-mkfs-time",
        str(epoch()),
        "-all-time",
    ]
    run_logged(
        [squash, folder, image, *options, str(epoch())],
        PACKAGER.log("appimage"),
        doing="packing the AppImage",
    )
    target.write_bytes(Path(runtime).read_bytes() + image.read_bytes())
    target.chmod(0o755)
    remove(image)
    return target
