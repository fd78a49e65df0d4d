"""A place that programs look for updates at: files over HTTP with Range, and a real key that signs the list."""

import base64
import functools
import platform
import subprocess
import tempfile
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import update_manifest
from devkit import linux
from tests.fakes.local_server import LocalServer, QuietServer


class UpdateSite(LocalServer):
    """A context manager; ``url`` is the address to set, ``key`` the public key beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.private = Ed25519PrivateKey.generate()
        self.cut_after: int | None = None
        """End the next answers after so many bytes, as a broken line does."""
        self.status = 200
        self.asked: list[tuple[str, str]] = []
        """(path, Range) of each request."""
        super().__init__(_Handler, "update-site")
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def key(self) -> str:
        """The public key, in base64."""
        raw = self.private.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw
        )
        return base64.b64encode(raw).decode()

    def publish(
        self, version: str, *, serial: int = 1, key: Ed25519PrivateKey | None = None, **changes: object
    ) -> dict[str, Any]:
        """Sign a list of the installers that lie in the folder; returns it."""
        manifest: dict[str, Any] = {
            "format": 1, "product": "hearth", "serial": serial, "version": version, "minimum": "0",
            "published": "2026-11-21",
            "notes": {"en": f"What {version} brings.", "vi": f"Những gì {version} mang lại."},
            "files": [entry for _, entry in update_manifest.installers(self.folder, "")],
        }  # fmt: skip
        manifest |= changes
        text = update_manifest.signed(manifest, key or self.private)
        (self.folder / update_manifest.TARGET).write_text(text, encoding="utf-8")
        return manifest


class _Handler(BaseHTTPRequestHandler):
    server: QuietServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        site: UpdateSite = self.server.owner
        wanted = self.headers.get("Range") or ""
        site.asked.append((self.path, wanted))
        path = site.folder / self.path.lstrip("/")
        if site.status != 200 or not path.is_file():
            self._answer(site.status if site.status != 200 else 404, b"", {})
            return
        data = path.read_bytes()
        if not wanted:
            self._answer(200, data, {})
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        end = min(int(last) + 1 if last else len(data), len(data))
        span = f"bytes {first}-{end - 1}/{len(data)}"
        self._answer(206, data[int(first) : end], {"Content-Range": span})

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        site: UpdateSite = self.server.owner
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        cut = site.cut_after
        self.wfile.write(body if cut is None else body[:cut])
        if cut is not None and cut < len(body):
            self.close_connection = True

    def log_message(self, *_args: object) -> None:
        """Quiet."""


def make_tree(folder: Path, version: str) -> Path:
    """What goes below /usr, with a stand-in for the program that says its version."""
    program = folder / "usr" / "lib" / "hearth"
    program.mkdir(parents=True)
    (program / "hearth").write_text(f'#!/bin/sh\necho "hearth {version}"\n', encoding="utf-8")
    (program / "hearth").chmod(0o755)
    (folder / "usr" / "bin").mkdir()
    (folder / "usr" / "bin" / "hearth").symlink_to("../lib/hearth/hearth")
    linux.desktop_files(folder / "usr" / "share")
    return folder / "usr"


@functools.cache
def run_file(version: str) -> bytes:
    """A real .run of such a tree: the same bytes each time, so made once."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as name:
        patch.setattr(linux, "WORK", Path(name))
        patch.setattr(linux, "version", lambda: version)
        made = linux.run_file(linux.payload(make_tree(Path(name, "tree"), version)))
        return made.read_bytes()


def make_run_file(folder: Path, version: str) -> Path:
    """The same as a file under its usual name."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"hearth-{version}-linux-{platform.machine()}.run"
    target.write_bytes(run_file(version))
    return target


def says(program: Path) -> str:
    """What the stand-in prints."""
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout.strip()
