"""Leaving turns out of a conversation that does not fit."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.events import Bus
from app.core.generate import ContextPolicy, Delta, Message, SamplingParams, ToolCall
from app.runtime.supervisor import Supervisor
from app.runtime.trimming import answer_room, choose_dropped, turns_of
from tests.fakes.asking import MODEL, Reply, ask, request, small_plan

SYSTEM = Message("system", "Be brief.")


def chat(turns: int) -> tuple[Message, ...]:
    pairs = ((Message("user", f"q{n}"), Message("assistant", f"a{n}")) for n in range(turns))
    return (SYSTEM, *(message for pair in pairs for message in pair), Message("user", "last"))


def test_a_turn_is_a_question_with_all_its_answers() -> None:
    call = Message("assistant", tool_calls=(ToolCall("1", "f"),))
    messages = [
        SYSTEM,
        Message("user", "a"),
        call,
        Message("tool", "4"),
        Message("assistant", "4"),
        Message("user", "b"),
    ]
    assert turns_of(messages) == [[1, 2, 3, 4], [5]]
    assert turns_of([Message("assistant", "hi"), Message("user", "a")]) == [[0], [1]]


def test_the_policies() -> None:
    messages = chat(5)
    sizes = [10] * len(messages)
    assert choose_dropped(messages, sizes, 120, "rolling") == ()
    assert choose_dropped(messages, sizes, 100, "stop") == ()
    assert choose_dropped(messages, sizes, 100, "rolling") == (1, 2, 3, 4)
    assert choose_dropped(messages, sizes, 100, "drop_middle") == (3, 4, 5, 6)
    assert choose_dropped(messages[-1:], [500], 100, "rolling") == ()


@given(st.integers(1, 30), st.integers(50, 400), st.sampled_from(["rolling", "drop_middle"]), st.data())
def test_what_stays_is_whole_and_begins_the_same_for_some_turns(
    turns: int, budget: int, policy: ContextPolicy, data: st.DataObject
) -> None:
    messages = chat(turns)
    sizes = data.draw(st.lists(st.integers(1, 40), min_size=len(messages), max_size=len(messages)))
    dropped = choose_dropped(messages, sizes, budget, policy)
    assert 0 not in dropped
    assert len(messages) - 1 not in dropped
    assert all(set(turn) <= set(dropped) or not set(turn) & set(dropped) for turn in turns_of(messages))
    block = budget // 4
    grown = choose_dropped(
        (*messages, Message("assistant", "a"), Message("user", "b")), [*sizes, 1, 1], budget, policy
    )
    assert set(dropped) <= set(grown)
    over = sum(sizes) - budget
    if over > 0 and -(-over // block) == -(-(over + 2) // block):
        assert dropped == grown or len(dropped) == 2 * (turns - (policy == "drop_middle"))


def test_room_for_the_answer() -> None:
    assert answer_room(1000, None) == 250
    assert answer_room(1000, 10) == 10
    assert answer_room(1000, 5000) == 250


# --------------------------------------------------------------------------- with the real model


@pytest.fixture(scope="module")
def engine(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    supervisor = Supervisor(Bus(), tmp_path_factory.mktemp("logs"))
    supervisor.ensure_ready(MODEL, small_plan(starter, n_ctx=512)).result(60)
    yield supervisor
    supervisor.close()


def long_chat(turns: int) -> tuple[Message, ...]:
    return tuple(
        message
        for n in range(turns)
        for message in (
            Message("user", f"Question {n}: " + "why " * 20),
            Message("assistant", "Because. " * 8),
        )
    )


def turn(engine: Supervisor, history: tuple[Message, ...], policy: ContextPolicy) -> Reply:
    sampling = SamplingParams(temperature=0, max_tokens=16)
    return ask(engine, request(messages=history, sampling=sampling, context_policy=policy)).wait()


def dropped(reply: Reply) -> tuple[int, ...]:
    found = [event.dropped for event in reply.events if isinstance(event, Delta) and event.dropped]
    assert len(found) <= 1
    return found[0] if found else ()


def test_the_prefix_survives_several_turns(engine: Supervisor) -> None:
    history = long_chat(14)
    cached, gone = [], []
    for n in range(5):
        reply = turn(engine, (*history, Message("user", f"And {n}?")), "rolling")
        usage = reply.finished().usage
        assert usage.prompt <= 512 - 16
        cached.append(usage.cached / usage.prompt)
        gone.append(dropped(reply))
        history = (*history, Message("user", f"And {n}?"), Message("assistant", reply.text()))
    assert gone[0]
    assert min(gone[0]) == 0
    assert sum(share > 0.5 for share in cached[1:]) >= 3


def test_the_start_stays_when_the_middle_goes(engine: Supervisor) -> None:
    gone = dropped(turn(engine, (*long_chat(14), Message("user", "And now?")), "drop_middle"))
    assert gone
    assert {0, 1} & set(gone) == set()


def test_one_message_that_can_not_fit_is_refused(engine: Supervisor) -> None:
    failed = turn(engine, (*long_chat(3), Message("user", "word " * 700)), "rolling").failed
    assert failed.code == "prompt_too_long"
    assert turn(engine, long_chat(20), "stop").failed.code == "prompt_too_long"
