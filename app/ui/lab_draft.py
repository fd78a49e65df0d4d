"""What the form of the lab asks for, what that will take, and the orders made of it. No widgets."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from app.core.lab import CHUNK, QuantizeJob
from app.core.types import ModelRecord
from app.models.gguf import read_header
from app.models.quants import split_prefix
from app.optimize.orders import QuantOrder, WishOrder
from app.optimize.rates import Rates
from app.optimize.sizes import (
    Sized,
    computing_memory,
    dry_run,
    free_space,
    pieces_of,
    quantizing_memory,
    reference_bytes,
)
from app.ui.lab_options import Options
from app.ui.lab_texts import LabText, file_of

if TYPE_CHECKING:
    from app.compose import Services

# ruff: noqa: PLC0415 - numpy comes with the functions that are called off the GUI thread


class Draft(Struct, frozen=True):
    """The form as it is. ``matrix`` is a finished one, ``text`` one to compute from; ``chunks`` 0: all of it."""

    source: ModelRecord
    types: tuple[str, ...]
    options: Options = Options()
    matrix: str = ""
    text: LabText | None = None
    chunks: int = 0

    def job(self, kind: str, target: str = "dry") -> QuantizeJob:
        """What llama.cpp is asked for."""
        given = self.options
        return QuantizeJob(
            source=self.source.path, target=target, type=kind, overrides=given.overrides,
            embedding=given.embedding, output=given.output, pure=given.pure, prune=given.prune, requantize=True,
        )  # fmt: skip


class Cost(Struct, frozen=True):
    """Before the start: seconds as (least, most), bytes of disk and memory and what is free of them."""

    seconds: tuple[float, float]
    disk: int
    disk_free: int
    memory: int
    memory_free: int | None
    pieces: int = 0
    at_most: bool = False
    """The disk is for the trials too, and less of it stays used."""


def size_of(draft: Draft, kind: str, cancel: threading.Event) -> Sized:
    """One type's size by a dry run (pool thread). Raises HearthError, LabCancelledError."""
    return dry_run(draft.job(kind), cancel)


def cost_of(draft: Draft, sizes: dict[str, Sized], services: "Services") -> Cost:
    """What making the ticked types takes, those whose size is known (pool thread). Raises HearthError, OSError."""
    source = Path(draft.source.path)
    header = read_header(source)
    rates = Rates(services.paths.cache / "lab" / "rates.json")
    weights = (draft.source.summary.parameters if draft.source.summary else 0) or 0
    times = [rates.quantizing(kind, weights) for kind in draft.types]
    memory, pieces = quantizing_memory(header), 0
    if draft.text is not None:
        pieces = pieces_of(file_of(draft.text, services), draft.chunks)
        times.append(rates.computing(weights, pieces * CHUNK))
        memory = max(memory, computing_memory(source, header, every=True))
    known = [sizes[kind].bytes for kind in draft.types if kind in sizes]
    free = current_free(services)
    seconds = (sum(low for low, _ in times), sum(high for _, high in times))
    return Cost(seconds, sum(known), free_space(services.paths.models), memory, free, pieces)


def wish_cost_of(draft: Draft, wish: Literal["bytes", "loss"], services: "Services") -> Cost:
    """What a wish that is measured takes at most (pool thread): every group of tensors is made smaller alone and
    measured, then mixes of them. ``disk`` holds a copy of the source for the trials. Raises HearthError, OSError."""
    from app.optimize.mixing import ROUNDS
    from app.optimize.sensitivity import CHUNKS, PROBES, groups

    source = Path(draft.source.path)
    header = read_header(source)
    rates = Rates(services.paths.cache / "lab" / "rates.json")
    weights = sum(tensor.elements for tensor in header.tensors)
    trials = len(groups(header.tensors)) * len(PROBES) + (1 + ROUNDS if wish == "loss" else 0)
    one, text = rates.quantizing("Q8_0", weights), rates.computing(weights, CHUNKS * CHUNK)
    memory, pieces = max(quantizing_memory(header), computing_memory(source, header, every=False)), 0
    low, high = ((trials + 1) * (one[at] + text[at]) + text[at] for at in (0, 1))
    if draft.text is not None:
        pieces = pieces_of(file_of(draft.text, services), draft.chunks)
        matrix = rates.computing(weights, pieces * CHUNK)
        low, high = low + matrix[0], high + matrix[1]
        memory = max(memory, computing_memory(source, header, every=True))
    disk = draft.source.bytes + weights * 17 // 16 + reference_bytes(header, CHUNKS)
    free = free_space(services.paths.models)
    return Cost((low, high), disk, free, memory, current_free(services), pieces, at_most=True)


def current_free(services: "Services") -> int | None:
    """Bytes of main memory that are free now."""
    from app.hardware.sampler import refresh

    return refresh(services.machine()).memory.available


def orders_of(draft: Draft, services: "Services") -> tuple[QuantOrder, ...]:
    """One order for each type (pool thread). No file that is there is written over."""
    text = str(file_of(draft.text, services)) if draft.text else ""
    taken: set[str] = set()
    made = []
    for kind in draft.types:
        target = free_target(services.paths.models / "lab", Path(draft.source.path), kind, taken)
        taken.add(str(target))
        given = draft.options
        made.append(
            QuantOrder(
                source=draft.source.path, target=str(target), type=kind, matrix=draft.matrix, text=text,
                text_name=draft.text.name if draft.text else "", chunks=draft.chunks, overrides=given.overrides,
                embedding=given.embedding, output=given.output, pure=given.pure, prune=given.prune,
            )
        )  # fmt: skip
    return tuple(made)


def wish_order(
    draft: Draft, wish: Literal["bytes", "loss"], value: float, text: LabText, services: "Services"
) -> WishOrder:
    """A wish that is measured, as a job (pool thread)."""
    label = f"{value / 1e9:.2f}GB" if wish == "bytes" else f"KL{value:g}"
    target = free_target(services.paths.models / "lab", Path(draft.source.path), f"mix-{label}", set())
    return WishOrder(
        source=draft.source.path, target=str(target), wish=wish, value=value, text=str(file_of(text, services)),
        text_name=text.name, matrix=draft.matrix, matrix_text=str(file_of(draft.text, services)) if draft.text else "",
        matrix_name=draft.text.name if draft.text else "", chunks=draft.chunks,
    )  # fmt: skip


def free_target(folder: Path, source: Path, kind: str, taken: set[str]) -> Path:
    """Where a result goes: a number is added while there is a file of that name."""
    from app.optimize.quantize import target_for

    target, number = target_for(folder, source, kind), 1
    while target.exists() or str(target) in taken:
        number += 1
        stem = f"{target_for(folder, source, kind).stem}-{number}"
        target = folder / stem / f"{stem}.gguf"
    return target


def check_matrix(path: str) -> int:
    """Pieces a finished matrix was computed from (pool thread). Raises a ModelError or OSError."""
    from app.optimize import matrix_file

    return matrix_file.read(Path(path)).chunks


def with_types(draft: Draft, types: tuple[str, ...]) -> Draft:
    """The same with other types."""
    return replace(draft, types=types)


def short_name(path: str) -> str:
    """A file's name as it is shown: without its place in a split set and ``.gguf``."""
    return split_prefix(Path(path).name).removesuffix(".gguf")
