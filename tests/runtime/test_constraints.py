"""Constraints, tools and thinking through the real worker: the starter model has no tools and no thinking of its own,
so what is checked is that the forms are kept, whatever the words."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.events import Bus
from app.core.generate import (
    Delta,
    Message,
    ReasoningOptions,
    ResponseFormat,
    SamplingParams,
    ToolCallDelta,
    ToolChoice,
    ToolSpec,
)
from app.runtime.supervisor import Supervisor
from tests.fakes.asking import MODEL, Reply, ask, request, small_plan

WEATHER = ToolSpec(
    "get_weather",
    "The weather of a city",
    {"type": "object", "properties": {"city": {"type": "string", "maxLength": 12}}, "required": ["city"],
     "additionalProperties": False},
)  # fmt: skip
SHORT = SamplingParams(temperature=0, max_tokens=80)


@pytest.fixture(scope="module")
def engine(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    supervisor = Supervisor(Bus(), tmp_path_factory.mktemp("logs"))
    supervisor.ensure_ready(MODEL, small_plan(starter)).result(60)
    yield supervisor
    supervisor.close()


def calls(reply: Reply) -> list[ToolCallDelta]:
    return [call for event in reply.events if isinstance(event, Delta) for call in event.tool_calls]


def test_a_schema_is_kept_to(engine: Supervisor) -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 10},
            "age": {"type": "integer", "maximum": 99},
        },
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    form = ResponseFormat("json_schema", schema=schema)
    reply = ask(engine, request("Describe a person.", SHORT, response_format=form)).wait()
    found = json.loads(reply.text())
    assert set(found) == {"name", "age"}
    assert isinstance(found["age"], int)


def test_a_schema_that_can_not_be_kept_is_refused_by_its_keyword(engine: Supervisor) -> None:
    form = ResponseFormat("json_schema", schema={"not": {"type": "string"}})
    failed = ask(engine, request("Hi", SHORT, response_format=form)).wait().failed
    assert failed.code == "bad_constraint"
    assert "not" in failed.message


@pytest.mark.parametrize("choice", [ToolChoice("required"), ToolChoice("named", "get_weather")])
def test_a_required_call_is_valid(engine: Supervisor, choice: ToolChoice) -> None:
    asked = request(
        "Weather in Hanoi?", SHORT, tools=(WEATHER,), tool_choice=choice, parallel_tool_calls=False
    )
    reply = ask(engine, asked).wait()
    found = calls(reply)
    assert reply.finished().reason == "tool_calls"
    assert found[0].name == "get_weather"
    assert found[0].id
    assert set(json.loads("".join(call.arguments for call in found))) == {"city"}
    assert reply.text() == ""


def test_no_tools_means_none(engine: Supervisor) -> None:
    asked = request("Weather in Hanoi?", SHORT, tools=(WEATHER,), tool_choice=ToolChoice("none"))
    reply = ask(engine, asked).wait()
    assert not calls(reply)
    assert reply.text()


def test_a_thought_ends_when_its_budget_is_spent(engine: Supervisor) -> None:
    begun = (Message("user", "Why is the sky blue?"), Message("assistant", "<think>Let me see:"))
    asked = request(
        messages=begun,
        sampling=SamplingParams(temperature=0, max_tokens=60, ignore_eos=True),
        continue_last=True,
        reasoning=ReasoningOptions(budget=8),
    )
    reply = ask(engine, asked).wait()
    usage = reply.finished().usage
    thought = "".join(event.reasoning for event in reply.events if isinstance(event, Delta))
    assert thought
    assert 8 <= usage.reasoning <= 20
    assert reply.text()
    assert "</think>" not in reply.text() + thought
