"""What the small servers of tests have in common: a thread of their own, a free port, and nothing said of hang-ups."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class QuietServer(ThreadingHTTPServer):
    """``owner`` is the ``LocalServer`` that its handlers ask."""

    daemon_threads = True
    owner: Any

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up all the time here."""


class LocalServer:
    """A context manager on 127.0.0.1; ``port`` is known before it begins."""

    def __init__(self, handler: type[BaseHTTPRequestHandler], name: str) -> None:
        self._server = QuietServer(("127.0.0.1", 0), handler)
        self._server.owner = self
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name=name)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
