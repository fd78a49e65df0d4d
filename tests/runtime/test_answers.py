"""Answers of the real starter model from a real worker process, through the supervisor."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from app.core.events import Bus
from app.core.generate import (
    Delta,
    GenerateRequest,
    ImagePart,
    Message,
    ResponseFormat,
    SamplingParams,
    TextPart,
)
from app.core.types import Sample
from app.runtime.supervisor import Supervisor
from tests.fakes.asking import GREEDY, MODEL, ask, request, small_plan
from tests.waiting import until

STORY = "Tell me a long story about a river."


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return []


@pytest.fixture(scope="module")
def engine(
    starter: Path, tmp_path_factory: pytest.TempPathFactory, samples: list[Sample]
) -> Iterator[Supervisor]:
    bus = Bus()
    bus.subscribe(Sample, samples.append)
    supervisor = Supervisor(bus, tmp_path_factory.mktemp("logs"))
    supervisor.ensure_ready(MODEL, small_plan(starter)).result(60)
    yield supervisor
    supervisor.close()


def sampled(**changes: object) -> SamplingParams:
    return msgspec.structs.replace(GREEDY, **changes)


def test_an_answer_streams_and_is_counted(engine: Supervisor) -> None:
    reply = ask(engine, request("Say hello.")).wait()
    finished = reply.finished()
    assert reply.text().strip()
    assert finished.reason in ("stop", "length")
    assert finished.usage.prompt > 10
    assert finished.usage.completion == sum(e.tokens for e in reply.events if isinstance(e, Delta)) + (
        finished.reason == "stop"
    )
    assert sum(1 for e in reply.events if isinstance(e, Delta)) > 3
    timings = finished.timings
    assert timings.ttft >= timings.prefill > 0
    assert timings.decode_per_second is None or timings.decode_per_second > 0
    assert reply.after_the_end == 0


def test_patient_readers_get_the_same_in_fewer_pieces(engine: Supervisor) -> None:
    text, sampling = "1, 2, 3, 4, 5, 6, 7,", sampled(max_tokens=40, ignore_eos=True)
    eager = ask(engine, request(prompt=text, sampling=sampling)).wait()
    patient = ask(engine, request(prompt=text, sampling=sampling, flush_ms=250)).wait()
    assert patient.text() == eager.text()
    assert patient.finished().usage.completion == eager.finished().usage.completion == 40
    told = [event.tokens for event in patient.events if isinstance(event, Delta) and event.text]
    assert told[0] <= 2  # the first word comes at once
    assert sum(told) == 40
    assert len(told) < 30


def test_greedy_answers_repeat(engine: Supervisor) -> None:
    # What is in the cache was computed in other batches and rounds differently: a beginning without a choice.
    texts = [ask(engine, request(prompt="1, 2, 3, 4, 5, 6, 7,")).wait().text() for _ in range(3)]
    assert texts[0] == texts[1] == texts[2]


def test_a_seed_repeats_and_is_told(engine: Supervisor) -> None:
    hot = sampled(temperature=1.2, top_k=0, top_p=1.0, min_p=0.0)
    first = ask(engine, request("Invent a word.", hot)).wait()
    again = sampled(temperature=1.2, top_k=0, top_p=1.0, min_p=0.0, seed=first.finished().seed)
    # The first prompt token computed alone or in a batch rounds differently: compare equals with equals.
    second, third = (ask(engine, request("Invent a word.", again)).wait() for _ in range(2))
    assert second.text() == third.text()
    assert second.finished().seed == first.finished().seed


def test_four_at_once_answer_as_one_after_another(engine: Supervisor) -> None:
    # Beginnings that can only go on in one way: a batch of four rounds differently than one alone.
    beginnings = [
        "1, 2, 3, 4, 5, 6,",
        "Monday, Tuesday, Wednesday,",
        "January, February, March,",
        "a, b, c, d, e,",
    ]
    few = sampled(max_tokens=10)
    alone = [ask(engine, request(prompt=begin, sampling=few)).wait().text() for begin in beginnings]
    replies = [ask(engine, request(prompt=begin, sampling=few)) for begin in beginnings]
    assert [reply.wait().text() for reply in replies] == alone
    assert len(set(alone)) == 4


def test_more_requests_than_places_end_one_by_one(engine: Supervisor) -> None:
    lengths = [2 + 3 * i for i in range(9)]
    replies = [
        ask(
            engine,
            request(prompt=f"Story {n}:", sampling=sampled(max_tokens=n, ignore_eos=True), flush_ms=n % 40),
        )
        for n in lengths
    ]
    for n, reply in zip(lengths, replies, strict=True):
        assert reply.wait().finished().usage.completion == n
        assert sum(event.tokens for event in reply.events if isinstance(event, Delta)) == n


def test_the_second_turn_computes_only_what_is_new(engine: Supervisor) -> None:
    asked = request("My name is Lan. Remember it, please.")
    first = ask(engine, asked).wait()
    history = (*asked.messages, Message("assistant", first.text()), Message("user", "What is my name?"))
    second = ask(engine, request(messages=history)).wait().finished()
    assert second.usage.cached >= first.finished().usage.prompt
    assert second.timings.prefill_tokens == second.usage.prompt - second.usage.cached


def test_n_answers_share_one_prompt(engine: Supervisor) -> None:
    long = " ".join(f"word{n}" for n in range(40))
    asked = request(f"Repeat: {long}", sampled(n=3, temperature=1.0, max_tokens=8))
    reply = ask(engine, asked).wait()
    finished = [reply.finished(choice) for choice in range(3)]
    assert sum(f.timings.prefill_tokens for f in finished) < 1.5 * finished[0].usage.prompt
    assert [f.usage.prompt for f in finished][1:] == [0, 0]
    assert len({f.seed for f in finished}) == 3
    assert [f.done for f in sorted(finished, key=lambda f: f.done)] == [False, False, True]


def test_cancel_ends_soon_and_frees(engine: Supervisor, samples: list[Sample]) -> None:
    asked = request(STORY, sampled(max_tokens=None))
    reply = ask(engine, asked).begun()
    engine.cancel(asked.id)
    engine.cancel(asked.id)
    assert reply.wait().finished().reason == "cancelled"
    until(lambda: samples[-1].values["active"] == 0)
    assert {name for name in samples[-1].values if "/" not in name} == {
        "active", "batch", "decode_tps", "kv_total", "kv_used", "prefill_tps", "waiting"
    }  # fmt: skip
    assert samples[-1].values["decode_tps"] == 0
    engine.cancel("nobody")


def test_cancel_brings_what_waited(engine: Supervisor) -> None:
    sampling = sampled(max_tokens=None, ignore_eos=True)
    reply = ask(engine, asked := request(STORY, sampling, flush_ms=250)).begun()
    engine.cancel(asked.id)
    finished = reply.wait().finished()
    assert finished.reason == "cancelled"
    assert finished.usage.completion == sum(e.tokens for e in reply.events if isinstance(e, Delta))


def test_cancel_before_the_first_token(engine: Supervisor) -> None:
    asked = request("word " * 600, sampled(max_tokens=None))
    reply = ask(engine, asked)
    engine.cancel(asked.id)
    assert reply.wait(60).finished().reason == "cancelled"
    again = ask(engine, request("Say hello.")).wait()
    assert again.text().strip()


def test_a_cancelled_prefill_counts_what_it_computed(engine: Supervisor) -> None:
    text = "stone " * 700
    asked = request(text, sampled(max_tokens=4))
    reply = ask(engine, asked)
    until(lambda: any(isinstance(e, Delta) and e.prefilled for e in reply.events))
    engine.cancel(asked.id)
    reply.wait()
    second = ask(engine, request(text, sampled(max_tokens=4))).wait().finished()
    assert second.usage.cached > 0


SAID = "The river runs to the sea.\nThe sea is deep, the river is long."


@pytest.mark.parametrize("stop", ["river", "\n", "the ", "deep, the r", "mountain"])
def test_a_stop_string_ends_and_never_shows(engine: Supervisor, stop: str) -> None:
    form = ResponseFormat("gbnf", grammar=f"root ::= {json.dumps(SAID)}")
    sampling = sampled(max_tokens=60, stop=(stop, "never in there"))
    reply = ask(engine, request(STORY, sampling, response_format=form)).wait()
    expected, found, _ = SAID.partition(stop)
    assert reply.text() == expected
    assert reply.finished().stop == (stop if found else "")
    shown = ""
    for event in reply.events:
        if isinstance(event, Delta):
            shown += event.text
            assert stop not in shown


def test_max_tokens_and_the_length_reason(engine: Supervisor) -> None:
    finished = ask(engine, request(STORY, sampled(max_tokens=5))).wait().finished()
    assert (finished.reason, finished.usage.completion) == ("length", 5)


def test_min_tokens_and_ignore_eos_go_on(engine: Supervisor) -> None:
    short = "Reply with the single word yes."
    longer = ask(engine, request(short, sampled(max_tokens=30, min_tokens=25))).wait().finished()
    assert longer.usage.completion >= 25
    endless = ask(engine, request(short, sampled(max_tokens=40, ignore_eos=True))).wait().finished()
    assert (endless.reason, endless.usage.completion) == ("length", 40)


def test_the_context_is_a_limit_not_an_error(engine: Supervisor) -> None:
    reply = ask(engine, request("word " * 970, sampled(max_tokens=None, ignore_eos=True))).wait()
    finished = reply.finished()
    assert finished.reason == "context_full"
    assert finished.usage.prompt + finished.usage.completion >= 1024
    assert finished.usage.completion > 5


def test_a_prompt_that_can_not_fit_is_refused_with_numbers(engine: Supervisor) -> None:
    failed = ask(engine, request("word " * 1200)).wait().failed
    assert failed.code == "prompt_too_long"
    assert failed.params["limit"] == 1024
    assert int(failed.params["tokens"]) > 1024


@pytest.mark.parametrize(
    ("sampling", "part"),
    [
        (SamplingParams(repeat_penalty=0.0), "repeat_penalty"),
        (SamplingParams(temperature=float("nan")), "temperature"),
        (SamplingParams(n=0), "n must"),
        (SamplingParams(logit_bias={10**7: 1.0}), "token"),
    ],
)
def test_bad_parameters_are_refused_by_name(engine: Supervisor, sampling: SamplingParams, part: str) -> None:
    failed = ask(engine, request("Hi", sampling)).wait().failed
    assert failed.code == "bad_request"
    assert part in failed.message


def test_an_image_is_refused_by_a_model_without_eyes(engine: Supervisor) -> None:
    message = Message("user", (TextPart("What is this?"), ImagePart(b"png")))
    failed = ask(engine, request(messages=(message,))).wait().failed
    assert (failed.code, "images" in failed.message) == ("no_eyes", True)


def test_an_empty_request_and_a_wrong_token_are_refused(engine: Supervisor) -> None:
    assert ask(engine, request(prompt="")).wait().failed.code == "bad_request"
    assert ask(engine, request(tokens=(1, 10**6))).wait().failed.code == "bad_request"
    twin = request(STORY, sampled(max_tokens=None))
    first, second = ask(engine, twin).begun(), ask(engine, twin)
    assert second.wait().failed.code == "bad_request"
    engine.cancel(twin.id)
    first.wait()


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": 0.9},
        {"temperature": 0.9, "dynatemp_range": 0.5},
        {"temperature": 0.9, "typical_p": 0.9, "top_n_sigma": 1.0},
        {"temperature": 0.9, "xtc_probability": 0.5, "min_p": 0.0},
        {"temperature": 0.9, "mirostat": 2},
        {"temperature": 0.9, "mirostat": 1},
        {"repeat_penalty": 1.3, "frequency_penalty": 0.2, "presence_penalty": 0.1, "penalty_last_n": -1},
        {"dry_multiplier": 0.8},
        {"logit_bias": {100: -5.0}},
        {"temperature": 0.0, "mirostat": 2},
    ],
    ids="+".join,
)
def test_every_sampler_writes_text(engine: Supervisor, changes: dict[str, object]) -> None:
    reply = ask(engine, request("Tell me about rain.", sampled(max_tokens=12, seed=1, **changes))).wait()
    assert reply.text().strip()


def test_a_bias_forbids_a_token(engine: Supervisor) -> None:
    plain = ask(engine, request("Name a colour.", sampled(max_tokens=1, logprobs=0))).wait()
    token = next(e.logprobs[0].token for e in plain.events if isinstance(e, Delta) and e.logprobs)
    (number,) = engine.tokenize(MODEL, token).result(60)
    forbidden = sampled(max_tokens=1, logit_bias={number: -100.0})
    assert ask(engine, request("Name a colour.", forbidden)).wait().text() != plain.text()


def test_a_penalty_stops_a_loop(engine: Supervisor) -> None:
    prompt = "one two one two one two one two one two one two"
    loop = ask(engine, request(prompt=prompt, sampling=sampled(max_tokens=20))).wait().text()
    freed = sampled(max_tokens=20, dry_multiplier=2.0, dry_sequence_breakers=())
    assert loop.count("one two") > ask(engine, request(prompt=prompt, sampling=freed)).wait().text().count(
        "one two"
    )


def test_logprobs_come_with_alternatives(engine: Supervisor) -> None:
    reply = ask(engine, request("Say hello.", sampled(max_tokens=6, logprobs=3))).wait()
    found = [item for event in reply.events if isinstance(event, Delta) for item in event.logprobs]
    assert len(found) >= 5
    for item in found:
        assert item.logprob <= 0
        assert len(item.top) == 3
        values = [value for *_, value in item.top]
        assert values == sorted(values, reverse=True)
        assert item.top[0][:2] == (item.token, item.data)  # greedy takes the likeliest


def test_a_grammar_is_kept_to(engine: Supervisor) -> None:
    form = ResponseFormat("gbnf", grammar='root ::= "yes" | "no"')
    reply = ask(engine, request("Is water wet?", response_format=form)).wait()
    assert reply.text() in ("yes", "no")
    assert reply.finished().reason == "stop"
    broken = ResponseFormat("gbnf", grammar="root ::= (((")
    assert ask(engine, request("Hi", response_format=broken)).wait().failed.code == "bad_constraint"
    for grammar, why in (
        ("root ::= (", "expecting ')' at the end"),
        ("root ::= there", "Undefined rule identifier 'there'"),
        ('rot ::= "a"', "does not contain a 'root' symbol"),
        ('root ::= root "a" | "b"', "left recursion"),
        ('root ::= "a"}', "expecting newline or end at }"),
    ):
        refused = ask(engine, request("Hi", response_format=ResponseFormat("gbnf", grammar=grammar))).wait()
        assert why in refused.failed.message, refused.failed.message


def test_a_raw_prompt_goes_on(engine: Supervisor) -> None:
    by_text = ask(engine, request(prompt="The capital of France is")).wait().text()
    tokens = engine.tokenize(MODEL, "The capital of France is", special=True).result(60)
    assert ask(engine, request(tokens=tokens)).wait().text() == by_text
    assert "Paris" in by_text


def test_characters_that_span_tokens_arrive_whole(engine: Supervisor) -> None:
    text = "Xin chào, tiếng Việt rất đẹp 🌊🌊"
    tokens = engine.tokenize(MODEL, text).result(60)
    assert len(tokens) > len(text) // 2
    assert engine.detokenize(MODEL, tokens).result(60) == text
    grammar = ResponseFormat("gbnf", grammar=f'root ::= "{text}"')
    reply = ask(engine, request("Say it.", sampled(max_tokens=200), response_format=grammar)).wait()
    assert reply.text() == text
    assert all("�" not in event.text for event in reply.events if isinstance(event, Delta))


def test_render_shows_the_prompt_as_the_model_reads_it(engine: Supervisor) -> None:
    rendered = engine.render(MODEL, [Message("user", "hi")]).result(60)
    assert rendered.prompt.endswith("<|im_start|>assistant\n")
    assert engine.detokenize(MODEL, rendered.tokens).result(60) == rendered.prompt


def test_continue_last_goes_on_with_the_answer(engine: Supervisor) -> None:
    begun = (Message("user", "Name the capital of France."), Message("assistant", "The capital of France is"))
    text = ask(engine, request(messages=begun, continue_last=True)).wait().text()
    assert "Paris" in text[:20]


def test_stop_tokens_end_the_answer(engine: Supervisor) -> None:
    free = ask(engine, request(STORY, sampled(max_tokens=10))).wait()
    tokens = engine.tokenize(MODEL, free.text()).result(60)
    ended = ask(engine, request(STORY, sampled(max_tokens=10, stop_tokens=(tokens[4],)))).wait().finished()
    assert ended.reason == "stop"
    assert ended.usage.completion <= 5


def test_ids_may_be_used_again(engine: Supervisor) -> None:
    asked = GenerateRequest("twice", prompt="Hello", sampling=sampled(max_tokens=2))
    assert ask(engine, asked).wait().text() == ask(engine, asked).wait().text()
