"""``hearth serve`` and ``hearth ps``: the API without a window, and what is running."""

import logging
import signal
import threading
import time
from argparse import Namespace

from msgspec.structs import replace

from app.cli.output import emit, memory, rate, table
from app.cli.run import load, services, take_preset
from app.compose import Services
from app.core.errors import UsageError
from app.core.events import InstanceChanged, RequestLogged, ServerChanged
from app.core.paths import find_paths
from app.core.presence import Presence, read_presences
from app.planning.pins import Pins
from app.server.addresses import addresses, is_local

SERVER_FLAGS = ("host", "port", "api_key", "log_prompts")


def serve(args: Namespace) -> int:
    """Serve until SIGINT or SIGTERM; one line per request. Raises PortInUseError, BindError or UsageError."""
    logging.getLogger("app").setLevel(logging.INFO)
    if args.preset and not args.model:
        raise UsageError(detail="--preset says how --model is loaded: name the model too")
    stop = threading.Event()
    with services(args) as running:
        _must_be_listed(running, args.model)
        for flag in SERVER_FLAGS:
            if getattr(args, flag) is not None:
                running.settings.override(f"server.{flag}", getattr(args, flag))
        running.bus.subscribe(RequestLogged, _print_request)
        running.bus.subscribe(ServerChanged, lambda event: stop.set() if event.state == "failed" else None)
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_args: stop.set())
        return _run(running, args, stop)


def _must_be_listed(running: Services, model: str | None) -> None:
    """Clients ask by name, and only what is in the library has one."""
    record = running.library.get(model) if model else None
    if record is not None and all(known.id != record.id for known in running.library.records()):
        raise UsageError(
            detail=f"{model} is not in the library, and clients can ask only for what is: "
            f"`hearth import {model}` takes it in"
        )


def _run(running: Services, args: Namespace, stop: threading.Event) -> int:
    if args.model:
        take_preset(running, args, running.library.get(args.model).id)
        load(running, args.model, quiet=False)
    server = running.settings.value.server
    running.start()
    state = running.server.start(server.host, server.port)
    print(f"Serving on {state.address}/v1 (Ctrl-C ends)", flush=True)
    for address in addresses(state.address, server.host):
        if address.url != state.address:
            print(f"  also on {address.url}/v1", flush=True)
    if not is_local(server.host) and not server.api_key and not running.server.keys.active:
        print("Everyone on the network can use it: `hearth keys create NAME` makes a key.", flush=True)
    while not stop.wait(0.5):
        pass
    print("Stopping", flush=True)
    running.server.stop()
    return 0


def _print_request(event: RequestLogged) -> None:
    print(request_line(event), flush=True)


def request_line(event: RequestLogged) -> str:
    """What the window's history shows of a request, on one line; a prompt, when it is asked for, on the next."""
    clock = time.strftime("%H:%M:%S", time.localtime(event.at))
    who = f" {event.client}" + (f" ({event.key})" if event.key else "")
    model = f" {event.model}" if event.model else ""
    speed = f" {rate(event.decode_per_second)} tokens/s" if event.decode_per_second else ""
    tokens = f" {event.prompt_tokens}+{event.completion_tokens} tokens" if event.completion_tokens else ""
    prompt = f"\n  {event.prompt!r}" if event.prompt else ""
    head = f"{clock} {event.method} {_printable(event.path)} {event.status} {event.seconds:.2f}s"
    return head + who + model + tokens + speed + prompt


def _printable(path: str) -> str:
    # A path is a stranger's text: it must not move the terminal's cursor.
    return path if path.isprintable() else repr(path)


def ps(args: Namespace) -> int:
    """List the instances of every running Hearth of this folder."""
    data = find_paths().data
    found = _with_pins(read_presences(data / "run"), Pins(data / "pinned.json"))
    emit(found, args.json, _text(found))
    return 0


def _with_pins(found: list[Presence], pins: Pins) -> list[Presence]:
    return [
        replace(one, instances=tuple(replace(item, pinned=item.model in pins) for item in one.instances))
        for one in found
    ]


def _state(item: InstanceChanged) -> str:
    said = (item.state, "pinned" if item.pinned else "", "cache given back" if item.rests else "")
    return ", ".join(filter(None, said))


def _text(found: list[Presence]) -> str:
    rows = [
        (
            item.model,
            _state(item),
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
