"""Files of every format that ever landed open with what was in them. They lie in ``formats``, compressed by zlib."""

import zlib
from pathlib import Path

import pytest

from app.chat import store_schema
from app.chat.store import ChatStore
from app.chat.store_types import Draft
from app.core.events import Bus

FORMATS = sorted(Path(__file__).with_name("formats").glob("format-*.sqlite.z"))


def number_of(path: Path) -> int:
    return int(path.name.removeprefix("format-").removesuffix(".sqlite.z"))


def test_every_format_before_this_one_is_kept() -> None:
    assert [number_of(path) for path in FORMATS] == list(range(1, store_schema.VERSION))


@pytest.mark.parametrize("kept", FORMATS, ids=number_of)
def test_an_old_file_opens_with_everything_in_it(kept: Path, tmp_path: Path, bus: Bus) -> None:
    file = tmp_path / "chats.sqlite"
    file.write_bytes(zlib.decompress(kept.read_bytes()))
    store = ChatStore(file, bus)
    chat = store.conversations()[0]
    assert (chat.title, chat.folder, chat.pinned, chat.colour, chat.tags, chat.draft) == (
        "Phố cũ", "Home", True, "plot-2", ("old",), "half",
    )  # fmt: skip
    question, answer = store.messages(chat.id)
    assert (question.text, question.attachments[0].text) == ("Đường nào?", "hello")
    assert (answer.text, answer.reasoning, answer.seed) == ("Đường Nguyễn Huệ.", "hmm", 7)
    assert answer.usage is not None
    assert answer.usage.completion == 3
    assert [hit.message for hit in store.search("duong nguyen")] == [answer.id]
    store.set_context(answer.id, "pinned")
    assert store.message(answer.id).context == "pinned"
    assert store.new_drafts() == {}
    store.save_new_draft(1, Draft("begun", system="", policy="stop")).result()
    assert store.new_drafts() == {1: Draft("begun", system="", policy="stop")}
    store.close()
    assert file.with_name(f"chats.format-{number_of(kept)}.sqlite").exists()
