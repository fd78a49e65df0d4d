"""Which bytes to fetch again when the whole has the wrong hash and nothing says where.

Plain HTTP has no hashes of parts. What goes wrong on real lines goes wrong where an answer began or a connection broke:
these seams come first, a few per cent of the file. After them the quarters of the file, one by one, until it is right.
"""

from collections.abc import Iterator

from app.models.transfer_ranges import Ranges

SEAM = 1024 * 1024  # bytes on each side of a seam
QUARTERS = 4

Spans = list[tuple[int, int]]


def attempts(seams: set[int], size: int) -> Iterator[Spans]:
    """What to fetch again, attempt by attempt; in all little more than the file once."""
    near = Ranges((max(0, seam - SEAM), min(size, seam + SEAM)) for seam in seams)
    if near.total < size // QUARTERS:
        yield list(near)
    step = max(1, -(-size // QUARTERS))
    for first in range(0, size, step):
        yield [(first, min(size, first + step))]
