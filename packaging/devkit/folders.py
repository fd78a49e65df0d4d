"""Where things are kept, by the same rules as ``app/core/paths.py`` (that is: platformdirs), without it."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

NAME = "Hearth"
ROOT = Path(__file__).resolve().parents[2]
"""The clone."""
BUILD = ROOT / "build"
REQUIREMENTS = ROOT / "packaging" / "requirements"


def cache_dir(environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """Where built wheels and the starter model wait for the next clone; ``HEARTH_CACHE`` moves it."""
    if chosen := environ.get("HEARTH_CACHE"):
        return Path(chosen).expanduser().absolute()
    if platform == "win32":
        return _local_app_data(environ) / NAME / "Cache"
    mac = "Library/Caches" if platform == "darwin" else ""
    return _xdg(environ, "XDG_CACHE_HOME", mac or ".cache") / NAME


def models_dir(environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """The program's model folder; ``HEARTH_HOME`` moves it."""
    if home := environ.get("HEARTH_HOME"):
        return Path(home).expanduser().absolute() / "models"
    if platform == "win32":
        return _local_app_data(environ) / NAME / "models"
    mac = "Library/Application Support" if platform == "darwin" else ""
    return _xdg(environ, "XDG_DATA_HOME", mac or ".local/share") / NAME / "models"


def _xdg(environ: Mapping[str, str], variable: str, default: str) -> Path:
    """A relative XDG path is invalid by its specification, and ignored as platformdirs does."""
    chosen = environ.get(variable, "").strip()
    return Path(chosen) if os.path.isabs(chosen) else _home(environ) / default  # noqa: PTH117 - may be empty


def _local_app_data(environ: Mapping[str, str]) -> Path:
    chosen = environ.get("LOCALAPPDATA")
    return Path(chosen) if chosen else _home(environ) / "AppData" / "Local"


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or Path.home())
