"""The Hub client's way out: the proxy of each address is the one the downloads take. Imported with the first call.

``httpx`` by itself makes a transport for every proxy of the environment, and raises for a kind it lacks (``ALL_PROXY``
is often a SOCKS one) even where the address has another; and what it says does not name the proxy that failed.
"""

import threading
from urllib.parse import urlsplit

import httpx2

from app.core.errors import HubUnreachableError
from app.models.transfer_http import find_proxy, tls_context
from app.models.transfer_net import Net

SUPPORTED = {"http", "https"}


class ProxiedTransport(httpx2.BaseTransport):
    """Sends each request through the proxy of its address. Raises HubUnreachableError for what the proxy did."""

    def __init__(self, net: Net) -> None:
        self._net = net
        self._lock = threading.Lock()
        self._ways: dict[str | None, httpx2.HTTPTransport] = {}

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """One request and its answer."""
        proxy = find_proxy(str(request.url), self._net.proxy)
        if proxy is None:
            return self._way(None).handle_request(request)
        host = request.url.netloc.decode()
        if (scheme := urlsplit(proxy).scheme) not in SUPPORTED:
            raise HubUnreachableError(host=host, detail=f"{scheme} proxies are not supported")
        try:
            answer = self._way(proxy).handle_request(request)
        except httpx2.ProxyError as error:
            raise HubUnreachableError(host=host, detail=f"the proxy refused ({error})") from error
        except httpx2.ConnectError as error:
            if "ssl" in str(error).lower():  # the tunnel stands: it is the Hub's certificate
                raise
            what = f"the proxy {urlsplit(proxy).hostname} can't be reached ({error})"
            raise HubUnreachableError(host=host, detail=what) from error
        if answer.status_code == httpx2.codes.PROXY_AUTHENTICATION_REQUIRED:
            answer.close()
            raise HubUnreachableError(host=host, detail="the proxy refused (HTTP 407)")
        return answer

    def _way(self, proxy: str | None) -> httpx2.HTTPTransport:
        with self._lock:
            if proxy not in self._ways:
                self._ways[proxy] = self._made(proxy)
            return self._ways[proxy]

    def _made(self, proxy: str | None) -> httpx2.HTTPTransport:
        verify = tls_context(self._net.ca_file) if self._net.ca_file else True
        return httpx2.HTTPTransport(verify=verify, proxy=proxy)

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            for way in self._ways.values():
                way.close()
