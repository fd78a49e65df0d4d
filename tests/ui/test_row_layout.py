"""Rows of a long chat: tops add up, heights replace guesses, keys find rows."""

from hypothesis import given
from hypothesis import strategies as st

from app.ui.entries import Entry
from app.ui.row_layout import GAP, RowLayout


def make(count: int) -> RowLayout:
    layout = RowLayout(10, 10)
    layout.reset([Entry(key, "user", "text " * key) for key in range(count)])
    return layout


def test_rows_follow_each_other() -> None:
    layout = make(5)
    for index in range(1, 5):
        assert layout.top(index) == layout.top(index - 1) + layout.rows[index - 1].height + GAP
    assert layout.total == layout.top(4) + layout.rows[4].height + 10


def test_a_measured_height_moves_what_is_below() -> None:
    layout = make(3)
    before = layout.top(2)
    assert layout.set_height(1, layout.rows[1].height + 7)
    assert layout.top(2) == before + 7
    assert not layout.set_height(1, layout.rows[1].height)


def test_no_rows_are_no_height() -> None:
    layout = make(0)
    assert layout.total == 0
    assert layout.at(100) == -1
    assert list(layout.between(0, 100)) == []


def test_keys_find_rows_after_appending_renaming_and_removing() -> None:
    layout = make(3)
    layout.append(Entry(-1, "assistant"))
    layout.set_entry(3, Entry(77, "assistant"))
    assert layout.index_of(77) == 3
    assert layout.index_of(-1) is None
    layout.remove_from(2)
    assert layout.index_of(77) is None
    assert layout.index_of(1) == 1


@given(st.lists(st.integers(1, 400), min_size=1, max_size=40), st.integers(0, 9000), st.integers(0, 900))
def test_between_names_exactly_the_rows_that_touch(heights: list[int], low: int, span: int) -> None:
    layout = make(len(heights))
    for index, height in enumerate(heights):
        layout.set_height(index, height)
    expected = [
        i
        for i in range(len(heights))
        if layout.top(i) <= low + span and layout.top(i) + layout.rows[i].height >= low
    ]
    found = list(layout.between(low, low + span))
    assert found == expected or (not expected and len(found) <= 1)
