"""Where the starter model is on this machine."""

import os
from pathlib import Path

import platformdirs

NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"


def find_starter() -> Path | None:
    """The starter GGUF: named by HEARTH_STARTER, in the set-up's cache, or in the model folder; None when absent."""
    cache = Path(os.environ.get("HEARTH_CACHE") or platformdirs.user_cache_dir("Hearth", appauthor=False))
    data = Path(os.environ.get("HEARTH_HOME") or platformdirs.user_data_dir("Hearth", appauthor=False))
    named = os.environ.get("HEARTH_STARTER")
    candidates = [Path(named)] if named else []
    candidates += [cache / "starter" / NAME, cache / NAME, data / "models" / "starter" / NAME]
    return next((path for path in candidates if path.is_file()), None)
