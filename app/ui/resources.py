"""Where the files that are not code lie: beside the package, from a clone, a wheel or a frozen program alike."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / "resources"


def resource(*parts: str) -> Path:
    """The path of a file or folder below ``resources``."""
    return ROOT.joinpath(*parts)
