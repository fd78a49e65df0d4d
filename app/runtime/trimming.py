"""Which messages to leave out when a conversation does not fit: whole turns, in blocks, so that what stays begins the
same for several turns and its prefix is found in the cache.

A turn is a user's message with all that answers it (assistant, tool calls, tool results). System messages and the last
turn always stay; ``drop_middle`` keeps the first turn too.
"""

from collections.abc import Sequence

from app.core.generate import ContextPolicy, Message

BLOCKS = 4
"""The conversation loses a quarter of the budget at a time."""


def turns_of(messages: Sequence[Message]) -> list[list[int]]:
    """Indices of the messages of each turn, system messages left out."""
    turns: list[list[int]] = []
    for index, message in enumerate(messages):
        if message.role == "system":
            continue
        if message.role == "user" or not turns:
            turns.append([])
        turns[-1].append(index)
    return turns


def choose_dropped(
    messages: Sequence[Message], sizes: Sequence[int], budget: int, policy: ContextPolicy
) -> tuple[int, ...]:
    """Indices of the messages to leave out so that the others' ``sizes`` (tokens) fit into ``budget``. Empty when all
    fit, with the policy "stop", or when nothing may go. It can be too little: the caller checks."""
    over = sum(sizes) - budget
    if over <= 0 or policy == "stop":
        return ()
    block = max(1, budget // BLOCKS)
    wanted = -(-over // block) * block
    return _oldest(droppable(messages, policy), sizes, wanted)


def droppable(messages: Sequence[Message], policy: ContextPolicy) -> list[list[int]]:
    """The turns that may go, the oldest first."""
    turns = turns_of(messages)
    first = 1 if policy == "drop_middle" else 0
    return turns[first:-1] if len(turns) > 1 else []


def _oldest(turns: list[list[int]], sizes: Sequence[int], wanted: int) -> tuple[int, ...]:
    dropped: list[int] = []
    for turn in turns:
        if sum(sizes[index] for index in dropped) >= wanted:
            break
        dropped += turn
    return tuple(dropped)


def answer_room(n_ctx: int, max_tokens: int | None) -> int:
    """Tokens to keep free for the answer: what it may take at most, but no more than a quarter of the context."""
    quarter = n_ctx // 4
    return quarter if max_tokens is None else min(max_tokens, quarter)
