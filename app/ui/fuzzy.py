"""Finding by a few letters: small and capital, with and without diacritics, letters left out. No Qt."""

import unicodedata
from functools import lru_cache

_WORD, _RUN, _START = 8, 5, 12


@lru_cache(maxsize=8192)
def folded(text: str) -> str:
    """Lower case without diacritics: "Tiếng Việt" and "tieng viet" become the same; đ is d."""
    apart = unicodedata.normalize("NFD", text.casefold().replace("đ", "d"))
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def score(query: str, text: str) -> int:
    """How well all words of ``query`` fit ``text``: 0 does not, more is better. Letters of a word must come in order;
    at the beginning of words, next to each other and near the start they count more."""
    total, target = 1, folded(text)
    for word in folded(query).split():
        found = _word(word, target)
        if not found:
            return 0
        total += found
    return total


def _word(word: str, target: str) -> int:
    at = _best_place(word, target)
    if at >= 0:
        begins = at == 0 or not target[at - 1].isalnum()
        return 10 * len(word) * _RUN + (_WORD * 4 if begins else 0) + (_START if at == 0 else 0)
    return _scattered(word, target)


def _best_place(word: str, target: str) -> int:
    """Where the whole word stands, best at the beginning of a word of the target."""
    at = first = target.find(word)
    while at > 0 and target[at - 1].isalnum():
        at = target.find(word, at + 1)
    return at if at >= 0 else first


def _scattered(word: str, target: str) -> int:
    total, last = 0, -1
    for letter in word:
        at = target.find(letter, last + 1)
        # The beginning of a later word beats the next letter that happens to be the same.
        begins = _word_start(letter, target, last + 1)
        if begins >= 0 and at != last + 1:
            at = begins
        if at < 0:
            return 0
        total += (_RUN if at == last + 1 else 1) + (_WORD if at == 0 or not target[at - 1].isalnum() else 0)
        last = at
    return total if total >= 2 * len(word) else 0


def _word_start(letter: str, target: str, after: int) -> int:
    at = target.find(letter, after)
    while at > 0 and target[at - 1].isalnum():
        at = target.find(letter, at + 1)
    return at
