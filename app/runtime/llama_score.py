"""Scoring a text: perplexity, and how far a model's probabilities are from a reference's (KL divergence and kin).

The reference writes the ``top`` log-probabilities of each scored position, and the mass of the rest, to disk; memory
stays at one batch. With P split into its top tokens and one bucket for the rest, the divergence that comes out is a
lower bound; what it can miss lies in the rest's mass, which is reported (``tail``), and is less than what the
second half of the kept tokens added (``truncation``, from the first rows of each piece).

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

from app.core.errors import LabRefusedError
from app.core.lab import CHUNK, LabDone, LabProgress, ScoreJob
from app.runtime.llama_pieces import Due, Pieces

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
        raise LabRefusedError(detail="a score writes a reference or is compared with one, not both")
    pieces = Pieces(
        job.model, job.text, threads=job.threads, layers=job.n_gpu_layers, chunks=job.chunks, every=False,
        types=(job.type_k, job.type_v), ubatch=job.ubatch,
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
        self.steps: list[Floats] = []  # what half the kept tokens alone would have missed, for some rows

    def run(self) -> LabDone:
        job = self.job
        if job.against:
            start = self._go_on()
            with Path(job.against).open("rb") as file:
                self._all(self._compare, read_reference(file, self.pieces.model.n_vocab, start), start)
        elif job.write:
            self._write()
        else:
            self._all(self._plain, iter(lambda: None, 0), self._go_on())
        if job.keep:
            Path(job.keep).unlink(missing_ok=True)
        return LabDone(self._sum_up() | {"chunks": len(self.reals), "tokens": len(self.pieces.tokens)})

    def _sum_up(self) -> dict[str, float]:
        real = np.concatenate(self.reals)
        figures = _figures(real)
        if self.compared:
            found = np.concatenate(self.compared)
            figures |= _compared(found, figures["ln_ppl"], mean_and_error(found[:, 3] - real)[1])
        if self.tails:
            figures["tail"] = float(np.concatenate(self.tails).mean())
        if self.steps:
            figures["truncation"], figures["truncation_error"] = mean_and_error(np.concatenate(self.steps))
        return figures

    def _write(self) -> None:
        head = Head(Path(self.job.model).name, self.pieces.model.n_vocab, self.job.top)
        part = Path(self.job.write + ".part")
        with part.open("r+b" if part.exists() else "w+b") as file:
            for rows in go_on_writing(file, head):
                self.reals.append(rows.real)
                self.tails.append(rows.rest)
            del self.reals[self.pieces.count :], self.tails[self.pieces.count :]
            self._all(self._keep, iter(lambda: file, None), len(self.reals))
        part.replace(self.job.write)

    def _go_on(self) -> int:
        """Take up what an earlier run of this job kept; the number of pieces it had done."""
        kept = Path(self.job.keep)
        if not self.job.keep or not kept.exists():
            return 0
        with np.load(kept) as file:
            for name, rows in (("reals", 1), ("compared", 1), ("tails", 1), ("steps", 0)):
                pieces = list(file[name]) if rows else list(file[name].reshape(-1, BLOCK))
                getattr(self, name).extend(pieces)
        return len(self.reals)

    def _keep_so_far(self) -> None:
        kept, part = Path(self.job.keep), Path(self.job.keep + ".part")
        with part.open("wb") as file:
            np.savez(file, reals=self.reals, compared=self.compared, tails=self.tails,
                     steps=np.concatenate(self.steps) if self.steps else [])  # fmt: skip
        part.replace(kept)

    def _all(self, work: Callable[[list[int], Floats, Any], None], others: Iterator[Any], start: int) -> None:
        due = Due(self.job.keep_every)
        for done in self.pieces.run(start):
            for at, index in enumerate(done):
                work(self.pieces.piece(index), self.pieces.logits(at), next(others))
            self.tell(LabProgress(done.stop, self.pieces.count))
            if self.job.keep:
                due(self._keep_so_far)

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
            raise LabRefusedError(
                detail="the reference was made from another text, or with another vocabulary"
            )
        following = np.array(tokens[FIRST + 1 :])

        def one(part: slice) -> tuple[Floats, Floats]:
            logs = log_softmax(logits[part])
            real = _at(logs, following[part])
            ours = np.take_along_axis(logs, rows.ids[part].astype(np.int64), 1)
            theirs = rows.logs[part].astype(np.float32)
            result = divergence(theirs, rows.rest[part], ours)
            if not part.start:
                self.steps.append(np.maximum(result - halved(theirs, rows.rest[part], ours), 0))
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


def halved(theirs: Floats, rest: Floats, ours: Floats) -> Floats:
    """The divergence that keeping only the likelier half of the top tokens would give. What is still missed with all
    of them is less than the step from this one to theirs: it shrinks with every halving."""
    order = np.argsort(-theirs, axis=1)
    kept, left = order[:, : order.shape[1] // 2], order[:, order.shape[1] // 2 :]
    more = np.exp(np.take_along_axis(theirs, left, 1)).sum(1)
    return divergence(np.take_along_axis(theirs, kept, 1), rest + more, np.take_along_axis(ours, kept, 1))


def _at(logs: Floats, tokens: npt.NDArray[Any]) -> Floats:
    found: Floats = logs[np.arange(len(logs)), tokens]
    return found


# ---------------------------------------------------------------------------------- figures


def mean_and_error(values: npt.NDArray[Any]) -> tuple[float, float]:
    """A mean and its standard error."""
    return float(values.mean()), float(values.std() / math.sqrt(max(1, len(values) - 1)))


def quantile_and_error(values: npt.NDArray[Any], share: float) -> tuple[float, float]:
    """A quantile and its standard error: half the distance of the order statistics one binomial deviation around it.
    Of the largest value it is the distance to the next (its jackknife)."""
    ordered, last = np.sort(values), len(values) - 1
    if share >= 1:
        return float(ordered[-1]), float(ordered[-1] - ordered[max(0, last - 1)])
    middle, spread = share * last, math.sqrt(share * (1 - share) * len(values))
    low, high = math.floor(max(0, middle - spread)), math.ceil(min(last, middle + spread))
    return float(np.quantile(ordered, share)), float(ordered[high] - ordered[low]) / 2


def _figures(real: npt.NDArray[Any]) -> dict[str, float]:
    mean, error = mean_and_error(-real.astype(np.float64))
    ppl = math.exp(mean)
    return {"ppl": ppl, "ppl_error": ppl * error, "ln_ppl": mean, "scored": len(real)}


def _compared(found: Floats, ln_ppl: float, ratio_error: float) -> dict[str, float]:
    kl, same, change, reference = found.T.astype(np.float64)
    square, square_error = mean_and_error(change**2)
    figures = dict[str, float]()
    for name, share in (("kl_median", 0.5), ("kl_p99", 0.99), ("kl_max", 1.0)):
        figures[name], figures[f"{name}_error"] = quantile_and_error(kl, share)
    figures["kl"], figures["kl_error"] = mean_and_error(kl)
    figures["same_top"], figures["same_top_error"] = mean_and_error(same)
    figures["rms_change"] = math.sqrt(square)
    figures["rms_change_error"] = square_error / (2 * math.sqrt(square)) if square else 0.0
    figures["reference_ppl"] = math.exp(-float(reference.mean()))
    figures["ln_ppl_ratio"] = ln_ppl + float(reference.mean())
    figures["ln_ppl_ratio_error"] = ratio_error
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


def read_reference(file: BinaryIO, n_vocab: int, skip: int = 0) -> Iterator[Rows]:
    """The pieces of a reference, one at a time, from number ``skip`` on. Raises LabRefusedError when it does not fit
    or is cut short."""
    head = _read_head(file)
    if head.n_vocab != n_vocab:
        raise LabRefusedError(
            detail=f"its vocabulary has {head.n_vocab} tokens, the model's {n_vocab}: they can't be compared"
        )
    file.seek(skip * _piece_bytes(head), os.SEEK_CUR)
    while True:
        yield _read_rows(file, head)


def go_on_writing(file: BinaryIO, head: Head) -> Iterator[Rows]:
    """The whole pieces that an earlier run wrote; the file then stands where the next one belongs. An empty or foreign
    file gets its head."""
    try:
        same = _read_head(file) == head
    except (LabRefusedError, msgspec.MsgspecError):
        same = False
    if not same:
        file.seek(0)
        file.truncate()
        write_head(file, head)
        return
    start = file.tell()
    whole = (file.seek(0, os.SEEK_END) - start) // _piece_bytes(head)
    file.seek(start)
    for _ in range(whole):
        yield _read_rows(file, head)
    file.truncate()


def _read_head(file: BinaryIO) -> Head:
    start = file.read(8)
    if start[:4] != MAGIC or len(start) < 8:
        raise LabRefusedError(detail="the reference is no file of log-probabilities")
    return msgspec.json.decode(file.read(struct.unpack("<I", start[4:])[0]), type=Head)


def _piece_bytes(head: Head) -> int:
    return 4 * CHUNK + SCORED * (8 + 6 * min(head.top, head.n_vocab))


def _read_rows(file: BinaryIO, head: Head) -> Rows:
    top = min(head.top, head.n_vocab)
    return Rows(
        _read(file, np.int32, CHUNK), _read(file, np.float32, SCORED), _read(file, np.float32, SCORED),
        _read(file, np.uint32, SCORED * top).reshape(SCORED, top),
        _read(file, np.float16, SCORED * top).reshape(SCORED, top),
    )  # fmt: skip


def _read(file: BinaryIO, kind: Any, count: int) -> Any:
    data = file.read(count * np.dtype(kind).itemsize)
    if len(data) != count * np.dtype(kind).itemsize:
        raise LabRefusedError(detail="the reference ends too soon: make it again from the same text")
    return np.frombuffer(data, kind)
