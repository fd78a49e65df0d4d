"""Backend packs whose library is whatever the test says."""

import hashlib
import json
from pathlib import Path

COMMIT = "0c1e57098bba43ac29e6e3b677cdceebdd22334f"


def make_pack(
    folder: Path, library: bytes, /, *, backend: str = "broken", commit: str = COMMIT, **changed: object
) -> Path:
    """A pack in ``folder``, for our engine's llama.cpp unless ``commit`` names another; ``changed``: fields."""
    folder.mkdir(parents=True)
    name = f"libggml-{backend}.so"
    (folder / name).write_bytes(library)
    entry = {"sha256": hashlib.sha256(library).hexdigest(), "bytes": len(library)}
    manifest = {"backend": backend, "llama_cpp": commit, "library": name, "files": {name: entry}}
    (folder / "manifest.json").write_text(json.dumps({**manifest, **changed}))
    return folder
