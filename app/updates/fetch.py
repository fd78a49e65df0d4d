"""The list and the installers over the network, by the same connections that models come through."""

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from app.core.errors import (
    ChecksumError,
    HearthError,
    HubError,
    HubUnreachableError,
    TransferCancelledError,
    TransferError,
    UpdateFileError,
    UpdateListError,
    UpdateUnreachableError,
)
from app.models.hub_types import RemoteFile
from app.models.transfer import Options, Transfer
from app.models.transfer_http import Body, Cut, Wire
from app.models.transfer_net import Net
from app.updates.manifest import MOST_BYTES, Artefact, host_of

LIST = "hearth-updates.json"


def list_address(address: str) -> str:
    """The list's own address: what was set, or the usual name below it. Raises UpdateListError."""
    parts = urlsplit(address)
    if parts.scheme not in {"https", "http"} or not parts.netloc:
        raise UpdateListError(host=address, detail="the address must begin with https:// or http://")
    return address if parts.path.endswith(".json") else f"{address.rstrip('/')}/{LIST}"


def get_list(address: str, net: Net) -> bytes:
    """What the address answers, up to ``MOST_BYTES``. Raises UpdateUnreachableError, UpdateListError."""
    url = list_address(address)
    data = _ask(url, net, lambda body: body.small(MOST_BYTES + 1))
    if len(data) > MOST_BYTES:
        raise UpdateListError(host=host_of(url), detail="it is larger than a list can be")
    return data


def _ask(url: str, net: Net, use: Callable[[Body], bytes], end: int | None = None) -> bytes:
    """One request; ``use`` gets an answer that holds what was asked for."""
    wire, host = Wire(net), host_of(url)
    try:
        body = wire.get(url, {}, 0, end)
        try:
            if body.status not in {200, 206}:
                raise UpdateUnreachableError(host=host, detail=f"HTTP {body.status}")
            return use(body)
        finally:
            body.close()
    except (OSError, Cut, HubUnreachableError) as error:
        raise UpdateUnreachableError(host=host, detail=_reason(error)) from error
    finally:
        wire.close()


def _reason(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "its name is not known here"
    if isinstance(error, ssl.SSLError):
        return f"its certificate is not trusted ({error.reason or error})"
    if isinstance(error, HearthError):
        return str(error.params.get("detail", error))
    return str(getattr(error, "strerror", "") or str(error) or type(error).__name__)


class Fetch:
    """One installer on its way. ``run`` blocks; ``cancel`` and ``transfer.progress`` may be called from any thread."""

    def __init__(self, artefact: Artefact, listed_at: str, folder: Path, net: Net, connections: int) -> None:
        self._artefact, self._net = artefact, net
        self._url = urljoin(list_address(listed_at), artefact.url)
        self.target = folder / artefact.name
        # The hash stands for the server's own mark: a started file goes on as long as the same one is signed.
        remote = RemoteFile(self._url, artefact.bytes, artefact.sha256, sha256=artefact.sha256)
        options = Options(net=net, connections=connections, method="http")
        self.transfer = Transfer(
            self.target, lambda: remote, size=artefact.bytes, sha256=artefact.sha256, options=options
        )

    def cancel(self) -> None:
        """Stop; what is there stays for the next time."""
        self.transfer.cancel()

    def run(self) -> Path:
        """Fetch it, or find it fetched. Raises UpdateUnreachableError, UpdateFileError, TransferCancelledError,
        DiskFullError, ReadOnlyError."""
        self._look()
        try:
            return self.transfer.run().path
        except TransferCancelledError:
            raise
        except ChecksumError as error:
            raise UpdateFileError(
                path=self.target.name, detail="its bytes are not those that were signed"
            ) from error
        except (HubError, TransferError) as error:
            raise UpdateUnreachableError(host=host_of(self._url), detail=error.message) from error

    def _look(self) -> None:
        """Whether the server has this file at all: a transfer would wait for one that may never come."""
        sizes: list[int | None] = []

        def note(body: Body) -> bytes:
            sizes.append(body.total)
            return b""

        _ask(self._url, self._net, note, end=1)
        if sizes[0] is not None and sizes[0] != self._artefact.bytes:
            said = f"the server has {sizes[0]} bytes of it and the signed list says {self._artefact.bytes}"
            raise UpdateFileError(path=self.target.name, detail=said)
