"""``hearth update``: a newer version of Hearth itself, from the address in the settings; and back to the one before."""

import sys
import threading
from argparse import Namespace
from pathlib import Path

from app.cli.output import emit, size
from app.compose import Services, compose
from app.core.errors import HearthError, UsageError
from app.updates.replace import Outcome
from app.updates.service import Offer, Updates

LOOK_S = 0.5
"""Seconds between two lines of progress on a terminal."""


def update(args: Namespace) -> int:
    """Look, show the notes, ask, fetch, install; or what the flags say. Ctrl-C keeps the bytes."""
    running = compose()
    try:
        if args.rollback:
            return _roll_back(running.updates, args)
        return _update(running, args)
    except KeyboardInterrupt:
        running.updates.cancel()
        print("\nStopped; what was fetched is kept. `hearth update` goes on.", file=sys.stderr)
        return 130
    finally:
        running.close()


def _update(running: Services, args: Namespace) -> int:
    updates = running.updates
    offer = updates.check()
    refused = updates.refusal(offer) if offer.newer else None
    if args.check or not offer.newer or (args.json and not args.yes):
        emit(facts(offer, refused), args.json, _words(offer, refused))
        return 0
    if refused:
        raise refused
    print(_words(offer, None), file=sys.stderr)
    if not args.yes and not _agreed(offer):
        return 0
    outcome = updates.install(offer, _fetch(updates, offer))
    emit(_told(outcome), args.json, _next(outcome))
    return 0


def facts(offer: Offer, refused: HearthError | None) -> dict[str, object]:
    """An offer as JSON."""
    return {
        "current": offer.current,
        "version": offer.version,
        "newer": offer.newer,
        "published": offer.published,
        "notes": offer.notes,
        "file": offer.artefact.name if offer.artefact else None,
        "bytes": offer.artefact.bytes if offer.artefact else None,
        "problem": {"code": refused.code, "message": refused.message} if refused else None,
    }


def _words(offer: Offer, refused: HearthError | None) -> str:
    if not offer.newer:
        return f"Hearth {offer.current} is the newest at {offer.host}."
    head = f"Hearth {offer.version} is at {offer.host}; this is {offer.current}."
    much = f"{offer.artefact.name}, {size(offer.artefact.bytes)}" if offer.artefact else ""
    last = refused.message if refused else much
    return "\n\n".join(part for part in (head, offer.notes_in(_language()), last) if part)


def _language() -> str:
    import locale  # noqa: PLC0415 - only for notes

    return (locale.getlocale()[0] or "en").partition("_")[0]


def _agreed(offer: Offer) -> bool:
    if not sys.stdin.isatty():
        raise UsageError(detail="Nobody can be asked here: add --yes to install it, or --check to look only.")
    return input(f"Install {offer.version}? [y/N] ").strip().lower() in {"y", "yes", "c", "có"}


def _fetch(updates: Updates, offer: Offer) -> Path:
    ended = threading.Event()
    shown = threading.Thread(target=_show, args=(updates, ended), name="update-progress", daemon=True)
    if sys.stderr.isatty():
        shown.start()
    try:
        return updates.download(offer)
    finally:
        ended.set()
        if shown.is_alive():
            shown.join()
            print(file=sys.stderr)


def _show(updates: Updates, ended: threading.Event) -> None:
    while not ended.wait(LOOK_S):
        if progress := updates.progress():
            note = f"  {progress.note.text}" if progress.note else ""
            print(f"\r{size(progress.done)} of {size(progress.total)}{note}\033[K", end="", file=sys.stderr)


def _roll_back(updates: Updates, args: Namespace) -> int:
    outcome = updates.roll_back()
    emit(_told(outcome), args.json, _next(outcome))
    return 0


def _told(outcome: Outcome) -> dict[str, object]:
    return {"version": outcome.version, "then": outcome.then, "command": list(outcome.command)}


def _next(outcome: Outcome) -> str:
    if outcome.then == "command":
        return f"To put Hearth {outcome.version} in place, run:\n  {command_line(outcome.command)}"
    if outcome.then == "quit":
        return f"The installer of Hearth {outcome.version} is started: close Hearth and follow it."
    return f"Hearth {outcome.version} is in place; it is used from the next start on."


def command_line(command: tuple[str, ...]) -> str:
    """As a person types it."""
    import shlex  # noqa: PLC0415 - only for this

    return shlex.join(command)
