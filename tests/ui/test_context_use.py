"""What the tokens of a chat's window are for."""

from app.chat.fitting import Part, Picture
from app.chat.store_types import Attachment, StoredMessage
from app.core.generate import ToolCall, Usage
from app.ui.chat_context import window_use
from app.ui.context_use import ContextUse, context_parts, reused_words


def _message(role: str, text: str = "text", **more: object) -> StoredMessage:
    return StoredMessage(1, 1, None, role, text, **more)  # type: ignore[arg-type]


def _part(role: str, tokens: int) -> Part:
    return Part(0, role, tokens, dropped=False)


def _picture(*parts: Part, leaving: tuple[int, ...] = ()) -> Picture:
    return Picture(parts, 4096, 3072, sum(part.tokens for part in parts), over=False, leaving=leaving)


def test_documents_and_tools_are_told_apart_from_talk() -> None:
    attached = Attachment(1, "a.txt", "text", "text/plain", "x" * 300, 300)
    said = [
        _message("system"),
        _message("user", "y" * 100, attachments=(attached,)),
        _message("assistant", "", tool_calls=(ToolCall("1", "f", "{}"),)),
        _message("tool", "result"),
        _message("assistant", "answer", usage=Usage(500, 50)),
    ]
    parts = [
        _part("system", 40),
        _part("user", 400),
        _part("assistant", 20),
        _part("tool", 60),
        _part("assistant", 30),
    ]
    assert window_use(said, _picture(*parts)) == ContextUse(
        40, 0, 130, 4096, documents=300, tools=80, reused=550
    )


def test_what_the_policy_drops_is_read_again() -> None:
    said = [_message("system"), _message("user"), _message("assistant", usage=Usage(90, 10))]
    parts = (_part("system", 40), _part("user", 30), _part("assistant", 30))
    assert window_use(said, _picture(*parts)).reused == 100
    assert window_use(said, _picture(*parts, leaving=(1,))).reused == 40
    assert window_use(said[:2], _picture(*parts[:2])).reused is None


def test_parts_that_are_not_there_are_not_named() -> None:
    assert [name for name, *_ in context_parts(ContextUse(1, 2, 3, 10))] == [
        "system prompt",
        "earlier messages",
        "last question and answer",
        "free",
    ]
    assert reused_words(ContextUse()) == ""
