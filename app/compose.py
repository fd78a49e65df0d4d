"""Builds every service once and hands them out as one frozen ``Services``. No Qt.

Constructors are cheap and start nothing; ``Services.start()`` starts the background threads a window or a server
needs, ``close()`` ends them in the reverse order.
"""

import functools
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.chat.store import ChatStore
from app.core.engine_settings import Engine
from app.core.events import Bus, ChatsPurged, InstanceChanged
from app.core.paths import Paths, find_paths
from app.core.presence import PresenceFile
from app.core.series import SeriesStore
from app.core.settings import SettingsStore
from app.core.types import ModelRecord, Sample
from app.hardware.sampler import Sampler
from app.models.downloads import Downloads
from app.models.hub import Hub
from app.models.hub_headers import HeaderCache
from app.models.library import Library
from app.models.presets import Presets
from app.models.token import Tokens
from app.optimize.queue import LabQueue
from app.planning.learned import Overheads
from app.planning.pins import Pins
from app.planning.recorder import Recorded, Recorder
from app.planning.residency import Residency
from app.planning.usage import UsageStore
from app.runtime.channel import child_environ, program
from app.runtime.pack_blame import kinds_of
from app.runtime.pack_store import PackStore
from app.runtime.packs import VARIABLE, working
from app.runtime.supervisor import Supervisor
from app.server.host import ServerHost

if TYPE_CHECKING:
    from app.hardware.facts import Machine
    from app.optimize.process import Devices
    from app.planning.fit import Fitter
    from app.planning.outlook import Outlook
    from app.planning.planner import Planned, Wishes
    from app.runtime.pack_fit import Card
    from app.updates.service import Updates

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Services:
    """Everything the window, the server and the command line work with."""

    paths: Paths
    bus: Bus
    settings: SettingsStore
    series: SeriesStore
    hub: Hub
    library: Library
    downloads: Downloads
    chats: ChatStore
    supervisor: Supervisor
    sampler: Sampler
    server: ServerHost
    machine: Callable[[], "Machine"]
    planner: "Planner"
    residency: Residency
    presence: PresenceFile
    usage: UsageStore
    recorder: Recorder
    presets: Presets
    make_outlook: Callable[[], "Outlook"]
    packs: PackStore
    lab: LabQueue
    make_updates: Callable[[], "Updates"]
    lab_devices: Callable[[], "Devices"]

    @property
    def updates(self) -> "Updates":
        """New versions of the program itself; made at first use, off the GUI thread."""
        return self.make_updates()

    @property
    def outlook(self) -> "Outlook":
        """Forecasts from all that was measured; made at first use."""
        return self.make_outlook()

    def engine(self, source: str) -> Any:
        """The supervisor, with every request noted in the usage history as coming from ``source``."""
        return Recorded(self.supervisor, self.recorder, source)

    def load(
        self,
        name: str,
        wishes: "Wishes | None" = None,
        told: "Callable[[Planned], None] | None" = None,
        over: threading.Event | None = None,
    ) -> Future[InstanceChanged]:
        """Load a model by id, prefix or path, making room first (which may take minutes: not on the GUI thread), but
        not once ``over`` is set. ``told`` gets the plan and its reasons. Raises ModelNotFoundError,
        ModelAmbiguousError, OutOfMemoryError or LoadCancelledError; what goes wrong later is the future's
        exception."""
        record = self.library.get(name)
        planned = self.residency.prepare(record, wishes, over)
        if told is not None:
            told(planned)
        self.library.touched(record.id)
        return self.supervisor.ensure_ready(record.id, planned.plan)

    def cancel_load(self, model: str) -> None:
        """Stop loading a model, or waiting for room for it. Nothing of that: nothing happens."""
        self.residency.give_up(model)
        self.supervisor.cancel_load(model)

    def start(self) -> None:
        """Start what runs in the background: downloads left over, and the live readings."""
        self.library.watch()
        self.downloads.start()
        self.sampler.start()
        self.residency.start()
        self.recorder.start()

    def close(self) -> None:
        """End every thread and process; nothing written is lost."""
        working = (self.server, self.downloads, self.lab, self.sampler, self.residency, self.supervisor)
        for service in (*working, self.recorder, self.presence, self.chats, self.library):
            try:
                service.close()
            except Exception:
                log.exception("%s did not close", type(service).__name__)
        self.series.close()


class Planner:
    """From a record and wishes to a plan, with this machine as it is now and the current settings filled in."""

    def __init__(
        self,
        settings: SettingsStore,
        machine: Callable[[], "Machine"],
        overheads: Overheads,
        presets: Presets,
        packs: PackStore,
    ) -> None:
        self._settings, self._machine, self._packs = settings, machine, packs
        self._overheads, self._presets = overheads, presets

    def __call__(
        self, record: ModelRecord, wishes: "Wishes | None" = None, freed: Mapping[str, int] | None = None
    ) -> "Planned":
        """Plan with ``wishes``, or as the settings ask; ``freed``: bytes by device that would come free."""
        from app.planning.planner import plan  # noqa: PLC0415 - not needed before the first load

        wanted, learned = wishes or self.wishes(record.id), self._overheads.get()
        return plan(record, current(self._machine()), wanted, freed=freed, overhead=learned)

    def wishes(self, model: str = "") -> "Wishes":
        """What the settings ask for, and a model's own defaults."""
        from app.planning.wishes import from_settings  # noqa: PLC0415 - see __call__

        return from_settings(self.engine(model)).without_backends(self._packs.off())

    def changed(self, model: str, changes: Mapping[str, object]) -> "Wishes":
        """Those wishes with fields of the plan that somebody asks for."""
        from app.planning.wishes import with_changes  # noqa: PLC0415 - see __call__

        return with_changes(self.wishes(model), changes)

    def engine(self, model: str = "") -> Engine:
        """How a model is loaded: the settings, then its profile or defaults, then a command line's flags."""
        from app.planning.choices import with_choices  # noqa: PLC0415 - see __call__

        usual = self._settings.value.engine
        own = self._presets.current(model) if model else None
        flags = {key.partition(".")[2] for key in self._settings.overridden if key.startswith("engine.")}
        return with_choices(usual, own.load, flags) if own is not None else usual

    def idle_seconds(self) -> float | None:
        """After how long without a request a model is unloaded; None: never."""
        return self._settings.value.engine.idle_minutes * 60 or None


def current(machine: "Machine") -> "Machine":
    """The machine with the memory that is free now: everything else was learned once."""
    from app.hardware.sampler import refresh  # noqa: PLC0415 - see _detect

    return refresh(machine)


@functools.cache
def _detect(packs: tuple[str, ...] = ()) -> "Machine":
    from app.hardware.detect import detect  # noqa: PLC0415 - asks drivers, 50 ms the first paint should not pay

    return detect(probe=lambda: _probe(packs))


def _probe(packs: tuple[str, ...]) -> bytes:
    """The engine's own list of devices, from a short-lived process: a driver that crashes takes only that one down."""
    from app.hardware.probe import run_with_packs  # noqa: PLC0415 - see _detect

    return run_with_packs([*program(), "probe"], packs, child_environ(os.environ))


def _machine(packs: PackStore, workers: dict[str, str]) -> "Machine":
    """The machine with the backends of the packs; workers load those that the probe could use, and no others."""
    from app.planning.pack_devices import without_code  # noqa: PLC0415 - see _detect

    chosen = packs.current()
    found = _detect(chosen)
    problems = {backend.name: backend.problem for backend in found.backends if backend.problem}
    workers[VARIABLE] = working(chosen, problems)
    packs.learn(problems)
    return without_code(found, chosen)


def _supervisor(
    bus: Bus, paths: Paths, workers: dict[str, str], packs: PackStore, machine: "Callable[[], Machine]"
) -> Supervisor:
    return Supervisor(
        bus, paths.logs, cache=paths.cache, environ=workers, packs=packs,
        cores=lambda: machine().cpu.best_threads,  # at hand by then: what is loaded was planned
    )  # fmt: skip


def _try_out(pack: Path) -> str:
    """What is wrong with a pack, loaded in a process of its own; nothing when it works."""
    from app.hardware.probe import ProbeFailedError, problem_of, run_probe  # noqa: PLC0415 - see _detect

    try:
        answer = run_probe([*program(), "probe", str(pack)], environ=child_environ(os.environ))
    except ProbeFailedError as error:
        return f"the engine {error} when it was tried out"
    return problem_of(answer, str(pack))


def _cards() -> "tuple[Card, ...]":
    from app.planning.pack_devices import cards  # noqa: PLC0415 - see _detect

    return cards(_detect(()))


MEASURING = 240.0
"""Seconds before the process that measures this machine's speed is given up."""


def _measure(workers: Mapping[str, str], packs: PackStore, arguments: Sequence[str]) -> bytes:
    """What the measuring process prints. Raises ProbeFailedError; a crash on a pack's device counts for the pack."""
    from app.hardware.probe import ProbeFailedError, run_probe  # noqa: PLC0415 - see _detect

    try:
        return run_probe([*program(), "rates", *arguments], MEASURING, child_environ(workers, spins=True))
    except ProbeFailedError as error:
        if "crashed" in str(error) and "--device" in arguments:  # one that takes too long is only slow
            device = arguments[arguments.index("--device") + 1]
            packs.crashed(kinds_of([device])[0], str(error))
        raise


def _fitter(machine: "Callable[[], Machine]", settings: SettingsStore) -> "Fitter":
    from app.planning.fit import Fitter  # noqa: PLC0415 - asks the hardware, not before somebody wants to know

    return Fitter(machine(), settings.value.engine.n_ctx)


def _entered_watts(settings: SettingsStore) -> tuple[float, float] | None:
    energy = settings.value.energy
    return (energy.watts, energy.watts_idle) if energy.watts else None


def _outlook(
    machine: "Callable[[], Machine]",
    settings: SettingsStore,
    learned: "tuple[Path, Overheads, UsageStore]",
    run: Callable[[Sequence[str]], bytes],
    series: SeriesStore,
    follows: tuple[Supervisor, Library, Bus],
) -> "Callable[[], Outlook]":
    """Makes the outlook at its first use: its modules are many, and the first paint needs none of them."""
    lock, (rates, overheads, usage), (supervisor, library, bus) = threading.Lock(), learned, follows

    @functools.cache
    def make() -> "Outlook":
        from app.planning.outlook import Outlook  # noqa: PLC0415 - see _detect
        from app.planning.rates import RatesStore  # noqa: PLC0415

        stores = (RatesStore(rates), overheads, usage)
        made = Outlook(machine, lambda: settings.value.engine.n_threads, stores, run, series)
        made.follow(supervisor, library.get)
        bus.subscribe(Sample, made.learn)
        return made

    def ask() -> "Outlook":
        with lock:  # two threads asking first would make two
            return make()

    return ask


def _lab_devices(machine: "Callable[[], Machine]", workers: Mapping[str, str], packs: PackStore) -> "Devices":
    """Every device that is one; a matrix is the same on the processor, only later."""
    from app.optimize.process import Devices  # noqa: PLC0415 - see _detect

    gpus = [gpu for gpu in machine().gpus if gpu.devices and not gpu.software]
    names = tuple(name for gpu in gpus for name in gpu.devices)
    return Devices(ALL_LAYERS if gpus else 0, names, workers, packs)


ALL_LAYERS = 999


def _lab(
    paths: Paths,
    bus: Bus,
    shelf: tuple[Library, Hub],
    engine: tuple[Supervisor, Residency, Recorder, UsageStore],
    devices: "Callable[[], Devices]",
) -> LabQueue:
    """The lab's queue; what does its work is imported with the first job."""
    (supervisor, residency, recorder, usage), (library, _) = engine, shelf

    def load(name: str) -> tuple[str, Future[InstanceChanged]]:
        record = library.get(name)
        recorder.start()
        return record.id, supervisor.ensure_ready(record.id, residency.prepare(record).plan)

    @functools.cache
    def work() -> Any:
        from app.optimize.rates import Rates  # noqa: PLC0415 - see above
        from app.optimize.speeds import Speeds  # noqa: PLC0415
        from app.optimize.work import Work  # noqa: PLC0415

        asked: Any = Recorded(supervisor, recorder, "lab")
        speeds = Speeds(lambda: asked, load, lambda since: list(usage.rows(since)))
        return Work(paths, shelf, Rates(paths.cache / "lab" / "rates.json"), devices, speeds)

    def do(*order: Any) -> Any:
        return work()(*order)

    return LabQueue(paths.data / "lab" / "queue.json", bus, do)


def _updates(paths: Paths, settings: SettingsStore) -> "Callable[[], Updates]":
    """Makes what looks for updates at its first use: most starts never do."""

    @functools.cache
    def make() -> "Updates":
        from app.updates.service import Updates  # noqa: PLC0415 - see _outlook

        return Updates(paths, lambda: settings.value)

    return make


def compose(paths: Paths | None = None) -> Services:
    """Build the services. Raises ReadOnlyError when the folders can't be written."""
    paths = (paths or find_paths()).ensure()
    bus = Bus()
    settings, series = SettingsStore(paths.settings_file, bus), SeriesStore(bus)
    presence = PresenceFile(paths.data / "run", bus)
    library = Library(paths, bus)
    hub = Hub(None, Tokens(), lambda: settings.value.hub, HeaderCache(paths.cache / "headers"))
    downloads = Downloads(paths, hub, library, bus, settings)
    workers = dict(os.environ)
    packs = PackStore(paths.data, lambda: settings.value.engine.packs, _try_out, _cards, workers.copy())
    machine = functools.partial(_machine, packs, workers)
    supervisor = _supervisor(bus, paths, workers, packs, machine)
    overheads, usage = Overheads(paths.cache / "overheads.json"), UsageStore(paths.data / "usage.sqlite")
    run = functools.partial(_measure, workers, packs)
    learned = (paths.cache / "rates.json", overheads, usage)
    outlook = _outlook(machine, settings, learned, run, series, (supervisor, library, bus))
    recorder = Recorder(
        usage, series, lambda *asked: outlook().about(*asked), watts=lambda: _entered_watts(settings)
    )
    presets, chats = Presets(paths.config / "presets", bus), ChatStore(paths.chats_file, bus)
    planner = Planner(settings, machine, overheads, presets, packs)
    sampler = Sampler(bus, machine, supervisor.pids)
    pins = Pins(paths.data / "pinned.json")
    residency = Residency(supervisor, planner, planner.idle_seconds, pins, bus.publish)
    asked: Any = Recorded(supervisor, recorder, "server")
    server = ServerHost(
        library, asked, residency.prepare, bus, settings,
        downloads=downloads, hub=hub, series=series, keys_file=paths.data / "keys.json", sampling=presets.sampling,
        fitter=functools.partial(_fitter, machine, settings), wishes=planner.changed, pinned=residency.pinned,
    )  # fmt: skip
    residency.asked_to_keep = server.wants
    bus.subscribe(ChatsPurged, lambda gone: supervisor.forget(gone.keys))
    devices = functools.partial(_lab_devices, machine, workers, packs)
    return Services(
        paths, bus, settings, series, hub, library, downloads, chats, supervisor, sampler, server, machine, planner,
        residency, presence, usage, recorder, presets, outlook, packs,
        _lab(paths, bus, (library, hub), (supervisor, residency, recorder, usage), devices),
        _updates(paths, settings), devices,
    )  # fmt: skip
