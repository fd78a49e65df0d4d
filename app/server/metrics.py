"""The readings as Prometheus reads them (source: its text exposition format 0.0.4)."""

import re

from app.server.backend import Backend
from app.server.live import Registry

_HEADS = (
    ("hearth_requests_total", "counter", "HTTP requests answered."),
    ("hearth_prompt_tokens_total", "counter", "Prompt tokens of ended requests."),
    ("hearth_completion_tokens_total", "counter", "Tokens written in ended requests."),
    ("hearth_requests_live", "gauge", "Requests that a model is answering."),
    ("hearth_instance_ready", "gauge", "1 for a model that is loaded."),
)


def render(backend: Backend, registry: Registry) -> str:
    """Counters of the server, and the newest reading of every series."""
    values = {
        "hearth_requests_total": [
            (f'path="{_label(path)}",status="{status}"', count)
            for (path, status), count in sorted(registry.requests.items())
        ],
        "hearth_prompt_tokens_total": [("", registry.prompt_tokens)],
        "hearth_completion_tokens_total": [("", registry.completion_tokens)],
        "hearth_requests_live": [("", len(registry.all()))],
        "hearth_instance_ready": [
            (f'model="{_label(item.model)}"', int(item.state == "ready"))
            for item in backend.supervisor.snapshots()
        ],
    }
    lines: list[str] = []
    for name, kind, text in _HEADS:
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
        lines += [
            f"{name}{{{labels}}} {value}" if labels else f"{name} {value}" for labels, value in values[name]
        ]
    return "\n".join([*lines, *_series(backend)]) + "\n"


def _series(backend: Backend) -> list[str]:
    store = backend.series
    if store is None:
        return []
    by_name: dict[str, list[str]] = {}
    for source, name in store.keys():  # noqa: SIM118 - not a mapping
        value = store.last(source, name)
        if value is not None:
            metric, labels = _metric(source, name)
            by_name.setdefault(metric, []).append(f"{metric}{{{labels}}} {value!r}")
    return [line for metric, lines in sorted(by_name.items()) for line in (f"# TYPE {metric} gauge", *lines)]


def _metric(source: str, name: str) -> tuple[str, str]:
    """Name and labels; ``decode_tps/2`` is that of the second open answer."""
    base, _, answer = name.partition("/")
    kind = source.partition(":")[0] + ("_answer" if answer else "")
    labels = f'source="{_label(source)}"' + (f',answer="{_label(answer)}"' if answer else "")
    return "hearth_" + re.sub(r"[^a-zA-Z0-9_]", "_", f"{kind}_{base}"), labels


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
