"""Makes the frozen folder smaller on Linux: debugging symbols, and ICU's data for languages that the program lacks.

Qt uses ICU to sort text and for little else; everything it does not find there, it takes from ICU's root locale.
"""

import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from devkit.say import Problem, tell
from devkit.shell import run_logged
from devkit.venvs import PACKAGER

STRIPPED = (
    "libpython*",
    "python3*/lib-dynload/*.so",
    "yaml/*.so",
    "cryptography/**/*.so",
    "hf_xet/*.so",
    "msgspec/*.so",
)
"""What tools may shorten. Never NumPy's libraries: ``strip`` breaks them."""
LANGUAGES = ("root", "en", "vi")
LOCALE_FOLDERS = ("", "coll", "curr", "lang", "region", "zone", "unit", "brkitr")
_LOCALE = re.compile(r"([a-z]{2,3}|root)((_[A-Za-z0-9]+)*)\.res")
_NOT_LOCALES = ("pool.res", "res_index.res", "ucadata.icu")
ALIGNMENT = 16


def trim(inside: Path) -> None:
    """Shorten what is below the frozen program's folder. Where a tool is missing it stays as it is."""
    if sys.platform != "linux":
        return
    if strip := shutil.which("strip"):
        for pattern in STRIPPED:
            for path in inside.glob(pattern):
                if path.is_file() and not path.is_symlink():
                    subprocess.run([strip, "--strip-unneeded", str(path)], check=True)
    if shutil.which("cc"):
        for library in inside.glob("PySide6/Qt/lib/libicudata.so.*"):
            _trim_icu(library)


def _trim_icu(library: Path) -> None:
    blob = library.read_bytes()
    start = blob.find(b"CmnD") - 12
    if start < 0:
        raise Problem(
            f"{library.name} has no ICU data package: the list in devkit/trim.py is for another ICU."
        )
    data = rebuilt(blob[start:])
    symbol = f"icudt{library.name.rpartition('.')[2]}_dat"
    part, code = library.with_suffix(".bin"), library.with_suffix(".s")
    part.write_bytes(data)
    code.write_text(
        f'.section .rodata\n.globl {symbol}\n.balign 16\n.type {symbol}, @object\n{symbol}:\n.incbin "{part}"\n'
        f'.size {symbol}, .-{symbol}\n.section .note.GNU-stack,"",@progbits\n',
        encoding="ascii",
    )
    link: list[str | Path] = [
        "cc",
        "-shared",
        "-nostdlib",
        f"-Wl,-soname,{library.name}",
        "-Wl,--build-id=none",
    ]
    run_logged([*link, "-o", library, code], PACKAGER.log("icu"), doing="linking ICU's data")
    part.unlink()
    code.unlink()
    tell(f"ICU's data: {len(blob) / 1e6:.0f} MB to {len(data) / 1e6:.1f}")


def rebuilt(data: bytes) -> bytes:
    """An ICU common-data package (``CmnD``, little endian) with the items that ``wanted`` keeps. The layout is that of
    ICU's ``ucmndata.h``: a header, a count, (name, data) offsets from the count on, names, items."""
    header = struct.unpack_from("<H", data)[0]
    kept = [(name, item) for name, item in _items(data, header) if wanted(name.partition("/")[2])]
    names = b"".join(name.encode("ascii") + b"\0" for name, _ in kept)
    offset = _aligned(4 + 8 * len(kept) + len(names))
    name_at, toc, body = 4 + 8 * len(kept), b"", bytearray()
    for name, item in kept:
        toc += struct.pack("<II", name_at, offset + len(body))
        name_at += len(name) + 1
        body += item + bytes(_aligned(len(item)) - len(item))
    head = struct.pack("<I", len(kept)) + toc + names
    return data[:header] + head + bytes(offset - len(head)) + bytes(body)


def _items(data: bytes, base: int) -> Iterator[tuple[str, bytes]]:
    (count,) = struct.unpack_from("<I", data, base)
    entries = [struct.unpack_from("<II", data, base + 4 + 8 * index) for index in range(count)]
    ends = [entry[1] for entry in entries[1:]]
    for index, (name_at, at) in enumerate(entries):
        name = data[base + name_at : data.index(b"\0", base + name_at)].decode("ascii")
        end = ends[index] if index < len(ends) else _last_end(data, base + at) - base
        yield name, data[base + at : base + end]


def _last_end(data: bytes, at: int) -> int:
    """The last item has no neighbour: it is a resource or a table that a megabyte holds by far; the rest is padding."""
    return min(len(data), at + (1 << 20))


def wanted(name: str) -> bool:
    """Whether the program keeps this item (its name without the package's prefix)."""
    folder, _, file = name.rpartition("/")
    if file.endswith(".cnv") or folder in {"translit", "rbnf"}:
        return False
    locale = _LOCALE.fullmatch(file)
    if not locale or file in _NOT_LOCALES:
        return folder != "brkitr" or not file.endswith(".dict")
    if folder in LOCALE_FOLDERS:
        return locale[1] in LANGUAGES
    return True


def _aligned(count: int) -> int:
    return -(-count // ALIGNMENT) * ALIGNMENT
