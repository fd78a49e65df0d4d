"""The signed list of what there is to install, and what makes it one: an Ed25519 signature by a key that is trusted.

The address answers with an envelope, JSON of ``{"format": 1, "manifest": TEXT, "signatures": [{"key": ID, "signature":
BASE64}]}``. ``manifest`` is the list as the very text that was signed, so that nothing is read before its signature is
right, and list and signature always come together. ``packaging/update_manifest.py`` writes it.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from app.core.errors import UpdateKeyError, UpdateListError, UpdateSignatureError
from app.updates.versions import numbers

FORMAT = 1
PRODUCT = "hearth"
CONTEXT = b"hearth updates 1\n"
"""Comes before the text that is signed: a signature of something else by the same key is none of this."""
MOST_BYTES = 1 << 20
KEY_BYTES = 32
System = Literal["linux", "windows", "macos"]
FileForm = Literal["deb", "run", "appimage", "setup", "dmg"]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,120}")
_ID = 16
T = TypeVar("T")


class Artefact(Struct, frozen=True):
    """One installer. ``url`` may be relative to the list's own address."""

    form: FileForm
    system: System
    machine: str
    name: str
    url: str
    bytes: Annotated[int, Meta(gt=0, le=8 << 30)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Manifest(Struct, frozen=True):
    """What there is. ``serial`` rises with every list that is published, and ``minimum`` is the oldest version that
    this one may be installed over."""

    format: int
    product: str
    serial: Annotated[int, Meta(ge=0)]
    version: str
    minimum: str = "0"
    published: str = ""
    notes: dict[str, str] = {}
    """By language; shown before anything is fetched."""
    files: tuple[Artefact, ...] = ()


class _Signature(Struct, frozen=True):
    key: str
    signature: str


class _Envelope(Struct, frozen=True):
    format: int
    manifest: str
    signatures: tuple[_Signature, ...]


def key_id(public: bytes) -> str:
    """A short name for a public key of 32 bytes."""
    return hashlib.sha256(public).hexdigest()[:_ID]


def read_keys(*texts: str) -> tuple[bytes, ...]:
    """Public keys in base64, one a line, ``#`` before a remark. Raises UpdateKeyError for what is none."""
    found: list[bytes] = []
    for line in "\n".join(texts).splitlines():
        word = line.partition("#")[0].strip()
        if word:
            found.append(_one_key(word))
    return tuple(dict.fromkeys(found))


def _one_key(word: str) -> bytes:
    try:
        found = base64.b64decode(word, validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != KEY_BYTES:
        raise UpdateKeyError(detail=f"{word[:50]} is no Ed25519 public key in base64")
    return found


def open_list(data: bytes, keys: Sequence[bytes], host: str) -> tuple[Manifest, str]:
    """The list in an envelope, and the name of the key that signed it. Nothing of it is read before its signature is
    right. Raises UpdateListError, UpdateSignatureError."""
    envelope = _decode(data, _Envelope, host)
    if envelope.format != FORMAT:
        raise UpdateListError(
            host=host, detail=f"its format is {envelope.format}, and this Hearth knows {FORMAT}"
        )
    text = envelope.manifest.encode()
    signed_by = next((key_id(key) for key in keys if _signed(envelope, text, key)), None)
    if signed_by is None:
        raise UpdateSignatureError(host=host)
    return _checked(_decode(text, Manifest, host), host), signed_by


def _decode(data: bytes, kind: type[T], host: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise UpdateListError(host=host, detail=str(error)) from error


def _signed(envelope: _Envelope, text: bytes, key: bytes) -> bool:
    name = key_id(key)
    return any(item.key == name and _verify(key, item.signature, text) for item in envelope.signatures)


def _verify(key: bytes, signature: str, text: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - 30 ms that only a look for updates pays
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(base64.b64decode(signature), CONTEXT + text)
    except (InvalidSignature, ValueError):
        return False
    return True


def _checked(manifest: Manifest, host: str) -> Manifest:
    wrong = ""
    if manifest.format != FORMAT:
        wrong = f"its format is {manifest.format}, and this Hearth knows {FORMAT}"
    elif manifest.product != PRODUCT:
        wrong = f"it is for {manifest.product}"
    elif numbers(manifest.version) is None or numbers(manifest.minimum) is None:
        wrong = f"{manifest.version} or {manifest.minimum} is no version"
    elif bad := next((item.name for item in manifest.files if not _NAME.fullmatch(item.name)), None):
        wrong = f"{bad[:50]} is no name of a file"
    if wrong:
        raise UpdateListError(host=host, detail=wrong)
    return manifest


def host_of(address: str) -> str:
    """The part of an address that people know it by."""
    return urlsplit(address).netloc.rpartition("@")[2] or address
