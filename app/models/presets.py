"""Named presets and per-model defaults: how to load a model and how to sample from it.

Each preset is one readable JSON file, which is also its export: a second profile of a model costs no second copy of
its weights. A file that can't be read is reported and left alone.
"""

import logging
import re
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from app.core.errors import ReadOnlyError, SaveDiskFullError, UsageError
from app.core.events import Bus, PresetsChanged
from app.core.generate import ContextPolicy, SamplingParams
from app.core.types import KvType

log = logging.getLogger(__name__)

FORMAT = "hearth-preset"
VERSION = 1
LARGEST = 1 << 20
_UNSAFE = re.compile(r"[^\w. -]+")


class LoadChoices(Struct, frozen=True, omit_defaults=True):
    """What the user wants of a load; None leaves it to the settings and the planner. Names are ``LoadPlan``'s."""

    n_ctx: int | None = None
    n_gpu_layers: int | None = None
    n_parallel: int | None = None
    n_threads: int | None = None
    kv_type: KvType | None = None
    use_mmap: bool | None = None
    use_mlock: bool | None = None
    extra: dict[str, object] = field(default_factory=dict)
    """Further settings of a load by their names in ``core.engine_settings``, lists as text."""

    def chosen(self) -> dict[str, object]:
        """Only what was chosen."""
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: value for name, value in values.items() if value is not None and value != {}}


class Preset(Struct, frozen=True, omit_defaults=True):
    """One profile. ``model`` empty: for every model."""

    name: str
    description: str = ""
    model: str = ""
    load: LoadChoices = LoadChoices()
    sampling: SamplingParams | None = None
    system: str = ""
    context_policy: ContextPolicy | None = None
    template_kwargs: dict[str, object] = field(default_factory=dict)


class _File(Struct, frozen=True):
    format: str
    version: int
    preset: Preset


class Presets:
    """The presets of one folder (``paths.config / "presets"``). Thread-safe; files are read when asked for."""

    def __init__(self, folder: Path, bus: Bus | None = None) -> None:
        self._folder, self._bus = folder, bus
        self._defaults = folder / "models"
        self._lock = threading.Lock()
        self._in_use: dict[str, Preset] = {}
        self._read_defaults: dict[str, tuple[int, Preset | None]] = {}
        self.problems: list[str] = []
        """Files that could not be read, in words."""

    def all(self, model: str = "") -> tuple[Preset, ...]:
        """Presets by name; with ``model``, those for it and those for every model."""
        found = sorted(self._read(self._folder), key=lambda preset: preset.name.casefold())
        return tuple(preset for preset in found if not model or preset.model in {"", model})

    def get(self, name: str) -> Preset:
        """By name. Raises UsageError."""
        for preset in self._read(self._folder):
            if preset.name.casefold() == name.casefold():
                return preset
        raise UsageError(detail=f"There is no preset called {name}.")

    def save(self, preset: Preset) -> None:
        """Write or replace. Raises UsageError without a name, ReadOnlyError, SaveDiskFullError."""
        if not preset.name.strip():
            raise UsageError(detail="A preset needs a name.")
        with self._lock:
            write_preset(self._path(self._folder, preset.name), preset)
        self._tell()

    def remove(self, name: str) -> None:
        """Delete. Raises UsageError."""
        preset = self.get(name)
        with self._lock:
            self._path(self._folder, preset.name).unlink(missing_ok=True)
        self._tell()

    def import_file(self, path: Path) -> Preset:
        """Take a preset from a file; a name that is taken gets a number. Raises UsageError."""
        preset = read_preset(path)
        taken = {known.name.casefold() for known in self.all()}
        name, number = preset.name, 2
        while name.casefold() in taken:
            name, number = f"{preset.name} {number}", number + 1
        preset = replace(preset, name=name)
        self.save(preset)
        return preset

    def export_file(self, name: str, path: Path) -> None:
        """Write a preset for somebody else."""
        write_preset(path, self.get(name))

    def default_for(self, model: str) -> Preset | None:
        """How this model is loaded and sampled unless something else is chosen."""
        path = self._path(self._defaults, model)
        try:
            changed = path.stat().st_mtime_ns
        except OSError:
            return None
        known = self._read_defaults.get(model)
        if known is None or known[0] != changed:
            known = self._read_defaults[model] = (changed, self._try(path))
        return known[1]

    def set_default(self, model: str, preset: Preset | None) -> None:
        """Keep a model's defaults, or forget them."""
        path = self._path(self._defaults, model)
        with self._lock:
            if preset is None:
                path.unlink(missing_ok=True)
            else:
                write_preset(path, replace(preset, name=preset.name or model, model=model))
            self._read_defaults.pop(model, None)  # the clock of a file system may be too coarse to tell
        self._tell(model)

    def use(self, model: str, preset: Preset | None) -> None:
        """A model is loaded with this profile (None: in its usual way): ``current`` answers so from now on, in this
        process."""
        with self._lock:
            if preset is None:
                self._in_use.pop(model, None)
            else:
                self._in_use[model] = preset

    def in_use(self, model: str) -> Preset | None:
        """The profile a model was loaded with, if it was."""
        return self._in_use.get(model)

    def current(self, model: str) -> Preset | None:
        """The profile a model was loaded with, else its defaults."""
        return self._in_use.get(model) or self.default_for(model)

    def sampling(self, model: str) -> SamplingParams | None:
        """A model's own way of answering, if it has one."""
        preset = self.current(model)
        return preset.sampling if preset else None

    def _tell(self, model: str = "") -> None:
        if self._bus is not None:
            self._bus.publish(PresetsChanged(model))

    def _read(self, folder: Path) -> Iterator[Preset]:
        for path in sorted(folder.glob("*.json")):
            preset = self._try(path)
            if preset is not None:
                yield preset

    def _try(self, path: Path) -> Preset | None:
        try:
            return read_preset(path)
        except UsageError as error:
            log.info("%s", error)
            if str(error) not in self.problems:
                self.problems.append(str(error))
            return None

    @staticmethod
    def _path(folder: Path, name: str) -> Path:
        safe = _UNSAFE.sub("_", name.casefold()).strip(". ")[:80] or "preset"
        # Two names may become the same file name: a few digits of the name itself keep them apart.
        return folder / f"{safe}-{_digest(name)}.json"


def _digest(name: str) -> str:
    import hashlib  # noqa: PLC0415 - only when a preset is used

    return hashlib.blake2b(name.casefold().encode(), digest_size=4).hexdigest()


def read_preset(path: Path) -> Preset:
    """Read one file. Raises UsageError that says what is wrong."""
    try:
        if path.stat().st_size > LARGEST:
            raise UsageError(detail=f"{path} is too large to be a preset.")
        found = msgspec.json.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise UsageError(detail=f"{path} can't be read: {error.strerror}.") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise UsageError(detail=f"{path} is not a preset: {error}.") from error
    if found.format != FORMAT or found.version > VERSION:
        raise UsageError(detail=f"{path} is not a preset this version can read.")
    return found.preset


def write_preset(path: Path, preset: Preset) -> None:
    """Write one file whole or not at all."""
    text = msgspec.json.format(msgspec.json.encode(_File(FORMAT, VERSION, preset)))
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(text + b"\n")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True) if temporary.parent.is_dir() else None
        if error.errno == 28:
            raise SaveDiskFullError(path=str(path), missing="a few kB") from error
        raise ReadOnlyError(path=str(path.parent)) from error
