"""The event loop under a streaming answer, long chats, typing, and the memory of a long chat. Offscreen, in a process
of its own so that nothing else is measured.

    longest gap     a zero timer beats as fast as the loop lets it; the longest pause between two beats while
                    200 tokens/s come from another thread
    first paint     from set_entries of 1,000 stored messages to the end of the first repaint
    live panels     processor time of this process at 10 Hz with two models and two GPUs, less that of feeding them
    Lab page        the longest gap while a matrix and two quants are made, all cores busy with them
    typing          from a key event to the end of the repaint it causes, while the answer streams
"""

import json
import subprocess
import sys

from tests.bench.figures import ROOT, Figure, median

ROUNDS = 3


def run() -> list[Figure]:
    """Measure in fresh processes; medians of ``ROUNDS``."""
    rounds = [_child() for _ in range(ROUNDS)]
    found = {name: [one[name] for one in rounds] for name in rounds[0]}
    return [
        median("longest gap, 200 tokens/s into 300 messages", found["gap_300"], "ms", goal=16),
        median("longest gap, 200 tokens/s into 1,000 messages", found["gap_1000"], "ms", goal=16),
        median("longest gap, 200 tokens/s, answer of 60 kB", found["gap_long"], "ms", goal=16),
        median("longest work of the GUI thread at a stretch, all of them", found["busiest"], "ms", goal=16),
        median("frame work while streaming, median", found["flush"], "ms"),
        median("open 1,000 messages to first paint", found["open"], "ms", goal=150),
        median("memory of 1,000 messages open", found["memory"], "MB", goal=60),
        median("typing while streaming, worst key", found["typing"], "ms", goal=10),
        median("all live panels at 10 Hz, of a core", found["panels"], "%", goal=3),
        median("live panels hidden, of a core", found["panels_hidden"], "%", goal=0.3),
        median("longest gap, Lab page while its job has all cores", found["gap_lab"], "ms"),
        median("longest work of the GUI thread meanwhile", found["busiest_lab"], "ms", goal=16),
    ]


def _child() -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.gui_child"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result
