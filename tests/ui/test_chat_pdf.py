"""A chat as a PDF: pages, searchable text, code, formulas, what is known of each answer; nothing is fetched."""

import re
import threading
import zlib
from typing import Any

import pytest

from app.chat.store import ChatStore
from app.chat.store_types import Conversation, StoredMessage
from app.core.events import Bus
from app.core.generate import SamplingParams, Timings, Usage
from app.planning.usage import Day
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


def test_unmeasured_energy_is_not_claimed() -> None:
    assert chat_pdf.energy_words(None) == ""
    assert chat_pdf.energy_words(Day("chat", 3, 0, 0, 0.0, None, 0)) == ""


def test_all_chats_are_written_in_every_format(tmp_path: Any, bus: Bus) -> None:
    store = ChatStore(None, bus)
    number = store.create("One").id
    store.append(number, None, "user", "Why?")
    assert chat_export.write_all(store, tmp_path) == 1
    store.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["One.html", "One.md", "One.pdf", "hearth-chats.json"]
    assert (tmp_path / "One.pdf").read_bytes().startswith(b"%PDF-")
