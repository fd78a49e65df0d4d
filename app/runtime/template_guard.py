"""The budget of one template rendering: work and memory are charged, sizes measured before they are made."""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

STEP = 64
"""Charge of the smallest step, in bytes: about what the smallest Python object takes."""
SCALARS = (str, int, float, type(None))
_INTERVAL = 65536
_MAX_NODES = 200_000


class ExhaustedError(Exception):
    """The template took too long or made too much."""


class Guard:
    """The budget of one rendering: ``text`` characters for one value, ``budget`` bytes in total, ``seconds``.

    The seconds are this thread's own: on a busy machine an honest template must not fail for having waited.
    """

    __slots__ = ("_budget", "_checkpoint", "_deadline", "spent", "text")

    def __init__(self, text: int, budget: int, seconds: float) -> None:
        self.text, self._budget = text, budget
        self.spent, self._checkpoint = 0, _INTERVAL
        self._deadline = time.thread_time() + seconds

    def charge(self, amount: int) -> None:
        """Spend ``amount`` bytes. Raises ExhaustedError past the budget or the deadline."""
        self.spent += amount
        if self.spent > self._checkpoint:
            self._check()

    def _check(self) -> None:
        if self.spent > self._budget:
            raise ExhaustedError("it uses too much memory")
        if time.thread_time() > self._deadline:
            raise ExhaustedError("it takes too long")
        self._checkpoint = min(self.spent + _INTERVAL, self._budget)

    def fits(self, length: int) -> None:
        """Refuse a value of ``length`` characters (or items) before it is made."""
        if length > self.text:
            raise ExhaustedError("it makes a text that is too long")

    def made(self, value: object) -> None:
        """Charge a value that now exists."""
        if isinstance(value, str):
            self.fits(len(value))
            self.charge(sys.getsizeof(value))
        elif isinstance(value, (list, tuple, dict)):
            self.charge(STEP * (len(value) + 1))

    def weigh(self, value: object) -> None:
        """Walk through a container before something walks it blindly: shared parts count each time they are met,
        so ``a = [a, a]`` forty times over is refused."""
        if isinstance(value, SCALARS):
            return
        count, length, waiting = 0, 0, [value]
        while waiting:
            item = waiting.pop()
            count += 1
            if isinstance(item, str):
                length += len(item)
            elif isinstance(item, Mapping):
                waiting += [*item.keys(), *item.values()]
            elif isinstance(item, (list, tuple)):
                waiting += item
            if count + len(waiting) > _MAX_NODES:
                raise ExhaustedError("it makes a value with too many parts")
        self.fits(length)
        self.charge(count * STEP)


class Steps:
    """An iterable whose every step is charged; it has a length when the original has one."""

    __slots__ = ("_guard", "_items")

    def __init__(self, guard: Guard, items: Iterable[Any]) -> None:
        self._guard, self._items = guard, items

    def __iter__(self) -> Iterator[Any]:
        charge = self._guard.charge
        for item in self._items:
            charge(STEP)
            yield item

    def __len__(self) -> int:
        return len(self._items)  # type: ignore[arg-type]
