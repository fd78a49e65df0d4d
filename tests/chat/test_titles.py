"""Titles of conversations."""

import pytest

from app.chat.titles import from_answer, from_question


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Hello", "Hello"),
        ("\n\n## What is\nthis", "What is"),
        ("word " * 30, "word word word word word word word word word word word word…"),
        ("x" * 100, "x" * 60 + "…"),
        ("", ""),
        ("```", ""),
    ],
)
def test_titles(text: str, title: str) -> None:
    assert from_question(text) == title


@pytest.mark.parametrize(
    ("answer", "title"),
    [
        ("Hanoi in spring", "Hanoi in spring"),
        ('**"Hanoi in spring."**', "Hanoi in spring"),
        ("<think>the user wants\na title</think>\n\nTiêu đề: Hà Nội", "Hà Nội"),
        ("\n\nTitle - Hanoi\nand more", "Hanoi"),
        ("<think>never ends", ""),
        ("", ""),
        ("x", ""),
        ("word " * 60, ""),
    ],
)
def test_a_title_in_an_answer(answer: str, title: str) -> None:
    assert from_answer(answer) == title
