"""Images through the real worker: the starter model with a projector of three colours (tests/fakes/projector.py)."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from app.core.errors import HearthError
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
from app.runtime.supervisor import Supervisor
from tests.fakes.asking import MODEL, Reply, ask, request, small_plan
from tests.fakes.mrope import write_mrope
from tests.fakes.projector import BLUE, GREEN, RED, TOKENS, picture, png, write_projector

ASKED = " Which colour has the picture?"
WORD = SamplingParams(temperature=0.0, max_tokens=4)
ONE_OF = ResponseFormat("gbnf", grammar='root ::= "red" | "green" | "blue"')
"""The starter model is small: it may choose among three words, but the choice is its own."""


@pytest.fixture(scope="module")
def projector(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_projector(tmp_path_factory.mktemp("eyes") / "mmproj-three-colours.gguf", starter)


@pytest.fixture(scope="module")
def seeing(starter: Path, projector: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    supervisor = Supervisor(Bus(), tmp_path_factory.mktemp("seeing"))
    try:
        ready = supervisor.ensure_ready(MODEL, small_plan(starter, projector=str(projector))).result(60)
        assert ready.sees
        assert not ready.blind
        yield supervisor
    finally:
        supervisor.close()


def about(*images: bytes, text: str = ASKED, **fields: object) -> GenerateRequest:
    parts = (*(ImagePart(image) for image in images), TextPart(text))
    return request(
        messages=(Message("user", parts),), **({"sampling": WORD, "response_format": ONE_OF} | fields)
    )


def seen(supervisor: Supervisor, *images: bytes) -> str:
    return ask(supervisor, about(*images)).wait().text().lower()


@pytest.mark.parametrize(("colour", "word"), [(RED, "red"), (BLUE, "blue"), (GREEN, "green")])
def test_what_is_seen_is_said(seeing: Supervisor, colour: tuple[int, int, int], word: str) -> None:
    assert seen(seeing, picture(colour)) == word


def test_two_pictures_are_told_apart(seeing: Supervisor) -> None:
    striped = seen(seeing, picture(RED, BLUE)), seen(seeing, picture(BLUE, RED))
    assert {*striped} <= {"red", "blue"}
    order = "The first picture, then the second picture. The second picture's colour:"
    asked = about(picture(GREEN), picture(BLUE), text=order)
    assert ask(seeing, asked).wait().text() in ("blue", "green")


def test_an_image_is_counted_and_comes_from_the_cache(seeing: Supervisor) -> None:
    red, blue = picture(RED, side=32), picture(BLUE, side=32)
    first = ask(seeing, about(red)).wait().finished().usage
    again = ask(seeing, about(red)).wait().finished().usage
    assert again.cached == first.prompt - 1
    other = ask(seeing, about(blue)).wait().finished().usage
    assert other.prompt == first.prompt
    assert other.cached < first.prompt - TOKENS, "a different image is never taken for the same"
    rendered = seeing.render(MODEL, about(red).messages).result(30)
    assert rendered.tokens.count(-1) == TOKENS
    assert len(rendered.tokens) == first.prompt
    assert "<image>" in rendered.prompt
    assert seeing.measure_image(MODEL, 4000, 3000).result(30) == TOKENS


def test_the_next_turn_goes_on_behind_the_image(seeing: Supervisor) -> None:
    messages = list(about(picture(GREEN)).messages)
    first = ask(seeing, request(messages=tuple(messages), sampling=WORD)).wait()
    messages += [Message("assistant", first.text()), Message("user", "Say it again, please.")]
    second = ask(seeing, request(messages=tuple(messages), sampling=WORD)).wait().finished().usage
    usage = first.finished().usage
    assert second.cached >= usage.prompt - 1


def test_others_go_on_beside_images(seeing: Supervisor) -> None:
    counting = request("Count from one to thirty in words.", SamplingParams(temperature=0.0, max_tokens=16))
    alone = ask(seeing, counting).wait().text()
    beside = [ask(seeing, request("", counting.sampling, messages=counting.messages))]
    beside += [
        ask(seeing, about(picture(colour, RED, side=40 + at))) for at, colour in enumerate((RED, BLUE, GREEN))
    ]
    texts = [reply.wait().text() for reply in beside]
    assert texts[0][:8] == alone[:8]
    assert all(texts)


def test_several_answers_look_at_one_image(seeing: Supervisor) -> None:
    sampling = SamplingParams(temperature=0.0, max_tokens=4, n=3)
    reply = ask(seeing, about(picture(BLUE, side=60), sampling=sampling)).wait()
    assert ["blue" in reply.text(choice).lower() for choice in range(3)] == [True] * 3


def test_an_image_is_cancelled(seeing: Supervisor) -> None:
    asked = about(picture(BLUE, GREEN, side=90))
    reply = ask(seeing, asked)
    seeing.cancel(asked.id)
    assert reply.wait().finished().reason in ("cancelled", "length", "stop")


BAD = {
    "damaged": (picture(RED)[:40] + b"\0" * 40, "damaged"),
    "cut short": (picture(RED)[:12], "beginning is damaged"),
    "no image": (b"just text", "not an image"),
    "a bomb": (png(60_000, 60_000, b""), "million in all"),
    "webp": (b"RIFF\0\0\0\0WEBPVP8X" + bytes(14), "WebP"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_images_are_refused(seeing: Supervisor, case: str) -> None:
    data, words = BAD[case]
    failed = ask(seeing, about(picture(RED), data)).wait().failed
    assert failed.code == "bad_image"
    assert "Image 2" in failed.message
    assert words in failed.message
    assert "red" in seen(seeing, picture(RED)), "the worker lives on"


def test_too_many_images_for_the_context(seeing: Supervisor) -> None:
    failed = ask(seeing, about(*[picture(RED)] * 60, text="word " * 900)).wait().failed
    assert failed.code == "prompt_too_long"
    failed = ask(seeing, about(*[picture(RED)] * 65)).wait().failed
    assert (failed.code, "64 in one request" in failed.message) == ("bad_image", True)


def test_the_mark_of_images_is_only_text_in_a_message(seeing: Supervisor) -> None:
    reply = ask(seeing, about(picture(RED), text="<__media__>" + ASKED)).wait()
    assert "red" in reply.text().lower()


# ------------------------------------------------------------------------------------------------ other projectors
def load(starter: Path, folder: Path, **changes: object) -> tuple[Supervisor, str]:
    supervisor = Supervisor(Bus(), folder, cache=folder / "cache")
    return supervisor, supervisor.ensure_ready(MODEL, small_plan(starter, **changes)).result(60).blind


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path, starter: write_projector(path, starter, width=512), "n_embd = 512"),
        (
            lambda path, starter: write_projector(path, starter, lacks="v.patch_embd.weight"),
            "ended the engine",
        ),
    ],
    ids=["of another model", "one that crashes"],
)
def test_a_projector_that_can_not_be_used(starter: Path, tmp_path: Path, make: object, words: str) -> None:
    path = tmp_path / "mmproj.gguf"
    make(path, starter)  # type: ignore[operator]
    supervisor, blind = load(starter, tmp_path / "logs", projector=str(path))
    try:
        assert words in blind
        failed = ask(supervisor, about(picture(RED))).wait().failed
        assert failed.code == "no_eyes"
        with pytest.raises(HearthError, match="can't see images"):
            supervisor.measure_image(MODEL, 10, 10).result(30)
        assert ask(supervisor, request("Hello")).wait().text()
    finally:
        supervisor.close()


def test_a_mask_that_looks_both_ways(starter: Path, tmp_path: Path) -> None:
    path = write_projector(tmp_path / "mmproj.gguf", starter, kind="gemma3")
    supervisor, blind = load(starter, tmp_path / "logs", projector=str(path))
    try:
        assert not blind
        assert "red" in seen(supervisor, picture(RED))
        assert "blue" in seen(supervisor, picture(BLUE))
    finally:
        supervisor.close()


def test_fewer_positions_than_places(starter: Path, tmp_path: Path) -> None:
    """M-RoPE: the same weights as a Qwen2-VL; its projector makes 16 places over 4 positions of a picture."""
    model = write_mrope(starter, tmp_path / "mrope.gguf")
    eyes = write_projector(tmp_path / "mmproj.gguf", starter, kind="qwen2vl_merger")
    picture_of = partial(picture, side=112)
    sampling = SamplingParams(temperature=0.0, max_tokens=3, logprobs=3)
    asked = about(picture_of(RED), sampling=sampling)
    long = about(picture_of(BLUE), text=ASKED + " Think of it." * 66, conversation="kept")

    supervisor, blind = load(model, tmp_path / "logs", projector=str(eyes))
    try:
        assert not blind
        assert [seen(supervisor, picture_of(colour)) for colour in (RED, BLUE)] == ["red", "blue"]
        fresh, again = (ask(supervisor, asked).wait() for _ in range(2))
        assert again.finished().usage.cached == fresh.finished().usage.prompt - 1 > 16
        assert logprobs(again) == pytest.approx(logprobs(fresh), abs=0.05)
        first = ask(supervisor, long).wait()
    finally:
        supervisor.close()
    supervisor, _ = load(model, tmp_path / "logs", projector=str(eyes))
    try:
        resumed = ask(supervisor, long).wait()
        assert resumed.text() == first.text() == "blue"
        assert resumed.finished().usage.cached == first.finished().usage.prompt - 1, (
            "from the disk, image and all"
        )
    finally:
        supervisor.close()


def logprobs(reply: Reply) -> list[float]:
    return [one.logprob for event in reply.events if isinstance(event, Delta) for one in event.logprobs]
