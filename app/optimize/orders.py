"""What the lab's queue is asked to do, and how it stands: plain data that is kept as JSON."""

from typing import Literal

from msgspec import Struct

from app.core.events import ErrorInfo
from app.core.types import LoadPlan
from app.optimize.recipes import Recipe

JobState = Literal["queued", "running", "paused", "done", "failed", "cancelled"]
Stage = Literal[
    "",
    "download",
    "setup",
    "convert",
    "price",
    "size",
    "check",
    "matrix",
    "parts",
    "quantize",
    "reference",
    "measure",
    "speed",
]
ENDED = frozenset({"done", "failed", "cancelled"})
FULL_CACHE = ("f16", "f16")


class QuantOrder(Struct, frozen=True, tag="quant", tag_field="kind", kw_only=True, omit_defaults=True):
    """Write ``source`` as ``target``. ``matrix`` is a finished matrix; with ``text`` one is computed from that file
    first. ``overrides`` are (pattern, tensor type)."""

    source: str
    target: str
    type: str
    matrix: str = ""
    text: str = ""
    text_name: str = ""
    chunks: int = 0
    overrides: tuple[tuple[str, str], ...] = ()
    embedding: str = ""
    output: str = ""
    pure: bool = False
    prune: tuple[int, ...] = ()


class RepeatOrder(Struct, frozen=True, tag="repeat", tag_field="kind", kw_only=True, omit_defaults=True):
    """Make a quant again from its recipe, out of ``source`` and the matrix that it used: the very same bytes."""

    recipe: Recipe
    source: str
    target: str
    matrix: str = ""


class MeasureOrder(Struct, frozen=True, tag="measure", tag_field="kind", kw_only=True, omit_defaults=True):
    """Measure each of ``models`` against ``reference`` on each of ``texts`` (files; ``names`` are shown), with each of
    the K/V cache types; with ``speed`` also how fast each one answers here. ``chunks`` 0: the whole text. ``fetch``
    (``owner/repo:QUANT``) is downloaded first: the files are then where ``models`` and ``reference`` say."""

    models: tuple[str, ...]
    reference: str
    texts: tuple[str, ...]
    names: tuple[str, ...] = ()
    chunks: int = 0
    caches: tuple[tuple[str, str], ...] = (FULL_CACHE,)
    speed: bool = False
    fetch: tuple[str, ...] = ()


class WishOrder(Struct, frozen=True, tag="wish", tag_field="kind", kw_only=True, omit_defaults=True):
    """A mix of types found by measuring on ``text`` what each part of ``source`` costs: of at most ``value`` bytes, or
    that loses at most ``value`` nats. ``matrix_text`` (a file): a matrix is computed from it first."""

    source: str
    target: str
    wish: Literal["bytes", "loss"]
    value: float
    text: str
    text_name: str = ""
    matrix: str = ""
    matrix_text: str = ""
    matrix_name: str = ""
    chunks: int = 0


class SourceOrder(Struct, frozen=True, tag="source", tag_field="kind", kw_only=True, omit_defaults=True):
    """Bring a source: the best file of ``repo`` on the Hub, or a ``folder`` of original weights. What is not GGUF is
    converted; ``set_up``: the converter's environment is made when it is not there."""

    repo: str = ""
    quant: str = ""
    folder: str = ""
    set_up: bool = False


class PriceOrder(Struct, frozen=True, tag="price", tag_field="kind", kw_only=True, omit_defaults=True):
    """What a context past the trained length costs: ``plan`` as it would be loaded, on a text at least that long."""

    plan: LoadPlan
    text: str
    trained: int = 0


class Price(Struct, frozen=True):
    """The answer: figures of ``runtime.llama_long`` for a model (by fingerprint) loaded like this."""

    print: str
    n_ctx: int
    trained: int
    rope: str
    figures: dict[str, float]


MAKING = (QuantOrder, RepeatOrder, WishOrder)
"""Orders that write a file."""
Order = QuantOrder | RepeatOrder | MeasureOrder | WishOrder | SourceOrder | PriceOrder


class Why(Struct, frozen=True):
    """A reason as ``optimize.wishes.Reason`` has it."""

    template: str
    params: dict[str, str | int | float] = {}


class Speed(Struct, frozen=True, omit_defaults=True):
    """Tokens per second as answered here; joules per written token where power can be read."""

    prefill: float | None = None
    decode: float | None = None
    joules: float | None = None
    device: str = ""


class Point(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One model measured on one text: figures as of ``optimize.measure.Measured``. ``print`` is the file's
    fingerprint, ``text_hash`` the text's SHA-256; ``cache`` the K and V types."""

    model: str
    print: str
    bytes: int
    quant: str = ""
    bits: float | None = None
    text: str = ""
    text_hash: str = ""
    chunks: int = 0
    reference: str = ""
    reference_print: str = ""
    cache: tuple[str, str] = FULL_CACHE
    figures: dict[str, float] = {}
    speed: Speed | None = None
    at: float = 0.0
    path: str = ""

    @property
    def key(self) -> tuple[object, ...]:
        """What makes two measurements the same one."""
        return (self.print, self.text_hash, self.chunks, self.reference_print, self.cache)


class Result(Struct, frozen=True, omit_defaults=True):
    """What came of a job: the model in the library with its real bits per weight and the tensors that took another
    type, or what was measured."""

    model: str = ""
    path: str = ""
    bytes: int = 0
    bits: float | None = None
    fallbacks: tuple[str, ...] = ()
    matrix: str = ""
    points: tuple[Point, ...] = ()
    reasons: tuple[Why, ...] = ()
    price: Price | None = None
    same: bool = False
    """Its bytes are those that a recipe names."""


class LabItem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A snapshot of one job, published at every change. ``done`` of ``total`` tensors or pieces of this stage,
    ``step`` of ``steps`` stages; ``about`` names the tensor or the model; ``seconds`` is the time worked so far."""

    id: str
    order: Order
    state: JobState = "queued"
    stage: Stage = ""
    about: str = ""
    done: int = 0
    total: int = 0
    step: int = 0
    steps: int = 1
    error: ErrorInfo | None = None
    result: Result | None = None
    added_at: float = 0.0
    seconds: float = 0.0
    crashed: str = ""
    """How the process died before this try."""
    interrupted: bool = False
    """The program ended while it ran."""

    @property
    def share(self) -> float:
        """0 to 1 over all stages."""
        if self.state == "done":
            return 1.0
        inner = self.done / self.total if self.total else 0.0
        return min(1.0, (self.step + inner) / max(1, self.steps))
