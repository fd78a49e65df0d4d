"""The installed program without a window manager, on any system: ``quick.py PROGRAM``.

For Windows' and macOS's hosted runners; on Linux ``story.py`` does more. The program gets a folder of its own, with the
starter model in it; each step must give what it promises, or this ends with the reason.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from devkit import freeze, starter
from devkit.say import Problem
from devkit.venvs import PACKAGER

MODEL = "SmolLM2"
QUESTION = "In one sentence, what is a language model?"
PATIENCE = 300.0
"""Seconds for a step on a slow machine."""


def main(arguments: list[str]) -> int:
    """Try all of it; returns the exit status."""
    program = Path(arguments[0]).resolve()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        os.environ["HEARTH_HOME"] = home
        os.environ["HEARTH_OFFLINE"] = "1"
        try:
            starter.ensure(PACKAGER)
            for step in STEPS:
                began = time.monotonic()
                print(f"- {step.__doc__}", flush=True)
                print(f"  {step(program, Path(home))} ({time.monotonic() - began:.1f} s)", flush=True)
        except (Problem, OSError, ValueError, LookupError, subprocess.SubprocessError) as error:
            print(f"FAILED: {error}", file=sys.stderr)
            return 1
    return 0


def say(program: Path, *words: str, **environ: str) -> str:
    """What the program prints. Raises Problem when it fails."""
    done = subprocess.run(
        [program, *words], capture_output=True, timeout=PATIENCE, check=False, env={**os.environ, **environ}
    )
    if done.returncode:
        told = (done.stderr or done.stdout).decode("utf-8", "replace")[-2000:]
        raise Problem(f"{program.name} {' '.join(words)} ended with {done.returncode}: {told}")
    return done.stdout.decode("utf-8", "replace").strip()


def must(right: object, why: str) -> None:
    """Raises Problem unless it is so."""
    if not right:
        raise Problem(why)


def version(program: Path, _home: Path) -> str:
    """It says its version."""
    said = say(program, "--version")
    must(freeze.version() in said, f"it says {said!r}, not {freeze.version()}")
    return said


def devices(program: Path, _home: Path) -> str:
    """Its engine sees the processor, and no backend pack is broken but for want of a driver."""
    found = json.loads(say(program, "doctor", "--json"))
    facts = {row["name"]: str(row["value"]) for row in found if isinstance(row, dict)}
    backends = {name: value for name, value in facts.items() if name.startswith("backend.")}
    must(any("CPU" in name.upper() for name in backends), f"no backend for the processor: {backends}")
    return "; ".join(f"{name.removeprefix('backend.')}: {value}" for name, value in backends.items())


def window(program: Path, _home: Path) -> str:
    """Its window is painted, and it ends."""
    began = time.time()
    said = say(program, HEARTH_TRACE_START="quit")
    must("painted" in said, f"it was not painted: {said!r}")
    return f"painted after {float(said.split()[1]) - began:.2f} s"


def chat(program: Path, _home: Path) -> str:
    """It loads a model and answers."""
    said = say(program, "chat", MODEL, "-p", QUESTION)
    must(len(said.split()) > 3, f"that is no answer: {said!r}")
    return said.splitlines()[0]


def serve(program: Path, _home: Path) -> str:
    """It serves OpenAI's interface."""
    port = free_port()
    running = subprocess.Popen([program, "serve", "--model", MODEL, "--port", str(port)])
    try:
        address = f"http://127.0.0.1:{port}/v1/chat/completions"
        body = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 24}
        said = until(lambda: ask(address, body), running)
    finally:
        running.terminate()
        running.wait(30)
    return str(said["choices"][0]["message"]["content"]).splitlines()[0]


def bundle(program: Path, home: Path) -> str:
    """It collects what a report of a fault needs."""
    target = home / "report.zip"
    say(program, "doctor", "--bundle", str(target))
    must(target.stat().st_size, "the bundle is empty")
    return f"{target.stat().st_size} bytes"


STEPS = (version, devices, window, chat, serve, bundle)


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def ask(address: str, body: object) -> Any:
    """One question by HTTP; None when nobody is there yet."""
    request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)
    except ConnectionError:
        return None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ConnectionError):
            return None
        raise


def until(found: Callable[[], Any], running: "subprocess.Popen[bytes]") -> Any:
    """What comes at last. Raises Problem when the program has ended or the time is over."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and running.poll() is None:
        if (value := found()) is not None:
            return value
        time.sleep(0.2)
    raise Problem(f"nothing came; the program's exit status: {running.poll()}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
