"""From what a person searches for to the Hub's parameters, and what the Hub can't filter itself."""

import re
from collections.abc import Iterable
from typing import Any

from app.models import hub_parse
from app.models.hub_types import RepoSummary, SearchFilters, Sort

SORTS = {"downloads": "downloads", "trending": "trendingScore", "likes": "likes", "updated": "lastModified"}
LIKELY = 100  # results among which the best matches are looked for
_WORD = re.compile(r"[a-z]+|\d+(?:\.\d+)?")


def parameters(query: str, sort: Sort, limit: int, filters: SearchFilters | None) -> dict[str, Any]:
    """Parameters of ``/api/models`` for the first page; ``publisher/`` lists a publisher's."""
    params: dict[str, Any] = {
        "filter": ["gguf"],
        "sort": SORTS[_asked(query, sort)],
        "limit": limit,
        "expand": hub_parse.EXPAND,
    }
    words = query.strip()
    if words.endswith("/") and " " not in words:
        params["author"] = words[:-1]
    elif words:
        params["search"] = words
    return _with_filters(params, filters)


def _with_filters(params: dict[str, Any], filters: SearchFilters | None) -> dict[str, Any]:
    if filters is None:
        return params
    tags = [f"license:{filters.license}"] if filters.license else []
    low, high = filters.min_parameters, filters.max_parameters
    bounds = [f"{name}:{value}" for name, value in (("min", low), ("max", high)) if value is not None]
    asked = {
        "filter": [*params["filter"], *tags],
        "author": filters.author or params.get("author"),
        "pipeline_tag": filters.task,
        "num_parameters": ",".join(bounds),
        "gated": None if filters.gated is None else str(filters.gated).lower(),
    }
    return {**params, **{name: value for name, value in asked.items() if value}}


def _asked(query: str, sort: Sort) -> Sort:
    # The Hub has no order by likeness: of what holds the words, the most downloaded are put in order here.
    if sort != "match":
        return sort
    return "downloads" if query.strip() else "trending"


def ranked(items: Iterable[RepoSummary], query: str, sort: Sort) -> tuple[RepoSummary, ...]:
    """The same items; for ``match`` those named most like the query first, else in the Hub's order."""
    wanted = _WORD.findall(query.lower())
    if sort != "match" or not wanted:
        return tuple(items)
    return tuple(sorted(items, key=lambda item: -_likeness(item.id.lower(), wanted)))


def _likeness(repo: str, wanted: list[str]) -> float:
    """How much a name is the words: all of them, in their order, and little else."""
    found = _WORD.findall(repo.removesuffix("-gguf"))
    whole = sum(word in found for word in wanted) / len(wanted)
    start = next((at for at in range(len(found)) if found[at : at + len(wanted)] == wanted), None)
    return 2 * whole + (1.0 if start is not None else 0.0) + 1.0 / (1 + max(0, len(found) - len(wanted)))


def matches(item: RepoSummary, filters: SearchFilters | None) -> bool:
    """What the Hub can't filter itself, or not for every repository. What it does not say fits no bound."""
    if filters is None:
        return True
    fitting = not filters.architecture or (item.architecture or "").lower() == filters.architecture.lower()
    trained = not filters.qat or "qat" in item.id.lower() or "qat" in item.tags
    return fitting and trained and _within(item.parameters, filters)


def _within(count: int | None, filters: SearchFilters) -> bool:
    low, high = filters.min_parameters, filters.max_parameters
    if low is None and high is None:
        return True
    return count is not None and (low or 0) <= count and (high is None or count <= high)
