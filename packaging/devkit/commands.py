"""The commands of ``packaging/dev.py``. Each first sees to it that everything is set up, which is quick once it is."""

import argparse
import errno
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from devkit import (
    cuda,
    engine,
    machine,
    minilm,
    package,
    peers,
    qtlibs,
    release,
    rocm,
    shell,
    starter,
    trial,
    venvs,
    vulkan,
)
from devkit.folders import BUILD, REQUIREMENTS, ROOT
from devkit.say import Problem, step, tell
from devkit.stamps import key_of, locked
from devkit.venvs import CLIENTS, LOCKER, MAIN, PACKAGER, WITHOUT_QT

BY_FILE = ("--dist", "loadfile", "--no-loadscope-reorder", "--max-worker-restart", "0")
"""In the order of tests/conftest.py, the longest files first; pytest-xdist's own is by the number of tests. A process
that a test ends is not replaced: pytest-xdist 3.8 then waits for ever for a file's last test."""
TESTS_WITHOUT_QT = ("-n", "2", *BY_FILE, "-m", "not gui", "--ignore=tests/ui")
TESTS_WITH_QT = ("-n", "1", *BY_FILE, "--no-qt-log", "-m", "gui", "tests/ui", "tests/integration")
"""Each test runs once: what needs no window runs where Qt is not installed, which proves that it needs none. Both run
at once, for two cores: two processes that start engines, and one with a window that uses what those leave. Qt's own
messages go where they go in the program: a handler in Python is called under Qt's locks, and waits for Python's."""
LONGEST_PASS_S = 2400.0
"""Six times what a pass takes on two cores: what is not over by then stands still."""
LOCK_OPTIONS = [
    "--universal",
    "--python-version",
    "3.11",
    "--generate-hashes",
    "--no-header",
    "--no-config",
    "--quiet",
]
LOCKED = ("core", "gui", "test", "dev", "clients", "build", "package", "lock")
"""Requirement files in the order of who constrains whom."""
INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit status. Every failure is a sentence, never a traceback."""
    signal.signal(signal.SIGTERM, _stop)
    chosen = _parse(arguments)
    try:
        return COMMANDS[chosen.command](chosen.rest)
    except Problem as problem:
        return _failed(str(problem))
    except OSError as error:
        return _failed(os_sentence(error))
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on from here.", file=sys.stderr)
        return INTERRUPTED


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py", description="Set up, run, test and measure Hearth.")
    parser.add_argument("command", choices=list(COMMANDS))
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="arguments for the program or tool behind it")
    return parser.parse_args(arguments)


def _stop(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _failed(sentence: str) -> int:
    print(f"\n{sentence}", file=sys.stderr, flush=True)
    return 1


def os_sentence(error: OSError) -> str:
    """What to do about an error of the file system."""
    if error.errno == errno.ENOSPC:
        return "The disk is full. Free 3 GB and run the same command again; it goes on where it stopped."
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return f"{error.filename} can't be written. Check who owns it, or set HEARTH_HOME and HEARTH_CACHE elsewhere."
    return f"{error}. Put that right and run the same command again."


def set_up() -> None:
    """Everything the other commands need. A second set-up of the same clone waits, then finds it done."""
    if not _all_done():
        with locked(BUILD / "setup.lock", "working on this clone"):
            venvs.ensure(MAIN)
            _system_libraries()
            engine.ensure(MAIN)
            MAIN.once("program", _program_key(), "Installing Hearth itself, as links here", _install_program)
    starter.ensure(MAIN)


def _all_done() -> bool:
    """A few milliseconds: hashes of small files, no process started."""
    done = MAIN.stamps.done
    args = machine.this_machine_args(engine.backend().name)
    steps = {"engine": engine.install_key(args), "program": _program_key(), "libraries": _libraries_key()}
    return venvs.ready(MAIN) and all(done(name, key) for name, key in steps.items())


def _libraries_key() -> str:
    return key_of(sorted({**qtlibs.OFFSCREEN, **qtlibs.ON_SCREEN}))


def _system_libraries() -> None:
    """Without them there is no window, but everything else works: say what to run and go on."""
    if MAIN.stamps.done("libraries", _libraries_key()):
        return
    with step("Qt's system libraries"):
        try:
            qtlibs.ensure_libraries()
        except Problem as problem:
            tell(f"NOTE: {problem}")
            return
    MAIN.stamps.finish("libraries", _libraries_key())


def _program_key() -> str:
    """Only the project's own table matters to an editable install, not the tools' settings beside it."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return key_of(str(ROOT), tomllib.load(file)["project"])


def _install_program() -> None:
    options = ["--no-deps", "--no-build-isolation", "--no-index"]
    MAIN.pip("program", "installing", "install", *options, "--editable", ROOT)


def setup(_arguments: Sequence[str]) -> int:
    """Everything but the start."""
    began = time.monotonic()
    set_up()
    print(f"Ready ({time.monotonic() - began:.1f} s). Start with: make run")
    return 0


def setup_tests(_arguments: Sequence[str]) -> int:
    """What ``test`` needs beside that, which may be made while something else runs."""
    set_up()
    _test_extras()
    _without_qt()
    return 0


def run(arguments: Sequence[str]) -> int:  # noqa: RET503 - execv does not return
    """Start the program; it replaces this process where the system can do that."""
    set_up()
    # -P: a folder named app in the user's current one must not be taken for ours.
    command = [str(MAIN.python), "-P", "-m", "app", *arguments]
    sys.stdout.flush()
    if sys.platform == "win32":
        return subprocess.call(command)
    os.execv(command[0], command)


def test(arguments: Sequence[str]) -> int:
    """All tests offscreen, those without a window where Qt is not installed; or the chosen ones, with Qt."""
    set_up()
    _test_extras()
    began = time.monotonic()
    if arguments:
        return _call([MAIN.python, "-m", "pytest", *arguments], _test_env())
    _without_qt()
    return next((status for status in _test_all() if status), None) or _all_passed(began)


def _test_extras() -> None:
    """What only the tests need: an embedding model, the server's clients that can't live beside ours, and tools that
    make installers."""
    minilm.ensure(MAIN)
    package.tools(package.TEST_TOOLS)
    with locked(BUILD / "setup.lock", "working on this clone"):
        venvs.ensure(CLIENTS)


def _all_passed(began: float) -> int:
    print(f"All tests passed, with Qt and without ({time.monotonic() - began:.0f} s).")
    return 0


def _without_qt() -> None:
    with locked(BUILD / "setup.lock", "working on this clone"):
        venvs.ensure(WITHOUT_QT)
        engine.ensure(WITHOUT_QT)


def _test_all() -> tuple[int, int]:
    """Both passes at once; the window's is shown when the other is over, or when both end early. Their exit
    statuses."""
    log = BUILD / "logs" / "tests-window.log"
    try:
        with shell.beside([MAIN.python, "-m", "pytest", *TESTS_WITH_QT], log, _test_env(), ROOT) as window:
            print("- The tests that need no window, where Qt is not installed", flush=True)
            tests: list[str | Path] = [WITHOUT_QT.python, "-m", "pytest", *TESTS_WITHOUT_QT]
            status = _call(tests, _test_env(), limit_s=LONGEST_PASS_S)
            return status, shell.wait_within(window, LONGEST_PASS_S)
    finally:
        print("- The tests of the window, offscreen, which ran meanwhile", flush=True)
        sys.stdout.buffer.write(log.read_bytes())  # as it is: a console may know fewer letters
        sys.stdout.flush()


def _test_env() -> dict[str, str]:
    """No window on the developer's screen, and where the real model is: tests move HEARTH_HOME."""
    ours = {"QT_QPA_PLATFORM": "offscreen", "HEARTH_STARTER": str(starter.installed())}
    given = {**ours, **venvs.child_env()}
    # The tests start hundreds of processes: without compiled files each would compile the program anew.
    given.pop("PYTHONDONTWRITEBYTECODE", None)
    return given


def check(_arguments: Sequence[str]) -> int:
    """Every check, also after one failed: the developer sees them all at once."""
    set_up()
    failed = [name for name, command in _checks().items() if not _passes(name, command)]
    print(f"Failed: {', '.join(failed)}" if failed else "All checks passed.")
    return 1 if failed else 0


def _checks() -> dict[str, list[str | Path]]:
    ruff = MAIN.program("ruff")
    return {
        "format": [ruff, "format", "--check", "."],
        "ruff": [ruff, "check", "--no-cache", "."],
        "types": [MAIN.python, "-m", "mypy"],
        "layers": [MAIN.program("lint-imports"), "--no-logo"],
        "owners": [MAIN.python, ROOT / "packaging" / "owners.py"],
        "size": [MAIN.python, ROOT / "packaging" / "size_rule.py"],
    }


def _passes(name: str, command: Sequence[str | Path]) -> bool:
    began = time.monotonic()
    print(f"- {name}", flush=True)
    status = _call(command, venvs.child_env())
    tell(f"{'passed' if status == 0 else 'FAILED'} in {time.monotonic() - began:.1f} s")
    return status == 0


def bench(arguments: Sequence[str]) -> int:
    """The figures, as a table and in build/bench.json."""
    set_up()
    return _call([MAIN.python, "-m", "tests.bench", *arguments], _test_env())


def bench_peers(arguments: Sequence[str]) -> int:
    """The engine and the lab beside llama.cpp's own tools, in the same run, as ratios."""
    set_up()
    env = {**_test_env(), "HEARTH_PEERS": str(peers.ensure())}
    command: list[str | Path] = [
        MAIN.python,
        "-m",
        "tests.bench",
        "peers",
        "lab",
        "--out",
        "build/bench-peers.json",
        *arguments,
    ]
    return _call(command, env)


def lab_proof(arguments: Sequence[str]) -> int:
    """The quantization lab's files, matrices and figures beside those of llama.cpp's own tools."""
    set_up()
    env = {**_test_env(), "HEARTH_PEERS": str(peers.ensure())}
    return _call([MAIN.python, "-m", "tests.lab_proof", *arguments], env)


def engine_vulkan(_arguments: Sequence[str]) -> int:
    """The Vulkan backend as a pack in the cache; its folder is the last line."""
    pack = vulkan.ensure()
    print(f"Use it with the setting engine.packs, or HEARTH_PACKS, set to:\n{pack}")
    return 0


def engine_cuda(arguments: Sequence[str]) -> int:
    """The CUDA backend as a pack in the cache, where nvcc is; its folder is the last line."""
    wanted = cuda.choose(arguments)
    pack = cuda.ensure()
    if wanted.archive:
        release.pack_archive(pack)
    print(f"Use it with: hearth engine install FOLDER\n{pack}")
    return 0


def engine_rocm(arguments: Sequence[str]) -> int:
    """The ROCm backend as a pack in the cache, where hipcc is; its folder is the last line."""
    wanted = rocm.choose(arguments)
    pack = rocm.ensure()
    if wanted.archive:
        release.pack_archive(pack)
    print(f"Use it with: hearth engine install FOLDER\n{pack}")
    return 0


def update_list(arguments: Sequence[str]) -> int:
    """A key, or the signed list of installers in a folder (from several systems); see packaging/update_manifest.py."""
    venvs.ensure(PACKAGER)
    command: list[str | Path] = [PACKAGER.python, release.LIST_SCRIPT, *arguments]
    return _call(command, dict(os.environ))


def soak(arguments: Sequence[str]) -> int:
    """Many clients for twenty minutes, each checking its answers."""
    set_up()
    return _call([MAIN.python, "-m", "tests.soak", *arguments], _test_env())


def shots(arguments: Sequence[str]) -> int:
    """A picture of every page, in build/shots."""
    set_up()
    return _call([MAIN.python, "-m", "tests.shots", *arguments], _test_env())


def lock(_arguments: Sequence[str]) -> int:
    """Write the requirement files anew from the .in files. Hashes and versions only: no host, no path."""
    venvs.ensure(LOCKER)
    for name in LOCKED:
        with step(f"Locking {name}.txt"):
            command: list[str | Path] = [LOCKER.program("uv"), "pip", "compile", *LOCK_OPTIONS]
            command += [f"{name}.in", "-o", f"{name}.txt"]
            if _call(command, dict(os.environ), REQUIREMENTS):
                return 1
    return 0


def _call(
    command: Sequence[str | Path], env: Mapping[str, str], folder: Path = ROOT, limit_s: float | None = None
) -> int:
    sys.stdout.flush()
    try:
        return subprocess.call([str(part) for part in command], env=env, cwd=folder, timeout=limit_s)
    except subprocess.TimeoutExpired:
        tell(f"STOPPED: it was not over after {limit_s:.0f} s")
        return shell.STOPPED


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "setup": setup, "setup-tests": setup_tests, "run": run, "test": test, "check": check, "bench": bench,
    "bench-peers": bench_peers, "lab-proof": lab_proof,
    "engine-vulkan": engine_vulkan, "engine-cuda": engine_cuda, "engine-rocm": engine_rocm,
    "package": package.package, "package-test": trial.package_test, "soak": soak, "shots": shots, "lock": lock,
    "update-list": update_list,
}  # fmt: skip
