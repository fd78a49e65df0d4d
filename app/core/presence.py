"""What each running Hearth has loaded and serves, so that another one (``hearth ps``) can tell.

Every process keeps one small JSON file ``run/<pid>.json``, replaced whole at each change and removed at the end; files
of processes that are gone are ignored and swept away.
"""

import logging
import os
import threading
from pathlib import Path

import msgspec
from msgspec import Struct

from app.core.events import Bus, InstanceChanged, ServerChanged

log = logging.getLogger(__name__)


class Presence(Struct, frozen=True, omit_defaults=True):
    """One process: its server's address (empty: off) and its instances that are not stopped."""

    pid: int
    address: str = ""
    instances: tuple[InstanceChanged, ...] = ()


class PresenceFile:
    """Writes this process's presence as the Bus tells of changes."""

    def __init__(self, folder: Path, bus: Bus) -> None:
        self._path = folder / f"{os.getpid()}.json"
        self._lock = threading.Lock()
        self._now = Presence(os.getpid())
        self._subscriptions = (
            bus.subscribe(InstanceChanged, self._on_instance),
            bus.subscribe(ServerChanged, self._on_server),
        )

    def _on_instance(self, event: InstanceChanged) -> None:
        others = tuple(item for item in self._now.instances if item.model != event.model)
        known = next((item for item in self._now.instances if item.model == event.model), None)
        if known is not None and known.state == event.state == "loading":
            return
        kept = others if event.state == "stopped" else (*others, event)
        self._write(msgspec.structs.replace(self._now, instances=kept))

    def _on_server(self, event: ServerChanged) -> None:
        self._write(msgspec.structs.replace(self._now, address=event.address if event.state == "on" else ""))

    def _write(self, presence: Presence) -> None:
        with self._lock:
            self._now = presence
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                temporary = self._path.with_suffix(".tmp")
                temporary.write_bytes(msgspec.json.encode(presence))
                temporary.replace(self._path)
            except OSError as error:
                log.info("presence is not written: %s", error)

    def close(self) -> None:
        """Stop listening and remove the file."""
        for subscription in self._subscriptions:
            subscription.close()
        self._path.unlink(missing_ok=True)


def read_presences(folder: Path) -> list[Presence]:
    """Every living process's presence, oldest pid first."""
    found = [_read(path) for path in sorted(folder.glob("*.json"))]
    return [presence for presence in found if presence is not None]


def _read(path: Path) -> Presence | None:
    import psutil  # noqa: PLC0415 - only ``hearth ps`` asks

    try:
        presence = msgspec.json.decode(path.read_bytes(), type=Presence)
    except (OSError, msgspec.MsgspecError):
        return None
    if psutil.pid_exists(presence.pid):
        return presence
    path.unlink(missing_ok=True)
    return None
