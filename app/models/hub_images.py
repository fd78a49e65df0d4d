"""Which pictures of a model card may be fetched, once a person asked for them, and what may come.

A card is written by a stranger: its addresses may point anywhere, also into the person's own network.
"""

import ipaddress
from collections.abc import Iterator
from urllib.parse import quote, urljoin, urlsplit

from app.core.errors import HubError

LIMIT = 4_000_000  # bytes of one picture
_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")


def address(endpoint: str, repo: str, written: str) -> str:
    """The whole address of a picture as a card writes it; relative ones are files of the repository. Raises HubError
    for what is never asked for: no encryption, a machine's number instead of a name, a name of the local network."""
    url = urljoin(f"{endpoint}/{quote(repo)}/resolve/main/", written)
    parts, own = urlsplit(url), urlsplit(endpoint)
    if (parts.scheme, parts.netloc) == (own.scheme, own.netloc):
        return url
    host = (parts.hostname or "").rstrip(".").lower()
    if parts.scheme != "https" or parts.username or "." not in host or _local(host):
        raise HubError(detail=f"a picture's address is not a public one ({written[:80]})")
    return url


def _local(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host.endswith((".local", ".lan", ".internal", ".home.arpa", ".localhost"))
    return True


def take(pieces: Iterator[bytes]) -> bytes:
    """The bytes of a picture. Raises HubError for one that is too large, or of a kind we don't show (SVG runs code)."""
    data = bytearray()
    for piece in pieces:
        data += piece
        if len(data) > LIMIT:
            raise HubError(detail=f"a picture is larger than {LIMIT // 1_000_000} MB")
    if not data.startswith(_MAGIC) and not (data[:4] == b"RIFF" and data[8:12] == b"WEBP"):
        raise HubError(detail="a picture is neither PNG, JPEG, GIF nor WebP")
    return bytes(data)
