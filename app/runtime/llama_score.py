"""Scoring a text: perplexity, and how far a model's probabilities are from a reference's (KL divergence and kin).

The reference writes the ``top`` log-probabilities of each scored position, and the mass of the rest, to disk; memory
stays at one batch. With P split into its top tokens and one bucket for the rest, the divergence that comes out is a
lower bound; what it can miss lies in the rest's mass, which is reported (``tail``).

File: ``MAGIC``, uint32 length, JSON ``Head``; then for each piece: tokens int32 (CHUNK), and for each of its scored
positions: the real token's log-probability and the rest's mass (float32 each), the ``top`` ids (uint32, the best
first) and their log-probabilities (float16).
"""

import math
import os
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np
import numpy.typing as npt

from app.core.errors import BadRequestError
from app.core.lab import CHUNK, LabDone, LabProgress, ScoreJob
from app.runtime.llama_pieces import Pieces

MAGIC = b"HLP1"
FIRST = CHUNK // 2
SCORED = CHUNK - 1 - FIRST
"""Positions of a piece that are scored: each predicts the next token, with half a piece before it at least."""
BLOCK = 16
"""Rows of logits worked on at once: they stay in the processor's cache."""

Floats = npt.NDArray[np.float32]


class Head(msgspec.Struct, frozen=True):
    """What a reference file was made of."""

    model: str
    n_vocab: int
    top: int


class Rows(msgspec.Struct, frozen=True):
    """One piece of a reference: see the module."""

    tokens: npt.NDArray[np.int32]
    real: Floats
    rest: Floats
    ids: npt.NDArray[np.uint32]
    logs: npt.NDArray[np.float16]


def score(job: ScoreJob, tell: Callable[[LabProgress], None]) -> LabDone:
    """Run the job; the figures are those of ``_figures``, and with a reference those of ``_compared``."""
    if job.write and job.against:
        raise BadRequestError(detail="a score writes a reference or is compared with one, not both")
    pieces = Pieces(
        job.model, job.text, threads=job.threads, layers=job.n_gpu_layers, chunks=job.chunks, every=False,
        types=(job.type_k, job.type_v),
    )  # fmt: skip
    try:
        with ThreadPoolExecutor(job.threads or os.cpu_count() or 1) as pool:
            return _Scoring(job, pieces, pool, tell).run()
    finally:
        pieces.close()


class _Scoring:
    def __init__(
        self, job: ScoreJob, pieces: Pieces, pool: ThreadPoolExecutor, tell: Callable[[LabProgress], None]
    ) -> None:
        self.job, self.pieces, self.pool, self.tell = job, pieces, pool, tell
        self.reals: list[Floats] = []
        self.compared: list[
            Floats
        ] = []  # (positions, 4): divergence, same top, change of p, reference's log p
        self.tails: list[Floats] = []

    def run(self) -> LabDone:
        job = self.job
        if job.against:
            with Path(job.against).open("rb") as file:
                self._all(self._compare, read_reference(file, self.pieces.model.n_vocab))
        elif job.write:
            part = Path(job.write + ".part")
            with part.open("wb") as file:
                write_head(file, Head(Path(job.model).name, self.pieces.model.n_vocab, job.top))
                self._all(self._keep, iter(lambda: file, None))
            part.replace(job.write)
        else:
            self._all(self._plain, iter(lambda: None, 0))
        figures = _figures(np.concatenate(self.reals))
        if self.compared:
            figures |= _compared(np.concatenate(self.compared), figures["ln_ppl"])
        if self.tails:
            figures["tail"] = float(np.concatenate(self.tails).mean())
        return LabDone(figures | {"chunks": len(self.reals), "tokens": len(self.pieces.tokens)})

    def _all(self, work: Callable[[list[int], Floats, Any], None], others: Iterator[Any]) -> None:
        for done in self.pieces.run():
            for at, index in enumerate(done):
                work(self.pieces.piece(index), self.pieces.logits(at), next(others))
            self.tell(LabProgress(done.stop, self.pieces.count))

    def _blocks(self, work: Callable[[slice], Any]) -> list[Any]:
        return list(self.pool.map(work, [slice(i, min(i + BLOCK, SCORED)) for i in range(0, SCORED, BLOCK)]))

    def _plain(self, tokens: list[int], logits: Floats, _other: None) -> None:
        following = np.array(tokens[FIRST + 1 :])
        found = self._blocks(lambda part: _at(log_softmax(logits[part]), following[part]))
        self.reals.append(np.concatenate(found))

    def _keep(self, tokens: list[int], logits: Floats, file: BinaryIO) -> None:
        following, top = np.array(tokens[FIRST + 1 :]), min(self.job.top, logits.shape[1])

        def one(part: slice) -> tuple[Any, ...]:
            logs = log_softmax(logits[part])
            ids, values = best(logs, top)
            rest = np.maximum(1 - np.exp(values).sum(1), 0)
            return _at(logs, following[part]), rest, ids.astype(np.uint32), values.astype(np.float16)

        real, rest, ids, values = (np.concatenate(parts) for parts in zip(*self._blocks(one), strict=True))
        write_rows(
            file,
            Rows(np.array(tokens, np.int32), real.astype(np.float32), rest.astype(np.float32), ids, values),
        )
        self.reals.append(real)
        self.tails.append(rest)

    def _compare(self, tokens: list[int], logits: Floats, rows: Rows) -> None:
        if rows.tokens.tolist() != tokens:
            raise BadRequestError(
                detail="the reference was made from another text, or with another vocabulary"
            )
        following = np.array(tokens[FIRST + 1 :])

        def one(part: slice) -> tuple[Floats, Floats]:
            logs = log_softmax(logits[part])
            real = _at(logs, following[part])
            ours = np.take_along_axis(logs, rows.ids[part].astype(np.int64), 1)
            result = divergence(rows.logs[part].astype(np.float32), rows.rest[part], ours)
            same = logs.argmax(1) == rows.ids[part][:, 0]
            change = np.exp(real) - np.exp(rows.real[part])
            return real, np.stack([result, same, change, rows.real[part]], 1).astype(np.float32)

        reals, found = zip(*self._blocks(one), strict=True)
        self.reals.append(np.concatenate(reals))
        self.compared.append(np.concatenate(found))
        self.tails.append(rows.rest)


def log_softmax(logits: Floats) -> Floats:
    """Natural logarithms of the probabilities, row by row."""
    logs = logits - logits.max(1, keepdims=True)
    sums = np.exp(logs).sum(1, keepdims=True, dtype=np.float64)
    logs -= np.log(sums).astype(np.float32)
    result: Floats = logs
    return result


def best(logs: Floats, top: int) -> tuple[npt.NDArray[np.int64], Floats]:
    """The ``top`` likeliest ids of each row and their logarithms, the best one first (the others in any order)."""
    ids = np.argpartition(logs, logs.shape[1] - top, axis=1)[:, -top:]
    values = np.take_along_axis(logs, ids, 1)
    rows, place = np.arange(len(ids)), values.argmax(1)
    for array in (ids, values):
        array[rows, place], array[:, 0] = array[:, 0].copy(), array[rows, place]
    return ids, values


def divergence(theirs: Floats, rest: Floats, ours: Floats) -> Floats:
    """KL(reference || model) in nats of each row: top tokens one by one, the rest as one."""
    top = (np.exp(theirs) * (theirs - ours)).sum(1)
    left = np.maximum(1 - np.exp(ours).sum(1), 1e-9)
    bucket = np.where(rest > 1e-9, rest * (np.log(np.maximum(rest, 1e-9)) - np.log(left)), 0)
    result: Floats = np.maximum(top + bucket, 0).astype(np.float32)
    return result


def _at(logs: Floats, tokens: npt.NDArray[Any]) -> Floats:
    found: Floats = logs[np.arange(len(logs)), tokens]
    return found


# ---------------------------------------------------------------------------------- figures


def mean_and_error(values: npt.NDArray[Any]) -> tuple[float, float]:
    """A mean and its standard error."""
    return float(values.mean()), float(values.std() / math.sqrt(max(1, len(values) - 1)))


def _figures(real: npt.NDArray[Any]) -> dict[str, float]:
    mean, error = mean_and_error(-real.astype(np.float64))
    ppl = math.exp(mean)
    return {"ppl": ppl, "ppl_error": ppl * error, "ln_ppl": mean, "scored": len(real)}


def _compared(found: Floats, ln_ppl: float) -> dict[str, float]:
    kl, same, change, reference = found.T.astype(np.float64)
    square, square_error = mean_and_error(change**2)
    figures = {
        "kl_p99": float(np.percentile(kl, 99)),
        "kl_max": float(kl.max()),
        "kl_median": float(np.median(kl)),
    }
    figures["kl"], figures["kl_error"] = mean_and_error(kl)
    figures["same_top"], figures["same_top_error"] = mean_and_error(same)
    figures["rms_change"] = math.sqrt(square)
    figures["rms_change_error"] = square_error / (2 * math.sqrt(square)) if square else 0.0
    figures["reference_ppl"] = math.exp(-float(reference.mean()))
    figures["ln_ppl_ratio"] = ln_ppl + float(reference.mean())
    return figures


# ---------------------------------------------------------------------------------- the file


def write_head(file: BinaryIO, head: Head) -> None:
    """Begin a reference."""
    text = msgspec.json.encode(head)
    file.write(MAGIC + struct.pack("<I", len(text)) + text)


def write_rows(file: BinaryIO, rows: Rows) -> None:
    """Add a piece."""
    file.writelines(
        np.ascontiguousarray(array).data for array in (rows.tokens, rows.real, rows.rest, rows.ids, rows.logs)
    )


def read_reference(file: BinaryIO, n_vocab: int) -> Iterator[Rows]:
    """The pieces of a reference, one at a time. Raises BadRequestError when it does not fit or is cut short."""
    start = file.read(8)
    if start[:4] != MAGIC or len(start) < 8:
        raise BadRequestError(detail="the reference is no file of log-probabilities")
    head = msgspec.json.decode(file.read(struct.unpack("<I", start[4:])[0]), type=Head)
    if head.n_vocab != n_vocab:
        raise BadRequestError(
            detail=f"its vocabulary has {head.n_vocab} tokens, the model's {n_vocab}: they can't be compared"
        )
    top = min(head.top, n_vocab)
    while True:
        yield Rows(
            _read(file, np.int32, CHUNK), _read(file, np.float32, SCORED), _read(file, np.float32, SCORED),
            _read(file, np.uint32, SCORED * top).reshape(SCORED, top),
            _read(file, np.float16, SCORED * top).reshape(SCORED, top),
        )  # fmt: skip


def _read(file: BinaryIO, kind: Any, count: int) -> Any:
    data = file.read(count * np.dtype(kind).itemsize)
    if len(data) != count * np.dtype(kind).itemsize:
        raise BadRequestError(detail="the reference ends too soon: make it again from the same text")
    return np.frombuffer(data, kind)
