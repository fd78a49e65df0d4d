"""``hearth engine``: the backend packs of this machine, and which of them the engine loads."""

import sys
from argparse import Namespace

from app.cli.output import emit, size, table
from app.compose import Services, compose
from app.core.errors import PackRefusedError
from app.runtime.pack_archive import is_address
from app.runtime.pack_store import Pack


def engine(args: Namespace) -> int:
    """Run ``args.what`` with ``args.name``."""
    running = compose()
    try:
        return ACTIONS[args.what](running, args)
    finally:
        running.close()


def _list(running: Services, args: Namespace) -> int:
    problems = {backend.name: backend.problem for backend in running.machine().backends if backend.problem}
    packs = running.packs.packs()
    rows = [_row(pack, problems.get(pack.path) or "") for pack in packs]
    text = table(("PACK", "BACKEND", "SIZE", "FROM", "STATE"), rows, frozenset({2}))
    previous = ", ".join(running.packs.previous())
    if previous:
        text += f"\nAn earlier pack is kept for {previous}: `hearth engine use previous --backend NAME` goes back."
    emit(packs, args.json, text if packs else "No packs: the engine uses its own backends.")
    return 0


def _row(pack: Pack, problem: str) -> tuple[str, ...]:
    why = problem or pack.why
    state = f"not used: {why}" if why else "used; the engine crashed on it" if pack.crashes else "used"
    return pack.name, pack.backend or "?", size(pack.bytes), pack.origin, state


def _install(running: Services, args: Namespace) -> int:
    pack = running.packs.install(_named(args), _show_progress if is_address(args.name) else None)
    emit(
        pack, args.json, f"{pack.name} is installed, verified and used from the next model that is loaded on."
    )
    return 0


def _show_progress(done: int, total: int | None) -> None:
    if sys.stderr.isatty():
        print(f"\r{size(done)} of {size(total)}", end="", file=sys.stderr)


def _remove(running: Services, args: Namespace) -> int:
    pack = running.packs.remove(_named(args))
    emit(pack, args.json, f"{pack.name} is removed.")
    return 0


def _use(running: Services, args: Namespace) -> int:
    """A pack's name, ``cpu``, ``auto``, ``previous``, or a file or address, which is installed first."""
    name = _named(args)
    if name in {"cpu", "auto"}:
        running.packs.turn_all(name == "auto")
        words = (
            "No pack is used: models run on the processor." if name == "cpu" else "Every pack may be used."
        )
        emit(running.packs.packs(), args.json, words)
        return 0
    if name == "previous":
        return _roll_back(running, args)
    if is_address(name) or "/" in name or name.endswith((".xz", ".gz", ".zip")):
        return _install(running, args)
    pack = running.packs.turn(name, on=True)
    emit(pack, args.json, f"{pack.name} is used from the next model that is loaded on.")
    return 0


def _roll_back(running: Services, args: Namespace) -> int:
    kept = list(running.packs.previous())
    backend = args.backend or (kept[0] if len(kept) == 1 else "")
    if not backend:
        raise PackRefusedError(
            path="previous", detail=f"say which with --backend: {', '.join(kept) or 'none is kept'}"
        )
    pack = running.packs.roll_back(backend)
    emit(pack, args.json, f"{pack.name} is used again." if pack else f"No pack for {backend} is left.")
    return 0


def _named(args: Namespace) -> str:
    if not args.name:
        raise PackRefusedError(
            path="?", detail=f"`hearth engine {args.what}` needs a name, a file or an address"
        )
    return str(args.name)


ACTIONS = {"list": _list, "install": _install, "remove": _remove, "use": _use}
