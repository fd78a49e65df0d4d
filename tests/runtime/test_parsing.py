"""Text out of tokens: any way of cutting it gives the same."""

import itertools
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.runtime.parsing import StopMatcher, TextStream

CUTS = st.lists(st.integers(0, 60), max_size=12)


def pieces(value: Any, cuts: list[int]) -> list[Any]:
    edges = sorted({0, len(value), *(cut for cut in cuts if cut < len(value))})
    return [value[a:b] for a, b in itertools.pairwise(edges)]


class TestTextStream:
    @given(st.text(max_size=40), CUTS)
    def test_any_cut(self, text: str, cuts: list[int]) -> None:
        data = text.encode("utf-8", "replace")
        stream = TextStream()
        assert (
            "".join([*(stream.feed(piece) for piece in pieces(data, cuts)), stream.flush()]) == data.decode()
        )

    @given(st.binary(max_size=40), CUTS)
    def test_any_bytes(self, data: bytes, cuts: list[int]) -> None:
        stream = TextStream()
        text = "".join([*(stream.feed(piece) for piece in pieces(data, cuts)), stream.flush()])
        assert text == data.decode("utf-8", "replace")

    def test_half_a_character_waits(self) -> None:
        stream = TextStream()
        assert stream.feed("ế".encode()[:2]) == ""
        assert stream.feed("ế".encode()[2:] + b"a") == "ếa"
        assert stream.feed(b"\xf0\x9f") == ""
        assert stream.flush() == "\ufffd"


def expected(text: str, stops: list[str]) -> tuple[str, str]:
    found = [
        (text.index(stop) + len(stop), text.index(stop), stop) for stop in stops if stop and stop in text
    ]
    return (text[: min(found)[1]], min(found)[2]) if found else (text, "")


class TestStopMatcher:
    @given(st.text("ab<>\n", max_size=60), st.lists(st.text("ab<>\n", max_size=6), max_size=4), CUTS)
    def test_any_cut_and_no_leak(self, text: str, stops: list[str], cuts: list[int]) -> None:
        matcher, shown, matched = StopMatcher(tuple(stops)), "", ""
        want, stop = expected(text, stops)
        for piece in pieces(text, cuts):
            out, matched = matcher.feed(piece)
            shown += out
            assert want.startswith(shown)
        assert matched == stop == matcher.matched
        assert shown + matcher.flush() == want

    def test_nothing_after_a_match(self) -> None:
        matcher = StopMatcher(("END",))
        assert matcher.feed("one E") == ("one ", "")
        assert matcher.feed("ND two") == ("", "END")
        assert matcher.feed("three") == ("", "END")
        assert matcher.flush() == ""

    def test_held_text_is_given_back(self) -> None:
        matcher = StopMatcher(("END",))
        assert matcher.feed("EN") == ("", "")
        assert matcher.feed("!") == ("EN!", "")
        assert matcher.feed("E") == ("", "")
        assert matcher.flush() == "E"

    def test_no_stops(self) -> None:
        assert StopMatcher(()).feed("a") == ("a", "")
        assert StopMatcher(("",)).feed("a") == ("a", "")

    def test_characters_with_a_meaning_in_patterns(self) -> None:
        for stop in ("]", "^", "-", "\\", "[", "a-z"):
            assert StopMatcher((stop,)).feed(f"x{stop}y") == ("x", stop)
            assert StopMatcher((stop,)).feed("xyz") == ("xyz", "")
