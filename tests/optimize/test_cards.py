"""Run cards, what was measured, and votes: kept, exported, read back, compared."""

from pathlib import Path

import pytest

from app.core.errors import BadRequestError
from app.optimize import cards
from app.optimize.cards import Hardware, Measurements, RunCard, pareto
from app.optimize.orders import Point, Speed
from app.optimize.votes import Vote, Votes, sign_test, tallies


def point(name: str, kl: float = 0.03, **more: object) -> Point:
    values: dict[str, object] = {
        "model": name, "print": f"print of {name}", "bytes": 100, "quant": "Q4_0", "text": "English",
        "text_hash": "t", "reference": "F16", "reference_print": "r", "figures": {"kl": kl, "kl_error": 0.001},
        "path": f"/home/somebody/{name}",
    }  # fmt: skip
    return Point(**{**values, **more})  # type: ignore[arg-type]


def test_a_card_travels_without_paths() -> None:
    card = RunCard(
        engine="llama-cpp-python 0.3.36", hardware=Hardware(cpu="A processor"), points=(point("a"),)
    )
    data = cards.export(card)
    assert b"somebody" not in data
    again = cards.read(data, "card.json")
    assert again.points[0].figures == {"kl": 0.03, "kl_error": 0.001}
    assert again.hardware.cpu == "A processor"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"{", "is no run card"),
        (b'{"format": "something"}', "is no run card"),
        (b'{"version": 99}', "newer Hearth"),
        (b" " * (cards.LARGEST + 1), "too large"),
    ],
)
def test_what_is_no_card_is_named(data: bytes, why: str) -> None:
    with pytest.raises(BadRequestError, match=why):
        cards.read(data, "x.json")


def test_theirs_beside_ours() -> None:
    ours = [point("a", 0.03), point("b", 0.2), point("mine alone", quant="Q6_K")]
    theirs = [point("a", 0.031), point("other b", 0.25), point("unknown", quant="Q2_K")]
    same, close, alone, mine = cards.compare(ours, theirs)
    assert same.same_file
    assert same.difference("kl") == pytest.approx(0.001)
    assert (close.same_file, close.ours) == (False, ours[1])
    assert alone.ours is None
    assert alone.difference("kl") is None
    assert (mine.ours, mine.theirs) == (ours[2], None)


def test_measurements_are_kept_once_each(tmp_path: Path) -> None:
    kept = Measurements(tmp_path / "lab" / "m.json")
    assert kept.all() == ()
    kept.add([point("a", speed=Speed(decode=40.0)), point("b")])
    kept.add([point("a", 0.05)])
    by_name = {found.model: found for found in kept.all()}
    assert by_name["a"].figures["kl"] == 0.05
    assert by_name["a"].speed == Speed(decode=40.0)
    kept.remove([by_name["a"].key])
    assert [found.model for found in kept.all()] == ["b"]


def test_a_table_for_a_spreadsheet() -> None:
    header, row = cards.table([point("a, quoted", speed=Speed(decode=40.5))]).splitlines()
    assert row.startswith('"a, quoted",Q4_0,100,,F16,English,0,f16,f16,')
    assert header.count(",") == row.replace("a, quoted", "").count(",")
    assert ",0.03,0.001," in row
    assert "40.5" in row


def test_the_edge_of_what_is_worth_choosing() -> None:
    assert pareto([(1, 9), (2, 3), (3, 4), (4, 1), (4, 1)]) == {0, 1, 3, 4}
    assert pareto([]) == frozenset()


def test_votes_add_up_whichever_side(tmp_path: Path) -> None:
    votes = Votes(tmp_path / "lab" / "votes.jsonl")
    assert votes.all() == ()
    votes.add(Vote(prompt="p", a="small", b="large", choice="b"))
    votes.add(Vote(prompt="p", a="large", b="small", choice="a"))
    votes.add(Vote(prompt="p", a="large", b="small", choice="tie"))
    votes.add(Vote(prompt="p", a="large", b="small", choice="b", blind=False))
    with (tmp_path / "lab" / "votes.jsonl").open("ab") as file:
        file.write(b"half a li\n")
    assert len(votes.all()) == 4
    (tally,) = tallies(votes.all())
    assert (tally.a, tally.wins_a, tally.wins_b, tally.ties, tally.count) == ("large", 2, 0, 1, 3)
    assert tally.chance == 0.5
    votes.forget()
    assert votes.all() == ()


def test_chance_of_a_split() -> None:
    assert sign_test(0, 0) == 1
    assert sign_test(5, 5) == 1
    assert sign_test(9, 1) == pytest.approx(0.0215, abs=1e-4)
