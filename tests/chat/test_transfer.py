"""Chats in and out."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat import transfer, transfer_text, transfer_words
from app.chat.store import ChatStore
from app.chat.store_types import NewAttachment
from app.chat.transfer_formats import recognise
from app.core.errors import ChosenReadOnlyError, UsageError
from app.core.events import Bus, ChatChanged, ErrorInfo
from app.core.generate import SamplingParams, Timings, Usage
from app.planning.usage import Day


@pytest.fixture
def store(bus: Bus) -> Iterator[ChatStore]:
    found = ChatStore(None, bus)
    yield found
    found.close()


def save(folder: Path, name: str, data: object) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data), "utf-8")
    return path


def brought(store: ChatStore, path: Path) -> list[tuple[str, list[tuple[str, str]]]]:
    made = transfer.add(store, transfer.read(path))
    return [(item.title, [(m.role, m.text) for m in store.messages(item.id)]) for item in made]


def chatgpt() -> dict[str, Any]:
    def node(key: str, parent: str | None, role: str = "", text: str = "", **extra: object) -> dict[str, Any]:
        content = {"content_type": "text", "parts": [text]} | dict(extra)
        message = {
            "author": {"role": role},
            "content": content,
            "create_time": 1.7e9,
            "metadata": {"model_slug": "gpt-4o"},
        }
        return {"id": key, "parent": parent, "message": message if role else None, "children": []}

    nodes = [
        node("root", None),
        node("sys", "root", "system", ""),
        node("u1", "sys", "user", "Xin chào"),
        node("t1", "u1", "assistant", content_type="thoughts", thoughts=[{"summary": "s", "content": "hmm"}]),
        node("a1", "t1", "assistant", "Hello"),
        node("a2", "u1", "assistant", "Hello again"),
        node(
            "u2", "a1", "user", "Draw", content_type="multimodal_text", parts=[{"asset_pointer": "x"}, "this"]
        ),
        node("tool", "u2", "tool", "noise"),
        node("a3", "tool", "assistant", content_type="code", text="print()"),
    ]
    mapping = {item["id"]: item for item in nodes}
    mapping["loop1"] = node("loop1", "loop2", "user", "x")
    mapping["loop2"] = node("loop2", "loop1", "user", "y")
    return {"title": "Chào", "create_time": 1.7e9, "mapping": mapping, "current_node": "a3"}


def test_chatgpt(store: ChatStore, tmp_path: Path) -> None:
    path = save(tmp_path, "conversations.json", [chatgpt()])
    ((title, messages),) = brought(store, path)
    assert title == "Chào"
    assert messages == [
        ("user", "Xin chào"),
        ("assistant", "Hello"),
        ("user", "[image]\nthis"),
        ("assistant", "```\nprint()\n```"),
    ]
    answer = store.messages(1)[1]
    assert (answer.reasoning, answer.model, answer.created_at) == ("hmm", "gpt-4o", 1.7e9)
    assert len(answer.versions) == 2
    assert len(store.search("xin chao")) == 1


def test_chatgpts_zip(store: ChatStore, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("conversations.json", json.dumps([chatgpt(), chatgpt()]))
        archive.writestr("chat.html", "<html>")
    assert len(brought(store, tmp_path / "export.zip")) == 2


def test_open_webui(store: ChatStore, tmp_path: Path) -> None:
    history = {
        "messages": {
            "1": {"id": "1", "parentId": None, "role": "user", "content": "q", "timestamp": 1_700_000_000},
            "2": {"id": "2", "parentId": "1", "role": "assistant", "content": "a", "model": "llama3:8b"},
            "3": {"id": "3", "parentId": "1", "role": "assistant", "content": "b", "model": "qwen"},
        },
        "currentId": "2",
    }
    chat = {"title": "T", "models": ["llama3:8b"], "system": "Be kind.", "history": history, "messages": []}
    path = save(tmp_path, "chats.json", [{"id": "x", "chat": chat, "created_at": 1_700_000_000}])
    assert brought(store, path) == [("T", [("user", "q"), ("assistant", "a")])]
    found = store.conversations()[0]
    assert (found.system, found.model) == ("Be kind.", "llama3:8b")
    assert len(store.tree(found.id)) == 3


def test_lm_studio(store: ChatStore, tmp_path: Path) -> None:
    def said(text: str) -> list[dict[str, str]]:
        return [{"type": "text", "text": text}]

    steps = [
        {"type": "contentBlock", "style": {"type": "thinking"}, "content": said("let me see")},
        {"type": "contentBlock", "content": said("42"), "genInfo": {"identifier": "qwen3-8b"}},
    ]
    data = {
        "name": "Life",
        "createdAt": 1_700_000_000_000,
        "systemPrompt": "",
        "perChatPredictionConfig": {"fields": [{"key": "llm.prediction.systemPrompt", "value": "Short."}]},
        "lastUsedModel": {"identifier": "qwen3-8b"},
        "messages": [
            {
                "currentlySelected": 0,
                "versions": [{"type": "singleStep", "role": "user", "content": said("why?")}],
            },
            {
                "currentlySelected": 1,
                "versions": [
                    {"type": "multiStep", "role": "assistant", "steps": [{"content": said("no idea")}]},
                    {"type": "multiStep", "role": "assistant", "steps": steps},
                ],
            },
            {"currentlySelected": 0, "versions": [{"role": "user", "content": said("thanks")}]},
        ],
    }
    save(tmp_path, "conversations/1.conversation.json", data)
    save(tmp_path, "conversations/config.json", {"a": 1})
    save(tmp_path, "conversations/broken.json", "{")
    ((title, messages),) = brought(store, tmp_path / "conversations")
    assert (title, messages) == ("Life", [("user", "why?"), ("assistant", "42"), ("user", "thanks")])
    answer = store.messages(1)[1]
    assert (answer.reasoning, answer.model, len(answer.versions)) == ("let me see", "qwen3-8b", 2)
    assert store.conversation(1).system == "Short."
    assert store.conversation(1).created_at == 1_700_000_000


def test_jan(store: ChatStore, tmp_path: Path) -> None:
    def line(number: int, role: str, text: str) -> str:
        content = [{"type": "text", "text": {"value": text, "annotations": []}}]
        return json.dumps(
            {"id": str(number), "role": role, "content": content, "created_at": 1_700_000_000_000 + number}
        )

    save(tmp_path, "threads/t1/thread.json", {"title": "Jan", "assistants": [{"model": {"id": "m"}}]})
    save(
        tmp_path, "threads/t1/messages.jsonl", line(2, "assistant", "a") + "\n" + line(1, "user", "q") + "\n"
    )
    assert brought(store, tmp_path / "threads") == [("Jan", [("user", "q"), ("assistant", "a")])]
    assert store.conversation(1).model == "m"
    assert brought(store, tmp_path / "threads" / "t1" / "messages.jsonl")[0][0] == "Jan"


@pytest.mark.parametrize(
    "data",
    [
        {
            "model": "llama3",
            "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "q"}],
        },
        [{"role": "system", "content": "S"}, {"role": "user", "content": [{"type": "text", "text": "q"}]}],
        {
            "conversations": [
                {"messages": [{"role": "system", "content": "S"}, {"role": "human", "content": "q"}]}
            ]
        },
    ],
)
def test_plain_lists_of_messages(store: ChatStore, tmp_path: Path, data: object) -> None:
    assert brought(store, save(tmp_path, "x.json", data)) == [("q", [("user", "q")])]
    assert store.conversation(1).system == "S"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", "[1, 2]", '{"messages": []}', '"text"', '{"mapping": {"a": 1}}']
)
def test_what_is_no_chat_is_said_so(tmp_path: Path, content: str) -> None:
    with pytest.raises(UsageError):
        transfer.read(save(tmp_path, "x.json", content))


def test_missing_and_deep_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        transfer.read(tmp_path / "nothing.json")
    with pytest.raises(UsageError):
        transfer.read(save(tmp_path, "deep.json", "[" * 100_000))
    (tmp_path / "bad.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    with pytest.raises(UsageError):
        transfer.read(tmp_path / "bad.zip")


def rich(store: ChatStore) -> int:
    made = store.create("Rich <b>", model="o/m:Q4_K_M", system="Be kind.")
    store.set_policy(made.id, "rolling")
    store.update(made.id, folder="f", tags=("a",), colour="#fff", sampling=SamplingParams(top_k=3))
    question = store.append(
        made.id, None, "user", "q <script>", attachments=[NewAttachment("a.txt", text="t", data=b"\xff")]
    )
    text = "Text & more\n\n```python\nprint('<x>')\n```\nend"
    answer = store.append(
        made.id,
        question.id,
        "assistant",
        model="o/m:Q4_K_M",
        quant="Q4_K_M",
        sampling=SamplingParams(),
        writing=True,
    )
    store.journal(answer.id, text, "thought")
    timings = Timings(prefill=1, prefill_tokens=10, decode=2, decode_tokens=20, ttft=1.0)
    store.finish(answer.id, "length", Usage(10, 21), timings, seed=5, thought=1.5).result()
    store.set_context(answer.id, "summary", "In short.")
    store.append(made.id, question.id, "assistant", "other version")
    store.switch(answer.id)
    store.append(made.id, answer.id, "user", "again")
    return made.id


def test_our_json_comes_back_as_it_was(store: ChatStore, tmp_path: Path) -> None:
    number = rich(store)
    path = tmp_path / "out.json"
    transfer.write(path, transfer.to_json_text(store, [number]))
    (copy,) = transfer.add(store, transfer.read(path))
    assert copy.id != number
    one, two = transfer.to_chats(store, [number]).chats[0], transfer.to_chats(store, [copy.id]).chats[0]
    assert one == two
    assert [m.text for m in store.messages(copy.id)] == [m.text for m in store.messages(number)]
    assert json.loads(path.read_text())["format"] == "hearth-chats"


def test_newer_or_damaged_exports_of_ours(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="newer"):
        transfer.read(save(tmp_path, "x.json", {"format": "hearth-chats", "version": 99, "chats": []}))
    with pytest.raises(UsageError, match="damaged"):
        transfer.read(
            save(tmp_path, "x.json", {"format": "hearth-chats", "version": 1, "chats": [{"messages": 5}]})
        )


def test_an_import_is_all_or_nothing(store: ChatStore, bus: Bus) -> None:
    told: list[ChatChanged] = []
    bus.subscribe(ChatChanged, told.append)
    good = transfer.OurChat((transfer.OurMessage("user", "x"),))
    bad = transfer.OurChat((transfer.OurMessage("user", "x", seed=1 << 70),))
    with pytest.raises(UsageError):
        transfer.add(store, [good, bad])
    assert store.conversations() == ()
    transfer.add(store, [good], folder="Imported")
    assert store.conversations()[0].folder == "Imported"
    assert told == [ChatChanged(None)]


def test_markdown_shows_the_path_with_its_figures(store: ChatStore) -> None:
    number = rich(store)
    text = transfer_text.to_markdown(store.conversation(number), store.messages(number))
    assert text.startswith("# Rich <b>\n")
    assert "## Assistant: o/m:Q4_K_M" in text
    assert "print('<x>')" in text
    assert "10 + 21 tokens, prefill 10.0 tokens/s, decode 10.0 tokens/s, first token 1.00 s" in text
    assert "seed 5, reached the longest answer" in text
    assert "other version" not in text
    assert "*[a.txt]*" in text


def test_html_is_one_safe_page(store: ChatStore) -> None:
    number = rich(store)
    page = transfer_text.to_html(store.conversation(number), store.messages(number))
    assert "<script" not in page
    assert "q &lt;script&gt;" in page
    assert "<title>Rich &lt;b&gt;</title>" in page
    assert '<pre><code class="language-python">print(&#x27;&lt;x&gt;&#x27;)\n</code></pre>' in page
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "")


def test_unmeasured_energy_is_not_claimed() -> None:
    assert transfer_words.energy_words(None) == ""
    assert transfer_words.energy_words(Day("chat", 3, 0, 0, 0.0, None, 0)) == ""


def test_an_error_is_exported_in_words(store: ChatStore) -> None:
    made = store.create()
    answer = store.append(made.id, None, "assistant", writing=True)
    store.finish(answer.id, "failed", error=ErrorInfo("worker_crashed", "The engine died.")).result()
    assert "The engine died." in transfer_text.to_markdown(made, store.messages(made.id))


def test_an_export_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ChosenReadOnlyError, match="Choose another folder"):
        transfer.write(tmp_path / "no" / "x.md", "text")
    assert list(tmp_path.iterdir()) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 62), 1 << 62) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["mapping", "messages", "chat", "history", "versions", "role", "content", "parts", "message",
                         "parent", "author", "title", "currentId", "steps", "user"]), inner, max_size=5),
    max_leaves=30,
)  # fmt: skip


@given(json_values)
def test_any_json_gives_chats_or_nothing(data: object) -> None:
    for chat in recognise(data):
        keys = set()
        for message in chat.messages:
            assert message.parent is None or message.parent in keys
            keys.add(message.key)
        msgspec.json.encode(chat)


def test_settings_that_are_not_the_usual_ones_are_exported() -> None:
    from app.chat.transfer_words import settings_of
    from app.core.generate import SamplingParams

    made = settings_of(SamplingParams(temperature=0.3, top_k=10, min_p=0.1, seed=4, stop=("x",)))
    assert made == ["temperature 0.3", "top_k 10", "min_p 0.1", "stop ('x',)"]
    assert settings_of(SamplingParams()) == ["temperature 0.8"]
