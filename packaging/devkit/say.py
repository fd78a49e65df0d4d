"""What the developer reads: one line for each step with its time, and a sentence when one fails."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Problem(Exception):  # noqa: N818 - it is not always an error
    """A step failed. The text says what to do about it, and is all the user sees."""


def tell(text: str) -> None:
    """Print one line now: output into a pipe would otherwise arrive after the tool's own."""
    print(f"  {text}", flush=True)


@contextmanager
def step(label: str) -> Iterator[None]:
    """Print what begins, and how long it took once it is done."""
    print(f"- {label}", flush=True)
    began = time.monotonic()
    yield
    tell(f"done in {time.monotonic() - began:.1f} s")
