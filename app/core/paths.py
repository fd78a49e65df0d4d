"""Where the program keeps its files: the platform's own folders, or all under ``HEARTH_HOME``."""

import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs
from msgspec import Struct

from app.core.errors import ReadOnlyError

NAME = "Hearth"
NEW_CHAT = "--new-chat"
"""What the desktop's menu entry "New chat" starts the program with."""


class Paths(Struct, frozen=True):
    """Absolute folders and files. Nothing is created before ``ensure``."""

    config: Path
    data: Path
    cache: Path
    logs: Path

    @property
    def settings_file(self) -> Path:
        """TOML, written by ``core.settings``."""
        return self.config / "settings.toml"

    @property
    def models(self) -> Path:
        """Model files, in folders of the user's or the Hub's naming."""
        return self.data / "models"

    @property
    def chats_file(self) -> Path:
        """SQLite, written by ``chat.store``."""
        return self.data / "chats.sqlite"

    @property
    def lock_file(self) -> Path:
        """Held while a window is open."""
        return self.data / "hearth.lock"

    def ensure(self) -> "Paths":
        """Create the folders. Raises ReadOnlyError naming the first that can't be written."""
        for folder in (self.config, self.data, self.cache, self.logs, self.models):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ReadOnlyError(path=str(folder)) from error
            if not os.access(folder, os.W_OK):
                raise ReadOnlyError(path=str(folder))
        return self


def find_paths(environ: Mapping[str, str] = os.environ) -> Paths:
    """The folders for this environment: ``HEARTH_HOME`` wins over the platform's."""
    home = environ.get("HEARTH_HOME")
    if home:
        root = Path(home).expanduser().absolute()
        return Paths(root / "config", root, root / "cache", root / "logs")
    dirs = platformdirs.PlatformDirs(NAME, appauthor=False)
    return Paths(
        Path(dirs.user_config_dir),
        Path(dirs.user_data_dir),
        Path(dirs.user_cache_dir),
        Path(dirs.user_log_dir),
    )
