"""Scanning and listing a thousand models."""

import itertools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from app.core.events import Bus
from app.core.paths import Paths
from app.models.gguf import read_header
from app.models.library import Library
from tests.bench.figures import Figure, median
from tests.fakes.gguf_writer import header_bytes, model_metadata, model_tensors

Result = TypeVar("Result")
MODELS = 1000
LAYERS = 32
VOCABULARY = 5000
LARGE_VOCABULARY = 150_000


def run() -> list[Figure]:
    """Cold scan, warm list in a new process's library, a look-up, and one large header."""
    with tempfile.TemporaryDirectory(prefix="hearth-bench-") as folder:
        root = Path(folder)
        paths = Paths(root / "c", root / "d", root / "e", root / "f").ensure()
        fill(paths.models)
        cold, warm = [], []
        for _ in range(3):
            (paths.data / "library.sqlite").unlink(missing_ok=True)
            cold.append(_scan(paths))
            warm.append(_scan(paths))
        note = f"{MODELS} models of {LAYERS} layers, vocabulary {VOCABULARY}"
        return [
            median("library: cold scan", cold, "s", goal=3.0, note=note),
            median("library: warm list", [value * 1e3 for value in warm], "ms", goal=200.0, note=note),
            _large_header(root),
        ]


def fill(folder: Path) -> None:
    """Write the models: one header with another name each, and a hole for the weights."""
    metadata = model_metadata(name="Bench 0000", layers=LAYERS, vocab=VOCABULARY)
    tensors = model_tensors(layers=LAYERS)
    header = header_bytes(metadata, tensors)
    size = len(header) + sum(tensor.bytes + (-tensor.bytes % 32) for tensor in tensors)
    for number in range(MODELS):
        path = folder / f"owner{number % 50}" / f"Model{number}-GGUF" / f"Model{number}-Q8_0.gguf"
        path.parent.mkdir(parents=True)
        path.write_bytes(header.replace(b"Bench 0000", b"Bench %04d" % number, 1))
        os.truncate(path, size)


def _scan(paths: Paths) -> float:
    library = Library(paths, Bus())
    took, records = _timed(library.rescan)
    library.close()
    if len(records) != MODELS:
        raise AssertionError(f"{len(records)} of {MODELS} models were found")
    return took


def _large_header(root: Path) -> Figure:
    path = root / "large.gguf"
    words = [f"tok{i}" for i in range(LARGE_VOCABULARY)]
    merges = [f"{a} {b}" for a, b in itertools.pairwise(words)]
    metadata = model_metadata() | {"tokenizer.ggml.tokens": words, "tokenizer.ggml.merges": merges}
    tensors = model_tensors(layers=LAYERS)
    header = header_bytes(metadata, tensors)
    path.write_bytes(header)
    os.truncate(path, len(header) + sum(tensor.bytes + 32 for tensor in tensors))
    samples = [_timed(lambda: read_header(path))[0] * 1e3 for _ in range(9)]
    note = f"{len(header) / 1e6:.1f} MB, vocabulary {LARGE_VOCABULARY} with merges"
    return median("library: one large header", samples, "ms", note=note)


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result
