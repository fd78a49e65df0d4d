"""The worker killed at random moments of answers: never a lost chat, never a zombie, always a reason.

HEARTH_KILLS sets how many moments are tried (default 10).
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from app.chat.session import ChatSession, TurnOptions
from app.chat.store import ChatStore
from app.core.events import Bus
from app.core.generate import SamplingParams
from app.core.types import LoadPlan
from app.runtime.supervisor import Supervisor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

KILLS = int(os.environ.get("HEARTH_KILLS", "10"))


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_worker_killed_at_random_moments(starter: Path, tmp_path: Path) -> None:
    rolls, bus = random.Random(7), Bus()
    supervisor, store = Supervisor(bus, tmp_path), ChatStore(tmp_path / "chats.sqlite", bus)
    session = ChatSession(store, supervisor)
    plan = LoadPlan(str(starter), n_ctx=512, n_parallel=2, n_threads=1)
    options = TurnOptions("m", sampling=SamplingParams(max_tokens=300, ignore_eos=True, seed=1))
    chat = store.create("killed").id
    try:
        for round_ in range(KILLS):
            ready = supervisor.ensure_ready("m", plan).result(60)
            chat = store.create(f"round {round_}").id
            turn = session.ask(chat, f"Tell story number {round_}.", options, lambda _event: None)
            time.sleep(rolls.random() * 1.5)
            assert ready.pid
            os.kill(ready.pid, rolls.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT]))
            turn.ended.result(60)
            question, answer = store.messages(chat)
            assert question.text == f"Tell story number {round_}."
            assert answer.state == "done"
            assert answer.error is not None
            assert answer.error.code == "worker_crashed"
            assert "SIG" in answer.error.message + answer.error.details
            assert not _alive(ready.pid)
    finally:
        session.close()
        supervisor.close()
        store.close()
    assert len(ChatStore(tmp_path / "chats.sqlite", bus).conversations()) == KILLS + 1


def _alive(pid: int) -> bool:
    """Running, or dead and not reaped: both are wrong."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if not psutil.pid_exists(pid):
            return False
        time.sleep(0.02)
    return True
