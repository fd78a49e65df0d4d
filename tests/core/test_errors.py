"""Errors: stable codes, whole sentences, and they survive a process boundary."""

import pickle

from app.core import errors


def test_codes_are_unique_and_stand_in_the_docstring() -> None:
    kinds = errors._tree(errors.HearthError)
    assert len({kind.code for kind in kinds}) == len(kinds)
    for kind in kinds:
        assert kind.__name__ in str(errors.__doc__)


def test_every_leaf_s_code_is_documented() -> None:
    for kind in errors._tree(errors.HearthError):
        if not kind.__subclasses__():
            assert f"{kind.__name__} " in str(errors.__doc__), kind
            assert f" {kind.code}\n" in str(errors.__doc__), kind


def test_the_sentence_holds_what_why_and_the_next_step() -> None:
    error = errors.PortInUseError(port=8177, free=8178)
    assert str(error) == "Port 8177 is used by another program. Port 8178 is free."
    assert error.action == "use_free_port"


def test_a_missing_parameter_never_raises() -> None:
    assert "(path)" in errors.WrongMagicError(found="PK").message


def test_an_error_crosses_a_pickle_and_a_code() -> None:
    error = errors.TruncatedModelError(path="a.gguf", found=1, expected=2)
    for copy in (pickle.loads(pickle.dumps(error)), errors.from_code(error.code, error.params)):
        assert type(copy) is errors.TruncatedModelError
        assert copy.message == error.message


def test_an_unknown_code_is_an_internal_error() -> None:
    assert isinstance(errors.from_code("from the future", {"detail": "x"}), errors.InternalError)
