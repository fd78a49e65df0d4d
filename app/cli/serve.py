"""``hearth serve`` and ``hearth ps``: the API without a window, and what is running."""

import logging
import signal
import threading
import time
from argparse import Namespace

from app.cli.output import emit, memory, table
from app.cli.run import load, services
from app.compose import Services
from app.core.events import RequestLogged, ServerChanged
from app.core.paths import find_paths
from app.core.presence import Presence, read_presences

SERVER_FLAGS = ("host", "port", "api_key")


def serve(args: Namespace) -> int:
    """Serve until SIGINT or SIGTERM; one line per request. Raises PortInUseError or BindError."""
    logging.getLogger("app").setLevel(logging.INFO)
    stop = threading.Event()
    with services(args) as running:
        for flag in SERVER_FLAGS:
            if getattr(args, flag) is not None:
                running.settings.override(f"server.{flag}", getattr(args, flag))
        running.bus.subscribe(RequestLogged, _print_request)
        running.bus.subscribe(ServerChanged, lambda event: stop.set() if event.state == "failed" else None)
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_args: stop.set())
        return _run(running, args, stop)


def _run(running: Services, args: Namespace, stop: threading.Event) -> int:
    if args.model:
        load(running, args.model, quiet=False)
    server = running.settings.value.server
    state = running.server.start(server.host, server.port)
    print(f"Serving on {state.address}/v1 (Ctrl-C ends)", flush=True)
    if server.host not in ("127.0.0.1", "localhost", "::1") and not server.api_key:
        print("Everyone on the network can use it: --api-key asks them for a key.", flush=True)
    while not stop.wait(0.5):
        pass
    print("Stopping", flush=True)
    running.server.stop()
    return 0


def _print_request(event: RequestLogged) -> None:
    clock = time.strftime("%H:%M:%S", time.localtime(event.at))
    speed = f" {event.decode_per_second:.0f} tokens/s" if event.decode_per_second else ""
    tokens = f" {event.prompt_tokens}+{event.completion_tokens} tokens" if event.completion_tokens else ""
    print(
        f"{clock} {event.method} {event.path} {event.status} {event.seconds:.2f}s{tokens}{speed}", flush=True
    )


def ps(args: Namespace) -> int:
    """List the instances of every running Hearth of this folder."""
    found = read_presences(find_paths().data / "run")
    emit(found, args.json, _text(found))
    return 0


def _text(found: list[Presence]) -> str:
    rows = [
        (
            item.model,
            item.state,
            item.device or "-",
            str(item.n_ctx),
            memory(sum(m.total for m in item.memory)),
            str(p.pid),
        )
        for p in found
        for item in p.instances
    ]
    lines = [f"Serving on {p.address}/v1 (process {p.pid})" for p in found if p.address]
    if not rows:
        return "\n".join([*lines, "No model is loaded."])
    header = ("MODEL", "STATE", "DEVICE", "CONTEXT", "MEMORY", "PROCESS")
    return "\n".join([*lines, table(header, rows, frozenset({3, 4, 5}))])
