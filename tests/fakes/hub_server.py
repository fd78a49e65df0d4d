"""A Hub on this machine over real HTTP: the real ``huggingface_hub`` client and our own transfer talk to it in tests.

    with LocalHub([FakeRepo("me/tiny-GGUF", {"tiny-Q4_0.gguf": FakeFile.of(b"...")})]) as hub:
        hub.fault("cut", after=1_000_000, times=2)
        Hub(hub.url, ...)

Large files answer as the Hub does: the resolve address redirects to a signed address on another host name
(``localhost`` instead of ``127.0.0.1``), small ones come directly. ``hub.requests`` remembers what was asked, so that a
test can say how many bytes were fetched twice or that no token left the Hub's host. By hand, for demos:

    python -m tests.fakes.hub_server --port 8899 [DIR with owner/repo/files]
"""

# size: one server with all its routes and faults reads best in one place

import functools
import hashlib
import hmac
import json
import os
import re
import socket
import struct
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

Where = Literal["api", "resolve", "data", "token"]
Kind = Literal["status", "cut", "stall", "corrupt", "no_range", "slow_start", "lie"]
SMALL = 10 * 1024  # smaller files are plain git blobs: no redirect, no sha256
CHUNK = 256 * 1024
ALWAYS_KEYS = ("_id", "id", "modelId")
SORTS = {
    "downloads": "downloads",
    "likes": "likes",
    "trendingScore": "trendingScore",
    "lastModified": "lastModified",
}


@dataclass
class Fault:
    """Something that goes wrong: ``times`` times (None: for ever) in answers of kind ``where``."""

    kind: Kind
    where: Where = "data"
    times: int | None = 1
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    after: int = 0
    """Bytes of the body sent before a cut or a stall."""
    at: int = 0
    """Position in the file whose byte is wrong (corrupt); -1: the first byte of each answer."""
    seconds: float = 60.0
    """How long a stall lasts unless the client leaves."""
    reset: bool = True
    """A cut is a TCP reset (else an early end)."""


@dataclass
class FakeFile:
    """A file on the Hub: bytes in memory, a file on disk, or only its name and size (its download answers 404)."""

    size: int
    sha256: str
    data: bytes | None = None
    path: Path | None = None
    etag: str = ""
    xet_hash: str | None = None

    def __post_init__(self) -> None:
        self.etag = self.etag or self.sha256

    @classmethod
    def of(cls, source: bytes | Path) -> "FakeFile":
        """From bytes, or from a file on disk."""
        if isinstance(source, bytes):
            return cls(len(source), hashlib.sha256(source).hexdigest(), data=source)
        found = source.stat()
        return cls(found.st_size, _digest(source, found.st_size, found.st_mtime_ns), path=source)

    @classmethod
    def promised(cls, size: int, name: str) -> "FakeFile":
        """Only metadata, for lists that look real."""
        return cls(size, hashlib.sha256(name.encode()).hexdigest())

    @property
    def lfs(self) -> bool:
        return self.size >= SMALL

    @property
    def there(self) -> bool:
        return self.data is not None or self.path is not None


@functools.lru_cache
def _digest(path: Path, _size: int, _changed: int) -> str:
    """sha256 of a file as it is now: a hundred tests begin with a Hub that has the starter model."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass
class FakeRepo:
    """A repository with what its page says."""

    id: str
    files: dict[str, FakeFile] = field(default_factory=dict)
    downloads: int = 0
    likes: int = 0
    trending: int = 0
    updated: str = "2026-06-01T12:00:00.000Z"
    gated: Literal["auto", "manual", False] = False
    private: bool = False
    architecture: str = "llama"
    parameters: int | None = None
    context_length: int | None = None
    license: str = "apache-2.0"
    tags: tuple[str, ...] = ()
    pipeline_tag: str = "text-generation"
    card: str = ""
    commit: str = ""
    base_model: str = ""

    def __post_init__(self) -> None:
        self.commit = self.commit or hashlib.sha1(self.id.encode()).hexdigest()
        if "README.md" not in self.files:
            text = self.card or f"---\nlicense: {self.license}\n---\n# {self.id}\n"
            self.files["README.md"] = FakeFile.of(text.encode())

    @property
    def author(self) -> str:
        return self.id.split("/")[0]

    def all_tags(self) -> list[str]:
        tags = ["gguf", *self.tags, f"license:{self.license}"]
        return tags + ([f"base_model:{self.base_model}"] if self.base_model else [])


@dataclass
class Asked:
    """One request as it came and what it was answered."""

    method: str
    path: str
    where: str
    host: str
    range: str | None
    authorized: bool
    status: int = 0
    sent: int = 0
    user_agent: str = ""


class LocalHub:
    """The server; a context manager. ``url`` is what HF_ENDPOINT would be."""

    def __init__(
        self,
        repos: Iterable[FakeRepo] = (),
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        cdn_host: str = "localhost",
        rate: int | None = None,
        tokens: dict[str, set[str]] | None = None,
        xet_store: Path | None = None,
        link_base: str | None = None,
    ) -> None:
        self.repos = {repo.id: repo for repo in repos}
        self.faults: list[Fault] = []
        self.requests: list[Asked] = []
        self.rate = rate
        """Bytes per second of each connection."""
        self.tokens = tokens if tokens is not None else {"hf_good": set()}
        """Token -> gated or private repositories it may read."""
        self.xet_store = xet_store
        self.xet_endpoint = f"local://{xet_store}"
        """The content store's address, as the token route names it."""
        self.link_base = link_base
        """What ``Link: rel=next`` points to; a mirror that does not rewrite it names the main site."""
        self.lock = threading.Lock()
        self._secret, self._generation = os.urandom(8), 0
        self._connections: set[socket.socket] = set()
        self._server = _Server((host, port), _Handler)
        self._server.hub = self
        self.cdn_host = cdn_host
        self.port = int(self._server.server_address[1])
        self.url = f"http://{host}:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="local-hub")
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop; open connections are cut."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.drop_connections()
        self._server.join_handlers()

    def drop_connections(self) -> None:
        """Cut every open connection (a network that goes away)."""
        with self.lock:
            open_now = list(self._connections)
        for connection in open_now:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def settle(self) -> int:
        """Let answers nobody reads any more end; then the bytes served so far."""
        self.drop_connections()
        until = time.monotonic() + 5
        while self._connections and time.monotonic() < until:
            time.sleep(0.005)
        return self.bytes_served()

    def add(self, repo: FakeRepo) -> FakeRepo:
        """Publish one more repository."""
        self.repos[repo.id] = repo
        return repo

    def replace(self, repo: str, name: str, source: bytes | Path) -> None:
        """The file gets other bytes and another etag under the same address."""
        self.repos[repo].files[name] = FakeFile.of(source)

    def fault(self, kind: Kind, where: Where = "data", times: int | None = 1, **more: Any) -> Fault:
        """Arrange for something to go wrong."""
        fault = Fault(kind, where, times, **more)
        with self.lock:
            self.faults.append(fault)
        return fault

    def heal(self) -> None:
        """No more faults."""
        with self.lock:
            self.faults.clear()

    def expire_links(self) -> None:
        """Every signed address handed out so far now answers 403."""
        self._generation += 1

    def sign(self, key: str) -> str:
        """The signature of a key now."""
        return hmac.new(self._secret, f"{key}|{self._generation}".encode(), "sha256").hexdigest()[:32]

    def take(self, where: str, *kinds: str) -> Fault | None:
        """The next fault for this answer, counted down."""
        with self.lock:
            for fault in self.faults:
                if fault.where == where and fault.kind in kinds and fault.times != 0:
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None

    def bytes_served(self, name: str = "") -> int:
        """Bytes of file bodies sent so far."""
        with self.lock:
            return sum(asked.sent for asked in self.requests if asked.where == "data" and name in asked.path)

    def asked(self, where: str) -> list[Asked]:
        """The requests of one kind so far."""
        with self.lock:
            return [asked for asked in self.requests if asked.where == where]

    def allowed(self, repo: FakeRepo, token: str | None) -> bool:
        """Whether this token may read the files."""
        return not (repo.gated or repo.private) or repo.id in self.tokens.get(token or "", set())

    def track(self, connection: socket.socket, there: bool) -> None:
        """Remember or forget an open connection."""
        with self.lock:
            (self._connections.add if there else self._connections.discard)(connection)

    def put_xet(self, repo: str, name: str) -> None:
        """Store the file's bytes in the Xet store too; its answers then name the Xet hash."""
        assert self.xet_store is not None
        # Read when it is first imported: nothing of a test stays in the user's own folders.
        for variable in ("HF_XET_CACHE", "HF_XET_LOG_DEST"):
            os.environ.setdefault(variable, f"{self.xet_store.parent / variable.lower()}{os.sep}")
        import hf_xet

        self.xet_store.mkdir(parents=True, exist_ok=True)
        file = self.repos[repo].files[name]
        data = file.data if file.data is not None else file.path.read_bytes()  # type: ignore[union-attr]
        commit = hf_xet.XetSession().new_upload_commit(endpoint=self.xet_endpoint)
        upload = commit.start_upload_bytes(data)
        commit.wait_to_finish()
        file.xet_hash = upload.result().xet_info.hash


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128
    hub: LocalHub

    def __init__(self, *args: Any) -> None:
        self._handlers: set[threading.Thread] = set()
        super().__init__(*args)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        me = threading.current_thread()
        self._handlers.add(me)
        self.hub.track(request, True)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.hub.track(request, False)
            self._handlers.discard(me)

    def join_handlers(self) -> None:
        for thread in list(self._handlers):
            thread.join(60)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up all the time here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server
    asked: Asked

    def log_message(self, *_args: object) -> None:
        """Quiet."""

    @property
    def hub(self) -> LocalHub:
        return self.server.hub

    # ------------------------------------------------------------------ routing
    def do_HEAD(self) -> None:
        self.route()

    def do_GET(self) -> None:
        self.route()

    def route(self) -> None:
        self.url = urlsplit(self.path)
        self.query = parse_qs(self.url.query)
        path = unquote(self.url.path)
        where = self.kind(path)
        agent = self.headers.get("User-Agent", "")
        host = self.headers.get("Host", "").split(":")[0]
        wanted, known = self.headers.get("Range"), bool(self.token)
        self.asked = Asked(self.command, self.path, where, host, wanted, known, user_agent=agent)
        with self.hub.lock:
            self.hub.requests.append(self.asked)
        slow = self.hub.take(where, "slow_start") if where != "data" else None
        if slow:
            self.hub._closed.wait(slow.seconds)
        fault = self.hub.take(where, "status")
        if fault:
            self.answer_error(fault.status, "", "Asked for by the test", fault.headers)
            return
        handlers = {"api": self.api, "token": self.xet_token, "data": self.cdn, "resolve": self.resolve}
        handlers[where](path)

    @staticmethod
    def kind(path: str) -> Where:
        if "/xet-read-token/" in path:
            return "token"
        if path.startswith("/api/"):
            return "api"
        return "data" if path.startswith("/cdn/") else "resolve"

    @property
    def token(self) -> str | None:
        header = self.headers.get("Authorization", "")
        return header.removeprefix("Bearer ") or None

    # ------------------------------------------------------------------ answers
    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.asked.status = status
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer_json(self, value: object, headers: dict[str, str] | None = None) -> None:
        self.answer(200, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def answer_error(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        more = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **(headers or {})}
        body = json.dumps({"error": message}).encode()
        self.answer(status, body, {"Content-Type": "application/json", **more})

    # ------------------------------------------------------------------ the API
    def api(self, path: str) -> None:
        if path == "/api/models":
            self.list_models()
        elif path == "/api/whoami-v2":
            self.whoami()
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+)(?:/(.*))?)?", path):
            self.one_model(*match.groups())
        else:
            self.answer_error(404, "", "Sorry, we can't find the page you are looking for.")

    def whoami(self) -> None:
        if self.token in self.hub.tokens:
            self.answer_json({"type": "user", "name": "tester", "auth": {"type": "access_token"}})
        else:
            self.answer_error(401, "", "Invalid credentials in Authorization header")

    def list_models(self) -> None:
        found = [repo for repo in self.hub.repos.values() if self.matches(repo)]
        key = SORTS.get(self.one("sort") or "trendingScore", "trendingScore")
        found.sort(key=lambda repo: (_full(repo)[key], repo.id), reverse=True)
        limit, start = int(self.one("limit") or 1000), int(self.one("cursor") or 0)
        page, headers = found[start : start + limit], {}
        if start + limit < len(found):
            query = {**self.query, "cursor": [str(start + limit)]}
            base = self.hub.link_base or self.hub.url
            headers["Link"] = f'<{base}/api/models?{urlencode(query, doseq=True)}>; rel="next"'
        self.answer_json([self.shown(repo) for repo in page], headers)

    def one(self, name: str) -> str | None:
        return self.query.get(name, [None])[0]

    def matches(self, repo: FakeRepo) -> bool:
        if repo.private and not self.hub.allowed(repo, self.token):
            return False
        words = (self.one("search") or "").lower().split()
        tags = [*repo.all_tags(), repo.pipeline_tag]
        author, gated, task = self.one("author"), self.one("gated"), self.one("pipeline_tag")
        return (
            all(word in repo.id.lower() for word in words)
            and (not author or repo.author.lower() == author.lower())
            and all(tag in tags for tag in self.query.get("filter", []))
            and (gated is None or (gated == "true") == bool(repo.gated))
            and (task is None or repo.pipeline_tag == task)
            and _in_range(repo.parameters, self.one("num_parameters"))
        )

    def shown(self, repo: FakeRepo) -> dict[str, Any]:
        full, expand = _full(repo), self.query.get("expand")
        if expand:
            return {key: value for key, value in full.items() if key in {*ALWAYS_KEYS, *expand}}
        return full

    def one_model(self, repo_id: str, what: str | None, revision: str | None, folder: str | None) -> None:
        repo = self.hub.repos.get(repo_id)
        if repo is None or (repo.private and not self.hub.allowed(repo, self.token)):
            self.refuse_missing()
        elif revision not in {None, "main", repo.commit}:
            self.answer_error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif what == "tree":
            self.answer_json([_tree_entry(name, file) for name, file in sorted(repo.files.items())])
        else:
            shown = self.shown(repo)
            if "expand" not in self.query or "siblings" in self.query["expand"]:
                shown["siblings"] = [
                    _sibling(name, file, "blobs" in self.query) for name, file in repo.files.items()
                ]
            self.answer_json(shown)

    def refuse_missing(self) -> None:
        if self.token is None:
            self.answer_error(401, "RepoNotFound", "Invalid username or password.")
        elif self.token not in self.hub.tokens:
            self.answer_error(401, "", "Invalid credentials in Authorization header")
        else:
            self.answer_error(404, "RepoNotFound", "Repository not found")

    # ------------------------------------------------------------------ files
    def resolve(self, path: str) -> None:
        match = re.fullmatch(r"/([^/]+/[^/]+)/(?:resolve|raw)/([^/]+)/(.+)", path)
        repo = self.hub.repos.get(match[1]) if match else None
        if match is None or repo is None or (repo.private and not self.hub.allowed(repo, self.token)):
            self.refuse_missing()
        elif match[2] not in {"main", repo.commit}:
            self.answer_error(404, "RevisionNotFound", f"Invalid rev id: {match[2]}")
        elif match[3] not in repo.files:
            self.answer_error(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": repo.commit})
        elif not self.hub.allowed(repo, self.token):
            # 401 for nobody, 403 for somebody who has not accepted: as the Hub does.
            message = (
                f"Access to model {repo.id} is restricted. You must have access to it and be authenticated."
            )
            self.answer_error(403 if self.token in self.hub.tokens else 401, "GatedRepo", message)
        else:
            self.give(repo, match[3], repo.files[match[3]])

    def give(self, repo: FakeRepo, name: str, file: FakeFile) -> None:
        headers = {"X-Repo-Commit": repo.commit, "Accept-Ranges": "bytes"}
        if not file.lfs:
            self.send_file(file, {**headers, "ETag": f'"{file.etag[:40]}"'})
            return
        headers |= {"X-Linked-ETag": f'"{file.etag}"', "X-Linked-Size": str(file.size)}
        if file.xet_hash:
            route = f"{self.hub.url}/api/models/{repo.id}/xet-read-token/{repo.commit}"
            headers |= {"X-Xet-Hash": file.xet_hash, "Link": f'<{route}>; rel="xet-auth"'}
        key = f"{repo.id}/{name}"
        host = f"http://{self.hub.cdn_host}:{self.hub.port}"
        headers["Location"] = f"{host}/cdn/{quote(key)}?Signature={self.hub.sign(key)}&Expires=9999999999"
        self.answer(302, b"", headers)

    def cdn(self, path: str) -> None:
        owner, repo, name = path.removeprefix("/cdn/").split("/", 2)
        key = f"{owner}/{repo}/{name}"
        file = self.hub.repos[f"{owner}/{repo}"].files.get(name)
        if self.one("Signature") != self.hub.sign(key):
            body = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
            self.answer(403, body, {"Content-Type": "application/xml"})
        elif file is None or not file.there:
            self.answer_error(404, "", "This demonstration has the file's name and size only.")
        else:
            self.send_file(file, {"ETag": f'"{file.etag}"', "Accept-Ranges": "bytes"})

    def span(self, file: FakeFile) -> tuple[int, int, int] | None:
        """(status, first, end) of the answer, or None when the range can't be met."""
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range") or "")
        if asked is None or self.hub.take("data", "no_range"):
            return 200, 0, file.size
        if not asked[1]:
            return 206, max(0, file.size - int(asked[2])), file.size
        first = int(asked[1])
        end = min(int(asked[2]) + 1, file.size) if asked[2] else file.size
        return None if first >= end else (206, first, end)

    def send_file(self, file: FakeFile, headers: dict[str, str]) -> None:
        span = self.span(file)
        if span is None:
            self.answer_error(416, "", "Range not satisfiable", {"Content-Range": f"bytes */{file.size}"})
            return
        status, first, end = span
        self.asked.status, self.asked.where = status, "data"
        self.send_response(status)
        if status == 206:
            headers = {**headers, "Content-Range": f"bytes {first}-{end - 1}/{file.size}"}
        for name, value in {"Content-Length": str(end - first), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.send_body(file, first, end)

    def send_body(self, file: FakeFile, first: int, end: int) -> None:
        fault = self.hub.take("data", "cut", "stall", "corrupt", "slow_start")
        stop = min(end, first + fault.after) if fault and fault.kind in {"cut", "stall"} else end
        if fault and fault.kind == "slow_start":
            time.sleep(fault.seconds)
        wrong = fault if fault and fault.kind == "corrupt" else None
        self.pump(file, first, stop, wrong)
        if fault and fault.kind == "stall":
            self.wait_for_hangup(fault.seconds)
        if fault and fault.kind in {"cut", "stall"}:
            self.cut(fault.reset)

    def pump(self, file: FakeFile, first: int, end: int, wrong: Fault | None) -> None:
        self.wfile.flush()
        started, position = time.monotonic(), first
        handle = file.path.open("rb") if file.path else None
        try:
            while position < end and not self.hub._closed.is_set():
                step = min(end - position, self.step())
                if handle is not None and wrong is None:
                    sent = os.sendfile(self.connection.fileno(), handle.fileno(), position, step)
                else:
                    sent = self.connection.send(self.piece(file, position, step, wrong, first))
                position += sent
                self.asked.sent += sent
                self.slow_down(position - first, started)
        finally:
            if handle is not None:
                handle.close()

    def step(self) -> int:
        return max(1, min(CHUNK, self.hub.rate // 20)) if self.hub.rate else 4 * 1024 * 1024

    def slow_down(self, sent: int, started: float) -> None:
        if self.hub.rate:
            ahead = sent / self.hub.rate - (time.monotonic() - started)
            if ahead > 0:
                self.hub._closed.wait(ahead)

    @staticmethod
    def piece(file: FakeFile, position: int, step: int, wrong: Fault | None, first: int) -> bytes:
        if file.data is not None:
            data = file.data[position : position + step]
        else:
            with file.path.open("rb") as handle:  # type: ignore[union-attr]
                handle.seek(position)
                data = handle.read(step)
        at = first if wrong and wrong.at < 0 else wrong.at if wrong else -1
        if wrong and position <= at < position + len(data):
            changed = bytearray(data)
            changed[at - position] ^= 0xFF
            data = bytes(changed)
        return data

    def wait_for_hangup(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self.connection.settimeout(0.05)
        while time.monotonic() < until and not self.hub._closed.is_set():
            try:
                if not self.connection.recv(1):
                    return
            except TimeoutError:
                continue
            except OSError:
                return

    def cut(self, reset: bool) -> None:
        self.close_connection = True
        try:
            if reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            else:
                self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    # ------------------------------------------------------------------ Xet
    def xet_token(self, _path: str) -> None:
        expires = int(time.time()) + 3600
        endpoint = self.hub.xet_endpoint
        body = {"casUrl": endpoint, "accessToken": "xet-test-token", "exp": expires}
        headers = {"X-Xet-Cas-Url": endpoint, "X-Xet-Access-Token": "xet-test-token"}
        self.answer_json(body, {**headers, "X-Xet-Token-Expiration": str(expires)})


def _full(repo: FakeRepo) -> dict[str, Any]:
    gguf = {
        "total": repo.parameters,
        "architecture": repo.architecture,
        "context_length": repo.context_length,
        "chat_template": "{% for message in messages %}{{ message.content }}{% endfor %}",
    }
    return {
        "_id": repo.commit[:24],
        "id": repo.id,
        "modelId": repo.id,
        "author": repo.author,
        "sha": repo.commit,
        "lastModified": repo.updated,
        "createdAt": repo.updated,
        "private": repo.private,
        "gated": repo.gated,
        "disabled": False,
        "downloads": repo.downloads,
        "likes": repo.likes,
        "trendingScore": repo.trending,
        "library_name": "gguf",
        "pipeline_tag": repo.pipeline_tag,
        "tags": repo.all_tags(),
        "cardData": {"license": repo.license},
        "gguf": gguf if any(name.endswith(".gguf") for name in repo.files) else None,
    }


def _sibling(name: str, file: FakeFile, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": name}
    entry: dict[str, Any] = {"rfilename": name, "size": file.size, "blobId": file.sha256[:40]}
    if file.lfs:
        entry["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": 134}
    return entry


def _tree_entry(name: str, file: FakeFile) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": file.sha256[:40], "size": file.size, "path": name}
    if file.lfs:
        entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": 134}
    if file.xet_hash:
        entry["xetHash"] = file.xet_hash
    return entry


def _in_range(count: int | None, wanted: str | None) -> bool:
    units = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
    for bound, number, unit in re.findall(r"(min|max):([\d.]+)([KMBT]?)", wanted or ""):
        limit = float(number) * units.get(unit, 1)
        if count is None or (count < limit if bound == "min" else count > limit):
            return False
    return True


def repos_in(folder: Path) -> list[FakeRepo]:
    """Every ``owner/repo/**`` under a folder as a repository with these very files."""
    found = []
    for home in sorted(path for path in folder.glob("*/*") if path.is_dir()):
        files = {str(p.relative_to(home)): FakeFile.of(p) for p in sorted(home.rglob("*")) if p.is_file()}
        found.append(FakeRepo(f"{home.parent.name}/{home.name}", files, downloads=1000, likes=10))
    return found


def main() -> None:
    """Serve until Ctrl-C."""
    import argparse

    from tests.fakes.hub_data import demo_repos

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="folder with owner/repo/files to serve as well")
    parser.add_argument("--port", type=int, default=8899)
    parser.add_argument("--rate", type=int, default=None, help="bytes per second of each connection")
    parser.add_argument("--starter", type=Path, default=None, help="the starter model's GGUF")
    options = parser.parse_args()
    repos = demo_repos(options.starter) + (repos_in(options.folder) if options.folder else [])
    with LocalHub(repos, port=options.port, rate=options.rate) as hub:
        print(f"HF_ENDPOINT={hub.url}   ({len(hub.repos)} repositories)", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
