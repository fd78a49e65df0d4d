"""A chat as a PDF: pages, searchable text, code, formulas, what is known of each answer; nothing is fetched."""

import re
import threading
import zlib
from typing import Any

import pytest
from PySide6.QtGui import QAbstractTextDocumentLayout

from app.chat import transfer
from app.chat.answer_energy import AnswerEnergy
from app.chat.store import ChatStore
from app.chat.store_types import Conversation, StoredMessage
from app.core.events import Bus
from app.core.generate import SamplingParams, Timings, Usage
from app.planning.usage import Day, Request, UsageStore
from app.ui import chat_export, chat_pdf

TEXT = """Euler: $e^{i\\pi}+1=0$ and ![picture](http://127.0.0.1:9/x.png)

| tên | giá trị |
|---|---:|
| một | 1 |

$$\\int_0^1 x\\,dx$$

$$\\notacommand{$$

```python
def greet(name):
    return f"xin chào {name}"
```

> quoted <b>not html</b>
"""


@pytest.fixture(autouse=True)
def application(qapp: Any) -> None:
    """Fonts need one."""


def _chat(count: int = 1) -> tuple[Conversation, list[StoredMessage]]:
    chat = Conversation(1, "key", title="Tiếng Việt", model="Qwen3-8B", system="Be brief.", created_at=1e9)
    answer = StoredMessage(
        2,
        1,
        1,
        "assistant",
        TEXT,
        model="Qwen3-8B",
        quant="Q4_K_M",
        reasoning="Hm.",
        usage=Usage(30, 120),
        timings=Timings(prefill=0.1, decode=2.0, prefill_tokens=30, decode_tokens=119),
        seed=7,
        sampling=SamplingParams(),
    )
    return chat, [StoredMessage(1, 1, None, "user", "Why?"), answer] * count


def _pages(data: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", data))


def _drawn(data: bytes) -> bytes:
    """Every page's drawing commands."""
    found = []
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", data, re.DOTALL):
        try:
            found.append(zlib.decompress(stream))
        except zlib.error:
            continue
    return b"\n".join(found)


def test_a_chat_is_pages_of_text_with_a_title() -> None:
    data = chat_pdf.to_pdf(*_chat())
    assert data.startswith(b"%PDF-")
    assert _pages(data) == 1
    assert "Tiếng Việt".encode("utf-16-be") in data  # the document's title
    assert b" Tf" in _drawn(data)  # text, not a picture of it
    assert not re.search(rb"/Subtype\s*/Image", data)


def test_a_long_chat_takes_more_pages() -> None:
    assert _pages(chat_pdf.to_pdf(*_chat(20))) > 3


def test_it_can_be_made_beside_the_window_s_thread() -> None:
    made: list[bytes] = []
    thread = threading.Thread(target=lambda: made.append(chat_pdf.to_pdf(*_chat())))
    thread.start()
    thread.join(30)
    assert made
    assert made[0].startswith(b"%PDF-")


def test_nothing_is_laid_out_before_all_is_there() -> None:
    """Else each line costs as much as all lines before it: three minutes for 5,000 messages."""
    chat, messages = _chat(3)
    paper = chat_pdf._Paper()
    paper.head(chat, None)
    for message in messages:
        paper.message(message)
    assert not paper._document.findChildren(QAbstractTextDocumentLayout)
    assert _pages(paper.print_pages("Title")) == 2


def _text(paper: Any) -> str:
    return str(paper._document.toPlainText())


def test_everything_that_is_known_stands_in_it() -> None:
    chat, messages = _chat()
    paper = chat_pdf._Paper()
    paper.head(chat, Day("chat", 3, 90, 360, 6.0, 7200.0, 2))
    for message in messages:
        paper.message(message)
    text = _text(paper)
    for words in (
        "Tiếng Việt",
        "Qwen3-8B (Q4_K_M)",
        "Be brief.",
        "Energy 2 Wh, measured in 2 of 3 requests",
        "30 + 120 tokens",
        "decode 59.5 tokens/s",
        "temperature 0.8",
        "seed 7",
        "Hm.",
        "giá trị",
        'return f"xin chào {name}"',
        "<b>not html</b>",
        "\\notacommand{",
    ):
        assert words in text, words
    assert "e^{i" not in text  # drawn
    assert len(paper._formulas.drawings) == 2
    assert "http://127.0.0.1:9" not in text


@pytest.mark.parametrize(
    ("text", "margins"),
    [
        ("> first\n\nafter", {"first": 16, "after": 0}),
        ("before\n\n> one\n>\n>> two\n\nafter", {"one": 16, "two": 32, "after": 0}),
        ("```py\nx\n```\n> after code", {"after code": 16}),
    ],
)
def test_quotes_are_set_back(text: str, margins: dict[str, int]) -> None:
    paper = chat_pdf._Paper()
    paper.message(StoredMessage(1, 1, None, "assistant", text))
    found, block = {}, paper._document.begin()
    while block.isValid():
        found[block.text()] = block.blockFormat().leftMargin()
        block = block.next()
    assert {words: found[words] for words in margins} == margins


def test_all_chats_are_written_in_every_format(tmp_path: Any, bus: Bus) -> None:
    store, usage = ChatStore(None, bus), UsageStore(tmp_path.parent / "usage.sqlite")
    made = store.create("One")
    question = store.append(made.id, None, "user", "Why?")
    answer = store.append(made.id, question.id, "assistant", "So.", model="m", writing=True)
    store.finish(answer.id, "stop", Usage(9, 4)).result()
    ended = store.message(answer.id).finished_at
    for tokens, joules in ((4, 3600.0), (5, None)):  # the second is another answer's, not measured
        spent = {"joules_prefill": joules, "joules_decode": joules}
        told = Request(at=ended, model="m", chat=made.key, prompt_tokens=9, completion_tokens=tokens, **spent)
        usage.add(told)
    assert chat_export.write_all(store, tmp_path, usage) == 1
    for name in ("One.md", "One.html"):
        text = (tmp_path / name).read_text("utf-8")
        assert "Energy 2 Wh, measured in 1 of 2 requests" in text
        assert "9 + 4 tokens, energy 2 Wh" in text
    (chat,) = transfer.read(tmp_path / "hearth-chats.json")
    assert chat.energy == transfer.OurEnergy(7200.0, 1, 2)
    assert [message.energy for message in chat.messages] == [None, AnswerEnergy(7200.0)]
    usage.close()
    store.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["One.html", "One.md", "One.pdf", "hearth-chats.json"]
    assert (tmp_path / "One.pdf").read_bytes().startswith(b"%PDF-")
