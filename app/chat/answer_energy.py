"""What single answers used: the requests of the usage history, found again for the messages of a chat.

The history holds no text and no message ids: an answer's request is the one of the same chat and model, with the same
tokens, that ended when the answer did. Where power could not be read nothing is claimed.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from app.chat.store_types import StoredMessage

if TYPE_CHECKING:
    from app.planning.usage import Day, Request

NEAR = 5.0
"""Seconds between the end of an answer and that of its request: they are noted on two threads."""


class AnswerEnergy(Struct, frozen=True, omit_defaults=True):
    """Joules of one answer: reading, writing and idling meanwhile; not known of one that was continued, which took
    several requests. ``entered``: from watts that a person entered, not from a sensor."""

    joules: float
    entered: bool = False


class EnergyBook(Protocol):
    """Who knows: ``UsageStore``."""

    def chat(self, conversation: str, /) -> "Day":
        """Sums of a conversation, by its key."""

    def answers(self, conversation: str, /) -> "Sequence[Request]":
        """Its requests whose energy is known, oldest first."""


def of_answers(messages: Sequence[StoredMessage], requests: "Sequence[Request]") -> dict[int, AnswerEnergy]:
    """The energy of the messages of which it is known, by their ids; a request belongs to one message only."""
    found: dict[int, AnswerEnergy] = {}
    left = list(requests)
    for message in messages:
        fitting = [request for request in left if _belongs(request, message)]
        if not fitting:
            continue
        nearest = min(fitting, key=lambda request: abs(request.at - (message.finished_at or 0.0)))
        left.remove(nearest)
        found[message.id] = AnswerEnergy(_joules(nearest), nearest.energy_origin == "entered")
    return found


def _belongs(request: "Request", message: StoredMessage) -> bool:
    if message.usage is None or message.finished_at is None or request.model != message.model:
        return False
    tokens = (request.prompt_tokens, request.completion_tokens)
    return (
        tokens == (message.usage.prompt, message.usage.completion)
        and abs(request.at - message.finished_at) <= NEAR
    )


def _joules(request: "Request") -> float:
    return (request.joules_prefill or 0.0) + (request.joules_decode or 0.0) + (request.joules_idle or 0.0)
