"""Cutting markdown while it streams: the same segments however it is cut, and frozen ones never change."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ui.markdown import HARD_LIMIT, SOFT_LIMIT, Segment, Splitter, split, split_reasoning

CODE = "Before\n\n```python\nx = 1\n\ny = 2\n```\nAfter"
PIECES = [
    "word ",
    "\n",
    "\n\n",
    "```",
    "```py\n",
    "~~~\n",
    "- item\n",
    "1. one\n",
    "   ",
    "$$",
    "> q\n",
    "| a |\n",
    "|---|\n",
    "\\[",
    "x" * 90,
]


def test_code_is_cut_from_prose() -> None:
    kinds = [(s.kind, s.text, s.info) for s in split(CODE)]
    assert kinds == [("prose", "Before", ""), ("code", "x = 1\n\ny = 2", "python"), ("prose", "After", "")]


def test_a_fence_without_end_is_code_to_the_end() -> None:
    assert split("```\na\nb")[-1] == Segment("code", "a\nb")


def test_code_in_a_list_loses_its_indentation_and_the_list_goes_on() -> None:
    text = "1. Do this:\n   ```bash\n   ls\n     -l\n   ```\n   and then that.\n2. Next"
    before, code, after = split(text)
    assert code == Segment("code", "ls\n  -l", "bash")
    assert before.text == "1. Do this:"
    assert after.text == "and then that.\n\n2. Next"


def test_a_longer_fence_holds_a_shorter_one() -> None:
    assert split("````md\n```\ninner\n```\n````")[0].text == "```\ninner\n```"


def test_a_tag_with_attributes_is_its_first_word() -> None:
    assert split("```{.python} title=x\n1\n```")[0].info == "python"


@pytest.mark.parametrize("text", ["$$x^2$$", "$$\nx^2\n$$", "\\[\nx^2\n\\]"])
def test_display_math_is_its_own_segment(text: str) -> None:
    found = split(f"so\n{text}\nthen")
    assert [(s.kind, s.text) for s in found] == [("prose", "so"), ("math", "x^2"), ("prose", "then")]


def test_two_dollars_that_are_no_formula_stay_text() -> None:
    text = "$$ is the shell's own id\n\nand the text goes on"
    assert "".join(s.text for s in split(text) if s.kind == "prose").startswith("$$")


TABLE = "| a | b |\n|---|--:|\n| 1 | 2 |"


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (f"so:\n{TABLE}\n\nthen", ["prose", "table", "prose"]),
        (f"{TABLE}\n# Next", ["table", "prose"]),
        (f"{TABLE}\n```\nx\n```", ["table", "code"]),
        ("a | b\n--- | ---\n1 | 2", ["table"]),
        (f"- item\n\n  {TABLE}".replace("\n|", "\n  |"), ["prose"]),
        ("a | b is a pipe\n\n---\nc | d", ["prose"]),
        ("> | a | b |\n> |---|---|", ["prose"]),
    ],
)
def test_a_table_is_its_own_segment(text: str, kinds: list[str]) -> None:
    found = split(text)
    assert [segment.kind for segment in found] == kinds
    assert all(
        segment.text == TABLE for segment in found if segment.kind == "table" and "| a" in segment.text
    )


def test_long_prose_is_cut_between_paragraphs_and_short_is_not() -> None:
    paragraph = "word " * 60
    assert len(split("\n\n".join([paragraph] * 2))) == 1
    many = split("\n\n".join([paragraph] * 20))
    assert len(many) > 3
    assert all(len(s.text) < SOFT_LIMIT + len(paragraph) + 10 for s in many)


def test_a_list_is_kept_whole_until_it_is_long() -> None:
    items = [f"{n}. {'word ' * 30}" for n in range(1, 40)]
    found = split("\n\n".join(items))
    assert all(s.text[0].isdigit() for s in found)
    assert max(len(s.text) for s in found) < HARD_LIMIT + 400


def test_a_half_written_fence_does_not_flash() -> None:
    splitter = Splitter()
    splitter.feed("text\n``")
    tail = splitter.tail()
    assert tail is not None
    assert tail.text == "text"


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=60), st.integers(0, 2**32))
def test_feeding_in_any_cut_gives_the_same_segments(pieces: list[str], seed: int) -> None:
    text, rng = "".join(pieces), random.Random(seed)
    splitter, at = Splitter(), 0
    frozen: list[Segment] = []
    while at < len(text):
        step = rng.randint(1, 12)
        splitter.feed(text[at : at + step])
        splitter.tail()
        assert splitter.frozen[: len(frozen)] == frozen
        frozen, at = list(splitter.frozen), at + step
    assert splitter.finish() == split(text)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([piece if "`" not in piece else "\n```\n" for piece in PIECES]), max_size=60))
def test_no_word_is_lost(pieces: list[str]) -> None:
    text = "".join(pieces)
    kept = "".join(s.text + s.info for s in split(text))
    assert kept.count("word") == text.count("word")
    assert kept.count("item") == text.count("item")


@pytest.mark.parametrize("text", ["$" * 8000, "$$a$$ " * 2000, "\\[a\\]" * 2000])
def test_a_model_that_repeats_a_formulas_mark_is_shown(text: str) -> None:
    kept = "".join(segment.text for segment in split(text))
    assert kept.count("a") == text.count("a")
    assert "a" in text or kept == text


def test_a_formula_of_nothing_is_none() -> None:
    assert [(s.kind, s.text) for s in split("before\n$$\n$$\nafter")] == [
        ("prose", "before"),
        ("prose", "after"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", ("", "plain")),
        ("<think>a b</think>\n\nanswer", ("a b", "answer")),
        ("<think>still thinking", ("still thinking", "")),
        ("uses <think> inside", ("", "uses <think> inside")),
    ],
)
def test_reasoning_is_split_from_the_answer(text: str, expected: tuple[str, str]) -> None:
    assert split_reasoning(text) == expected
