"""The engine beside llama.cpp's own tools (``make bench-peers``): peer and Hearth in turn, in pairs, as ratios."""

import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.bench.figures import ROOT, Figure, in_pairs, median
from tests.bench.load import Stream, together
from tests.starter import find_starter

PAIRS = 6
THREADS, CORES = 2, os.cpu_count() or 1
"""All cores: as the engine chooses by itself. Only fixed threads are told not to wait for each other for long."""
CLIENTS = (1, 4, 8)
LONE_PAIRS = 12
"""A lone client's rounds are short, and their gaps the most disturbed by anything else."""
PROMPT, TOKENS = 200, 128
N_CTX = 8192
WORDS = tuple(
    "river stone lamp winter garden paper music window bread silver forest engine cloud letter morning".split()
)


def run() -> list[Figure]:
    """Every comparison; needs HEARTH_PEERS, the folder of the built tools."""
    peers = Path(os.environ["HEARTH_PEERS"])
    return [*_one_request(peers), *_servers(peers)]


def _one_request(peers: Path) -> list[Figure]:
    from tests.bench import decode

    with decode.engine(THREADS if THREADS < CORES else None) as ours:
        pairs = in_pairs(lambda _number: _llama_bench(peers), ours, PAIRS)
    found = []
    for name, goal in (("decode", 0.98), ("prefill", 0.97)):
        ratios = [mine[name] / theirs[name] for theirs, mine in pairs]
        found += [
            median(f"{name}, llama-bench", [theirs[name] for theirs, _ in pairs], "tokens/s"),
            median(f"{name}, Hearth", [mine[name] for _, mine in pairs], "tokens/s"),
            median(
                f"{name}, Hearth over llama-bench",
                ratios,
                "",
                goal=goal,
                more=True,
                note=f"{len(pairs)} pairs",
            ),
        ]
    return found


def _llama_bench(peers: Path) -> dict[str, float]:
    """A prompt of 512 tokens from nothing, and 128 tokens behind such a prompt: what ours does."""
    command = [
        peers / "llama-bench",
        "-m",
        find_starter(),
        "-p",
        "512",
        "-n",
        "128",
        "-t",
        THREADS,
        "-d",
        "0,512",
        "-r",
        "1",
        "-o",
        "json",
    ]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True)
    rows = json.loads(done.stdout)
    speeds = {("prefill" if row["n_prompt"] else "decode", row["n_depth"]): row["avg_ts"] for row in rows}
    return {"prefill": speeds["prefill", 0], "decode": speeds["decode", 512]}


def _servers(peers: Path) -> list[Figure]:
    with _llama_server(peers) as theirs, _hearth() as ours:
        found: list[Figure] = []
        for clients in CLIENTS:
            pairs = in_pairs(
                partial(_round, theirs, clients),
                partial(_round, ours, clients),
                PAIRS if clients > 1 else LONE_PAIRS,
            )
            found += _compare(f"{clients} clients", pairs)
        return [*found, *_second_turn(theirs, ours), _shared_prefix(ours)]


def _compare(name: str, pairs: list[tuple[list[Stream], list[Stream]]]) -> list[Figure]:
    measures: list[tuple[str, Callable[[list[Stream]], float], float, bool]] = [
        ("tokens/s in total", _total, 1.0, True),
        ("p95 gap", _p95, 1.0, False),
        ("TTFT", _ttft, 1.0, False),
    ]
    found = []
    for what, measure, goal, more in measures:
        both = [(measure(theirs), measure(mine)) for theirs, mine in pairs]
        note = " against ".join(f"{statistics.median(side):.3g}" for side in zip(*both, strict=True))
        found.append(
            median(f"{name}, {what}, ratio", [b / a for a, b in both], "", goal=goal, more=more, note=note)
        )
    return found


def _total(streams: list[Stream]) -> float:
    spent = max(item.pieces[-1] for item in streams) - min(item.asked for item in streams)
    return sum(item.tokens for item in streams) / spent


def _p95(streams: list[Stream]) -> float:
    gaps = sorted(gap for item in streams for gap in item.gaps)
    return gaps[int(len(gaps) * 0.95)]


def _ttft(streams: list[Stream]) -> float:
    return statistics.median(item.ttft for item in streams)


def _prose(tokens: int, seed: int) -> str:
    # These words are one token each in the starter's vocabulary, with their blank.
    rolls = random.Random(seed)
    return " ".join(rolls.choice(WORDS) for _ in range(tokens))


def _body(messages: list[dict[str, str]], tokens: int = TOKENS) -> dict[str, object]:
    return {
        "model": "starter", "messages": messages, "max_tokens": tokens, "temperature": 0, "ignore_eos": True,
        "cache_prompt": True,
    }  # fmt: skip


def _round(address: str, clients: int, seed: int) -> list[Stream]:
    salt = clients * 1000 + seed * 50
    return together(
        address, [_body([{"role": "user", "content": _prose(PROMPT, salt + i)}]) for i in range(clients)]
    )


def _second_turn(theirs: str, ours: str) -> list[Figure]:
    pairs = in_pairs(partial(_turns, theirs), partial(_turns, ours), LONE_PAIRS)
    cached = [mine.prompt_tokens - mine.cached_tokens for _, mine in pairs]
    ratios = [mine.ttft / their.ttft for their, mine in pairs]
    waits = ([side.ttft for side in sides] for sides in zip(*pairs, strict=True))
    return [
        median(
            "second turn after 1,500 tokens, TTFT, ratio",
            ratios,
            "",
            goal=1.0,
            note=" against ".join(f"{1000 * statistics.median(side):.0f} ms" for side in waits),
        ),
        median("second turn, prompt tokens computed by Hearth", cached, "tokens", goal=40),
    ]


def _turns(address: str, seed: int) -> Stream:
    history = [{"role": "user", "content": _prose(1500, 9000 + seed)}]
    (first,) = together(address, [_body(history, 16)])
    history += [{"role": "assistant", "content": first.text}, {"role": "user", "content": "And then?"}]
    (second,) = together(address, [_body(history, 16)])
    return second


def _shared_prefix(ours: str) -> Figure:
    system = {"role": "system", "content": _prose(500, 77)}
    bodies = [
        _body([system, {"role": "user", "content": f"Tell me about {word}."}], 16) for word in WORDS[:8]
    ]
    computed = sum(item.prompt_tokens - item.cached_tokens for item in together(ours, bodies))
    return Figure(
        "500-token system prompt, 8 clients: tokens computed", computed, "tokens", goal=500 + 8 * 40
    )


@contextmanager
def _llama_server(peers: Path) -> Iterator[str]:
    port = _free_port()
    command = [
        peers / "llama-server", "-m", find_starter(), "--port", port, "-np", 8, "-c", N_CTX, "-t", THREADS,
        "--kv-unified", "--no-webui",
    ]  # fmt: skip
    with _process([str(part) for part in command], f"http://127.0.0.1:{port}") as address:
        yield address


@contextmanager
def _hearth() -> Iterator[str]:
    port = _free_port()
    with tempfile.TemporaryDirectory() as home:
        models = Path(home) / "models"
        models.mkdir()
        starter = find_starter()
        assert starter
        (models / "starter.gguf").symlink_to(starter)
        command = [
            sys.executable, "-m", "app", "serve", "--port", str(port), "--model", "starter", "--parallel", "8",
            "-c", str(N_CTX), *(["--threads", str(THREADS)] if THREADS < CORES else []),
        ]  # fmt: skip
        with _process(command, f"http://127.0.0.1:{port}", HEARTH_HOME=home) as address:
            yield address


@contextmanager
def _process(command: list[str], address: str, **env: str) -> Iterator[str]:
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait(address, process)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def _wait(address: str, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=1) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"nothing answers at {address}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
