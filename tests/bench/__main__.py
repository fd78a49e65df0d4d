"""``python -m tests.bench [part ...]``: measure, print the table, write build/bench.json."""

import argparse
import importlib
import os
import sys
import time

from tests.bench.figures import ROOT, Figure, show, write

PARTS = {
    "start": "process start to first painted window, and idle memory",
    "decode": "decode through the whole path over a bare llama.cpp loop",
    "steps": "what the engine does outside llama_decode, by part",
    "reopen": "a long chat after a restart beside a fresh prefill",
    "forecast": "forecasts of speed and memory beside what comes",
    "gui": "event-loop gaps, long chats, typing",
    "http": "the HTTP layer alone",
    "downloads": "transfer speed on loopback",
    "library": "listing and scanning many models",
    "chats": "reading, searching and writing long chats",
}
PEERS = {
    "peers": "the engine beside llama.cpp's own tools",
    "lab": "the quantization lab beside llama.cpp's own tools",
}
ALL = {**PARTS, **PEERS}


def main() -> int:
    """Run the parts asked for (default: all there are); 1 when a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(ALL))
    parser.add_argument("--out", default=str(ROOT / "build" / "bench.json"))
    args = parser.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    unknown = set(args.parts) - set(ALL)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    figures = [figure for part in args.parts or PARTS for figure in _measure(part)]
    print(show(figures))
    write(figures, ROOT / args.out)
    return 1 if any(figure.reached is False for figure in figures) else 0


def _measure(part: str) -> list[Figure]:
    print(f"{part}: {ALL[part]} ...", file=sys.stderr, flush=True)
    began = time.monotonic()
    figures: list[Figure] = importlib.import_module(f"tests.bench.{part}").run()
    print(f"{part}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return figures


if __name__ == "__main__":
    sys.exit(main())
