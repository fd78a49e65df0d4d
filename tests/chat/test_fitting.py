"""Long conversations are cut to the model's window before they are asked."""

from collections.abc import Iterator
from concurrent.futures import Future

import pytest
from msgspec.structs import replace

from app.chat.fitting import OVERHEAD, Fitter
from app.chat.session import ChatSession, TurnOptions
from app.chat.store import ChatStore
from app.core.errors import NotLoadedError
from app.core.events import Bus, InstanceChanged
from app.core.generate import Delta, GenerateRequest, ImagePart, Message, SamplingParams, TextPart
from tests.fakes.chat_engine import FakeEngine


class CountingEngine(FakeEngine):
    """Two letters are a token; counts come when the test says so."""

    def __init__(self, window: int = 200) -> None:
        super().__init__()
        self.window, self.counted, self.slow = window, list[str](), False
        self.waiting: list[tuple[Future[tuple[int, ...]], str]] = []

    def snapshot(self, model_id: str) -> InstanceChanged | None:
        return InstanceChanged("1", model_id, "ready", n_ctx=self.window) if self.window else None

    def tokenize(self, model_id: str, text: str) -> Future[tuple[int, ...]]:
        future: Future[tuple[int, ...]] = Future()
        self.counted.append(text)
        self.waiting.append((future, text))
        if not self.slow:
            self.count()
        return future

    def count(self) -> None:
        for future, text in self.waiting:
            future.set_result(tuple(range(len(text) // 2)))
        self.waiting.clear()


def request(*texts: str, policy: str = "rolling", limit: int | None = 20) -> GenerateRequest:
    messages = tuple(Message("assistant" if i % 2 else "user", text) for i, text in enumerate(texts))
    sampling = SamplingParams(max_tokens=limit)
    return GenerateRequest("1", messages, sampling=sampling, context_policy=policy)  # type: ignore[arg-type]


def fitted(engine: object, asked: GenerateRequest) -> list[tuple[GenerateRequest, tuple[int, ...]]]:
    found: list[tuple[GenerateRequest, tuple[int, ...]]] = []
    Fitter(engine).fit("m", asked, lambda *got: found.append(got))
    return found


LONG = ["a" * 60, "b" * 60, "c" * 60, "d" * 60, "e" * 60, "f" * 60, "g" * 60]


def test_what_surely_fits_is_not_counted() -> None:
    engine = CountingEngine()
    asked = request("short", "text", "here")
    assert fitted(engine, asked) == [(asked, ())]
    assert engine.counted == []


def test_the_oldest_turns_are_left_out() -> None:
    engine = CountingEngine()
    ((sent, dropped),) = fitted(engine, request(*LONG))
    assert dropped == (0, 1, 2, 3)
    assert [message.text[0] for message in sent.messages] == ["e", "f", "g"]
    assert sum(len(m.text) // 2 + OVERHEAD for m in sent.messages) <= 180
    assert len(engine.counted) == 7


def test_counts_are_kept() -> None:
    engine = CountingEngine()
    fitter = Fitter(engine)
    for _ in range(3):
        fitter.fit("m", request(*LONG), lambda *_got: None)
    assert len(engine.counted) == 7
    fitter.fit("other", request(*LONG), lambda *_got: None)
    assert len(engine.counted) == 14


def test_nothing_waits_for_the_counts() -> None:
    engine = CountingEngine()
    engine.slow = True
    found = fitted(engine, request(*LONG))
    assert found == []
    engine.count()
    assert len(found) == 1


@pytest.mark.parametrize("case", ["stop", "no counter", "not loaded"])
def test_what_can_not_be_fitted_goes_as_it_is(case: str) -> None:
    engine: object = {"no counter": FakeEngine(), "not loaded": CountingEngine(0)}.get(case, CountingEngine())
    asked = request(*LONG, policy="stop" if case == "stop" else "rolling")
    assert fitted(engine, asked) == [(asked, ())]


def test_a_count_that_fails_is_guessed() -> None:
    engine = CountingEngine()
    engine.slow = True
    found = fitted(engine, request(*LONG))
    for future, _ in engine.waiting:
        future.set_exception(NotLoadedError(model="m"))
    ((_, dropped),) = found
    assert dropped


def test_images_take_room() -> None:
    engine = CountingEngine(4096)
    picture = Message("user", (ImagePart(b"x"), TextPart("what?")))
    asked = replace(request(*["w"] * 8), messages=(picture, Message("assistant", "a")) * 4 + (picture,))
    ((sent, dropped),) = fitted(engine, asked)
    assert len(dropped) > 0
    assert sent.messages[-1] is picture


@pytest.fixture
def store() -> Iterator[ChatStore]:
    found = ChatStore(None, Bus())
    yield found
    found.close()


def test_a_turn_is_fitted_and_says_what_was_left_out(store: ChatStore) -> None:
    engine = CountingEngine()
    session = ChatSession(store, engine)
    chat = store.create(system="Be kind.").id
    store.set_policy(chat, "rolling")
    options = TurnOptions("m", sampling=SamplingParams(max_tokens=20))
    events: list[object] = []
    for text in LONG[:4]:
        session.ask(chat, text, options, events.append)
        engine.say("y" * 60)
    sent = engine.requests[-1].messages
    assert sent[0].role == "system"
    assert len(sent) < 8
    assert any(isinstance(event, Delta) and event.dropped for event in events)
    assert len(store.messages(chat)) == 8, "nothing is lost from the chat itself"
    session.close()


def test_the_picture_counts_what_would_be_asked(store: ChatStore) -> None:
    engine = CountingEngine()
    session = ChatSession(store, engine)
    chat = store.create(system="s" * 20).id
    options = TurnOptions("m", context_policy="rolling", sampling=SamplingParams(max_tokens=20))
    session.ask(chat, "q" * 40, options, lambda _event: None)
    engine.say("a" * 40)
    found = session.picture(chat, options, "next" * 5, coming=120).result(60)
    assert [(part.role, part.tokens) for part in found.parts] == [
        ("system", 10 + OVERHEAD),
        ("user", 20 + OVERHEAD),
        ("assistant", 20 + OVERHEAD),
        ("user", 10 + OVERHEAD),
    ]
    assert (found.window, found.budget, found.over) == (200, 180, False)
    assert found.tokens == 60 + 4 * OVERHEAD
    assert found.leaving == (1, 2, 3)
    engine.window = 0
    guess = session.picture(chat, options).result(60)
    assert (guess.window, guess.budget, guess.over) == (None, None, False)
    session.close()
