"""Fit a conversation into a model's window: pure functions over messages and a token counter.

A turn is a user's message with all that follows it up to the next one: it is kept or dropped whole, so that no
question stands without its answer and no tool result without its call. The system prompt and the last turn always
stay. When something must go, a quarter of the window is freed at once: the beginning of the prompt then stays the same
for several turns, and the KV cache with it.
"""

from collections.abc import Callable, Collection, Sequence

from msgspec import Struct

from app.core.generate import ContextPolicy, Message

Counter = Callable[[Message], int]
"""Tokens of one message, its template included."""

FREED = 0.25


class Fit(Struct, frozen=True):
    """What goes to the model. ``dropped`` are indices into the messages that were given."""

    messages: tuple[Message, ...]
    dropped: tuple[int, ...]
    tokens: int
    over: bool
    """True when even this is more than the budget: the answer can't be asked for."""


class Part(Struct, frozen=True):
    """One slice of the context picture: who fills the window."""

    index: int
    role: str
    tokens: int
    dropped: bool


def fit(
    messages: Sequence[Message],
    count: Counter,
    budget: int,
    policy: ContextPolicy = "stop",
    pinned: Collection[int] = (),
) -> Fit:
    """Choose the messages that go to the model.

    ``budget`` is in tokens: the window less the room kept for the answer. ``pinned`` are indices whose turns are never
    dropped. ``stop`` drops nothing; ``rolling`` drops the oldest turns; ``drop_middle`` keeps the first turn as well.
    """
    costs = [count(message) for message in messages]
    head, turns = split_turns(messages)
    fixed = sum(costs[index] for index in head)
    weights = [sum(costs[index] for index in turn) for turn in turns]
    kept_turns = {number for number, turn in enumerate(turns) if any(index in pinned for index in turn)}
    if policy == "drop_middle":
        kept_turns.add(0)
    gone = set[int]() if policy == "stop" else _trim(weights, fixed, budget, kept_turns)
    dropped = tuple(index for number in sorted(gone) for index in turns[number])
    kept = tuple(message for index, message in enumerate(messages) if index not in dropped)
    tokens = sum(costs) - sum(costs[index] for index in dropped)
    return Fit(kept, dropped, tokens, tokens > budget)


def split_turns(messages: Sequence[Message]) -> tuple[list[int], list[list[int]]]:
    """Indices of the system prompt at the beginning, and of each turn."""
    first = next((i for i, message in enumerate(messages) if message.role != "system"), len(messages))
    turns: list[list[int]] = []
    for index in range(first, len(messages)):
        if messages[index].role == "user" or not turns:
            turns.append([])
        turns[-1].append(index)
    return list(range(first)), turns


def _trim(weights: list[int], fixed: int, budget: int, kept: Collection[int]) -> set[int]:
    """Turns to drop. Replays the conversation turn by turn, so that what was dropped once stays dropped and the
    beginning only changes when the window is full again."""
    gone: set[int] = set()
    total = fixed
    for last, weight in enumerate(weights):
        total += weight
        if total <= budget:
            continue
        goal = budget - int(budget * FREED)
        for number in range(last):
            if total <= goal:
                break
            if number not in gone and number not in kept:
                gone.add(number)
                total -= weights[number]
    return gone


def picture(messages: Sequence[Message], count: Counter, chosen: Fit) -> tuple[Part, ...]:
    """What fills the window, message by message, those left out marked."""
    gone = set(chosen.dropped)
    return tuple(Part(i, message.role, count(message), i in gone) for i, message in enumerate(messages))


def next_out(
    messages: Sequence[Message],
    count: Counter,
    budget: int,
    policy: ContextPolicy,
    coming: int,
    pinned: Collection[int] = (),
) -> tuple[int, ...]:
    """Indices that a next turn of ``coming`` tokens would push out beyond what is out already."""
    now = fit(messages, count, budget, policy, pinned)
    more = [*messages, Message("user", "")]
    last = len(messages)
    then = fit(
        more, lambda message: coming if message is more[last] else count(message), budget, policy, pinned
    )
    return tuple(index for index in then.dropped if index not in now.dropped)
