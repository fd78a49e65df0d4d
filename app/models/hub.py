"""The Hugging Face Hub (or a mirror): search, what a repository holds, where a file's bytes are.

The only importer of ``huggingface_hub``, and only inside functions: importing it costs 0.4 s that the first paint
should not pay. Its own retries are not used (they hold a caller for half a minute): a call here ends within ``TIMEOUT`` and
raises a HubError that says what is wrong. Downloads are ``app.models.transfer``'s.
"""

import functools
import logging
import os
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from app import __version__
from app.core.errors import (
    HearthError,
    HubError,
    HubGatedError,
    HubNotFoundError,
    HubRateLimitedError,
    HubServerError,
    HubUnauthorizedError,
    HubUnreachableError,
)
from app.models import hub_parse
from app.models.hub_address import Address, parse_address
from app.models.hub_range import RangeReader, Window
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
CONNECT, READ = 10.0, 20.0  # seconds
CARD_LIMIT = 2_000_000
SORTS = {"downloads": "downloads", "trending": "trendingScore", "likes": "likes", "updated": "lastModified"}
# Read by the library and by hf_xet when they are imported: we report nothing to anybody.
QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_XET_TELEMETRY_ENABLED": "0",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}


class Hub:
    """One Hub address. Thread-safe; every method may block on the network and raises HubError's kinds."""

    def __init__(self, endpoint: str | None, token: Callable[[], str | None]) -> None:
        self._endpoint, self._token = endpoint, token
        self._windows: dict[str, Window] = {}
        self._lock = threading.Lock()

    @property
    def endpoint(self) -> str:
        """The address in use, without a slash at its end: the one given, HF_ENDPOINT, or the Hub."""
        return (self._endpoint or os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")

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
        last page's, or None for the first. Raises HubError's kinds."""
        address = parse_address(query, self.endpoint) if cursor is None else None
        if address:
            exact = self._exact(address.repo)
            if exact is not None:
                return SearchPage((exact,))
        response = self._get(cursor) if cursor else self._first_page(query, sort, limit, filters)
        found = [hub_parse.summary(item) for item in _json(response) if isinstance(item, dict)]
        kept = tuple(item for item in found if _matches(item, filters))
        return SearchPage(kept, self._next(response))

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

    def locate(self, repo: str, revision: str, file: str) -> RemoteFile:
        """Where a file's bytes are now, and what they should be. Signed addresses expire: ask again then."""
        library = _library()
        url = f"{self.endpoint}/{quote(repo)}/resolve/{quote(revision, safe='')}/{quote(file)}"
        headers = self._headers()
        with _translated(self, repo, file):
            found = library.get_hf_file_metadata(
                url, token=False, timeout=READ, headers=headers, endpoint=self.endpoint
            )
        xet = found.xet_file_data
        location = urljoin(url, found.location)
        return RemoteFile(
            url=location,
            size=found.size,
            etag=found.etag,
            headers=headers if _origin(location) == _origin(url) else _anonymous(headers),
            sha256=found.etag if found.etag and len(found.etag) == 64 else None,
            commit=found.commit_hash,
            xet=xet.file_hash if xet else None,
            xet_route=xet.refresh_route if xet else None,
            auth=headers,
        )

    def open_range(self, repo: str, revision: str, file: str) -> RangeReader:
        """Read a remote file's beginning without downloading it (its GGUF header); kept in memory by etag."""
        remote = self.locate(repo, revision, file)
        key = remote.etag or remote.url
        with self._lock:
            window = self._windows.setdefault(key, Window())
        return RangeReader(f"{repo}/{file}", remote.size or 0, window, functools.partial(self._bytes, remote))

    def whoami(self) -> str | None:
        """The account the token belongs to, or None without a token. Raises HubUnauthorizedError for a bad one."""
        if not self._token():
            return None
        return str(_json(self._get("/api/whoami-v2", what="your token")).get("name") or "")

    # ------------------------------------------------------------------ requests
    def _first_page(
        self, query: str, sort: str, limit: int, filters: SearchFilters | None
    ) -> "httpx2.Response":
        params: dict[str, Any] = {
            "filter": ["gguf"],
            "sort": SORTS[sort],
            "limit": limit,
            "expand": hub_parse.EXPAND,
        }
        words = query.strip()
        if words.endswith("/") and " " not in words:
            params["author"] = words[:-1]
        elif words:
            params["search"] = words
        return self._get("/api/models", _with_filters(params, filters))

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
        library = _library()
        with _translated(self, what):
            response = library.get_session().get(self.endpoint + path, params=params, headers=self._headers())
            library.hf_raise_for_status(response)
            return response

    def _headers(self) -> dict[str, str]:
        token = self._token()
        headers: dict[str, str] = _library().build_hf_headers(
            token=token or False, library_name="hearth", library_version=__version__
        )
        return headers

    def _bytes(self, remote: RemoteFile, first: int, end: int) -> bytes:
        library = _library()
        headers = {**remote.headers, "Range": f"bytes={first}-{end - 1}", "Accept-Encoding": "identity"}
        with (
            _translated(self, remote.url),
            library.get_session().stream("GET", remote.url, headers=headers) as answer,
        ):
            library.hf_raise_for_status(answer)
            skip = first if answer.status_code == 200 else 0  # a server that ignores Range begins at 0
            return _take(answer.iter_raw(65536), skip, end - first)


class _Library:
    """The functions of huggingface_hub in use, imported once."""

    def __init__(self) -> None:
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        import httpx2  # noqa: PLC0415
        from huggingface_hub import errors, get_hf_file_metadata, set_client_factory  # noqa: PLC0415
        from huggingface_hub.utils._headers import build_hf_headers  # noqa: PLC0415
        from huggingface_hub.utils._http import (  # noqa: PLC0415
            get_session,
            hf_raise_for_status,
            hf_request_event_hook,
        )

        self.errors, self.httpx2 = errors, httpx2
        self.build_hf_headers, self.get_session = build_hf_headers, get_session
        self.hf_raise_for_status, self.get_hf_file_metadata = hf_raise_for_status, get_hf_file_metadata
        self._hook = hf_request_event_hook
        # Its INFO lines hold signed addresses.
        logging.getLogger("httpx2").setLevel(logging.WARNING)
        set_client_factory(self._client)

    def _client(self) -> "httpx2.Client":
        timeout = self.httpx2.Timeout(READ, connect=CONNECT)
        hooks: dict[str, list[Callable[..., Any]]] = {"request": [self._hook, _limit_time]}
        return self.httpx2.Client(event_hooks=hooks, follow_redirects=True, timeout=timeout)


def _limit_time(request: "httpx2.Request") -> None:
    # The library passes timeout=None by itself in many places, which means for ever.
    limits = request.extensions.get("timeout") or {}
    if any(limits.get(name) is None for name in ("connect", "read")):
        request.extensions["timeout"] = {"connect": CONNECT, "read": READ, "write": READ, "pool": CONNECT}


@functools.cache
def _library() -> _Library:
    return _Library()


class _translated:  # noqa: N801 - used as a word in a with statement
    """Turns whatever the library raises inside into one of our errors."""

    def __init__(self, hub: Hub, what: str, file: str = "") -> None:
        self._hub, self._what, self._file = hub, what, file

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None or isinstance(error, HearthError):
            return
        if isinstance(error, Exception):
            translated = translate(error, self._what, self._hub.endpoint, self._file)
            if translated is not None:
                raise translated from error


def translate(error: Exception, what: str, endpoint: str, file: str = "") -> HearthError | None:
    """The HubError that says what happened, or None when it is not the network's or the Hub's doing."""
    library = _library()
    if file and isinstance(error, library.errors.RemoteEntryNotFoundError):
        what = f"{what}/{file}"
    host = urlsplit(endpoint).netloc or endpoint
    if isinstance(error, library.errors.HfHubHTTPError):
        return _from_answer(error, what)
    if isinstance(error, library.httpx2.TimeoutException):
        return HubUnreachableError(host=host, detail="no answer in time")
    if isinstance(error, library.errors.OfflineModeIsEnabled):
        return HubUnreachableError(host=host, detail="HF_HUB_OFFLINE is set")
    if isinstance(error, library.httpx2.HTTPError | library.httpx2.InvalidURL | OSError):
        return HubUnreachableError(host=host, detail=_short(error))
    if isinstance(error, library.errors.HFValidationError):
        return HubNotFoundError(what=what)
    return HubError(detail=_short(error)) if isinstance(error, ValueError) else None


def _from_answer(error: Any, what: str) -> HearthError:
    library, answer = _library(), error.response
    status = answer.status_code
    refused = "Invalid credentials" in str(answer.headers.get("X-Error-Message", ""))
    if isinstance(error, library.errors.GatedRepoError):
        return HubGatedError(what=what)
    if status == 403 or (status == 401 and (refused or what == "your token")):
        return HubUnauthorizedError(what=what)
    if isinstance(error, library.errors.RepositoryNotFoundError) or status in {401, 404, 410}:
        return HubNotFoundError(what=what)
    if status == 429:
        return HubRateLimitedError(seconds=retry_after(answer.headers))
    return HubServerError(status=status) if status >= 500 or status in {408, 425} else HubError(detail=f"HTTP {status}")


def retry_after(headers: Any, default: int = 30) -> int:
    """Seconds a 429 or 503 asks us to wait: ``RateLimit`` (``t=``), ``Retry-After``, or ``default``."""
    named = dict(
        item.strip().split("=", 1) for item in headers.get("RateLimit", "").split(";") if "=" in item
    )
    asked = named.get("t") or headers.get("Retry-After", "")
    return int(asked) if str(asked).strip().isdigit() else default


def _short(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


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


def _with_filters(params: dict[str, Any], filters: SearchFilters | None) -> dict[str, Any]:
    if filters is None:
        return params
    tags = [f"license:{filters.license}"] if filters.license else []
    low, high = filters.min_parameters, filters.max_parameters
    bounds = [f"{name}:{value}" for name, value in (("min", low), ("max", high)) if value is not None]
    asked = {
        "filter": [*params["filter"], *tags],
        "author": filters.author or params.get("author"),
        "pipeline_tag": filters.task,
        "num_parameters": ",".join(bounds),
        "gated": None if filters.gated is None else str(filters.gated).lower(),
    }
    return {**params, **{name: value for name, value in asked.items() if value}}


def _matches(item: RepoSummary, filters: SearchFilters | None) -> bool:
    """What the Hub can't filter itself."""
    if filters is None:
        return True
    fitting = not filters.architecture or (item.architecture or "").lower() == filters.architecture.lower()
    trained = not filters.qat or "qat" in item.id.lower() or "qat" in item.tags
    return fitting and trained
