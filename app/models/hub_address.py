"""What a person types or pastes to name a repository: ``user/model``, ``user/model:Q4_K_M``, or a Hub address."""

import re
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
_REPO = re.compile(rf"({_NAME}/{_NAME})(?:@([\w./-]+))?(?::([\w.-]+))?")
_KNOWN_HOSTS = ("huggingface.co", "hf.co", "www.huggingface.co", "hf-mirror.com")
_VIEWS = {"blob", "resolve", "raw", "tree", "commit", "commits"}
_NOT_OWNERS = {
    "models",
    "datasets",
    "spaces",
    "docs",
    "blog",
    "api",
    "settings",
    "papers",
    "collections",
    "join",
    "login",
}


class Address(Struct, frozen=True):
    """A repository, and what more was said: revision, one file, or a quant's name."""

    repo: str
    revision: str | None = None
    file: str | None = None
    quant: str | None = None


def parse_address(text: str, endpoint: str = "") -> Address | None:
    """The repository that ``text`` names, or None when it is words to search for.

    ``endpoint`` is a mirror whose addresses are understood as well as the Hub's own.
    """
    text = text.strip().strip("<>\"'")
    if "://" in text or text.lower().startswith(tuple(f"{host}/" for host in _KNOWN_HOSTS)):
        return _from_url(text, endpoint)
    match = _REPO.fullmatch(text)
    return Address(match[1], match[2], None, match[3]) if match else None


def _from_url(text: str, endpoint: str) -> Address | None:
    url = urlsplit(text if "://" in text else f"https://{text}")
    if url.scheme == "hf":
        return parse_address(f"{url.netloc}{url.path}".strip("/"))
    hosts = (*_KNOWN_HOSTS, (urlsplit(endpoint).hostname or "").lower())
    if (url.hostname or "").lower() not in hosts:
        return None
    parts = [unquote(part) for part in url.path.split("/") if part]
    # https://hf.co/user/model:Q4_K_M is how other programs write a quant.
    quant = None
    if len(parts) == 2 and ":" in parts[1]:
        parts[1], quant = parts[1].split(":", 1)
    if len(parts) < 2 or parts[0] in _NOT_OWNERS or not _REPO.fullmatch("/".join(parts[:2])):
        return None
    shown = parse_qs(url.query).get("show_file_info", [None])[0]
    revision, file = _inside(parts[2:])
    return Address("/".join(parts[:2]), revision, shown or file, quant)


def _inside(parts: list[str]) -> tuple[str | None, str | None]:
    if len(parts) < 2 or parts[0] not in _VIEWS:
        return None, None
    revision = None if parts[1] == "main" else parts[1]
    file = "/".join(parts[2:]) if parts[0] in {"blob", "resolve", "raw"} else None
    return revision, file or None
