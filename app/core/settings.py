"""Settings, declared once as typed data: labels, help, bounds and defaults live here and nowhere else.

The file is TOML (``tomlkit`` keeps the user's comments), replaced atomically, with a schema version. A value the file
gets wrong is reported and the default used: the program always opens. Unknown keys are kept as they are.
The settings page is drawn from ``describe()``; texts are translated through the context "Settings".
"""

import logging
import os
import tempfile
import threading
import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from app.core.engine_settings import Engine
from app.core.errors import HearthError, ReadOnlyError, SaveDiskFullError, SettingsDamagedError, SettingsError
from app.core.events import Bus, SettingChanged
from app.core.settings_groups import Chat, Downloads, Energy, General, Hub, Server
from app.core.update_settings import Updates

log = logging.getLogger(__name__)

VERSION = 1


class Settings(Struct, frozen=True, kw_only=True):
    """All groups."""

    general: General = field(default_factory=General)
    hub: Hub = field(default_factory=Hub)
    downloads: Downloads = field(default_factory=Downloads)
    engine: Engine = field(default_factory=Engine)
    chat: Chat = field(default_factory=Chat)
    server: Server = field(default_factory=Server)
    energy: Energy = field(default_factory=Energy)
    updates: Updates = field(default_factory=Updates)


class SettingInfo(Struct, frozen=True):
    """One setting as the settings page draws it."""

    key: str
    group: str
    title: str
    help: str
    kind: Literal["bool", "int", "float", "text", "choice"]
    default: object
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    secret: bool = False
    multiline: bool = False
    advanced: bool = False
    """Folded away until asked for."""


GROUP_TITLES = {
    "general": "General",
    "hub": "Hub",
    "downloads": "Downloads",
    "engine": "Engine",
    "chat": "Chat",
    "server": "Server",
    "energy": "Energy and money",
    "updates": "Updates",
}


def describe() -> list[SettingInfo]:
    """Every visible setting in the order of its declaration."""
    found = []
    for group in msgspec.structs.fields(Settings):
        for item in msgspec.structs.fields(group.type):
            info = _describe_one(group.name, item)
            if info is not None:
                found.append(info)
    return found


def _describe_one(group: str, item: Any) -> SettingInfo | None:
    kind = msgspec.inspect.type_info(item.type)
    meta, extra = item.type.__metadata__[0], (item.type.__metadata__[0].extra or {})
    if extra.get("hidden"):
        return None
    inner = kind.type if isinstance(kind, msgspec.inspect.Metadata) else kind
    return SettingInfo(
        key=f"{group}.{item.name}",
        group=group,
        title=meta.title,
        help=meta.description,
        kind=_kind(inner),
        default=item.default,
        choices=tuple(getattr(inner, "values", ())),
        low=meta.ge,
        high=meta.le,
        secret=bool(extra.get("secret")),
        multiline=bool(extra.get("multiline")),
        advanced=bool(extra.get("advanced")),
    )


def _kind(inner: object) -> Literal["bool", "int", "float", "text", "choice"]:
    names = {
        "BoolType": "bool",
        "IntType": "int",
        "FloatType": "float",
        "StrType": "text",
        "LiteralType": "choice",
    }
    return names[type(inner).__name__]  # type: ignore[return-value]


class SettingsStore:
    """The settings in memory and their file. Thread-safe; ``value`` is replaced whole, never changed in place."""

    def __init__(self, path: Path, bus: Bus) -> None:
        self._path, self._bus = path, bus
        self._lock = threading.Lock()
        self.problems: list[HearthError] = []
        self.overridden: set[str] = set()
        """Keys that a command line's flags have set: nothing stored wins over them."""
        self._document = self._read()
        self.value = self._decode(self._document)

    def get(self, key: str) -> object:
        """The value of ``group.name``."""
        group, name = _split(key)
        return getattr(getattr(self.value, group), name)

    def set(self, key: str, value: object) -> None:
        """Check, keep and write one value, then publish SettingChanged. Raises SettingsError, ReadOnlyError or
        SaveDiskFullError; on any of them nothing has changed."""
        group, name = _split(key)
        checked = _check(group, name, value)
        with self._lock:
            if self.get(key) == checked:
                return
            document = {**self._document, group: {**_table(self._document, group), name: checked}}
            self._write(group, name, checked)
            self._document = document
            changed = msgspec.structs.replace(getattr(self.value, group), **{name: checked})
            self.value = msgspec.structs.replace(self.value, **{group: changed})
        self._bus.publish(SettingChanged(key, checked))

    def override(self, key: str, value: object) -> None:
        """Use another value in this process alone (a command line's flag): checked, never written, not announced."""
        group, name = _split(key)
        changed = msgspec.structs.replace(getattr(self.value, group), **{name: _check(group, name, value)})
        self.value = msgspec.structs.replace(self.value, **{group: changed})
        self.overridden.add(key)

    def reset(self, key: str) -> None:
        """Back to the declared default."""
        group, name = _split(key)
        self.set(key, getattr(getattr(Settings(), group), name))

    def _read(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self._path.read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError) as error:
            self._report(SettingsDamagedError(path=str(self._path), kept=str(self._keep_damaged())))
            log.info("%s", error)
            return {}

    def _keep_damaged(self) -> Path:
        # The next write would replace what the user had: it is kept beside, and so is what was kept before.
        numbers = ("", *(f"-{number}" for number in range(2, 1000)))
        names = (self._path.with_suffix(f".damaged{number}.toml") for number in numbers)
        kept = next((name for name in names if not name.exists()), self._path)
        try:
            self._path.replace(kept)
        except OSError as error:
            log.info("the damaged settings file stays where it is: %s", error)
            return self._path
        return kept

    def _report(self, problem: HearthError) -> None:
        self.problems.append(problem)
        log.info("%s", problem)

    def _decode(self, document: dict[str, Any]) -> Settings:
        groups = {}
        for group in msgspec.structs.fields(Settings):
            values = {}
            for name, value in _table(document, group.name).items():
                if name not in group.type.__struct_fields__:
                    continue
                try:
                    values[name] = _check(group.name, name, value)
                except SettingsError as error:
                    self._report(error)
            groups[group.name] = group.type(**values)
        return Settings(**groups)

    def _write(self, group: str, name: str, value: object) -> None:
        import tomlkit  # noqa: PLC0415 - 20 ms that the first paint should not pay

        try:
            document = tomlkit.parse(self._path.read_text("utf-8"))
        except (OSError, ValueError):  # not there yet, or damaged since it was read
            document = tomlkit.document()
        document["version"] = VERSION
        table = document.setdefault(group, tomlkit.table())
        table[name] = value
        _replace(self._path, tomlkit.dumps(document))


def _table(document: dict[str, Any], group: str) -> dict[str, Any]:
    table = document.get(group, {})
    return table if isinstance(table, dict) else {}


def _split(key: str) -> tuple[str, str]:
    group, _, name = key.partition(".")
    fields = getattr(getattr(Settings(), group, None), "__struct_fields__", ())
    if name not in fields:
        raise SettingsError(key=key, value="?", detail="there is no such setting")
    return group, name


def _check(group: str, name: str, value: object) -> Any:
    struct = type(getattr(Settings(), group))
    kind = next(item.type for item in msgspec.structs.fields(struct) if item.name == name)
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        detail = expected(f"{group}.{name}") or str(error)
        raise SettingsError(key=f"{group}.{name}", value=repr(value), detail=detail) from error


def expected(key: str) -> str:
    """What ``group.name`` takes, in words; empty for a hidden one."""
    info = next((info for info in describe() if info.key == key), None)
    if info is None:
        return ""
    if info.kind == "choice":
        return f"it must be one of {', '.join(info.choices)}"
    words = {"bool": "true or false", "int": "a whole number", "float": "a number", "text": "a text"}[
        info.kind
    ]
    if info.low is not None and info.high is not None:
        return f"it must be {words} from {info.low:.10g} to {info.high:.10g}"
    return f"it must be {words}"


def _replace(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".settings-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        if error.errno == 28:
            raise SaveDiskFullError(path=str(path), missing="a few kB") from error
        raise ReadOnlyError(path=str(path.parent)) from error
