"""Draws the program's icon in every size an installer needs: ``make_icons.py SVG FOLDER``.

Writes ``FOLDER/hicolor/<n>x<n>.png`` and, for Windows and macOS, ``hearth.ico`` and ``hearth.icns``, which are
containers of those PNGs. Needs PySide6 only; the same bytes each time.
"""

import os
import struct
import sys
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

SIZES = (16, 22, 24, 32, 48, 64, 128, 256, 512)
ICO_SIZES = (16, 24, 32, 48, 64, 128, 256)
ICNS_TYPES = {16: b"icp4", 32: b"icp5", 64: b"icp6", 128: b"ic07", 256: b"ic08", 512: b"ic09"}


def draw(renderer: QSvgRenderer, size: int, path: Path) -> bytes:
    """One size as a PNG file; returns its bytes."""
    image = QImage(size, size, QImage.Format.Format_ARGB32)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    renderer.render(painter)
    painter.end()
    path.parent.mkdir(parents=True, exist_ok=True)
    if not image.save(str(path)):
        raise SystemExit(f"{path} could not be written")
    return path.read_bytes()


def ico(pictures: dict[int, bytes]) -> bytes:
    """A Windows icon: a directory, then the PNGs."""
    offset, head, body = 6 + 16 * len(pictures), b"", b""
    for size, data in pictures.items():
        side = size % 256  # 0 means 256
        head += struct.pack("<BBBBHHII", side, side, 0, 0, 1, 32, len(data), offset + len(body))
        body += data
    return struct.pack("<HHH", 0, 1, len(pictures)) + head + body


def icns(pictures: dict[int, bytes]) -> bytes:
    """A macOS icon: typed chunks."""
    body = b"".join(
        ICNS_TYPES[size] + struct.pack(">I", 8 + len(data)) + data for size, data in pictures.items()
    )
    return b"icns" + struct.pack(">I", 8 + len(body)) + body


def main(svg: Path, folder: Path) -> None:
    """Draw them all."""
    application = QGuiApplication(sys.argv[:1])
    renderer = QSvgRenderer(str(svg))
    found = {size: draw(renderer, size, folder / "hicolor" / f"{size}x{size}.png") for size in SIZES}
    (folder / "hearth.ico").write_bytes(ico({size: found[size] for size in ICO_SIZES}))
    (folder / "hearth.icns").write_bytes(icns({size: found[size] for size in ICNS_TYPES}))
    del application


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
