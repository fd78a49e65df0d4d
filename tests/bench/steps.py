"""Engine work outside llama_decode, for each step: one sequence as the chat window asks for it, eight as the HTTP API's
clients do (whose words never wait and go to their sockets), greedy and with the usual sampling. CPU time, the engine
thread's.

``python -m tests.bench.steps MODEL`` (a process of its own: llama.cpp is never in another) prints a JSON object.
"""

import functools
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median as middle
from typing import Any

from app.chat.session import FRAME_MS
from app.core.generate import Delta, Finished, GenerateRequest, SamplingParams, is_text
from app.core.types import LoadPlan
from tests.bench.figures import ROOT, Figure, median
from tests.starter import find_starter

AROUND = b'data: {"choices":[{"index":0,"delta":{"content":', b'},"finish_reason":null}]}\n\n'
STEPS = 300
GROUP = 10
"""Steps that make one sample: what is caught up with every few steps belongs to all of them."""
GOALS = {1: 150.0, 8: 500.0}  # microseconds
KINDS = {"greedy": SamplingParams(temperature=0), "usual": SamplingParams(seed=7)}


def run() -> list[Figure]:
    """Medians over the steps of two answers each."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.steps", str(find_starter())],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    return [_figure(case) for case in json.loads(done.stdout)]


def _figure(case: dict[str, Any]) -> Figure:
    parts = ", ".join(f"{name} {value:.0f}" for name, value in case["parts"].items())
    name = f"outside llama_decode, {case['count']} x {case['kind']}"
    return median(name, case["samples"], "us a step", goal=GOALS[case["count"]], note=parts)


# ------------------------------------------------------------------------------------ the measuring process


class Clock:
    """Processor seconds (another program on the core does not count) that some functions took since the last reading,
    inner ones not counted twice."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self.calls = 0
        """Of llama_decode."""
        self._inner = [0.0]

    def watch(self, owner: object, name: str, part: str) -> Callable[[], None]:
        """Count a method's time under ``part``; returns what undoes it."""
        plain, own = getattr(owner, name), name in vars(owner)
        setattr(owner, name, self.timed(plain, part))
        return lambda: setattr(owner, name, plain) if own else delattr(owner, name)

    def timed(self, call: Callable[..., Any], part: str) -> Callable[..., Any]:
        """``call``, counted."""

        @functools.wraps(call)
        def watched(*args: Any, **named: Any) -> Any:
            self._inner.append(0.0)
            self.calls += part == "decode"
            began = time.thread_time()
            try:
                return call(*args, **named)
            finally:
                took = time.thread_time() - began
                self.spent[part] = self.spent.get(part, 0.0) + took - self._inner.pop()
                self._inner[-1] += took

        return watched

    def watch_stretches(self) -> Callable[[], None]:
        """Count llama_decode's share of the steps that our own library computes by itself, as it tells it."""
        from app.runtime.llama_burst import Stretch

        plain = Stretch.run

        def watched(stretch: Stretch, *args: Any) -> int:
            code = plain(stretch, *args)
            self.calls += stretch.steps
            self.spent["decode"] = self.spent.get("decode", 0.0) + stretch.decoding
            self._inner[-1] += stretch.decoding
            return code

        Stretch.run = watched  # type: ignore[method-assign]
        return lambda: setattr(Stretch, "run", plain)

    def take(self) -> dict[str, float]:
        """Seconds by part."""
        spent, self.spent, self.calls = self.spent, {}, 0
        return spent


class Clients:
    """Sockets that somebody else reads, offered as the server offers its clients' after their first text."""

    def __init__(self) -> None:
        self._client, theirs = socket.socketpair()
        self._drain = subprocess.Popen(["cat"], stdin=theirs, stdout=subprocess.DEVNULL)
        theirs.close()
        self._client.setblocking(False)
        self._seen: dict[int, int] = {}

    def take(self, engine: Any, report: Any) -> None:
        """What the server would be told."""
        for item in report.items:
            seen = self._seen[item.key] = self._seen.get(item.key, 0) + 1
            if isinstance(item.event, Finished):
                del self._seen[item.key]
            elif isinstance(item.event, Delta) and is_text(item.event):
                engine.speak(item.key, seen, os.dup(self._client.fileno()), *AROUND)

    def close(self) -> None:
        """Let the reader end."""
        self._client.close()
        self._drain.wait()


class Bench:
    """The worker's parts in this process, writing to a pipe that somebody else reads."""

    def __init__(self, path: str, folder: Path) -> None:
        from app.runtime.channel import Writer
        from app.runtime.loading import load
        from app.runtime.protocol import Events, Load, Report, encode

        reader, end = os.pipe()
        self._drain = subprocess.Popen(["cat"], stdin=reader, stdout=subprocess.DEVNULL)
        writer = Writer(os.fdopen(end, "wb", buffering=0))
        plan = LoadPlan(path, n_ctx=4096, n_parallel=8, n_threads=1)
        self._clients = Clients()

        def send(report: Report) -> None:
            writer.send(encode(report))
            if isinstance(report, Events):
                self._clients.take(self.loaded.engine, report)

        self.loaded = load(Load("bench", plan), send)

    def measure(self, count: int, kind: str) -> dict[str, Any]:
        """One case: what a step takes besides llama_decode, then where it goes (the clocks cost something too)."""
        parts = _parts(self.loaded.engine)
        whole = self._steps(count, kind, [part for part in parts if part[1] in ("_step", "decode")])
        split = self._steps(count, kind, parts)
        names = sorted({name for group in split for name in group} - {"decode"})
        return {
            "count": count,
            "kind": kind,
            "samples": [group["other"] * 1e6 for group in whole],
            "parts": {name: 1e6 * middle(group.get(name, 0.0) for group in split) for name in names},
        }

    def _steps(self, count: int, kind: str, parts: list[tuple[Any, str, str]]) -> list[dict[str, float]]:
        """Seconds a step by part, of each group of steps after the first quarter."""
        engine, clock = self.loaded.engine, Clock()
        groups: list[dict[str, float]] = []
        done = 0
        undo = [clock.watch_stretches(), *(clock.watch(*part) for part in parts)]
        thread = threading.Thread(target=self._feed, args=(engine, count, kind, lambda: done))
        thread.start()
        while thread.is_alive():
            engine._take()
            if engine.scheduler.running or engine.scheduler.waiting:
                engine._step()
            if clock.calls >= GROUP:
                done += clock.calls
                calls = clock.calls
                spent = clock.take()
                if STEPS // 4 < done < STEPS:
                    groups.append({part: seconds / calls for part, seconds in spent.items()})
        while engine.scheduler.running or engine.scheduler.waiting:
            engine._step()  # the next case begins alone
        for act in undo:
            act()
        return groups

    def _feed(self, engine: Any, count: int, kind: str, done: Callable[[], int]) -> None:
        from msgspec.structs import replace

        sampling = replace(KINDS[kind], max_tokens=STEPS, ignore_eos=True)
        for key in range(count):
            request = GenerateRequest(
                f"{kind}-{key}",
                prompt=f"Story {key}. Once upon a time",
                sampling=sampling,
                flush_ms=FRAME_MS if count == 1 else 0,
            )
            engine.submit(self.loaded.intake.prepare(key, request), asks=count > 1)
        while done() < STEPS - 2 * GROUP:
            time.sleep(0.05)

    def close(self) -> None:
        """Free the model."""
        self.loaded.close()
        self._clients.close()
        self._drain.terminate()
        self._drain.wait()


def _parts(engine: Any) -> list[tuple[Any, str, str]]:
    from app.runtime.burst import Burst
    from app.runtime.choosing import Chooser
    from app.runtime.sampling import Sampler

    return [
        (engine, "_step", "other"),
        (engine._context, "decode", "decode"),
        (engine.scheduler, "step", "schedule"),
        (engine.scheduler, "done", "schedule"),
        (engine, "_fill", "batch"),
        (Burst, "run", "loop"),
        (Burst, "settle", "text"),
        (Chooser, "choose", "sample"),
        (Sampler, "sample", "sample"),
        (engine, "_written", "text"),
        (engine._teller, "flush", "send"),
        (engine._teller, "report", "report"),
    ]


def main() -> None:
    """Measure every case."""
    bench = Bench(sys.argv[1], ROOT)
    print(json.dumps([bench.measure(count, kind) for count in GOALS for kind in KINDS]))
    bench.close()


if __name__ == "__main__":
    main()
