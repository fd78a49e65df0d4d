"""Which request of the usage history was whose answer."""

import pytest

from app.chat.answer_energy import AnswerEnergy, of_answers
from app.chat.store_types import StoredMessage
from app.chat.transfer_words import answer_words
from app.core.generate import Usage
from app.planning.usage import Request

ANSWER = StoredMessage(
    7, 1, None, "assistant", "So.", model="m:Q4", usage=Usage(20, 5), finished_at=1000.0
)  # fmt: skip


def _request(**changes: object) -> Request:
    values: dict[str, object] = {
        "at": 1000.1, "model": "m:Q4", "prompt_tokens": 20, "completion_tokens": 5,
        "joules_prefill": 1.0, "joules_decode": 2.0, "joules_idle": 0.5,
    }  # fmt: skip
    return Request(**{**values, **changes})  # type: ignore[arg-type]


def test_the_request_that_ended_with_the_answer_is_its_own() -> None:
    assert of_answers([ANSWER], [_request()]) == {7: AnswerEnergy(3.5)}
    entered = of_answers([ANSWER], [_request(energy_origin="entered")])
    assert entered == {7: AnswerEnergy(3.5, entered=True)}
    assert answer_words(entered[7]) == "energy 0.000972 Wh (from entered watts)"


@pytest.mark.parametrize(
    "other", [{"model": "n:Q4"}, {"completion_tokens": 6}, {"prompt_tokens": 21}, {"at": 1009.0}]
)
def test_the_request_of_another_answer_is_not(other: dict[str, object]) -> None:
    assert of_answers([ANSWER], [_request(**other)]) == {}


def test_a_request_is_counted_once_and_the_nearest_is_taken() -> None:
    twin = StoredMessage(8, 1, None, "assistant", "So.", model="m:Q4", usage=Usage(20, 5), finished_at=1003.0)
    late = _request(at=1003.1, joules_idle=None)
    assert of_answers([ANSWER, twin], [_request(), late]) == {7: AnswerEnergy(3.5), 8: AnswerEnergy(3.0)}
    assert of_answers([ANSWER, twin], [_request()]) == {7: AnswerEnergy(3.5)}
