"""Responses kept in memory, a bounded number of them, so that a client can go on by naming the last."""

from collections import OrderedDict
from typing import Generic, TypeVar

from msgspec import Struct

from app.core.generate import ImagePart, Message
from app.server.errors import Problem

T = TypeVar("T")
MOST_KEPT = 256
MOST_BYTES = 64 * 2**20


class Kept(Struct, Generic[T]):
    """A response and the conversation up to it."""

    response: T
    messages: tuple[Message, ...]
    size: int


class Shelf(Generic[T]):
    """The newest responses, at most so many and so much."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Kept[T]] = OrderedDict()
        self._size = 0

    def put(self, response_id: str, response: T, messages: tuple[Message, ...]) -> None:
        """Keep one; the oldest go."""
        size = sum(_size(message) for message in messages)
        self._kept[response_id] = Kept(response, messages, size)
        self._size += size
        while len(self._kept) > MOST_KEPT or (self._size > MOST_BYTES and len(self._kept) > 1):
            self._size -= self._kept.popitem(last=False)[1].size

    def get(self, response_id: str, param: str | None = None) -> Kept[T]:
        """One by its id. Raises Problem: 404, or 400 when it is named by a field."""
        found = self._kept.get(response_id)
        if found is None:
            status = 400 if param else 404
            text = f"There is no response {response_id} here: they are kept while the server is on."
            raise Problem(status, "response_not_found", text, param)
        return found

    def drop(self, response_id: str) -> None:
        """Forget one. Raises Problem when it is not there."""
        self._size -= self.get(response_id).size
        del self._kept[response_id]


def _size(message: Message) -> int:
    images = () if isinstance(message.content, str) else message.content
    pictures = sum(len(part.data) for part in images if isinstance(part, ImagePart))
    calls = sum(len(call.arguments) for call in message.tool_calls)
    return len(message.text) + len(message.reasoning) + pictures + calls + 200
