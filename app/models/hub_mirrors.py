"""Which of several Hub addresses is asked: the quickest to answer, and the next when it fails.

The token goes to the first address of the list only (the one the user chose); mirrors are asked without it.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from app.core.errors import HearthError, HubError, HubServerError, HubUnreachableError

log = logging.getLogger(__name__)

AGAIN = 600.0  # seconds a race's result counts
AWAY = 60.0  # seconds an address that failed is asked last
RACE = 5.0  # seconds the slowest may take

T = TypeVar("T")


class Mirrors:
    """The order in which addresses are asked. Thread-safe."""

    def __init__(self, ping: Callable[[str], object]) -> None:
        self._ping = ping
        self._lock = threading.Lock()
        self._order: list[str] = []
        self._raced = float("-inf")
        self._failed: dict[str, float] = {}

    def order(self, addresses: Sequence[str]) -> list[str]:
        """All addresses, the best first."""
        if len(addresses) < 2:
            return list(addresses)
        with self._lock:
            now = time.monotonic()
            if set(self._order) != set(addresses) or now - self._raced > AGAIN:
                self._order, self._raced = self._race(list(addresses)), time.monotonic()
            return sorted(
                self._order, key=lambda address: now - self._failed.get(address, float("-inf")) < AWAY
            )

    def failed(self, address: str) -> None:
        """It did not answer: the others first for a while."""
        with self._lock:
            self._failed[address] = time.monotonic()

    def ask(self, addresses: Sequence[str], action: Callable[[str], T]) -> T:
        """Do it at the best address, and at the next one if that fails. Raises the first one's error."""
        problem: HearthError | None = None
        for address in self.order(addresses):
            try:
                return action(address)
            except HubError as error:
                away = isinstance(error, HubUnreachableError | HubServerError)
                if not away and address == addresses[0]:
                    raise  # what the chosen Hub says is so
                if away:
                    self.failed(address)
                if problem is None or address == addresses[0]:
                    problem = error
                log.info("%s: %s", address, error)
        raise problem or HubUnreachableError(host="the Hub", detail="no address is set")

    def _race(self, addresses: list[str]) -> list[str]:
        arrived, away = list[str](), list[str]()
        done = threading.Condition()

        def run(address: str) -> None:
            found = arrived
            try:
                self._ping(address)
            except HearthError as error:
                log.info("%s does not answer: %s", address, error)
                found = away
            with done:
                found.append(address)
                done.notify()

        runners = [threading.Thread(target=run, args=(a,), name="hub-race", daemon=True) for a in addresses]
        for runner in runners:
            runner.start()
        with done:
            done.wait_for(lambda: arrived or len(away) == len(addresses), RACE)
            first = list(arrived)
        return [*first, *(address for address in addresses if address not in first)]
