"""From what a person searches for to the Hub's parameters, and what the Hub can't filter itself."""

from typing import Any

from app.models import hub_parse
from app.models.hub_types import RepoSummary, SearchFilters, Sort

SORTS = {"downloads": "downloads", "trending": "trendingScore", "likes": "likes", "updated": "lastModified"}


def parameters(query: str, sort: Sort, limit: int, filters: SearchFilters | None) -> dict[str, Any]:
    """Parameters of ``/api/models`` for the first page; ``publisher/`` lists a publisher's."""
    params: dict[str, Any] = {
        "filter": ["gguf"],
        "sort": SORTS[sort],
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


def matches(item: RepoSummary, filters: SearchFilters | None) -> bool:
    """What the Hub can't filter itself."""
    if filters is None:
        return True
    fitting = not filters.architecture or (item.architecture or "").lower() == filters.architecture.lower()
    trained = not filters.qat or "qat" in item.id.lower() or "qat" in item.tags
    return fitting and trained
