"""The bytes of one transfer over HTTP: Range requests on raw sockets that another thread can end at once.

``http.client`` does the protocol, the body is received straight into the caller's buffer (half the cost of a client
library's iterator). Tokens stay with the host they are for, also over redirects. Proxies: the system's, or one given.
"""

import base64
import errno
import http.client
import os
import re
import select
import socket
import ssl
import threading
import time
import urllib.request
from urllib.parse import unquote, urljoin, urlsplit

from app.core.errors import HubUnreachableError
from app.models.transfer_net import Net

REDIRECTS = (301, 302, 303, 307, 308)
MAX_REDIRECTS = 5
SECRET = ("authorization", "cookie")
SLICE = 0.1  # seconds between two looks at ``cancelled`` while connecting
_SPAN = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class Cut(ConnectionError):  # noqa: N818 - what happened, in one word
    """The body ended before its promised length."""


class Body:
    """An answer whose body is being received."""

    def __init__(self, answer: http.client.HTTPResponse, connection: "_Connection", url: str) -> None:
        self.status, self.headers, self.url = answer.status, answer.headers, url
        span = _SPAN.match(self.headers.get("Content-Range") or "") if answer.status == 206 else None
        self.first = int(span[1]) if span else 0
        self.length = answer.length
        """Bytes of this body, None when the server doesn't say."""
        self.total = _number(span[3]) if span else (answer.length if answer.status == 200 else None)
        """Bytes of the whole file, when known."""
        self._answer, self._connection, self._left = answer, connection, answer.length
        self._begun = False

    def read_into(self, view: memoryview) -> int:
        """Receive some bytes; 0 at the end. Raises TimeoutError when nothing comes, Cut, OSError."""
        if self._left is None:
            return self._read_chunked(view)
        if not self._left:
            return 0
        view = view[: self._left]
        count = self._receive(view)
        if not count:
            raise Cut(f"{self._left} bytes are missing")
        self._left -= count
        return count

    def _receive(self, view: memoryview) -> int:
        if self._begun:
            return self._connection.sock.recv_into(view)
        # What came with the headers is in http.client's buffer; all later bytes are on the socket.
        self._begun = True
        early = self._answer.fp.peek()[: len(view)]
        view[: len(early)] = early
        self._answer.fp.read(len(early))
        self._begun = len(early) < len(view)
        return len(early)

    def _read_chunked(self, view: memoryview) -> int:
        try:
            data = self._answer.read1(len(view))
        except http.client.HTTPException as error:
            raise Cut(str(error)) from error
        view[: len(data)] = data
        return len(data)

    def small(self, limit: int = 4096) -> bytes:
        """The beginning of the body, for an error's text."""
        buffer, filled = bytearray(limit), 0
        try:
            while filled < limit and (count := self.read_into(memoryview(buffer)[filled:])):
                filled += count
        except OSError:
            pass
        return bytes(buffer[:filled])

    def close(self) -> None:
        """Done: a wholly read body leaves its connection for the next request."""
        self._answer.close()  # http.client takes no new request before; the socket stays open
        self._connection.release(reusable=self._left == 0 and not self._answer.will_close)


class _Connection:
    """One socket with its http.client state."""

    def __init__(self, wire: "Wire", key: tuple[str, ...], sock: socket.socket, host: str) -> None:
        self.wire, self.key, self.sock = wire, key, sock
        self.http = http.client.HTTPConnection(host)
        self.http.sock, self.http.auto_open = sock, 0

    def release(self, reusable: bool) -> None:
        """Keep it for the next request, or end it."""
        if reusable:
            self.wire.keep(self)
        else:
            self.close()

    def close(self) -> None:
        """End it."""
        self.wire.forget(self.sock)
        self.http.close()


class Wire:
    """The connections of one transfer. Thread-safe; ``cancel`` ends every wait within a tenth of a second."""

    def __init__(self, net: Net) -> None:
        self._net = net
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._idle: list[_Connection] = []
        self.cancelled = False

    def get(self, url: str, headers: dict[str, str], first: int = 0, end: int | None = None) -> Body:
        """Ask for [first, end) of ``url``, following redirects. Raises OSError, Cut, HubUnreachableError."""
        wanted = {**headers, "Accept-Encoding": "identity"}
        if first or end is not None:
            wanted["Range"] = f"bytes={first}-{'' if end is None else end - 1}"
        for _ in range(MAX_REDIRECTS):
            body = self._ask(url, wanted)
            location = body.headers.get("Location")
            if body.status not in REDIRECTS or not location:
                return body
            body.small()
            body.close()
            following = urljoin(url, location)
            if _origin(following) != _origin(url):
                wanted = {name: value for name, value in wanted.items() if name.lower() not in SECRET}
            url = following
        raise Cut("too many redirects")

    def cancel(self) -> None:
        """End every connection for good; whoever waits for one gets an OSError."""
        self.cancelled = True
        self.interrupt()

    def interrupt(self) -> None:
        """End the connections of now."""
        with self._lock:
            waiting = list(self._open)
        for sock in waiting:
            try:
                # Not sock.shutdown(): SSLSocket's drops its state under the thread that reads.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                continue

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def keep(self, connection: _Connection) -> None:
        """A connection that can serve another request."""
        with self._lock:
            self._idle.append(connection)

    def forget(self, sock: socket.socket) -> None:
        """A socket is closed."""
        with self._lock:
            self._open.discard(sock)

    # ------------------------------------------------------------------ one request
    def _ask(self, url: str, headers: dict[str, str]) -> Body:
        parts = urlsplit(url)
        proxy = find_proxy(url, self._net.proxy)
        key = (parts.scheme, parts.netloc, proxy or "")
        while True:
            connection = self._reuse(key)
            fresh = connection is None
            connection = connection or self._connect(key, proxy)
            try:
                return self._send(connection, url, headers, proxy if parts.scheme == "http" else None)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if fresh or self.cancelled:
                    raise error if isinstance(error, OSError) else Cut(str(error)) from error

    def _send(self, connection: _Connection, url: str, headers: dict[str, str], proxy: str | None) -> Body:
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        extra = _proxy_login(proxy)
        connection.sock.settimeout(self._net.stall)
        connection.http.request(
            "GET", url if proxy else path, headers={"Host": parts.netloc, **extra, **headers}
        )
        return Body(connection.http.getresponse(), connection, url)

    def _reuse(self, key: tuple[str, ...]) -> _Connection | None:
        with self._lock:
            for index, connection in enumerate(self._idle):
                if connection.key == key:
                    return self._idle.pop(index)
        return None

    def _connect(self, key: tuple[str, ...], proxy: str | None) -> _Connection:
        parts = urlsplit(f"{key[0]}://{key[1]}")
        secure, host = parts.scheme == "https", parts.hostname or ""
        port = parts.port or (443 if secure else 80)
        through = urlsplit(proxy) if proxy else None
        if through and through.scheme not in {"http", ""}:
            raise HubUnreachableError(host=host, detail=f"{through.scheme} proxies are not supported")
        address = (through.hostname or "", through.port or 8080) if through else (host, port)
        sock = self._open_socket(*address)
        try:
            if secure:
                sock = self._secure(sock, host, port, proxy)
        except BaseException:
            self.forget(sock)
            sock.close()
            raise
        return _Connection(self, key, sock, host)

    def _open_socket(self, host: str, port: int) -> socket.socket:
        problem: OSError = OSError(f"{host} has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            sock = socket.socket(family, kind, protocol)
            try:
                self._wait_connected(sock, address)
            except OSError as error:
                sock.close()
                problem = error
                continue
            with self._lock:
                self._open.add(sock)
            return sock
        raise problem

    def _wait_connected(self, sock: socket.socket, address: object) -> None:
        until = time.monotonic() + self._net.connect
        sock.setblocking(False)
        code = sock.connect_ex(address)  # type: ignore[arg-type]
        if code not in {0, errno.EINPROGRESS, errno.EWOULDBLOCK, 10035}:  # the last is Windows' own
            raise OSError(code, os.strerror(code))
        while not any(select.select([], [sock], [sock], SLICE)):
            if self.cancelled:
                raise ConnectionAbortedError("cancelled")
            if time.monotonic() > until:
                raise TimeoutError(f"no connection in {self._net.connect:.0f} s")
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code or self.cancelled:
            raise OSError(code, os.strerror(code) if code else "cancelled")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(self._net.stall)

    def _secure(self, sock: socket.socket, host: str, port: int, proxy: str | None) -> socket.socket:
        if proxy:
            _tunnel(sock, host, port, proxy)
        self.forget(sock)
        wrapped = tls_context(self._net.ca_file).wrap_socket(sock, server_hostname=host)
        with self._lock:
            self._open.add(wrapped)
        return wrapped


def find_proxy(url: str, setting: str) -> str | None:
    """The proxy for an address: the setting's, else the system's (environment, desktop), else None. Raises
    HubUnreachableError for one that is no address."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if setting == "none" or urllib.request.proxy_bypass(host):
        return None
    system = urllib.request.getproxies()
    found = setting or system.get(parts.scheme) or system.get("all")
    found = found if not found or "://" in found else f"http://{found}"
    try:
        _ = urlsplit(found or "").port
    except ValueError as error:
        # (Without the password that may stand before the @.)
        shown = (found or "").rpartition("@")[2]
        raise HubUnreachableError(host=host, detail=f"the proxy {shown} is no address") from error
    return found


def _proxy_login(proxy: str | None) -> dict[str, str]:
    parts = urlsplit(proxy or "")
    if not parts.username:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def _tunnel(sock: socket.socket, host: str, port: int, proxy: str) -> None:
    login = "".join(f"{name}: {value}\r\n" for name, value in _proxy_login(proxy).items())
    sock.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{login}\r\n".encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        piece = sock.recv(1)  # not one byte of the TLS stream may be swallowed
        if not piece or len(answer) > 16384:
            raise Cut("the proxy ended the connection")
        answer += piece
    status = answer.split(b" ", 2)[1:2]
    if status != [b"200"]:
        said = answer.split(b"\r\n", 1)[0].decode("latin-1")
        raise HubUnreachableError(host=host, detail=f"the proxy refused ({said})")


def tls_context(ca_file: str = "") -> ssl.SSLContext:
    """Certificates of the system, and those in ``ca_file``."""
    try:
        import truststore  # noqa: PLC0415 - comes with the Hub's client; knows the certificates a firm installed

        context: ssl.SSLContext = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    except ImportError:
        context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None
