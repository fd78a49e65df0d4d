"""Bytes from Xet storage through ``hf_xet``'s streams, which begin at any offset and can be ended at any time.

Every block was checked against its content hash before it comes here. ``hf_xet`` is imported on first use; it reports
nothing to anybody and keeps to a memory that suits a desktop.
"""

import functools
import importlib.util
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

from app.models.hub_client import settle_environment
from app.models.hub_types import RemoteFile

Method = Literal["auto", "http", "xet"]
PLAIN_LIMIT = 50_000_000_000  # bytes above which the Hub refuses plain HTTP
SHORTEST, LONGEST = 1024 * 1024, 64 * 1024 * 1024  # one stretch
STALL_FACTOR = 4  # a stretch may take this many times the patience a socket gets
FAILURES = 2  # in a row, without a byte, before plain HTTP is used instead
MAIN_SITE = "https://huggingface.co"
SETTINGS = {
    "telemetry.enabled": False,
    "client.retry_max_attempts": 1,
    "reconstruction.download_buffer_size": 268_435_456,
    "reconstruction.download_buffer_perfile_size": 67_108_864,
    "reconstruction.download_buffer_limit": 536_870_912,
    "reconstruction.min_reconstruction_fetch_size": 67_108_864,
    "reconstruction.min_prefetch_buffer": 67_108_864,
}


def wanted(remote: RemoteFile, method: Method) -> bool:
    """Whether a file is fetched through Xet: on demand; else from the main site, and where plain HTTP is refused."""
    if method == "http" or remote.xet is None or remote.xet_route is None or remote.size is None:
        return False
    if importlib.util.find_spec("hf_xet") is None:
        return False
    return method == "xet" or remote.xet_route.startswith(MAIN_SITE) or remote.size > PLAIN_LIMIT


@functools.cache
def _session() -> Any:
    settle_environment()
    import hf_xet  # noqa: PLC0415 - loads a large library

    return hf_xet.XetSession(config=hf_xet.XetConfig().with_config(SETTINGS))


class _Flow:
    """One stream and when it last gave something."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.count = 0
        self.moved = time.monotonic()


class XetSource:
    """The streams of one transfer. Thread-safe.

    A stream that is being read can't be asked or cancelled from another thread (hf_xet says "already borrowed"); its
    group can be aborted, which ends all its streams. A block comes whole, up to 64 MiB: the caller asks for short
    stretches when the line is slow, so that there is something to see and little to lose.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._group: Any = None
        self._of: RemoteFile | None = None
        self._flows: set[_Flow] = set()
        self._stalled: set[_Flow] = set()
        self._cancelled = False

    def receive(self, remote: RemoteFile, first: int, end: int, sink: Callable[[bytes], bool]) -> None:
        """Give [first, end) in order to ``sink`` until it says False. Raises OSError (hf_xet's are), TimeoutError."""
        flow = self._open(remote, first, end)
        try:
            for block in flow.stream:
                flow.count, flow.moved = flow.count + len(block), time.monotonic()
                if not sink(block):
                    return
            if flow in self._stalled:
                raise TimeoutError("nothing came")
            if flow.count < end - first:
                raise ConnectionError("the stream ended early")
        except (RuntimeError, ValueError) as error:
            raise ConnectionError(str(error)) from error
        finally:
            flow.stream.cancel()
            with self._lock:
                self._flows.discard(flow)
                self._stalled.discard(flow)

    def _open(self, remote: RemoteFile, first: int, end: int) -> _Flow:
        import hf_xet  # noqa: PLC0415

        with self._lock:
            if self._cancelled:
                raise ConnectionAbortedError("cancelled")
            if self._group is None or self._of != remote:
                self._of = remote
                self._group = _session().new_download_stream_group(
                    token_refresh_url=remote.xet_route, token_refresh_headers=remote.auth
                )
            info = hf_xet.XetFileInfo(remote.xet, remote.size)
            flow = _Flow(self._group.download_stream(info, start=first, end=end))
            self._flows.add(flow)
        return flow

    def end_stalled(self, seconds: float) -> None:
        """When a stream has given nothing for so long, end all; their ``receive`` raises TimeoutError."""
        now = time.monotonic()
        with self._lock:
            if any(now - flow.moved > seconds for flow in self._flows):
                self._stalled |= self._flows
                self._abort()

    def interrupt(self) -> None:
        """End the streams of now."""
        with self._lock:
            self._abort()

    def cancel(self) -> None:
        """End every stream for good."""
        self._cancelled = True
        self.interrupt()

    def _abort(self) -> None:
        if self._group is not None:
            self._group.abort()
            self._group = None
