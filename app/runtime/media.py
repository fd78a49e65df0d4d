"""Images in a sequence of tokens, without llama.cpp: what stands for them, so that prefixes can be compared and kept.

An image takes as many places in a sequence as it has embeddings. Each place holds a negative number made of the SHA-256
of the image's bytes: the same image in the next turn is the same tokens, another one never is. Two bits beside the hash
say whether a place begins a piece, and whether it moves the position on: under M-RoPE (Qwen's) an image of n embeddings
takes fewer than n positions. Numbers below zero are no token of any vocabulary.
"""

from array import array
from collections.abc import Iterable, Sequence

FIRST, STILL = 2, 1
"""Bits: a piece of an image begins here; the position stays where it was."""


def places(digest: bytes, count: int, positions: int) -> list[int]:
    """What stands for one piece of an image: ``count`` embeddings over ``positions`` positions."""
    number = int.from_bytes(digest, "big") << 2
    moving, still = _mark(number), _mark(number | STILL)
    return [_mark(number | FIRST), *[moving] * (positions - 1), *[still] * (count - positions)]


def _mark(number: int) -> int:
    return -1 - number


def still_places(tokens: Sequence[int]) -> list[tuple[int, int]]:
    """(end, places) of each run of places that take no position; empty for nearly every sequence."""
    if not tokens or min(tokens) >= 0:
        return []
    found: list[tuple[int, int]] = []
    for at, token in enumerate(tokens):
        if token < 0 and -1 - token & STILL:
            if found and found[-1][0] == at:
                found[-1] = (at + 1, found[-1][1] + 1)
            else:
                found.append((at + 1, 1))
    return found


def plain(tokens: Iterable[int]) -> list[int]:
    """The tokens of the vocabulary alone."""
    return [token for token in tokens if token >= 0]


def shown(tokens: Iterable[int]) -> tuple[int, ...]:
    """Tokens as they are told to others: -1 for each place of an image."""
    return tuple(max(token, -1) for token in tokens)


# ------------------------------------------------------------------------------------------------ on disk
def pack(tokens: Sequence[int]) -> tuple[bytes, tuple[bytes, ...]]:
    """int32 numbers and the hashes they point to: place -1 - (4 k + bits) is of image k."""
    if not tokens or min(tokens) >= 0:
        return array("i", tokens).tobytes(), ()
    known: dict[int, int] = {}
    numbers = array("i", (token if token >= 0 else _packed(token, known) for token in tokens))
    return numbers.tobytes(), tuple(number.to_bytes(32, "big") for number in known)


def _packed(token: int, known: dict[int, int]) -> int:
    number = -1 - token
    index = known.setdefault(number >> 2, len(known))
    return _mark(index << 2 | number & 3)


def unpack(numbers: bytes, images: Sequence[bytes]) -> list[int]:
    """What ``pack`` was given. Raises ValueError for a number that points nowhere."""
    tokens = array("i", numbers).tolist()
    if not tokens or min(tokens) >= 0:
        return tokens
    hashes = [int.from_bytes(image, "big") << 2 for image in images]
    try:
        return [token if token >= 0 else _mark(hashes[-1 - token >> 2] | -1 - token & 3) for token in tokens]
    except IndexError as error:
        raise ValueError("it names an image that it does not have") from error
