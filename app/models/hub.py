"""The Hugging Face Hub (or a mirror): search, what a repository holds, where a file's bytes are.

The only importer of ``huggingface_hub``, and only inside functions: importing it costs 0.4 s that the first paint
should not pay. Its own retries are not used (they hold a caller for half a minute): a call here ends within seconds
and raises a HubError that says what is wrong. Downloads are ``app.models.transfer``'s.
"""

import functools
import logging
import os
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from app import __version__
from app.core.errors import HubError, HubNotFoundError, HubUnauthorizedError
from app.core.settings_groups import Hub as HubSettings
from app.models import hub_images, hub_parse, hub_query
from app.models.hub_address import Address, parse_address
from app.models.hub_client import READ, library_for, translated
from app.models.hub_headers import HeaderCache
from app.models.hub_mirrors import Mirrors
from app.models.hub_range import RangeReader
from app.models.hub_types import (
    QuantFile,
    RemoteFile,
    RemotePart,
    RepoDetail,
    RepoSummary,
    SearchFilters,
    SearchPage,
    Sort,
)
from app.models.token import Tokens

if TYPE_CHECKING:
    import httpx2

__all__ = [
    "Address",
    "Hub",
    "QuantFile",
    "RangeReader",
    "RemoteFile",
    "RemotePart",
    "RepoDetail",
    "RepoSummary",
    "SearchFilters",
    "SearchPage",
    "Sort",
    "parse_address",
]

log = logging.getLogger(__name__)

DEFAULT_ENDPOINT = "https://huggingface.co"
CARD_LIMIT = 2_000_000
IMAGE_HOPS = 5
SEARCH_PAGES = 5  # of the Hub's, looked through for one of ours when most of it is left out


class Hub:
    """One Hub address. Thread-safe; every method may block on the network and raises HubError's kinds."""

    def __init__(
        self,
        endpoint: str | None,
        token: Callable[[], str | None],
        settings: Callable[[], HubSettings] | None = None,
        headers: HeaderCache | None = None,
    ) -> None:
        self._endpoint, self.tokens = endpoint, token
        """``app.models.token.Tokens`` in the program: it also keeps and forgets a token."""
        self._settings = settings or HubSettings
        self._mirrors = Mirrors(self._ping)
        self._gave: dict[tuple[str, str], str] = {}
        self._headers_read = headers or HeaderCache()
        self._lock = threading.Lock()

    @property
    def account(self) -> Tokens:
        """Where the token is kept. Raises TypeError for a Hub that was built with a function instead."""
        if not isinstance(self.tokens, Tokens):
            raise TypeError("this Hub has no place to keep a token in")
        return self.tokens

    @property
    def endpoint(self) -> str:
        """The address in use, without a slash at its end: the one given, HF_ENDPOINT, or the Hub."""
        chosen = (
            self._endpoint or self._settings().endpoint or os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT
        )
        return chosen.rstrip("/")

    @property
    def endpoints(self) -> list[str]:
        """The address in use and its mirrors."""
        mirrors = self._settings().mirrors.replace(",", " ").split()
        return list(dict.fromkeys([self.endpoint, *(mirror.rstrip("/") for mirror in mirrors)]))

    def page_url(self, repo: str) -> str:
        """The repository's page for a browser (where a licence is accepted)."""
        return f"{self.endpoint}/{repo}"

    def search(
        self,
        query: str,
        *,
        sort: Sort = "downloads",
        limit: int = 30,
        cursor: str | None = None,
        filters: SearchFilters | None = None,
    ) -> SearchPage:
        """Repositories with GGUF files. ``query`` may be words, ``user/model`` or a pasted address; ``cursor`` is the
        last page's, or None for the first. A page may hold more or fewer than ``limit``. Raises HubError's kinds."""
        address = parse_address(query, self.endpoint) if cursor is None else None
        if address:
            exact = self._exact(address.repo)
            if exact is not None:
                return SearchPage((exact,))
        picky = filters is not None and filters.here
        count = hub_query.LIKELY if picky or (sort == "match" and query.strip()) else limit
        asked = hub_query.parameters(query, sort, max(count, limit), filters)
        kept: list[RepoSummary] = []
        for _ in range(SEARCH_PAGES if picky else 1):
            response = self._get(cursor) if cursor else self._get("/api/models", asked)
            found = [hub_parse.summary(item) for item in _json(response) if isinstance(item, dict)]
            kept += [item for item in found if hub_query.matches(item, filters)]
            cursor = self._next(response)
            if cursor is None or len(kept) >= limit:
                break
        return SearchPage(hub_query.ranked(kept, query, sort), cursor)

    def repo(self, repo_id: str, revision: str | None = None) -> RepoDetail:
        """What is in a repository: its quants with sizes and hashes. ``repo_id`` may be a pasted address."""
        address = parse_address(repo_id, self.endpoint)
        name, wanted = (address.repo, revision or address.revision) if address else (repo_id, revision)
        suffix = f"/revision/{quote(wanted, safe='')}" if wanted else ""
        info = _json(self._get(f"/api/models/{quote(name)}{suffix}", what=name))
        tree = self._pages(f"/api/models/{quote(name)}/tree/{info.get('sha') or 'main'}?recursive=true", name)
        return hub_parse.detail(info, tree)

    def card(self, repo_id: str, revision: str | None = None) -> str:
        """The repository's README as Markdown, without its metadata block; empty when it has none."""
        path = f"/{quote(repo_id)}/raw/{quote(revision or 'main', safe='')}/README.md"
        try:
            text = self._get(path, what=repo_id).text[:CARD_LIMIT]
        except HubNotFoundError:
            return ""
        if text.startswith("---"):
            _, _, text = text[3:].partition("\n---")
        return text.strip()

    def image(self, repo: str, written: str) -> bytes:
        """A picture of a card, as its text names it; only once a person asked for it. No token leaves for another
        host, and a redirect is not followed into one that may not be asked. Raises HubError."""
        library, url = library_for(self._settings()), hub_images.address(self.endpoint, repo, written)
        for _ in range(IMAGE_HOPS):
            headers = self._headers(self.endpoint)
            if _origin(url) != _origin(self.endpoint):
                headers = _anonymous(headers)
            with (
                translated(url, "The picture"),
                library.get_session().stream("GET", url, headers=headers, follow_redirects=False) as answer,
            ):
                following = answer.headers.get("Location") if answer.is_redirect else None
                if following is None:
                    library.hf_raise_for_status(answer)
                    return hub_images.take(answer.iter_bytes(65536))
            url = hub_images.address(self.endpoint, repo, urljoin(url, following))
        raise HubError(detail="a picture's address leads on and on")

    def locate(self, repo: str, revision: str, file: str) -> RemoteFile:
        """Where a file's bytes are now, and what they should be. Signed addresses expire: ask again then."""
        return self._mirrors.ask(self.endpoints, lambda base: self._locate_at(base, repo, revision, file))

    def _locate_at(self, base: str, repo: str, revision: str, file: str) -> RemoteFile:
        library = library_for(self._settings())
        url = f"{base}/{quote(repo)}/resolve/{quote(revision, safe='')}/{quote(file)}"
        headers = self._headers(base)
        with translated(base, repo, file):
            found = library.get_hf_file_metadata(
                url, token=False, timeout=READ, headers=headers, endpoint=base
            )
        xet = found.xet_file_data
        location = urljoin(url, found.location)
        with self._lock:
            self._gave[_origin(location)] = base
        return RemoteFile(
            url=location,
            size=found.size,
            etag=found.etag,
            headers=headers if _origin(location) == _origin(url) else _anonymous(headers),
            sha256=found.etag if found.etag and len(found.etag) == 64 else None,
            commit=found.commit_hash,
            xet=xet.file_hash if xet else None,
            xet_route=xet.refresh_route if xet else None,
            auth=headers if xet and _origin(xet.refresh_route) == _origin(url) else _anonymous(headers),
        )

    def distrust(self, remote: RemoteFile) -> None:
        """Nothing comes from there: ask the other addresses first for a while."""
        with self._lock:
            base = self._gave.get(_origin(remote.url))
        if base is not None:
            self._mirrors.failed(base)

    def open_range(self, repo: str, revision: str, file: str) -> RangeReader:
        """Read a remote file's beginning without downloading it (its GGUF header); kept by etag."""
        remote = self.locate(repo, revision, file)
        window = self._headers_read.window(remote.etag or remote.url, lasting=bool(remote.etag))
        return RangeReader(f"{repo}/{file}", remote.size or 0, window, functools.partial(self._bytes, remote))

    def whoami(self, token: str | None = None) -> str | None:
        """The account a token (the one in use) belongs to, or None without one. Raises HubUnauthorizedError for a bad
        one."""
        token = token or self.tokens()
        if not token:
            return None
        # The chosen address only: a mirror never sees a token.
        answer = self._get_at(self.endpoint, "/api/whoami-v2", None, "your token", token)
        return str(_json(answer).get("name") or "")

    # ------------------------------------------------------------------ requests
    def _exact(self, repo_id: str) -> RepoSummary | None:
        try:
            return hub_parse.summary(_json(self._get(f"/api/models/{quote(repo_id)}", what=repo_id)))
        except (HubNotFoundError, HubUnauthorizedError):
            return None  # perhaps meant as words

    def _pages(self, path: str, what: str) -> Iterator[dict[str, Any]]:
        following: str | None = path
        while following:
            response = self._get(following, what=what)
            yield from _json(response)
            following = self._next(response)

    def _next(self, response: "httpx2.Response") -> str | None:
        # A mirror that does not rewrite the link names the main site: we stay where we are.
        link = response.links.get("next", {}).get("url")
        return urlunsplit(("", "", *urlsplit(link)[2:])) if link else None

    def _get(
        self, path: str, params: dict[str, Any] | None = None, what: str = "This page"
    ) -> "httpx2.Response":
        return self._mirrors.ask(self.endpoints, lambda base: self._get_at(base, path, params, what))

    def _get_at(
        self, base: str, path: str, params: dict[str, Any] | None, what: str, token: str | None = None
    ) -> "httpx2.Response":
        library = library_for(self._settings())
        headers = self._headers(base, token)
        with translated(base, what):
            response = library.get_session().get(base + path, params=params, headers=headers)
            library.hf_raise_for_status(response)
            return response

    def _ping(self, base: str) -> None:
        self._get_at(base, "/api/models", {"limit": 1, "filter": "gguf"}, "This page")

    def _headers(self, base: str, token: str | None = None) -> dict[str, str]:
        # A mirror is somebody else's host: it never sees the token.
        token = token or self.tokens() if base == self.endpoint else None
        headers: dict[str, str] = library_for(self._settings()).build_hf_headers(
            token=token or False, library_name="hearth", library_version=__version__
        )
        return headers

    def _bytes(self, remote: RemoteFile, first: int, end: int) -> bytes:
        library = library_for(self._settings())
        headers = {**remote.headers, "Range": f"bytes={first}-{end - 1}", "Accept-Encoding": "identity"}
        with (
            translated(remote.url, "The file"),
            library.get_session().stream("GET", remote.url, headers=headers) as answer,
        ):
            library.hf_raise_for_status(answer)
            skip = first if answer.status_code == 200 else 0  # a server that ignores Range begins at 0
            return _take(answer.iter_raw(65536), skip, end - first)


def _json(response: "httpx2.Response") -> Any:
    try:
        return response.json()
    except ValueError as error:
        detail = "what came back is not the Hub's (a sign-in page of the network?)"
        raise HubError(detail=detail) from error


def _take(pieces: Iterator[bytes], skip: int, count: int) -> bytes:
    data = bytearray()
    for piece in pieces:
        dropped = min(skip, len(piece))
        skip -= dropped
        data += piece[dropped:]
        if len(data) >= count:
            break
    return bytes(data[:count])


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _anonymous(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() != "authorization"}
