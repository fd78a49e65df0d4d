"""Turns: what is stored, what is asked, and that no answer is lost."""

from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from app.chat.session import (
    ChatSession,
    TurnEnded,
    TurnEvent,
    TurnOptions,
    TurnStarted,
    TurnUnsaved,
)
from app.chat.store import ChatStore
from app.chat.store_types import NewAttachment
from app.core.errors import BusyError, DiskFullError, LoadFailedError, UsageError
from app.core.events import Bus
from app.core.generate import Delta, ImagePart, Message, SamplingParams, TextPart, ToolCall, ToolCallDelta
from tests.fakes.chat_engine import FakeEngine

OPTIONS = TurnOptions("owner/model:Q4_K_M", "Q4_K_M", SamplingParams(temperature=0.1))


class Talk:
    """A store, an engine, a session and one conversation."""

    def __init__(self) -> None:
        self.store = ChatStore(None, Bus())
        self.engine = FakeEngine()
        self.session = ChatSession(self.store, self.engine)
        self.id = self.store.create(system="Be kind.").id
        self.events: list[TurnEvent] = []

    def ask(self, text: str, **extra):  # type: ignore[no-untyped-def]
        return self.session.ask(self.id, text, OPTIONS, self.events.append, **extra)

    def turn(self, question: str, *answer: str):  # type: ignore[no-untyped-def]
        turn = self.ask(question)
        self.engine.say(*answer)
        turn.ended.result(60)
        return turn

    def texts(self) -> list[str]:
        return [message.text for message in self.store.messages(self.id)]

    def asked(self) -> list[tuple[str, object]]:
        return [(message.role, message.content) for message in self.engine.requests[-1].messages]


@pytest.fixture
def talk() -> Iterator[Talk]:
    found = Talk()
    yield found
    found.session.close()
    found.store.close()


def test_a_turn_is_stored_asked_and_told(talk: Talk) -> None:
    turn = talk.ask("What is 2+2?")
    delta = Delta(text="4", tokens=1)
    talk.engine.play(delta)
    assert talk.texts() == ["What is 2+2?", "4"]
    assert talk.session.running(talk.id) == (turn,)
    talk.engine.say(".")
    ended = turn.ended.result(60)
    assert talk.session.running() == ()
    assert talk.events[0] == TurnStarted(talk.id, turn.user, turn.assistant)
    assert talk.events[1] is delta
    assert talk.events[-1] is ended
    assert (ended.reason, ended.seed) == ("stop", 42)
    question, answer = talk.store.messages(talk.id)
    assert (question.role, answer.text, answer.state, answer.reason) == ("user", "4.", "done", "stop")
    assert (answer.model, answer.quant, answer.seed) == ("owner/model:Q4_K_M", "Q4_K_M", 42)
    assert answer.sampling == OPTIONS.sampling
    assert answer.usage == ended.usage
    assert answer.timings == ended.timings
    request = talk.engine.requests[0]
    assert talk.asked() == [("system", "Be kind."), ("user", "What is 2+2?")]
    assert request.conversation == talk.store.conversation(talk.id).key
    assert request.sampling == OPTIONS.sampling
    assert talk.store.conversation(talk.id).model == "owner/model:Q4_K_M"


def test_the_next_question_takes_the_whole_path(talk: Talk) -> None:
    talk.turn("one", "1")
    talk.turn("two", "2")
    talk.ask("three")
    assert [content for _, content in talk.asked()] == ["Be kind.", "one", "1", "two", "2", "three"]
    with pytest.raises(UsageError):
        talk.ask("too early")
    assert len(talk.texts()) == 6


def test_the_first_question_names_the_conversation(talk: Talk) -> None:
    talk.turn("Kể về Hà Nội\nnhé", "...")
    talk.turn("something else", "...")
    assert talk.store.conversation(talk.id).title == "Kể về Hà Nội"
    named = talk.store.create("Named")
    talk.session.ask(named.id, "question", OPTIONS, talk.events.append)
    assert talk.store.conversation(named.id).title == "Named"


def test_stopping_keeps_what_is_there(talk: Talk) -> None:
    turn = talk.ask("tell")
    talk.engine.play(Delta(text="Once upon"))
    talk.session.stop(talk.id)
    assert turn.ended.result(60).reason == "cancelled"
    turn.stop()
    assert talk.texts() == ["tell", "Once upon"]
    assert talk.store.messages(talk.id)[1].reason == "cancelled"


def test_a_failure_keeps_the_partial_answer_and_says_why(talk: Talk) -> None:
    turn = talk.ask("tell")
    talk.engine.play(Delta(text="Once", reasoning="hm"))
    talk.engine.fail()
    ended = turn.ended.result(60)
    assert ended.reason == "failed"
    assert ended.error is not None
    assert ended.error.params == {"model": "m", "why": "signal 9"}
    message = talk.store.messages(talk.id)[1]
    assert (message.text, message.reasoning, message.error) == ("Once", "hm", ended.error)
    talk.ask("again")
    assert [content for _, content in talk.asked()] == ["Be kind.", "tell", "Once", "again"]


def test_an_empty_failure_is_not_sent_back(talk: Talk) -> None:
    talk.ask("tell")
    talk.engine.fail()
    talk.ask("again")
    assert [content for _, content in talk.asked()] == ["Be kind.", "tell", "again"]


def test_an_engine_that_refuses(talk: Talk) -> None:
    talk.engine.refuse = BusyError(model="m", waiting=9)
    turn = talk.ask("tell")
    ended = turn.ended.result(60)
    assert ended.error is not None
    assert ended.error.code == "busy"


def test_answering_again_makes_a_version(talk: Talk) -> None:
    first = talk.turn("q", "a1")
    talk.session.regenerate(first.assistant, OPTIONS, talk.events.append)
    assert talk.asked() == [("system", "Be kind."), ("user", "q")]
    talk.engine.say("a2")
    assert talk.texts() == ["q", "a2"]
    second = talk.store.messages(talk.id)[1]
    assert second.versions == (first.assistant, second.id)
    talk.session.regenerate(first.user, OPTIONS, talk.events.append)
    talk.engine.say("a3")
    assert talk.texts() == ["q", "a3"]


def test_two_models_answer_the_same_question_at_once(talk: Talk) -> None:
    first = talk.turn("q", "a1")
    one = talk.session.answer(first.user, OPTIONS, talk.events.append)
    two = talk.session.answer(first.user, TurnOptions("other"), talk.events.append)
    talk.engine.play(Delta(text="x"), request=one.request)
    talk.engine.play(Delta(text="y"), request=two.request)
    assert len(talk.session.running(talk.id)) == 2
    talk.session.stop(talk.id)
    assert {m.text for m in talk.store.tree(talk.id) if m.role == "assistant"} == {"a1", "x", "y"}


def test_editing_asks_again_beside_the_old_question(talk: Talk) -> None:
    talk.turn("one", "1")
    turn = talk.turn("two", "2")
    talk.session.edit_and_resend(turn.user, "zwei", OPTIONS, talk.events.append)
    assert [content for _, content in talk.asked()] == ["Be kind.", "one", "1", "zwei"]
    talk.engine.say("2!")
    assert talk.texts() == ["one", "1", "zwei", "2!"]
    talk.store.switch(turn.user)
    assert talk.texts() == ["one", "1", "two", "2"]


def test_an_answer_goes_on_where_it_stopped(talk: Talk) -> None:
    turn = talk.ask("count")
    talk.engine.say("1, ", "2", reason="length")
    turn.ended.result(60)
    first = talk.store.message(turn.assistant)
    more = talk.session.continue_answer(turn.assistant, OPTIONS, talk.events.append)
    assert talk.engine.requests[-1].continue_last
    assert talk.asked()[-1] == ("assistant", "1, 2")
    talk.engine.say(", 3")
    assert talk.texts() == ["count", "1, 2, 3"]
    more.ended.result(60)
    whole = talk.store.message(turn.assistant)
    assert first.usage is not None
    assert whole.usage is not None
    assert whole.usage.prompt == first.usage.prompt
    assert whole.usage.completion > first.usage.completion
    assert first.timings is not None
    assert whole.timings is not None
    assert whole.timings.ttft == first.timings.ttft
    assert whole.timings.decode_tokens > first.timings.decode_tokens
    with pytest.raises(UsageError):
        talk.session.continue_answer(turn.user, OPTIONS, talk.events.append)


def test_a_question_waits_for_the_model(talk: Talk) -> None:
    load: Future[None] = Future()
    turn = talk.ask("q", after=load)
    assert talk.texts() == ["q", ""]
    assert not talk.engine.requests
    load.set_result(None)
    talk.engine.say("a")
    assert turn.ended.result(60).reason == "stop"


def test_a_load_that_fails_is_the_answers_error(talk: Talk) -> None:
    load: Future[None] = Future()
    turn = talk.ask("q", after=load)
    load.set_exception(LoadFailedError(model="m", detail="no"))
    ended = turn.ended.result(60)
    assert ended.error is not None
    assert (ended.error.code, ended.error.params) == ("load_failed", {"model": "m", "detail": "no"})
    broken: Future[None] = Future()
    again = talk.session.regenerate(turn.assistant, OPTIONS, talk.events.append, after=broken)
    broken.cancel()
    assert again.ended.result(60).reason == "cancelled"


def test_stopping_before_the_model_is_there(talk: Talk) -> None:
    load: Future[None] = Future()
    turn = talk.ask("q", after=load)
    turn.stop()
    assert turn.ended.result(60).reason == "cancelled"
    load.set_result(None)
    assert not talk.engine.requests


def test_tool_calls_are_put_together(talk: Talk) -> None:
    turn = talk.ask("weather?")
    talk.engine.play(
        Delta(tool_calls=(ToolCallDelta(0, "c1", "weather", '{"city"'),)),
        Delta(tool_calls=(ToolCallDelta(0, arguments=': "Hue"}'), ToolCallDelta(1, "c2", "time"))),
    )
    talk.engine.say(reason="tool_calls")
    turn.ended.result(60)
    calls = (ToolCall("c1", "weather", '{"city": "Hue"}'), ToolCall("c2", "time", "{}"))
    assert talk.store.messages(talk.id)[1].tool_calls == calls
    talk.store.append(talk.id, turn.assistant, "tool", "sunny", tool_call_id="c1")
    talk.ask("so?")
    assert talk.engine.requests[-1].messages[2].tool_calls == calls


def test_attachments_go_with_the_question(talk: Talk) -> None:
    files = [NewAttachment("a.py", text="print()"), NewAttachment("p.png", "image", "image/png", data=b"png")]
    talk.ask("look", attachments=files)
    content = talk.engine.requests[-1].messages[1].content
    assert content == (ImagePart(b"png"), TextPart("[a.py]\nprint()\n\nlook"))


def test_a_full_disk_is_told_and_the_answer_stays(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    turn = talk.ask("q")
    talk.engine.play(Delta(text="precious"))

    def full(*_args: object, **_kwargs: object) -> Future[None]:
        failed: Future[None] = Future()
        failed.set_exception(DiskFullError(path="/x", missing="1 MB"))
        return failed

    monkeypatch.setattr(talk.store, "finish", full)
    talk.engine.say("!")
    assert turn.ended.result(60).reason == "stop"
    unsaved = talk.events[-1]
    assert isinstance(unsaved, TurnUnsaved)
    assert unsaved.error.code == "disk_full"
    assert talk.texts() == ["q", "precious!"]


@pytest.mark.expects_log("a turn's listener failed")
def test_a_listener_that_raises_loses_nothing(talk: Talk) -> None:
    def bad(event: TurnEvent) -> None:
        if isinstance(event, Delta):
            raise ValueError("bad view")

    turn = talk.session.ask(talk.id, "q", OPTIONS, bad)
    talk.engine.say("a")
    assert turn.ended.result(60).reason == "stop"
    assert talk.texts() == ["q", "a"]


def test_closing_stops_and_keeps(talk: Talk) -> None:
    turn = talk.ask("q")
    talk.engine.play(Delta(text="half"))
    talk.session.close()
    assert turn.ended.done()
    assert talk.texts() == ["q", "half"]


def test_what_comes_after_the_end_is_ignored(talk: Talk) -> None:
    turn = talk.turn("q", "a")
    count = len(talk.events)
    talk.engine.play(Delta(text="late"))
    talk.engine.fail()
    assert len(talk.events) == count
    assert talk.texts() == ["q", "a"]
    assert isinstance(talk.events[-1], TurnEnded)
    assert turn.ended.done()


def test_a_request_can_be_made_without_a_system_prompt(talk: Talk) -> None:
    plain = talk.store.create()
    talk.session.ask(plain.id, "q", OPTIONS, talk.events.append)
    assert talk.engine.requests[-1].messages == (Message("user", "q"),)


def test_the_model_names_a_conversation(talk: Talk) -> None:
    talk.turn("Kể về Hà Nội", "Hà Nội là...")
    named = talk.session.write_title(talk.id, "m")
    request = talk.engine.requests[-1]
    assert "Kể về Hà Nội" in request.messages[0].text
    assert request.priority < 0
    talk.engine.say('Title: "Thủ đô', ' Hà Nội"')
    assert named.result(60) == "Thủ đô Hà Nội"
    assert talk.store.conversation(talk.id).title == "Thủ đô Hà Nội"
    talk.store.rename(talk.id, "Mine")
    assert talk.session.write_title(talk.id, "m").result(60) == ""
    assert len(talk.engine.requests) == 2


def test_a_title_that_fails_changes_nothing(talk: Talk) -> None:
    assert talk.session.write_title(talk.id, "m").result(60) == ""
    talk.turn("Question", "answer")
    failed = talk.session.write_title(talk.id, "m")
    talk.engine.fail()
    assert failed.result(60) == ""
    talk.engine.refuse = BusyError(model="m", waiting=1)
    assert talk.session.write_title(talk.id, "m").result(60) == ""
    assert talk.store.conversation(talk.id).title == "Question"


def test_what_would_be_asked_can_be_counted_beforehand(talk: Talk) -> None:
    talk.turn("one", "1")
    files = [NewAttachment("a.txt", text="inside")]
    found = talk.session.messages_for(talk.id, "two", files)
    assert [message.text for message in found] == ["Be kind.", "one", "1", "[a.txt]\ninside\n\ntwo"]
    assert len(talk.session.messages_for(talk.id)) == 3


def test_what_a_person_dropped_is_not_sent_and_a_summary_is(talk: Talk) -> None:
    first = talk.turn("one", "1")
    talk.turn("two", "2")
    talk.store.set_context(first.user, "dropped")
    talk.store.set_context(first.assistant, "summary", "in short")
    talk.ask("three")
    assert [content for _, content in talk.asked()] == ["Be kind.", "in short", "two", "2", "three"]


def test_the_model_shortens_a_message(talk: Talk) -> None:
    turn = talk.turn("a very long story " * 20, "ok")
    made = talk.session.summarise(turn.user, "m")
    assert "a very long story" in talk.engine.requests[-1].messages[0].text
    assert talk.engine.requests[-1].priority < 0
    talk.engine.say("<think>hm</think>", "A story.")
    assert made.result(60) == "A story."
    kept = talk.store.message(turn.user)
    assert (kept.context, kept.summary, kept.text[:6]) == ("summary", "A story.", "a very")


def test_a_summary_longer_than_the_text_is_none(talk: Talk) -> None:
    turn = talk.turn("short", "ok")
    made = talk.session.summarise(turn.user, "m")
    talk.engine.say("a much longer text than what it stands for")
    assert made.result(60) == ""
    assert talk.store.message(turn.user).context == ""


def test_a_private_session_tells_the_engine_no_conversation() -> None:
    store, engine = ChatStore(None, Bus()), FakeEngine()
    session = ChatSession(store, engine, private=True)
    turn = session.ask(store.create().id, "psst", OPTIONS, lambda _event: None)
    assert engine.requests[-1].conversation == ""
    engine.say("ok")
    turn.ended.result(60)
    session.close()
    store.close()
