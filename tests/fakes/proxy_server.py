"""A plain HTTP proxy: passes on what it is asked for, counts it, and can cut every answer after some bytes."""

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit


class LocalProxy:
    """A context manager; ``url`` is what a proxy setting would hold. ``login`` asks for ``user:password``."""

    def __init__(self, cut_after: int | None = None, login: str | None = None) -> None:
        self.cut_after, self.login = cut_after, login
        self.asked: list[str] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.port = int(self._server.server_address[1])
        user = f"{login}@" if login else ""
        self.url = f"http://{user}127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="local-proxy")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    proxy: LocalProxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up all the time here."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, *_args: object) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self.pass_on()

    def do_GET(self) -> None:
        self.pass_on()

    def pass_on(self) -> None:
        import base64

        proxy, url = self.server.proxy, urlsplit(self.path)
        given = self.headers.get("Proxy-Authorization", "").removeprefix("Basic ")
        if proxy.login and base64.b64decode(given).decode() != proxy.login:
            self.send_error(407)
            return
        proxy.asked.append(self.path)
        upstream = http.client.HTTPConnection(url.netloc, timeout=10)
        headers = {
            n: v for n, v in self.headers.items() if not n.lower().startswith(("proxy-", "connection"))
        }
        upstream.request(self.command, f"{url.path}?{url.query}" if url.query else url.path, headers=headers)
        answer = upstream.getresponse()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"connection", "transfer-encoding"}:
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        left = proxy.cut_after if proxy.cut_after is not None else 1 << 62
        while self.command != "HEAD" and left > 0 and (piece := answer.read(min(65536, left))):
            self.wfile.write(piece)
            left -= len(piece)
        self.close_connection = True
        upstream.close()
