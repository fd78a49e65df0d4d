"""Measures how fast this machine computes, through llama.cpp itself, and prints one JSON object. A process of its own:
``python -m app.runtime.llama_rates --device CPU --threads 2 [--types Q4_K,Q8_0] [--kv f16,q8_0] [--pack FOLDER]``.

Small llama models of one weight type and zero weights are written to a temporary folder and decoded; zeros cost the
same arithmetic and the same memory traffic. What comes out is raw: seconds beside the work they were for.
``planning.rates.solve`` makes rates of it, and ``merge`` keeps the quicker of two measurements.
"""

import argparse
import ctypes
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from app.runtime.alone import Clock
from app.runtime.llama_packs import function, load_from_environment, load_packs, start_backends
from app.runtime.rate_models import (
    TYPES,
    VOCABULARY,
    Shape,
    matrices,
    parameters,
    row_bytes,
    rows,
    weight_bytes,
    write,
)

KV_TYPES = {"f16": 1, "q8_0": 8, "q4_0": 2}
PREFILL = 256
SMALL_BATCH = 16
"""Prefill in one piece on a device that takes ``_LONG`` for a token: a whole batch could take it minutes."""
_LONG = 0.1
DEPTH = 2048
WIDE, NARROW = 2048, 512
SECONDS = 50.0
"""All of it takes about so long at most: a slow device is measured with fewer weight types and smaller models."""
ATTENTION_LAYERS = 24
"""With DEPTH tokens their K/V and weights are more than a cache holds, as those of a real model are."""
MEGABYTES = 192
"""Of each model: a share of one that is little more than a processor's cache stays there, and is read faster."""
SMALLEST = 24
"""Megabytes: smaller models fit into a processor's cache, and say nothing."""
FEWEST, WAIT = 4, 3
"""Steps without another program in them that are waited for, and how many times longer."""
_SLOW = 0.01
"""Seconds for a token of a model without weights: such a device is no quicker with those it has."""
_SHRINK = 0.05
"""Seconds for a token: only a device this slow is given smaller models when time runs out. Others leave out the last
weight types instead, since what a cache holds is read faster."""
_FIRST = ("Q4_K", "Q8_0", "F16", "Q6_K", "Q4_0", "Q5_K", "IQ4_XS", "Q3_K", "Q2_K", "IQ4_NL", "Q5_0")
"""What people run most; the others are like one of these (``planning.rates``)."""


class Bench:
    """Loads a model on the device and times decodes, for about ``seconds``."""

    def __init__(self, llama: Any, folder: Path, device: str, threads: int, seconds: float = SECONDS) -> None:
        self._llama, self._folder, self._device, self._threads = llama, folder, device, threads
        self._end = time.monotonic() + seconds
        self.clock = Clock(threads if device == "CPU" and sys.platform != "win32" else 0)

    @property
    def left(self) -> float:
        """Seconds until the time is over; negative afterwards."""
        return self._end - time.monotonic()

    def open(self, shape: Shape, kind: str, n_ctx: int, kv: str = "f16") -> "Session":
        """A context over a fresh model."""
        path = write(
            self._folder / f"{kind}-{shape.layers}-{shape.width}-{shape.vocabulary}.gguf", shape, kind
        )
        try:
            return self.open_file(path, n_ctx, kv)
        finally:
            path.unlink()

    def open_file(self, path: Path, n_ctx: int, kv: str = "f16") -> "Session":
        """A context over a model that is there."""
        llama = self._llama
        params = llama.llama_model_default_params()
        params.load_mode = 0  # into memory of its own: pages of a hole may all be one page
        params.n_gpu_layers = 0 if self._device == "CPU" else -1
        array = self._devices()
        if array is not None:
            params.devices = ctypes.cast(array, dict(type(params)._fields_)["devices"])
        model = llama.llama_model_load_from_file(str(path).encode(), params)
        if not model:
            raise SystemExit(f"{path.name} could not be loaded")
        return Session(llama, model, n_ctx, KV_TYPES[kv], self._threads, self.clock)

    def _devices(self) -> Any:
        if self._device == "CPU":
            return None
        get = function(self._llama._lib, "ggml_backend_dev_by_name", ctypes.c_void_p, ctypes.c_char_p)
        found = get(self._device.encode())
        if not found:
            raise SystemExit(f"there is no device {self._device}")
        return (ctypes.c_void_p * 2)(found, None)


class Session:
    """One context; a context manager that frees it and its model."""

    def __init__(self, llama: Any, model: Any, n_ctx: int, kv: int, threads: int, clock: Clock) -> None:
        self._llama, self._model, self._clock = llama, model, clock
        params = llama.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch, params.n_outputs_max = n_ctx, 512, 512, 1
        params.n_threads = params.n_threads_batch = threads
        params.type_k = params.type_v = kv
        params.no_perf = True
        self._context = llama.llama_init_from_model(model, params)
        if not self._context:
            raise SystemExit("a test context could not be made")
        self._batch = llama.llama_batch_init(512, 0, 1)
        self.position = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._llama.llama_batch_free(self._batch)
        self._llama.llama_free(self._context)
        self._llama.llama_model_free(self._model)

    def decode(self, count: int) -> float:
        """Seconds to compute ``count`` tokens in one batch, the last one's logits included."""
        batch = self._batch
        batch.n_tokens = count
        for i in range(count):
            batch.token[i], batch.pos[i] = (self.position + i) % VOCABULARY, self.position + i
            batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = 1, 0, i == count - 1
        begun = time.perf_counter()
        if self._llama.llama_decode(self._context, batch) != 0:
            raise SystemExit("a test decode failed")
        self._llama.llama_synchronize(self._context)
        self.position += count
        return time.perf_counter() - begun

    def step(self, seconds: float = 0.25, least: int = 12, most: int = 100) -> float:
        """Seconds for one token. A device that takes long for each is not asked as often; where other programs take
        the processor, it is asked longer, until some steps had it to themselves."""
        patience, found, clean = 8 * seconds, [self.decode(1)], list[float]()
        for _ in range(2):
            if found[0] < patience / 4:
                found = [self.decode(1)]  # the first ones also fetch and prepare
        while not _enough(found, len(clean), (seconds, patience), (least, most)):
            took, alone = self._clock.timed(lambda: self.decode(1))
            found.append(took)
            clean += [took] * alone
        self._clock.note(len(clean) >= min(FEWEST, len(found)))
        return _quickest(clean if len(clean) >= FEWEST else found)

    def fill(self, count: int, seconds: float = 60.0, batch: int = PREFILL) -> float:
        """Seconds for a token of prefill, in full batches up to ``count`` tokens, or fewer after so many seconds."""
        found: list[float] = []
        for _ in range(-(-count // batch)):
            found.append(self.decode(batch) / batch)
            if sum(found) * batch > seconds:
                break
        return _quickest(found)


def _enough(found: list[float], clean: int, seconds: tuple[float, float], steps: tuple[int, int]) -> bool:
    spent = sum(found)
    if len(found) >= 3 and spent > seconds[1]:
        return True
    if len(found) < steps[0]:
        return False
    return spent > WAIT * seconds[0] if clean < FEWEST else spent >= seconds[0] or len(found) >= steps[1]


def _quickest(found: list[float]) -> float:
    """The mean of the quickest quarter: other programs only ever slow a step down."""
    kept = sorted(found)[: max(1, len(found) // 4)]
    return sum(kept) / len(kept)


def measure(bench: "Bench", types: list[str], kv_types: list[str], megabytes: int) -> dict[str, Any]:
    """Everything, or what there is time for: one weight type and one K/V type at least."""
    ordered = sorted(types, key=lambda kind: _FIRST.index(kind) if kind in _FIRST else len(_FIRST))
    found: dict[str, Any] = {"overhead": _overhead(bench), "types": {}, "attention": {}}
    slow = found["overhead"][0][1] > _SLOW
    size = float(SMALLEST if slow else megabytes)
    for at, kind in enumerate(ordered):
        if found["types"] and bench.left <= 0:
            break
        left = bench.left
        found["types"][kind] = _weights(bench, kind, round(size))
        slow = slow or found["types"][kind]["points"][0][-1] > _SHRINK
        if not at:
            found["attention"][kv_types[0]] = _attention(bench, kv_types[0])
        if slow:
            size = _affordable(size, left - bench.left, bench.left, len(ordered) - at - 1 + len(kv_types))
    for kv in kv_types[1:]:
        if bench.left > 0:
            found["attention"][kv] = _attention(bench, kv)
    return found


def _affordable(megabytes: float, took: float, left: float, more: int) -> float:
    """The size of the models still to come: smaller ones when the last took too much of the time."""
    share = max(0.0, left) / max(1e-3, took * more)
    return megabytes if share >= 1 else max(SMALLEST, megabytes * share)


def measure_model(bench: Bench, path: Path, depths: list[int], kv: str) -> dict[str, Any]:
    """Seconds for a token of a real model with each of ``depths`` (ascending) tokens before it, and of prefill."""
    found: dict[str, Any] = {"steps": {}, "prefill": None}
    with bench.open_file(path, max(depths) + 1024, kv) as session:
        for depth in depths:
            if depth > session.position:
                seconds = session.fill(depth - session.position)
                found["prefill"] = found["prefill"] or seconds
            found["steps"][str(depth)] = session.step(0.4, 16)
    return found


def _overhead(bench: Bench) -> list[list[float]]:
    """[layers, seconds for a token] of two models with almost no weights."""
    found = []
    for layers in (4, 44):
        with bench.open(Shape(layers, 128, 2, 1, 256), "Q8_0", 256) as session:
            found.append([float(layers), session.step()])
    return found


def _weights(bench: Bench, kind: str, megabytes: int) -> dict[str, Any]:
    """Models of the same size with wide rows, with narrow rows in many matrices, and with narrow rows in one:
    [bytes, rows, layers, matrices, seconds for a token] each, and [operations, seconds] for a token of prefill."""
    points, prefill = [], [0.0, 0.0]
    for shape in _shapes(kind, megabytes):
        with bench.open(shape, kind, 512) as session:
            took = session.step()
            points.append([weight_bytes(shape, kind), rows(shape), shape.layers, matrices(shape), took])
            if not prefill[0]:
                prefill = [2.0 * parameters(shape), session.fill(PREFILL, 8.0, _batch(took))]
    return {"points": points, "prefill": prefill}


def _shapes(kind: str, megabytes: int) -> list[Shape]:
    """Wide, narrow, one matrix."""
    found = []
    for width in (WIDE, NARROW):
        one = Shape(1, width, width // 64, width // 256, 3 * width)
        layers = max(2, int(megabytes * 1e6) // weight_bytes(one, kind))
        found.append(one._replace(layers=layers))
    vocabulary = int(megabytes * 1e6) // row_bytes(NARROW, kind)
    return [*found, Shape(1, NARROW, 8, 2, 256, vocabulary)]


def _batch(token: float) -> int:
    """Tokens of prefill at once on a device that takes so many seconds for one."""
    return SMALL_BATCH if token > _LONG else PREFILL


def _attention(bench: Bench, kv: str) -> list[float]:
    """[elements, bytes of K and V, seconds for a token with an empty context, and with DEPTH tokens in it]."""
    shape = Shape(ATTENTION_LAYERS, NARROW, 8, 2, 256)
    with bench.open(shape, "Q8_0", DEPTH + 512, kv) as session:
        shallow = session.step(0.25)
        before = session.position
        session.fill(DEPTH, max(2.0, bench.left / 4), _batch(shallow))
        filled = session.position - before
        deep = session.step(0.5)
    _, block, size = TYPES[kv.upper()]
    head = shape.width // shape.heads
    cells = 2.0 * head * shape.layers * filled
    return [cells * shape.heads, cells * shape.kv_heads * size / block, shallow, deep]


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="llama_rates")
    parser.add_argument("--device", default="CPU")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--types", default=",".join(TYPES))
    parser.add_argument("--kv", default=",".join(KV_TYPES))
    parser.add_argument("--megabytes", type=int, default=MEGABYTES)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="stop after about so long")
    parser.add_argument("--pack", action="append", default=[], help="folder of a backend pack")
    parser.add_argument("--model", type=Path, help="time this model instead")
    parser.add_argument("--depths", default="0,1024")
    args = parser.parse_args(arguments)
    import llama_cpp.llama_cpp as llama  # noqa: PLC0415 - only in this process

    quiet = llama.llama_log_callback(lambda _level, _text, _data: None)
    llama.llama_log_set(quiet, ctypes.c_void_p(0))
    start_backends(llama._lib, str(llama._base_path))
    load_from_environment(llama._lib)
    if refused := load_packs(llama._lib, args.pack):
        raise SystemExit(
            "\n".join(f"the backend pack {pack} is not used: {why}" for pack, why in refused.items())
        )
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hearth-rates-") as folder:
        bench = Bench(llama, Path(folder), args.device, args.threads, args.seconds)
        if args.model:
            depths = [int(depth) for depth in args.depths.split(",")]
            found = measure_model(bench, args.model, depths, args.kv.split(",")[0])
        else:
            found = measure(bench, args.types.split(","), args.kv.split(","), args.megabytes)
    seconds = time.monotonic() - begun
    told = {"device": args.device, "threads": args.threads, "seconds": seconds, "share": bench.clock.share}
    print(json.dumps({**told, **found}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
