"""The engine's settings while a load is being chosen: what the load dialog's fields read and write."""

from collections.abc import Callable

import msgspec

from app.core.engine_settings import Engine
from app.core.errors import SettingsError
from app.core.settings import expected


class EngineDraft:
    """Looks like the settings' store to a ``SettingRow``; nothing is written to disk. ``changed`` may be called on
    any thread."""

    def __init__(self, engine: Engine, changed: Callable[[str], None] = lambda _key: None) -> None:
        self.engine, self._changed = engine, changed

    def get(self, key: str) -> object:
        """The value of ``engine.name``."""
        return getattr(self.engine, key.partition(".")[2])

    def set(self, key: str, value: object) -> None:
        """Check and keep. Raises SettingsError."""
        name = key.partition(".")[2]
        values = {**msgspec.structs.asdict(self.engine), name: value}
        try:
            self.engine = msgspec.convert(values, Engine)
        except msgspec.ValidationError as error:
            raise SettingsError(key=key, value=repr(value), detail=expected(key) or str(error)) from error
        self._changed(key)
