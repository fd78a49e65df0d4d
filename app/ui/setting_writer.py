"""Settings that the window itself changes: written off the GUI thread, in the order they were asked for."""

from collections.abc import Callable

from PySide6.QtCore import QObject

from app.core.settings import SettingsStore
from app.ui import tasks


class SettingWriter(QObject):
    """``newest`` knows what is on its way: keys come faster than a setting is written."""

    def __init__(self, store: SettingsStore, parent: QObject) -> None:
        super().__init__(parent)
        self._store = store
        self._on_their_way: dict[str, tuple[object]] = {}

    def newest(self, key: str) -> object:
        """What was asked for last, else what is kept."""
        wish = self._on_their_way.get(key)
        return self._store.get(key) if wish is None else wish[0]

    def put(self, key: str, value: object, failed: Callable[[Exception], None]) -> None:
        """Keep a value, after those before it."""
        wish = self._on_their_way[key] = (value,)

        def over() -> None:
            if self._on_their_way.get(key) is wish:
                del self._on_their_way[key]

        def not_kept(error: Exception) -> None:
            over()
            failed(error)

        put = lambda: self._store.set(key, value)  # noqa: E731 - one line
        tasks.run(put, lambda _none: over(), not_kept, self, order=self._store)
