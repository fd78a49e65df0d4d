"""What the Hub told us, as frozen data (``app.models.hub`` fills it and exports it)."""

from typing import Literal

from msgspec import Struct

from app.core.types import ModelKind

Sort = Literal["match", "trending", "downloads", "likes", "updated"]
"""``match``: what is named most like the words first; without words the same as ``trending``."""


class RepoSummary(Struct, frozen=True, omit_defaults=True):
    """One repository in a list of results. What the Hub did not say is None."""

    id: str
    downloads: int | None = None
    """In the last 30 days."""
    likes: int | None = None
    updated: float | None = None
    gated: bool = False
    parameters: int | None = None
    architecture: str | None = None
    context_length: int | None = None
    license: str | None = None
    tags: tuple[str, ...] = ()
    task: str | None = None
    private: bool = False

    @property
    def author(self) -> str:
        """The publisher's name."""
        return self.id.split("/", 1)[0]


class SearchPage(Struct, frozen=True):
    """One page of results and where the next begins (None: this was the last)."""

    items: tuple[RepoSummary, ...]
    cursor: str | None = None


class SearchFilters(Struct, frozen=True, omit_defaults=True):
    """What a search leaves out. Empty and None mean any."""

    author: str = ""
    task: str = ""
    """A pipeline tag of the Hub: ``text-generation``, ``feature-extraction``, ..."""
    license: str = ""
    architecture: str = ""
    gated: bool | None = None
    min_parameters: int | None = None
    max_parameters: int | None = None
    qat: bool = False
    """Only models trained for their quantization."""

    @property
    def here(self) -> bool:
        """Whether we have to look through the answers ourselves: the Hub can't filter by these."""
        return bool(self.architecture or self.qat or self.min_parameters or self.max_parameters)


class RemotePart(Struct, frozen=True, omit_defaults=True):
    """One file of a repository; ``name`` is its path there, with ``/``."""

    name: str
    size: int
    sha256: str | None = None
    xet_hash: str | None = None


class QuantFile(Struct, frozen=True, omit_defaults=True):
    """What is downloaded as one: a file or a split set, ``files`` in the order of their numbers."""

    id: str
    """``owner/repo:Q4_K_M``."""
    repo: str
    revision: str
    """Commit the names, sizes and hashes belong to."""
    quant: str
    files: tuple[RemotePart, ...]
    bytes: int
    kind: ModelKind = "text"
    bits_per_weight: float | None = None


class RepoDetail(Struct, frozen=True, omit_defaults=True):
    """A repository's page. Its card is a call of its own (``Hub.card``)."""

    id: str
    revision: str
    quants: tuple[QuantFile, ...] = ()
    architecture: str | None = None
    parameters: int | None = None
    context_length: int | None = None
    license: str | None = None
    gated: bool = False
    downloads: int | None = None
    likes: int | None = None
    updated: float | None = None
    tags: tuple[str, ...] = ()
    task: str | None = None
    private: bool = False
    base_model: str | None = None
    has_template: bool = False
    weights: QuantFile | None = None
    """The model as its makers published it (safetensors with configuration and tokenizer), to be converted; no
    programs."""


class RemoteFile(Struct, frozen=True, omit_defaults=True):
    """Where a file's bytes are right now. ``headers`` are for ``url``'s own host only."""

    url: str
    size: int | None
    etag: str | None
    headers: dict[str, str] = {}
    sha256: str | None = None
    commit: str | None = None
    xet: str | None = None
    """Xet hash, when the file is in Xet storage."""
    xet_route: str | None = None
    """Address on the Hub that hands out Xet access."""
    auth: dict[str, str] = {}
    """Headers for the Hub itself (``xet_route``); never for ``url``."""
