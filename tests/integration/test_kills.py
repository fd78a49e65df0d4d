"""The worker killed at 50 random moments, of loading, reading, writing and ending: never a lost chat, never a zombie,
always a reason.

HEARTH_KILLS sets how many moments are tried.
"""

import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from app.chat.session import ChatSession, TurnOptions
from app.chat.store import ChatStore
from app.core.errors import WorkerCrashedError
from app.core.events import Bus, ErrorInfo
from app.core.generate import Delta, SamplingParams
from app.core.types import LoadPlan
from app.runtime.supervisor import Supervisor
from tests.waiting import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals"),
]

KILLS = int(os.environ.get("HEARTH_KILLS", "50"))
SIGNALS = (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT)
OPTIONS = TurnOptions("m", sampling=SamplingParams(max_tokens=300, ignore_eos=True, seed=1))


class Victim:
    """A model, its chats, and what kills its worker."""

    def __init__(self, starter: Path, folder: Path) -> None:
        self.rolls, self.bus = random.Random(7), Bus()
        self.supervisor, self.store = (
            Supervisor(self.bus, folder),
            ChatStore(folder / "chats.sqlite", self.bus),
        )
        self.session = ChatSession(self.store, self.supervisor)
        self.plan = LoadPlan(str(starter), n_ctx=512, n_parallel=2, n_threads=1)
        self.moments: Counter[str] = Counter()
        self.kept: dict[int, str] = {}
        """Conversation -> what must be in its answer."""

    def close(self) -> None:
        self.session.close()
        self.supervisor.close()
        self.store.close()

    def state(self) -> str:
        found = self.supervisor.snapshot("m")
        return found.state if found else "stopped"

    def kill(self, pid: int) -> None:
        os.kill(pid, self.rolls.choice(SIGNALS))

    def while_loading(self) -> None:
        """Some time after the process was started: it may be ready by then."""
        coming = self.supervisor.ensure_ready("m", self.plan)
        first = until(lambda: (found := self.supervisor.snapshot("m")) and found.pid)
        if self.rolls.random() < 0.5:
            until(lambda: self.state() != "starting")
        time.sleep(self.rolls.random() * 0.2)
        self.moments[self.state()] += 1
        self.kill(first)
        error = coming.exception(60)
        if error is None:
            # Killed once it was ready, or a "crash" in the first decode: then it is tried once more.
            ready = coming.result()
            assert ready.pid
            if ready.pid != first:
                self.kill(ready.pid)
            until(lambda: self.state() == "failed")
            assert not _alive(ready.pid)
        else:
            assert isinstance(error, WorkerCrashedError)
            assert "SIG" in str(error)
        self.check(first)

    def while_answering(self, number: int) -> None:
        """After so many of the answer's events: of none it may still be read."""
        pid = self.supervisor.ensure_ready("m", self.plan).result(60).pid
        assert pid
        seen, moment, text = self.rolls.randrange(0, 12), threading.Event(), []
        count = 0

        def listen(event: object) -> None:
            nonlocal count
            if isinstance(event, Delta):
                text.append(event.text)
                count += bool(event.text)
            if count >= seen:
                moment.set()

        chat = self.store.create(f"round {number}").id
        turn = self.session.ask(chat, f"Tell story number {number}.", OPTIONS, listen)
        assert moment.wait(60)
        time.sleep(self.rolls.random() * 0.03)
        self.moments["writing" if count else "reading"] += 1
        self.kill(pid)
        turn.ended.result(60)
        question, answer = self.store.messages(chat)
        assert question.text == f"Tell story number {number}."
        assert answer.text == "".join(text)
        assert (answer.state, answer.error.code if answer.error else "") == ("done", "worker_crashed")
        assert answer.error is not None
        assert "SIG" in answer.error.message + answer.error.details
        self.kept[chat] = answer.text
        self.check(pid)

    def while_ending(self) -> None:
        pid = self.supervisor.ensure_ready("m", self.plan).result(60).pid
        assert pid
        ending = self.supervisor.unload("m")
        time.sleep(self.rolls.random() * 0.02)
        self.moments["ending"] += 1
        try:
            self.kill(pid)
        except ProcessLookupError:
            self.moments["ended"] += 1
        ending.result(60)
        assert self.state() == "stopped"
        assert not _alive(pid)

    def check(self, pid: int) -> None:
        assert not _alive(pid)
        found = self.supervisor.snapshot("m")
        assert found is not None
        assert (found.state, found.pid, found.active, found.waiting) == ("failed", None, 0, 0)
        error = found.error
        assert isinstance(error, ErrorInfo)
        assert (error.code, "SIG" in error.message) == ("worker_crashed", True)


@pytest.fixture
def victim(starter: Path, tmp_path: Path) -> Iterator[Victim]:
    made = Victim(starter, tmp_path)
    yield made
    made.close()


def test_a_worker_killed_at_random_moments(victim: Victim, tmp_path: Path) -> None:
    for round_ in range(KILLS):
        match victim.rolls.choices(("loading", "answering", "ending"), (4, 8, 1))[0]:
            case "loading":
                victim.while_loading()
            case "answering":
                victim.while_answering(round_)
            case "ending":
                victim.while_ending()
    assert victim.moments.total() - victim.moments["ended"] == KILLS
    if KILLS >= 50:
        assert {"reading", "writing", "ending"} <= set(victim.moments)
        assert {"starting", "loading"} & set(victim.moments)
    victim.close()
    store = ChatStore(tmp_path / "chats.sqlite", Bus())
    assert {c.id: store.messages(c.id)[1].text for c in store.conversations()} == victim.kept
    store.close()


def _alive(pid: int) -> bool:
    """Running, or dead and not reaped: both are wrong."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if not psutil.pid_exists(pid):
            return False
        time.sleep(0.01)
    return True
