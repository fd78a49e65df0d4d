"""Shared fixtures, and the checks that no test leaks a thread, a process, a timer, a window or a warning."""

import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings

from app.core.events import Bus
from app.core.paths import Paths, find_paths
from tests.starter import find_starter

# How fast examples are made says how busy the machine is, not whether the program is right.
settings.register_profile("hearth", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hearth")

# Threads that live as long as the process by design of the library that starts them.
LASTING_THREADS = ("pytest_timeout", "execnet", "tqdm", "asyncio_", "pydevd", "Dummy-")
GRACE = 30.0
"""Seconds for what was told to end; waited in full only for what is left behind."""
# Several engines answer at once here. Threads that spin while they wait hold the core that the awaited thread needs:
# on two cores an answer then takes ten to fifty times as long. Threads that sleep cost an engine alone a few percent.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

WITH_WINDOW = {"ui", "integration"}
"""The folders that the pass with Qt looks into."""
LONG = (
    "server/test_suites.py", "integration/test_soak.py", "optimize/test_lab.py", "integration/test_vulkan.py",
    "integration/test_kills.py", "runtime/test_supervisor.py", "runtime/test_answers.py", "runtime/test_template.py",
    "cli/test_commands.py", "runtime/test_kvstore.py", "runtime/test_grammar.py", "runtime/test_sight.py",
    "runtime/test_families.py", "server/test_spoken.py", "server/test_hostile.py", "models/test_downloads.py",
    "models/test_transfer.py", "models/test_kill.py", "runtime/test_trimming.py", "runtime/test_formats.py",
    "planning/test_memory.py", "runtime/test_scheduler.py", "cli/test_lab.py", "models/test_gguf.py",
    "runtime/test_constraints.py", "chat/test_store.py", "server/test_clients_openai.py", "runtime/test_embedding.py",
)  # fmt: skip
"""The longest files without a window, the longest first: they begin first, so that no process is left alone with one
at the end. The window's are run by one process."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything below tests/ui needs Qt, and nothing outside of ``WITH_WINDOW``."""
    for item in items:
        folder = _place(item).partition("/")[0]
        if folder == "ui":
            item.add_marker("gui")
        if item.get_closest_marker("gui") and folder not in WITH_WINDOW:
            raise pytest.UsageError(
                f"{item.nodeid} is marked gui: it belongs into one of {sorted(WITH_WINDOW)}"
            )
    items.sort(key=lambda item: LONG.index(_place(item)) if _place(item) in LONG else len(LONG))


def _place(item: pytest.Item) -> str:
    """Its file, below this folder."""
    here = Path(__file__).parent
    return item.path.relative_to(here).as_posix() if item.path.is_relative_to(here) else item.path.name


def pytest_configure(config: pytest.Config) -> None:
    """Announce the markers that the checks below understand."""
    config.addinivalue_line("markers", "expects_log(*parts): warnings the program is meant to log here")


@pytest.fixture(scope="session")
def starter() -> Path:
    """The real starter model's GGUF, as set up by ``packaging/dev.py``."""
    path = find_starter()
    if path is None:
        pytest.fail("The starter model is not on this machine: run `make setup` first.")
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own as HEARTH_HOME, and no Hub but what the test starts."""
    folder = tmp_path / "home"
    monkeypatch.setenv("HEARTH_HOME", str(folder))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    return folder


@pytest.fixture
def paths(home: Path) -> Paths:
    """Ready-made folders below ``home``."""
    return find_paths().ensure()


@pytest.fixture
def bus() -> Bus:
    """A bus of the test's own."""
    return Bus()


class _Recorder(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture(autouse=True)
def no_unexpected_warning(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test in which the program logged a warning nobody announced with ``@pytest.mark.expects_log("part")``."""
    expected = [str(part) for mark in request.node.iter_markers("expects_log") for part in mark.args]
    recorder, logger = _Recorder(), logging.getLogger("app")
    logger.addHandler(recorder)
    yield
    logger.removeHandler(recorder)
    texts = [record.getMessage() for record in recorder.records]
    surprising = [text for text in texts if not any(part in text for part in expected)]
    missing = [part for part in expected if not any(part in text for text in texts)]
    assert not surprising, f"unexpected warnings: {surprising}"
    assert not missing, f"announced and never logged: {missing}"


@pytest.fixture(autouse=True)
def no_leak(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a thread, a child process, a window or a running timer behind."""
    threads, windows = set(_threads()), _windows()
    children = _children() | _children()  # a list that is read while one ends may lack another
    # What is there is set aside: the collections below look at this test's objects alone (1 ms instead of 300).
    gc.freeze()
    yield
    _until(lambda: not (set(_threads()) - threads or _children() - children))
    leaked: list[object] = [thread.name for thread in set(_threads()) - threads]
    leaked += [f"process {child}" for child in _children() - children]
    leaked += sorted(_windows() - windows) + sorted(_timers())
    assert not leaked, f"left behind: {leaked}"


def _until(done: object) -> None:
    end = time.monotonic() + GRACE
    while not done() and time.monotonic() < end:  # type: ignore[operator]
        time.sleep(0.02)


def _threads() -> list[threading.Thread]:
    alive = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    return [thread for thread in alive if not thread.name.startswith(LASTING_THREADS)]


def _children() -> set[int]:
    """Ids of the processes started by this one, and by those. By Linux's own lists where it keeps them: psutil looks at
    every process of the machine instead, which costs a hundred times as much."""
    own = os.getpid()
    if not Path(f"/proc/{own}/task/{own}/children").exists():
        return {child.pid for child in psutil.Process().children(recursive=True)}
    found, parents = set[int](), [own]
    while parents:
        new = set(_started_by(parents.pop())) - found
        found |= new
        parents += new
    return found


def _started_by(parent: int) -> Iterator[int]:
    with suppress(OSError):  # it may have ended meanwhile
        for task in os.listdir(f"/proc/{parent}/task"):  # noqa: PTH208 - three times a test
            yield from map(int, Path(f"/proc/{parent}/task/{task}/children").read_text().split())


def _qt() -> bool:
    module = sys.modules.get("PySide6.QtWidgets")
    return bool(module and module.QApplication.instance())


def _windows() -> set[str]:
    if not _qt():
        return set()
    from PySide6.QtCore import QCoreApplication, QEvent
    from PySide6.QtWidgets import QApplication

    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    visible = [widget for widget in QApplication.topLevelWidgets() if widget.isVisible()]
    return {f"window {type(widget).__name__} {id(widget):x}" for widget in visible}


def _timers() -> set[str]:
    """Running timers made since the last ``gc.freeze``."""
    if not _qt():
        return set()
    import shiboken6
    from PySide6.QtCore import QTimer

    gc.collect()
    timers = [item for item in gc.get_objects() if isinstance(item, QTimer) and shiboken6.isValid(item)]
    return {f"timer {id(timer):x} of {timer.parent()!r}" for timer in timers if timer.isActive()}
