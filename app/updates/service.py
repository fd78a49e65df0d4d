"""Looks for a newer version where it was allowed to, fetches it, puts it in place, and goes back."""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from app import __version__
from app.core.errors import (
    HearthError,
    NoUpdateAddressError,
    NoUpdateFileError,
    UpdateFileError,
    UpdateFormError,
    UpdateKeyError,
    UpdateOlderError,
    UpdateReplayedError,
    UpdateTooFarError,
)
from app.core.paths import Paths
from app.core.settings import Settings
from app.models.transfer import Progress
from app.models.transfer_hash import sha256_file
from app.models.transfer_net import Net
from app.updates import replace
from app.updates.fetch import Fetch, get_list
from app.updates.installed import Installed, find_installed, machine, system
from app.updates.manifest import Artefact, Manifest, host_of, open_list, read_keys
from app.updates.replace import Outcome
from app.updates.state import State, StateFile
from app.updates.versions import newer

log = logging.getLogger(__name__)

DAY = 86400.0
PERIODS = {"day": DAY, "week": 7 * DAY, "month": 30 * DAY}
_FIRST_TIME, _LAST_TIME = 1_000_000_000, 1 << 33
KEYS = Path(__file__).resolve().parents[2] / "resources" / "update-keys.txt"


class Offer(Struct, frozen=True):
    """What a signed list says there is."""

    current: str
    version: str
    newer: bool
    notes: dict[str, str]
    published: str
    host: str
    artefact: Artefact | None
    """The file for this copy of the program; None when there is none."""
    minimum: str
    address: str

    def notes_in(self, language: str) -> str:
        """The notes in a language, else in English, else in whatever there is."""
        found = self.notes.get(language) or self.notes.get("en") or next(iter(self.notes.values()), "")
        return found.strip()


class Updates:
    """Constructed at once and starting nothing. Every method but ``progress`` and ``cancel`` may block on the network
    or the disk: not on the GUI thread."""

    def __init__(
        self,
        paths: Paths,
        settings: Callable[[], Settings],
        *,
        version: str = __version__,
        installed: Callable[[], Installed] = find_installed,
        shipped_keys: Path = KEYS,
    ) -> None:
        self._settings, self.version, self._shipped = settings, version, shipped_keys
        self._installed = installed
        self._state = StateFile(paths.data)
        self._folder, self._keep = paths.cache / "updates", paths.data / "previous"
        self._lock = threading.Lock()
        self._fetch: Fetch | None = None

    # ------------------------------------------------------------------ what is allowed

    @property
    def address(self) -> str:
        """Where to look, "" when nobody named a place."""
        return self._settings().updates.address.strip()

    @property
    def host(self) -> str:
        """The part of the address that people know it by."""
        return host_of(self.address)

    @property
    def state(self) -> State:
        """What is remembered."""
        return self._state.read()

    @property
    def installed(self) -> Installed:
        """How this copy was installed."""
        return self._installed()

    def should_ask(self) -> bool:
        """Whether the person has to be asked if updates may be looked for: once for each address."""
        chosen = self._settings().updates.look
        return bool(self.address) and chosen == "ask" and self.state.asked != self.address

    def asked(self) -> None:
        """The question was put."""
        self._state.change(asked=self.address)

    def due(self, now: float | None = None) -> bool:
        """Whether it is time to look by itself; never without permission."""
        period = PERIODS.get(self._settings().updates.look)
        if period is None or not self.address:
            return False
        now, last = time.time() if now is None else now, self.state.looked_at
        return not last <= now < last + period

    # ------------------------------------------------------------------ looking

    def check(self) -> Offer:
        """Ask the address. Raises UpdateError's kinds: no address, no key, not reached, no list, not signed, older than
        one seen before, older than this program."""
        address = self.address
        if not address:
            raise NoUpdateAddressError
        keys = self._keys()
        self._state.change(looked_at=time.time())
        manifest, signed_by = open_list(get_list(address, self._net()), keys, self.host)
        self._not_older(manifest, signed_by)
        return self._offer(manifest, address)

    def _keys(self) -> tuple[bytes, ...]:
        shipped = self._shipped.read_text(encoding="utf-8") if self._shipped.is_file() else ""
        keys = read_keys(self._settings().updates.key, shipped)
        if not keys:
            raise UpdateKeyError(detail="the settings name none")
        return keys

    def _net(self) -> Net:
        hub = self._settings().hub
        return Net(proxy=hub.proxy, ca_file=hub.ca_file)

    def _not_older(self, manifest: Manifest, signed_by: str) -> None:
        seen = self.state.seen.get(signed_by, 0)
        if manifest.serial < seen:
            raise UpdateReplayedError(host=self.host, found=_numbered(manifest.serial), known=_numbered(seen))
        self._state.map(lambda state: _with_seen(state, signed_by, manifest.serial))
        if newer(self.version, manifest.version):
            raise UpdateOlderError(host=self.host, found=manifest.version, known=self.version)

    def _offer(self, manifest: Manifest, address: str) -> Offer:
        fits = (self.installed.file_form, system(), machine())
        found = next(
            (item for item in manifest.files if (item.form, item.system, item.machine) == fits), None
        )
        return Offer(
            self.version, manifest.version, newer(manifest.version, self.version), manifest.notes,
            manifest.published, self.host, found, manifest.minimum, address,
        )  # fmt: skip

    def look_by_itself(self) -> Offer | None:
        """The same when it is due, for whoever did not ask just now: only news, and no trouble but in the log."""
        if not self.due():
            return None
        try:
            offer = self.check()
        except HearthError as error:
            log.info("no look for updates: %s", error)
            return None
        return offer if offer.newer and offer.version != self.state.skipped else None

    def skip(self, version: str) -> None:
        """Do not offer this version by itself again."""
        self._state.change(skipped=version)

    def refusal(self, offer: Offer) -> HearthError | None:
        """Why this offer can't be installed here, known before anything is fetched."""
        installed = self.installed
        if installed.file_form is None:
            return UpdateFormError(path=str(installed.place))
        if newer(offer.minimum, self.version):
            return UpdateTooFarError(found=offer.version, known=self.version, minimum=offer.minimum)
        if offer.artefact is None:
            return NoUpdateFileError(
                found=offer.version, system=f"{system()} {machine()}", form=installed.form
            )
        return None

    # ------------------------------------------------------------------ fetching

    def download(self, offer: Offer) -> Path:
        """The verified installer; a download that was cut goes on. Raises what ``refusal`` says,
        UpdateUnreachableError, UpdateFileError, TransferCancelledError, DiskFullError, ReadOnlyError."""
        if refused := self.refusal(offer):
            raise refused
        assert offer.artefact is not None
        folder = self._folder / offer.version
        self._forget_others(folder)
        downloads = self._settings().downloads
        fetch = Fetch(offer.artefact, offer.address, folder, self._net(), downloads.connections)
        if _is_whole(fetch.target, offer.artefact):
            return fetch.target
        with self._lock:
            self._fetch = fetch
        try:
            return fetch.run()
        finally:
            self._fetch = None

    def progress(self) -> Progress | None:
        """Of the download under way."""
        fetch = self._fetch
        return fetch.transfer.progress() if fetch else None

    def cancel(self) -> None:
        """Stop the download; what came stays for the next time."""
        fetch = self._fetch
        if fetch is not None:
            fetch.cancel()

    def _forget_others(self, folder: Path) -> None:
        import shutil  # noqa: PLC0415 - only where something was fetched before

        with contextlib.suppress(OSError):
            for old in self._folder.iterdir():
                if old != folder:
                    shutil.rmtree(old, ignore_errors=True)

    # ------------------------------------------------------------------ installing and going back

    def install(self, offer: Offer, file: Path) -> Outcome:
        """Put a downloaded version in place. Raises UpdateFileError when the file is not (any more) what was
        signed, and what ``replace.install`` raises."""
        if refused := self.refusal(offer):
            raise refused
        assert offer.artefact is not None
        if not _is_whole(file, offer.artefact):
            file.unlink(missing_ok=True)
            raise UpdateFileError(path=file.name, detail="it is not the file that was signed")
        outcome = replace.install(self.installed, file, offer.version, self.version, self._keep)
        self._state.change(installed=offer.version, skipped="", kept=outcome.kept)
        if outcome.then == "restart":
            file.unlink(missing_ok=True)
        return outcome

    def previous(self) -> str:
        """The version that can be gone back to, or ""."""
        return replace.previous(self.installed, self.state.kept)

    def roll_back(self) -> Outcome:
        """Go back to the version before; this one is then not offered by itself. Raises NoPreviousVersionError and what
        installing raises."""
        outcome = replace.roll_back(self.installed, self.state.kept, self.version)
        if outcome.then != "command":
            self._state.change(skipped=self.version, installed=outcome.version)
        if outcome.kept is not None:
            self._state.change(kept=outcome.kept, skipped=self.version)
        return outcome

    def hand_over(self, outcome: Outcome) -> None:
        """Have the system's own installer do it, asking for the password. Raises UpdateFailedError."""
        replace.hand_over(outcome)

    def just_updated(self) -> bool:
        """Whether this is the first start of a version that was put in place from here; true once."""
        if self.state.installed != self.version:
            return False
        self._state.change(installed="")
        return True

    def restart_command(self) -> list[str]:
        """What starts the version that is in place now."""
        return [os.fspath(self.installed.program)]

    def close(self) -> None:
        """End a download; idempotent."""
        self.cancel()


def _numbered(serial: int) -> str:
    """A list's number as people can compare it: those that are the time of their making (as ours are) as a date."""
    if not _FIRST_TIME <= serial < _LAST_TIME:
        return str(serial)
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(serial))


def _with_seen(state: State, key: str, serial: int) -> State:
    from msgspec.structs import replace as changed  # noqa: PLC0415

    return changed(state, seen={**state.seen, key: serial})


def _is_whole(file: Path, artefact: Artefact) -> bool:
    try:
        return (
            file.stat().st_size == artefact.bytes
            and sha256_file(file, lambda _count: None) == artefact.sha256
        )
    except OSError:
        return False
