"""Running other programs: output into a log, a sign of life on the screen, and the log's end when it fails."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from devkit.say import Problem, tell

SIGN_OF_LIFE_S = 20.0
TAIL_LINES = 25
STOPPED = 124
"""As the exit status of what did not end in its time, as ``timeout`` gives."""
IDLE = ("Ignoring ", "Requirement already satisfied", "Looking in ")
"""How pip's lines begin that never say why it failed."""
NETWORK = re.compile(
    r"NewConnectionError|NameResolutionError|name resolution|Name or service not known|Max retries exceeded|"
    r"Connection refused|Network is unreachable|ConnectTimeout|ReadTimeout|ProxyError|SSLError|getaddrinfo"
)
CAUSES = (
    (
        re.compile(r"DO NOT MATCH THE HASHES|Expected sha256"),
        """A downloaded file is not the one this project was locked to (its hash differs); nothing of it was installed.
Try again. If it stays, the registry or mirror you use serves another file: ask who runs it.""",
    ),
    (
        re.compile(r"No space left|not enough space|disk is full", re.IGNORECASE),
        "The disk is full. Free 3 GB and run the same command again; it goes on where it stopped.",
    ),
    (
        NETWORK,
        """The package registry can't be reached. Check the network, or set PIP_INDEX_URL or PIP_PROXY (or pip.conf)
for your mirror or proxy, and run the same command again.""",
    ),
    (
        re.compile(r"No matching distribution found"),
        """The package registry gave no file for this Python and system. Either it can't be reached (check the network,
PIP_INDEX_URL, PIP_PROXY), or a mirror is not complete, or this is not a 64-bit Python 3.11, 3.12 or 3.13.""",
    ),
    (
        re.compile(r"Permission denied|Read-only file system"),
        "A folder can't be written. Check who owns the clone and the cache, or set HEARTH_CACHE to another folder.",
    ),
)


def run_logged(
    command: Sequence[str | Path], log: Path, *, doing: str, env: Mapping[str, str] | None = None
) -> None:
    """Run to the end with the output in ``log``. Raises Problem with the cause and the log's last lines."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        status = _wait(
            [str(part) for part in command], out.fileno(), log, doing, {**os.environ, **(env or {})}
        )
    if status:
        raise Problem(failure(log.read_text(encoding="utf-8", errors="replace"), doing, log))


@contextmanager
def beside(
    command: Sequence[str | Path], log: Path, env: Mapping[str, str], folder: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """A program that runs meanwhile, with its output in ``log``; ended when what it runs beside is interrupted."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        process = _start([str(part) for part in command], out.fileno(), env, folder)
    try:
        yield process
    finally:
        _end(process)


def wait_within(process: "subprocess.Popen[bytes]", limit_s: float) -> int:
    """The exit status of a program of ``beside``, or STOPPED: one that is not over by then is told to say where it
    stands (pytest writes the stacks of all threads at SIGABRT) and ended."""
    try:
        return process.wait(timeout=limit_s)
    except subprocess.TimeoutExpired:
        tell(f"STOPPED: it was not over after {limit_s:.0f} s")
    if sys.platform != "win32":
        os.killpg(process.pid, signal.SIGABRT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
    return STOPPED


def _start(
    command: list[str], out: int, env: Mapping[str, str], folder: Path | None = None
) -> "subprocess.Popen[bytes]":
    # A group of its own: pip starts cmake, cmake starts ninja, and an interruption must end them all. Two ninjas
    # in one build folder would spoil it.
    own_group = sys.platform != "win32"
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=out,
        env=env,
        cwd=folder,
        start_new_session=own_group,
    )


def _wait(command: list[str], out: int, log: Path, doing: str, env: dict[str, str]) -> int:
    began = time.monotonic()
    process = _start(command, out, env)
    try:
        while True:
            try:
                return process.wait(timeout=SIGN_OF_LIFE_S)
            except subprocess.TimeoutExpired:
                tell(f"still {doing}, {time.monotonic() - began:.0f} s{progress(log)}")
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Leave no child behind, nor a child's child, when we are interrupted."""
    if process.poll() is not None:
        return
    _signal(process, hard=False)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        _signal(process, hard=True)
        process.wait()


def _signal(process: "subprocess.Popen[bytes]", *, hard: bool) -> None:
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True, check=False)
    else:
        os.killpg(process.pid, signal.SIGKILL if hard else signal.SIGTERM)


def progress(log: Path) -> str:
    """Ninja's own count, as ``, 120 of 300 files``; empty when the log has none."""
    found = re.findall(rb"^\s*\[(\d+)/(\d+)\]", log.read_bytes(), re.MULTILINE)
    return f", {found[-1][0].decode()} of {found[-1][1].decode()} files" if found else ""


def failure(output: str, doing: str, log: Path) -> str:
    """The sentence for a failed program: what to do when the output shows a known cause, and its last lines."""
    advice = explain(output) or f"It failed while {doing}; the reason should be in the lines above."
    telling = [line for line in output.splitlines() if not line.startswith(IDLE)]
    tail = "\n".join(telling[-TAIL_LINES:])
    return f"{tail}\n\n{advice}\nThe whole output: {log}"


def explain(output: str) -> str | None:
    """What to do about this output of pip or a compiler, or None when the cause is not a known one."""
    return next((advice for pattern, advice in CAUSES if pattern.search(output)), None)


def first_line(command: Sequence[str]) -> str:
    """The first line a program prints, or nothing when it can't be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return (done.stdout or done.stderr).partition("\n")[0].strip()
