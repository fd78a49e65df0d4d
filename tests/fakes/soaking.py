"""Many clients at once that do everything clients do, for as long as asked: answers, cancels, bad requests, stop
strings, schemas, loads and unloads. ``python -m tests.fakes.soaking MODEL.gguf [SECONDS]`` prints the counts."""

import json
import random
import string
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from app.core.events import Bus
from app.core.generate import ResponseFormat, SamplingParams
from app.runtime.supervisor import Supervisor
from tests.fakes.asking import MODEL, ask, request, small_plan

SCHEMA = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}},
    "required": ["ok"],
    "additionalProperties": False,
}


@dataclass
class Soak:
    """``errors`` is what must stay empty."""

    supervisor: Supervisor
    counts: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, seconds: float, clients: int, plan: object) -> None:
        """Eight kinds of requests from ``clients`` threads; one more thread loads and unloads another instance."""
        end = time.monotonic() + seconds
        threads = [
            threading.Thread(target=self._client, args=(n, end), name=f"client-{n}") for n in range(clients)
        ]
        threads.append(threading.Thread(target=self._loader, args=(plan, end), name="loader"))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1

    def _client(self, number: int, end: float) -> None:
        chance = random.Random(number)
        kinds: list[Callable[[random.Random], None]] = [
            self._echo, self._echo, self._stopped, self._cancelled, self._bad, self._schema, self._free
        ]  # fmt: skip
        while time.monotonic() < end:
            kind = chance.choice(kinds)
            try:
                kind(chance)
                self._count(kind.__name__.strip("_"))
            except Exception as error:
                self.errors.append(f"client {number}, {kind.__name__}: {type(error).__name__}: {error}"[:500])

    def _loader(self, plan: object, end: float) -> None:
        while time.monotonic() < end:
            try:
                self.supervisor.ensure_ready("other", plan).result(60)  # type: ignore[arg-type]
                self.supervisor.unload("other").result(60)
                self._count("load")
            except Exception as error:
                self.errors.append(f"loader: {error}")
            time.sleep(min(10.0, max(0.0, end - time.monotonic())))

    # ------------------------------------------------------------------------------ what a client does

    def _said(self, chance: random.Random) -> str:
        words = ("".join(chance.choices(string.ascii_lowercase, k=5)) for _ in range(6))
        return " ".join(words)

    def _echo(self, chance: random.Random) -> None:
        text = self._said(chance)
        form = ResponseFormat("gbnf", grammar=f"root ::= {json.dumps(text)}")
        reply = ask(
            self.supervisor, request(f"Say {text}", SamplingParams(max_tokens=60), response_format=form)
        ).wait()
        assert reply.text() == text, (reply.text(), text)
        assert reply.after_the_end == 0

    def _stopped(self, chance: random.Random) -> None:
        text = self._said(chance)
        stop = text[10:14]
        form = ResponseFormat("gbnf", grammar=f"root ::= {json.dumps(text)}")
        sampling = SamplingParams(max_tokens=60, stop=(stop,))
        reply = ask(self.supervisor, request("Say it.", sampling, response_format=form)).wait()
        assert reply.text() == text.partition(stop)[0]

    def _cancelled(self, chance: random.Random) -> None:
        asked = request(f"Tell a story about {chance.random()}.", SamplingParams(ignore_eos=True))
        reply = ask(self.supervisor, asked)
        time.sleep(chance.random() * 0.5)
        self.supervisor.cancel(asked.id)
        assert reply.wait().finished().reason in ("cancelled", "context_full")

    def _bad(self, chance: random.Random) -> None:
        bad = chance.choice(
            [SamplingParams(n=0), SamplingParams(repeat_penalty=0), SamplingParams(temperature=float("nan"))]
        )
        assert ask(self.supervisor, request("Hi", bad)).wait().failed.code == "bad_request"

    def _schema(self, chance: random.Random) -> None:
        form = ResponseFormat("json_schema", schema=SCHEMA)
        reply = ask(
            self.supervisor, request("True?", SamplingParams(max_tokens=40), response_format=form)
        ).wait()
        assert isinstance(json.loads(reply.text())["ok"], bool)

    def _free(self, chance: random.Random) -> None:
        sampling = SamplingParams(max_tokens=chance.randint(1, 24), n=chance.choice([1, 1, 2]))
        reply = ask(self.supervisor, request(f"Question {chance.random()}?", sampling)).wait()
        assert reply.finished(sampling.n - 1).usage.completion >= 1


def soak(starter: Path, folder: Path, seconds: float, clients: int = 8) -> tuple[Soak, list[int]]:
    """Run it; returns it and the worker's resident bytes after a third, two thirds and at the end."""
    supervisor = Supervisor(Bus(), folder)
    found, memory = Soak(supervisor), []
    try:
        pid = supervisor.ensure_ready(MODEL, small_plan(starter)).result(60).pid
        worker = psutil.Process(pid)
        for _ in range(3):
            found.run(seconds / 3, clients, small_plan(starter, n_ctx=256))
            memory.append(worker.memory_info().rss)
        snapshot = supervisor.snapshot(MODEL)
        assert snapshot
        if snapshot.pid != pid:
            found.errors.append("the worker died")
    finally:
        supervisor.close()
    return found, memory


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        result, resident = soak(Path(sys.argv[1]), Path(temporary), float((sys.argv[2:] or ["60"])[0]))
    print(
        dict(result.counts),
        "errors:",
        result.errors,
        "resident MB:",
        [size // 1_000_000 for size in resident],
    )
    sys.exit(bool(result.errors))
