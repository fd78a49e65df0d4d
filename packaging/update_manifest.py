"""The signed list that installed programs look for updates in. Needs ``cryptography``; ``make update-list`` runs it.

    update_manifest.py new-key KEY.pem                      a new pair of keys; prints the public one
    update_manifest.py public KEY.pem                       prints the public one
    update_manifest.py write FOLDER --key KEY.pem [--url BASE] [--notes FOLDER] [--minimum 0.1.0] [--serial N]

``write`` takes every installer in FOLDER and puts ``hearth-updates.json`` beside them. The list holds their sizes and
hashes; BASE is where they will be downloaded from, beside the list when it is not given. ``app/updates/manifest.py``
reads it.
"""

import argparse
import base64
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FORMAT = 1
CONTEXT = b"hearth updates 1\n"
TARGET = "hearth-updates.json"
LANGUAGES = ("en", "vi")
VERSION = r"(?P<version>\d+(?:\.\d+)*)"
SHAPES = (
    ("deb", "linux", re.compile(rf"hearth_{VERSION}_(?P<machine>\w+)\.deb")),
    ("run", "linux", re.compile(rf"hearth-{VERSION}-linux-(?P<machine>\w+)\.run")),
    ("appimage", "linux", re.compile(rf"Hearth-{VERSION}-(?P<machine>\w+)\.AppImage")),
    ("setup", "windows", re.compile(rf"Hearth-{VERSION}-setup\.exe")),
    ("dmg", "macos", re.compile(rf"Hearth-{VERSION}-(?P<machine>\w+)\.dmg")),
)
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def main(arguments: Sequence[str]) -> int:
    """Do one of the three; returns the exit status. A key that is there is never written over."""
    args = _parse(arguments)
    try:
        return int(args.act(args))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("update_manifest.py")
    acts = parser.add_subparsers(required=True)
    for name, act in (("new-key", _new_key), ("public", _public)):
        one = acts.add_parser(name)
        one.add_argument("key", type=Path)
        one.set_defaults(act=act)
    write = acts.add_parser("write")
    write.add_argument("folder", type=Path)
    write.add_argument("--key", type=Path, required=True)
    write.add_argument("--url", default="")
    write.add_argument("--notes", type=Path, default=Path(__file__).parent / "release-notes")
    write.add_argument("--minimum", default="0")
    write.add_argument("--serial", type=int, default=None)
    write.set_defaults(act=_write)
    return parser.parse_args(arguments)


def _new_key(args: argparse.Namespace) -> int:
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    handle = os.open(args.key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(text)
    print(public_text(key))
    return 0


def _public(args: argparse.Namespace) -> int:
    print(public_text(read_key(args.key)))
    return 0


def read_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a PEM file. Raises ValueError for another kind, OSError."""
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path} holds no Ed25519 key; make one with: update_manifest.py new-key FILE")
    return key


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """The 32 bytes of the public key."""
    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def public_text(key: Ed25519PrivateKey) -> str:
    """The public key as the setting and ``resources/update-keys.txt`` take it."""
    return base64.b64encode(public_bytes(key)).decode()


def _write(args: argparse.Namespace) -> int:
    found = installers(args.folder, args.url)
    if not found:
        raise ValueError(f"There is no installer in {args.folder}.")
    versions = {version for version, _ in found}
    if len(versions) > 1:
        raise ValueError(
            f"The installers in {args.folder} are of several versions: {', '.join(sorted(versions))}"
        )
    manifest = {
        "format": FORMAT,
        "product": "hearth",
        "serial": int(time.time()) if args.serial is None else args.serial,
        "version": versions.pop(),
        "minimum": args.minimum,
        "published": time.strftime("%Y-%m-%d", time.gmtime()),
        "notes": notes(args.notes),
        "files": [entry for _, entry in found],
    }
    target = args.folder / TARGET
    target.write_text(signed(manifest, read_key(args.key)), encoding="utf-8")
    print(target)
    return 0


def installers(folder: Path, base: str) -> list[tuple[str, dict[str, object]]]:
    """(version, entry of the list) for each installer in the folder."""
    found = []
    for path in sorted(folder.iterdir()):
        for form, system, shape in SHAPES:
            if match := shape.fullmatch(path.name):
                machine = match.groupdict().get("machine") or "x86_64"
                found.append(
                    (match["version"], _entry(path, (form, system, MACHINES.get(machine, machine)), base))
                )
    return found


def _entry(path: Path, kind: tuple[str, str, str], base: str) -> dict[str, object]:
    form, system, machine = kind
    return {
        "form": form,
        "system": system,
        "machine": machine,
        "name": path.name,
        "url": f"{base.rstrip('/')}/{path.name}" if base else path.name,
        "bytes": path.stat().st_size,
        "sha256": _sha256(path),
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def notes(folder: Path) -> dict[str, str]:
    """What is new, by language; English must be there."""
    found = {name: folder / f"{name}.md" for name in LANGUAGES}
    texts = {name: path.read_text(encoding="utf-8").strip() for name, path in found.items() if path.is_file()}
    if "en" not in texts:
        raise ValueError(f"{folder} has no en.md: people see the notes before they take an update.")
    return texts


def signed(manifest: dict[str, object], key: Ed25519PrivateKey) -> str:
    """The envelope: the list as text, and the signature of that very text."""
    text = json.dumps(manifest, ensure_ascii=False, indent=1)
    signature = base64.b64encode(key.sign(CONTEXT + text.encode())).decode()
    name = hashlib.sha256(public_bytes(key)).hexdigest()[:16]
    envelope = {"format": FORMAT, "manifest": text, "signatures": [{"key": name, "signature": signature}]}
    return json.dumps(envelope, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
