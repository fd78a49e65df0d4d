"""The protocol's schema as a snapshot (a change of it is meant and seen), and frames of any bytes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import InternalError, PromptTooLongError
from app.core.events import MemoryUse
from app.core.generate import Delta, Finished, GenerateRequest, Message, SamplingParams, Timings, Usage
from app.core.types import LoadPlan
from app.runtime.protocol import (
    Cancel,
    Command,
    Event,
    Events,
    Load,
    Progress,
    Ready,
    Report,
    Stats,
    Submit,
    Unload,
    decode_command,
    decode_report,
    encode,
    error_info,
)

SNAPSHOT = Path(__file__).parent / "fixtures" / "protocol.json"


def schema() -> dict[str, dict[str, str]]:
    """Tag -> field -> type, for both unions."""
    found = {}
    for kind in (*get_args(Command), *get_args(Report)):
        fields = msgspec.structs.fields(kind)
        found[str(kind.__struct_config__.tag)] = {item.name: _name(item.type) for item in fields}
    return found


def _name(kind: object) -> str:
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)


def test_the_schema_is_the_one_written_down() -> None:
    """When it changes on purpose: write ``schema()`` into the file, as below."""
    text = json.dumps(schema(), indent=1, sort_keys=True) + "\n"
    if not SNAPSHOT.exists():
        SNAPSHOT.parent.mkdir(exist_ok=True)
        SNAPSHOT.write_text(text)
    assert text == SNAPSHOT.read_text()


@pytest.mark.parametrize(
    "message",
    [
        Load("m", LoadPlan("/x.gguf", n_ctx=7, tensor_overrides=(("a", "CPU"),))),
        Submit(
            1, GenerateRequest("r", (Message("user", "hi"),), sampling=SamplingParams(logit_bias={5: -1.0}))
        ),
        Cancel(3),
        Unload(),
    ],
)
def test_commands_come_back_the_same(message: Command) -> None:
    assert decode_command(encode(message)) == message


@pytest.mark.parametrize(
    "message",
    [
        Progress(0.5),
        Ready(1, 2, "CPU", (MemoryUse("CPU", 1, 2, 3),), 0.5),
        Events([Event(1, Delta(text="a")), Event(1, Finished("stop", Usage(), Timings()))]),
        Stats({"batch": 1.0}),
    ],
)
def test_reports_come_back_the_same(message: Report) -> None:
    assert decode_report(encode(message)) == message


def test_errors_travel_with_their_parameters() -> None:
    info = error_info(PromptTooLongError(tokens=5, limit=4))
    assert (info.code, info.params) == ("prompt_too_long", {"tokens": 5, "limit": 4})
    info = error_info(ZeroDivisionError("by zero"))
    assert info.code == InternalError.code
    assert "by zero" in info.message


@given(st.binary(max_size=300))
@settings(max_examples=2000, deadline=None)
def test_any_bytes_are_a_message_or_a_decode_error(frame: bytes) -> None:
    assert isinstance(read(decode_command, frame), Command | msgspec.DecodeError)
    assert isinstance(read(decode_report, frame), Report | msgspec.DecodeError)


def read(decode: Callable[[bytes], object], frame: bytes) -> object:
    try:
        return decode(frame)
    except msgspec.DecodeError as error:
        return error


_VALID = [
    encode(message) for message in (Load("m", LoadPlan("/x")), Submit(1, GenerateRequest("r", prompt="x")))
]


@given(st.sampled_from(_VALID), st.integers(0, 10_000), st.integers(0, 255), st.booleans())
@settings(max_examples=2000, deadline=None)
def test_a_damaged_frame_is_a_message_or_a_decode_error(frame: bytes, at: int, value: int, cut: bool) -> None:
    at %= len(frame)
    damaged = frame[:at] if cut else frame[:at] + bytes([value]) + frame[at + 1 :]
    assert isinstance(read(decode_command, damaged), Command | msgspec.DecodeError)
