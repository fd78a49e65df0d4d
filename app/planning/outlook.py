"""What this machine taught us, put to work: measured rates, backends' overheads and past runs, for every forecast.

One object for the window, the server and the command line; nothing is read before it is asked for.
"""

import functools
import importlib.metadata
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec import Struct

from app.core.errors import HearthError, MeasuringError
from app.core.events import InstanceChanged
from app.core.series import SeriesStore
from app.core.types import Forecast, LoadPlan, ModelRecord, Sample
from app.hardware.facts import Machine
from app.hardware.probe import ProbeFailedError
from app.planning import rates as measuring
from app.planning.companions import with_companions
from app.planning.estimate import Estimator
from app.planning.learned import Overheads
from app.planning.memory import HOST, DeviceMemory, forecast, place
from app.planning.model_facts import ModelFacts, from_record
from app.planning.rates import Rates, RatesStore
from app.planning.recorder import About
from app.planning.runs import Run
from app.planning.speed import error_history, main_device
from app.planning.usage import UsageStore

log = logging.getLogger(__name__)

SETTLED = 3.0
"""Seconds after a load before what a driver says is taken for what a backend needs."""
RUNS = 50


class Instances(Protocol):
    """What the supervisor offers."""

    def snapshots(self) -> tuple[InstanceChanged, ...]:
        """Every instance that is not stopped."""
        ...

    def snapshot(self, model_id: str) -> InstanceChanged | None:
        """One instance."""
        ...


class Record(Struct, frozen=True):
    """How good our forecasts were: relative errors over ``count`` runs."""

    median: float
    worst: float
    count: int


class Measured(Struct, frozen=True, omit_defaults=True):
    """One device and what is known of its speed; ``rates`` None: not measured yet."""

    device: str
    name: str
    rates: Rates | None = None

    @property
    def bandwidth(self) -> float | None:
        """Bytes per second that were really read, at best."""
        if self.rates is None:
            return None
        return self.rates.read or max((rate.bandwidth for rate in self.rates.types.values()), default=None)


class Offer(Struct, frozen=True):
    """Devices to measure; ``changed``: they were measured when they, their driver or the engine were others."""

    devices: tuple[str, ...]
    changed: bool


@functools.cache
def engine_version() -> str:
    """The engine's version: measurements of another one don't count."""
    return importlib.metadata.version("llama-cpp-python")


class Outlook:
    """Thread-safe; what it asks for may take a moment (a header, a database): not for the GUI thread."""

    def __init__(
        self,
        machine: Callable[[], Machine],
        threads: Callable[[], int],
        stores: tuple[RatesStore, Overheads, UsageStore],
        run: measuring.Run,
        series: SeriesStore,
    ) -> None:
        """``threads``: the setting, 0 for automatic; ``run`` starts the measuring process."""
        self._machine, self._threads, self._run, self._series = machine, threads, run, series
        self._rates, self.overheads, self.usage = stores
        self._measuring = threading.Lock()
        self._noted: set[tuple[str, str, int | None]] = set()
        self._instances: Instances | None = None
        self._record: Callable[[str], ModelRecord] | None = None
        self._planned: dict[LoadPlan, tuple[DeviceMemory, ...]] = {}

    def follow(self, instances: Instances, record: Callable[[str], ModelRecord]) -> None:
        """Where loaded models and their files are found."""
        self._instances, self._record = instances, record

    # ------------------------------------------------------------------ measuring

    def devices(self) -> tuple[Measured, ...]:
        """Every device the engine can use, main memory first; software devices are left out."""
        machine = self._machine()
        found = [(HOST, machine.cpu.name or "")]
        found += [(name, gpu.name) for gpu in machine.offload if not gpu.software for name in gpu.devices]
        return tuple(Measured(device, name, self._rates.get(self._key(device))) for device, name in found)

    def rates(self) -> dict[str, Rates]:
        """What was measured, by device."""
        return {found.device: found.rates for found in self.devices() if found.rates is not None}

    def missing(self) -> tuple[str, ...]:
        """Devices that were never measured as they are now: at first use, and after the hardware, the driver or the
        engine changed."""
        return tuple(found.device for found in self.devices() if found.rates is None)

    def offer(self) -> Offer | None:
        """What the user should be asked to have measured, once for each state of the machine; None: nothing."""
        missing = self.missing()
        keys = [self._key(device) for device in missing]
        if not missing or self._rates.offered().issuperset(keys):
            return None
        try:
            self._rates.note_offer(keys)
        except OSError as error:
            log.info("the offer to measure can't be noted: %s", error)
            return None
        return Offer(missing, any(self._rates.known(device) for device in missing))

    def measure(
        self, devices: Sequence[str] = (), told: Callable[[str], None] = lambda _device: None
    ) -> None:
        """Measure ``devices`` (default: those that are missing), one after the other, under a minute each; ``told``
        is called with each one's name before. Raises HearthError when the measuring process fails."""
        with self._measuring:
            for device in devices or self.missing():
                told(device)
                try:
                    self._rates.put(measuring.measure(self._run, self._key(device), device, self._count()))
                except (OSError, ProbeFailedError, msgspec.MsgspecError) as error:
                    raise MeasuringError(device=device, detail=str(error)) from error

    def _key(self, device: str) -> str:
        return measuring.key_of(self._machine(), device, self._count(), engine_version())

    def _count(self) -> int:
        return self._threads() or self._machine().cpu.best_threads

    # ------------------------------------------------------------------ forecasts

    def estimator(
        self,
        record: ModelRecord,
        machine: Machine,
        *,
        facts: ModelFacts | None = None,
        freed: Mapping[str, int] | None = None,
    ) -> Estimator:
        """Estimates for a model with all that was learned; ``facts`` of one that is not on this machine. Raises
        OSError or a ModelError when its header can't be read."""
        known = self.rates()
        history = {device: self.runs(device) for device in known}
        return Estimator(
            facts or from_record(record),
            machine,
            record=record,
            rates=known,
            history=history,
            freed=freed,
            overhead=self.overheads.get(),
        )

    def runs(self, device: str) -> Sequence[Run]:
        """Forecasts from the rates that count now and what came, on one device: what an earlier measurement got wrong
        says nothing of this one. A history that can't be read corrects nothing."""
        rates = self._rates.get(self._key(device))
        try:
            return self.usage.runs(device=device, limit=RUNS, since=rates.measured_at if rates else 0.0)
        except (HearthError, OSError) as error:
            log.info("past runs can't be read: %s", error)
            return ()

    def errors(self) -> Record | None:
        """How good the forecasts were, over all devices; None before the first run that had one, or when the history
        can't be read."""
        try:
            runs = self.usage.runs(limit=500)
        except (HearthError, OSError) as error:
            log.info("past runs can't be read: %s", error)
            return None
        found = error_history(runs)
        return None if found is None else Record(*found, len(runs))

    def about(self, model: str, context: int) -> About:
        """What is known of a loaded model, for the history: its speed as forecast with ``context`` tokens in use."""
        instance = self._instances.snapshot(model) if self._instances else None
        if instance is None or instance.plan is None or self._record is None:
            return About(engine=engine_version())
        try:
            record = self._record(model)
            facts = from_record(record)
        except (OSError, HearthError):
            return About(engine=engine_version())
        device = main_device(facts, instance.plan)
        middle, bare = self._speed(record, instance.plan, context)
        quant = record.summary.quant if record.summary else ""
        return About(quant, device, engine_version(), self._sources(instance.plan), middle, bare)

    def _speed(self, record: ModelRecord, plan: LoadPlan, context: int) -> tuple[float | None, float | None]:
        """(forecast, forecast without corrections) in tokens per second."""
        known = self.rates()
        device = main_device(from_record(record), plan)
        estimator = Estimator(
            from_record(record), self._machine(), rates=known, history={device: self.runs(device)}
        )
        bare = Estimator(from_record(record), self._machine(), rates=known)
        return _middle(estimator.speed(plan, context).decode), _middle(bare.speed(plan, context).decode)

    def forecast(self, model: str, context: int) -> Forecast | None:
        """The decode speed of a loaded model with ``context`` tokens in use, as a range."""
        instance = self._instances.snapshot(model) if self._instances else None
        if instance is None or instance.plan is None or self._record is None:
            return None
        record = self._record(model)
        device = main_device(from_record(record), instance.plan)
        rates, history = self.rates(), {device: self.runs(device)}
        estimator = Estimator(from_record(record), self._machine(), rates=rates, history=history)
        return estimator.speed(instance.plan, context).decode

    def _sources(self, plan: LoadPlan) -> tuple[tuple[str, str], ...]:
        """The power series that can be read of what this plan uses: the processor, and the GPUs it names."""
        used = set(plan.devices) if plan.n_gpu_layers else set()
        gpus = [gpu for gpu in self._machine().gpus if used & set(gpu.devices)]
        wanted = [("host", "cpu_power"), *((f"gpu:{gpu.index}", "power") for gpu in gpus)]
        found = [source for source in wanted if self._series.last(*source) is not None]
        # A GPU's share is most of it: without its reading the processor's alone would look like a measurement.
        return tuple(found) if not gpus or any(source[0] != "host" for source in found) else ()

    # ------------------------------------------------------------------ memory of what is loaded

    def memory(self, model: str, plan: LoadPlan) -> tuple[DeviceMemory, ...]:
        """The bytes forecast for a plan that is loaded, kept while it is asked for; () when its file is gone."""
        if plan not in self._planned:
            try:
                self._planned = {**self._planned, plan: self._memory(model, plan)}
            except (OSError, HearthError) as error:
                log.info("no memory forecast for %s: %s", model, error)
                self._planned = {**self._planned, plan: ()}
            while len(self._planned) > 8:
                self._planned = dict(list(self._planned.items())[1:])
        return self._planned[plan]

    def _memory(self, model: str, plan: LoadPlan) -> tuple[DeviceMemory, ...]:
        if self._record is None:
            return ()
        facts, learned = from_record(self._record(model)), self.overheads.get()
        return with_companions(
            forecast(facts, plan, place(facts, plan, plan.devices), learned), plan, learned
        )

    # ------------------------------------------------------------------ learning

    def learn(self, sample: Sample) -> None:
        """From a GPU's reading (on the sampler's thread): what a backend took beside what llama.cpp allocated. Only
        while one model alone is loaded, once for each load."""
        held = sample.values.get("memory_us")
        if not sample.source.startswith("gpu:") or not held or self._instances is None:
            return
        alive = self._instances.snapshots()
        if len(alive) != 1 or alive[0].state != "ready" or not alive[0].memory:
            return
        (one,) = alive
        key = (sample.source, one.model, one.pid)
        if key in self._noted or time.time() - one.last_used < SETTLED:
            return
        index = int(sample.source.partition(":")[2])
        gpu = next((gpu for gpu in self._machine().gpus if gpu.index == index), None)
        device = next((use.device for use in one.memory if gpu and use.device in gpu.devices), "")
        if device:
            self._noted.add(key)
            self.overheads.note(device, int(held), one.memory)


def _middle(found: Forecast | None) -> float | None:
    return None if found is None else (found.low + found.high) / 2
