"""A plain HTTP proxy: passes on what it is asked for, counts it, and can cut every answer after some bytes."""

import http.client
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from tests.fakes.local_server import LocalServer, QuietServer


class LocalProxy(LocalServer):
    """A context manager; ``url`` is what a proxy setting would hold. ``login`` asks for ``user:password``."""

    def __init__(self, cut_after: int | None = None, login: str | None = None) -> None:
        self.cut_after, self.login = cut_after, login
        self.asked: list[str] = []
        super().__init__(_Handler, "local-proxy")
        user = f"{login}@" if login else ""
        self.url = f"http://{user}127.0.0.1:{self.port}"


class _Handler(BaseHTTPRequestHandler):
    server: QuietServer

    def log_message(self, *_args: object) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self.pass_on()

    def do_GET(self) -> None:
        self.pass_on()

    def pass_on(self) -> None:
        import base64

        proxy, url = self.server.owner, urlsplit(self.path)
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
