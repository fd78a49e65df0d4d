"""The Hub's own client library, imported once and late, limited in time, and its errors turned into ours."""

import functools
import logging
import os
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

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
from app.core.paths import find_paths
from app.core.settings_groups import Hub as HubSettings
from app.models.transfer_net import Net

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx2

log = logging.getLogger(__name__)

CONNECT, READ = 10.0, 20.0  # seconds
# Read by the library and by hf_xet when they are imported: we report nothing to anybody.
QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_XET_TELEMETRY_ENABLED": "0",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}


def settle_environment() -> None:
    """Before the library or hf_xet is imported: no reports to anybody, and hf_xet's log and scratch in our folders."""
    paths = find_paths()
    own = {"HF_XET_CACHE": str(paths.cache / "xet"), "HF_XET_LOG_DEST": f"{paths.logs / 'xet'}{os.sep}"}
    for name, value in (QUIET | own).items():
        os.environ.setdefault(name, value)


class Library:
    """The functions of huggingface_hub in use, imported once."""

    def __init__(self) -> None:
        settle_environment()
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
        self._hook, self._set_factory = hf_request_event_hook, set_client_factory
        self._net: Net | None = None
        # Its INFO lines hold signed addresses.
        logging.getLogger("httpx2").setLevel(logging.WARNING)

    def reach(self, net: Net) -> None:
        """Use this proxy and these certificates from now on; the client is the whole process's."""
        if net != self._net:
            self._net = net
            self._set_factory(functools.partial(self._client, net))

    def _client(self, net: Net) -> "httpx2.Client":
        from app.models.hub_transport import ProxiedTransport  # noqa: PLC0415 - imports the Hub's client

        timeout = self.httpx2.Timeout(READ, connect=CONNECT)
        hooks: dict[str, list[Callable[..., Any]]] = {"request": [self._hook, _limit_time]}
        return self.httpx2.Client(
            event_hooks=hooks, follow_redirects=True, timeout=timeout, transport=ProxiedTransport(net)
        )


def _limit_time(request: "httpx2.Request") -> None:
    # The library passes timeout=None by itself in many places, which means for ever.
    limits = request.extensions.get("timeout") or {}
    if any(limits.get(name) is None for name in ("connect", "read")):
        request.extensions["timeout"] = {"connect": CONNECT, "read": READ, "write": READ, "pool": CONNECT}


_loading = threading.Lock()


@functools.cache
def _load() -> Library:
    return Library()


def library_for(settings: HubSettings) -> Library:
    """The library, reaching the network as these settings say."""
    with _loading:
        library = _load()
        library.reach(Net(proxy=settings.proxy, ca_file=settings.ca_file))
    return library


class translated:  # noqa: N801 - used as a word in a with statement
    """Turns whatever the library raises inside into one of our errors."""

    def __init__(self, base: str, what: str, file: str = "") -> None:
        self._base, self._what, self._file = base, what, file

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None or isinstance(error, HearthError):
            return
        if isinstance(error, Exception):
            translated = translate(error, self._what, self._base, self._file)
            if translated is not None:
                raise translated from error


def translate(error: Exception, what: str, endpoint: str, file: str = "") -> HearthError | None:
    """The HubError that says what happened, or None when it is not the network's or the Hub's doing."""
    library = _load()
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
        return HubUnreachableError(host=host, detail=short(error))
    if isinstance(error, library.errors.HFValidationError):
        return HubNotFoundError(what=what)
    return HubError(detail=short(error)) if isinstance(error, ValueError) else None


def _from_answer(error: Any, what: str) -> HearthError:
    library, answer = _load(), error.response
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
    return (
        HubServerError(status=status)
        if status >= 500 or status in {408, 425}
        else HubError(detail=f"HTTP {status}")
    )


def retry_after(headers: Any, default: int = 30) -> int:
    """Seconds a 429 or 503 asks us to wait: ``RateLimit`` (``t=``), ``Retry-After``, or ``default``."""
    named = dict(
        item.strip().split("=", 1) for item in headers.get("RateLimit", "").split(";") if "=" in item
    )
    asked = named.get("t") or headers.get("Retry-After", "")
    return int(asked) if str(asked).strip().isdigit() else default


def short(error: Exception) -> str:
    """The first line of what an error says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
