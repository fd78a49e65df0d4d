"""Fitting messages into a window."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat.context import fit, next_out, picture, split_turns
from app.core.generate import ContextPolicy, Message


def count(message: Message) -> int:
    return len(message.text)


def talk(*sizes: int, system: int = 10) -> list[Message]:
    """A system prompt and turns of a question and an answer that share ``size``; the last is a question alone."""
    found = [Message("system", "s" * system)] if system else []
    for size in sizes[:-1]:
        found += [Message("user", "q" * (size // 2)), Message("assistant", "a" * (size - size // 2))]
    return [*found, Message("user", "q" * sizes[-1])]


def test_what_fits_is_left_alone() -> None:
    messages = talk(20, 20, 10)
    for policy in ("stop", "rolling", "drop_middle"):
        chosen = fit(messages, count, 60, policy)
        assert chosen.messages == tuple(messages)
        assert (chosen.dropped, chosen.tokens, chosen.over) == ((), 60, False)


def test_stop_drops_nothing_and_says_so() -> None:
    chosen = fit(talk(20, 20, 10), count, 59, "stop")
    assert (chosen.dropped, chosen.over) == ((), True)


def test_rolling_drops_the_oldest_turns_and_a_quarter_at_once() -> None:
    messages = talk(*[20] * 5, 10)
    chosen = fit(messages, count, 100, "rolling")
    assert chosen.dropped == (1, 2, 3, 4)
    assert chosen.tokens == 80
    assert chosen.messages[0].role == "system"


def test_the_beginning_stays_the_same_for_some_turns() -> None:
    sizes, changes, before = [20] * 3, 0, ()
    for _ in range(20):
        sizes.append(20)
        dropped = fit(talk(*sizes), count, 200, "rolling").dropped
        changes += dropped != before
        assert dropped[: len(before)] == before, "what was dropped stays dropped"
        before = dropped
    assert changes <= 8


def test_drop_middle_keeps_the_first_turn() -> None:
    messages = talk(*[20] * 6, 10)
    chosen = fit(messages, count, 100, "drop_middle")
    assert messages[1] in chosen.messages
    assert chosen.dropped[0] == 3
    assert not chosen.over


def test_pinned_turns_stay() -> None:
    messages = talk(*[20] * 6, 10)
    chosen = fit(messages, count, 100, "rolling", pinned={2})
    assert not {1, 2} & set(chosen.dropped)
    assert chosen.dropped


def test_a_last_question_that_is_too_long_is_over() -> None:
    chosen = fit(talk(20, 200), count, 100, "rolling")
    assert chosen.over
    assert chosen.messages[-1].role == "user"
    assert len(chosen.messages) == 2


def test_tools_belong_to_their_turn() -> None:
    messages = [
        Message("user", "q"), Message("assistant", ""), Message("tool", "r"), Message("assistant", "a"),
        Message("user", "p"),
    ]  # fmt: skip
    assert split_turns(messages) == ([], [[0, 1, 2, 3], [4]])
    assert split_turns([]) == ([], [])
    assert split_turns([Message("assistant", "hello"), Message("user", "q")]) == ([], [[0], [1]])


def test_the_picture_and_what_goes_next() -> None:
    messages = talk(*[20] * 4, 10)
    assert fit(messages, count, 105, "rolling").dropped == ()
    assert next_out(messages, count, 105, "rolling", 5) == ()
    assert next_out(messages, count, 105, "rolling", 15) == (1, 2, 3, 4)
    parts = picture(messages, count, fit(messages, count, 80, "rolling"))
    assert [part.dropped for part in parts[:4]] == [False, True, True, True]
    assert sum(part.tokens for part in parts) == 100


sizes = st.lists(st.integers(1, 60), min_size=1, max_size=25)


@given(sizes, st.integers(20, 400), st.sampled_from(["stop", "rolling", "drop_middle"]), st.integers(0, 20))
def test_properties(turns: list[int], budget: int, policy: ContextPolicy, system: int) -> None:
    messages = talk(*turns, system=system)
    chosen = fit(messages, count, budget, policy)
    kept = [m for i, m in enumerate(messages) if i not in chosen.dropped]
    assert list(chosen.messages) == kept
    assert chosen.tokens == sum(map(count, kept))
    assert chosen.over == (chosen.tokens > budget)
    assert chosen.messages[-1] is messages[-1]
    head, groups = split_turns(messages)
    assert not set(head) & set(chosen.dropped)
    for group in groups:
        assert len(set(group) & set(chosen.dropped)) in {0, len(group)}, "a turn is never cut"
    if policy == "rolling" and chosen.over:
        assert set(chosen.dropped) == {i for group in groups[:-1] for i in group}


@pytest.mark.parametrize("policy", ["rolling", "drop_middle"])
def test_nothing_is_dropped_without_need(policy: ContextPolicy) -> None:
    assert fit(talk(10), count, 20, policy).dropped == ()
