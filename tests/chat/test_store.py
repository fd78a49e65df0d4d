"""The chat store: trees, the bin, journalling, search, formats."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.chat import store_conversations, store_journal, store_schema
from app.chat.store import ChatStore
from app.chat.store_search import SearchFilter, fold, match_expression
from app.chat.store_types import Draft, NewAttachment, StoredMessage
from app.core.errors import ReadOnlyError, SaveDiskFullError, StoreDamagedError, StoreNewerError, UsageError
from app.core.events import Bus, ChatChanged, ChatsPurged, ErrorInfo
from app.core.generate import SamplingParams, Timings, TokenLogprob, ToolCall, Usage
from tests.waiting import until


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "chats.sqlite"


@pytest.fixture
def store(file: Path, bus: Bus) -> Iterator[ChatStore]:
    found = ChatStore(file, bus)
    yield found
    found.close()


def texts(store: ChatStore, conversation: int) -> list[str]:
    return [message.text for message in store.messages(conversation)]


def talk(store: ChatStore, conversation: int, *lines: str) -> list[StoredMessage]:
    """Append lines in turn, from the user first."""
    made, parent = [], store.leaf(conversation)
    for index, line in enumerate(lines):
        made.append(store.append(conversation, parent, "assistant" if index % 2 else "user", line))
        parent = made[-1].id
    return made


def test_constructing_touches_nothing(file: Path, bus: Bus) -> None:
    ChatStore(file, bus).close()
    assert not file.exists()


def test_conversations_are_created_changed_and_listed(store: ChatStore) -> None:
    one = store.create("One", model="m", system="Be brief.")
    two = store.create()
    assert (one.title, one.auto_title, two.auto_title, one.system) == ("One", False, True, "Be brief.")
    assert one.key != two.key
    store.update(
        one.id,
        pinned=True,
        folder="work",
        colour="#aa0000",
        tags=("a", "b"),
        sampling=SamplingParams(top_k=5),
    )
    store.rename(two.id, "Hai", auto=True)
    store.rename(one.id, "never", auto=True)
    listed = store.conversations()
    assert [item.title for item in listed] == ["One", "Hai"]
    assert (listed[0].pinned, listed[0].folder, listed[0].tags) == (True, "work", ("a", "b"))
    assert listed[0].sampling == SamplingParams(top_k=5)
    with pytest.raises(UsageError):
        store.update(one.id, key="x")
    with pytest.raises(UsageError):
        store.conversation(99)


def test_what_is_talked_about_last_comes_first(store: ChatStore) -> None:
    first, second = store.create("first"), store.create("second")
    talk(store, first.id, "hello")
    assert [item.id for item in store.conversations()] == [first.id, second.id]


def test_drafts_are_kept(store: ChatStore) -> None:
    made = store.create()
    store.save_draft(made.id, "half a sen").result()
    assert store.conversation(made.id).draft == "half a sen"


def test_drafts_of_new_chats_and_attached_files_are_kept(store: ChatStore, file: Path, bus: Bus) -> None:
    made = store.create()
    files = (NewAttachment("a.txt", text="inside"), NewAttachment("b.png", "image", "image/png", data=b"png"))
    store.save_new_draft(1, Draft("half a thought"))
    store.save_new_draft(2, Draft("gone"))
    store.save_new_draft(2, Draft())
    store.save_new_draft(4, Draft("", (), "Be brief.", "rolling"))
    store.save_draft_files(None, files[:1], 3)
    store.save_draft_files(made.id, files[:1])
    store.save_draft_files(made.id, files)
    store.close()
    again = ChatStore(file, bus)
    assert again.new_drafts() == {
        1: Draft("half a thought"),
        3: Draft("", files[:1]),
        4: Draft("", (), "Be brief.", "rolling"),
    }
    assert again.draft_files(made.id) == files
    again.delete(made.id)
    again.purge(made.id)
    assert not again.draft_files(made.id)
    again.close()


def test_a_message_keeps_all_that_is_known(store: ChatStore) -> None:
    made = store.create()
    question = store.append(
        made.id, None, "user", "Hi", attachments=[NewAttachment("a.txt", text="inside", data=b"raw")]
    )
    answer = store.append(made.id, question.id, "assistant", model="m", quant="Q4_K_M", writing=True)
    store.journal(answer.id, "Hel", "think")
    store.journal(answer.id, "lo")
    usage, timings = Usage(10, 2), Timings(ttft=0.5, decode=1.0, decode_tokens=20)
    call = ToolCall("1", "f", "{}")
    store.finish(answer.id, "stop", usage, timings, seed=7, tool_calls=(call,)).result()
    found = store.messages(made.id)[1]
    assert (found.text, found.reasoning, found.reason, found.state) == ("Hello", "think", "stop", "done")
    assert (found.usage, found.timings, found.seed, found.tool_calls) == (usage, timings, 7, (call,))
    assert (found.model, found.quant) == ("m", "Q4_K_M")
    (attachment,) = store.messages(made.id)[0].attachments
    assert (attachment.name, attachment.text, attachment.bytes) == ("a.txt", "inside", 3)
    assert store.attachment_data(attachment.id) == b"raw"
    assert store.messages(made.id)[0].as_message().content == "[a.txt]\ninside\n\nHi"
    assert found.as_message().reasoning == "think"


def test_an_answer_in_progress_is_seen(store: ChatStore, file: Path, bus: Bus) -> None:
    made = store.create()
    answer = store.append(made.id, None, "assistant", writing=True)
    store.journal(answer.id, "so ")
    store.journal(answer.id, "far")
    assert texts(store, made.id) == ["so far"]
    other = ChatStore(file, bus)
    until(lambda: texts(other, made.id) == ["so far"])
    other.close()
    error = ErrorInfo("worker_crashed", "It died.", {"model": "m"})
    store.finish(answer.id, "failed", error=error).result()
    store.finish(answer.id, "stop").result()
    assert store.messages(made.id)[0].error == error
    assert store.messages(made.id)[0].reason == "failed"


def test_reading_while_answers_end_never_loses_a_word(store: ChatStore) -> None:
    made = store.create()
    stop = threading.Event()
    whole: set[int] = set()
    lost: list[int] = []

    def read() -> None:
        while not stop.is_set():
            for message in store.messages(made.id):
                if message.text == "whole":
                    whole.add(message.id)
                elif message.id in whole:
                    lost.append(message.id)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(200):
        answer = store.append(made.id, None, "assistant", writing=True)
        store.journal(answer.id, "whole")
        time.sleep(0.001)
        store.finish(answer.id, "stop").result()
    stop.set()
    reader.join()
    assert whole
    assert not lost


def test_going_on_with_an_answer(store: ChatStore) -> None:
    made = store.create()
    answer = talk(store, made.id, "q", "begun")[1]
    assert store.reopen(answer.id).state == "writing"
    with pytest.raises(UsageError):
        store.reopen(answer.id)
    store.journal(answer.id, " and ended")
    assert texts(store, made.id) == ["q", "begun and ended"]
    store.finish(answer.id, "stop").result()
    assert texts(store, made.id) == ["q", "begun and ended"]
    assert [hit.message for hit in store.search("ended")] == [answer.id]


def test_editing_makes_a_version_and_switching_shows_another(store: ChatStore) -> None:
    made = store.create()
    q1, a1, *_ = talk(store, made.id, "q1", "a1", "q2", "a2")
    edited = store.edit(q1.id, "q1 again")
    assert texts(store, made.id) == ["q1 again"]
    assert edited.versions == (q1.id, edited.id)
    assert edited.version == 1
    store.append(made.id, edited.id, "assistant", "new answer")
    store.switch(q1.id)
    assert texts(store, made.id) == ["q1", "a1", "q2", "a2"]
    again = store.append(made.id, q1.id, "assistant", "a1 again")
    assert texts(store, made.id) == ["q1", "a1 again"]
    assert again.versions == (a1.id, again.id)
    store.switch(a1.id)
    assert texts(store, made.id) == ["q1", "a1", "q2", "a2"]
    assert len(store.tree(made.id)) == 7


def test_rewriting_changes_in_place(store: ChatStore) -> None:
    made = store.create()
    a1 = talk(store, made.id, "q1", "the cat")[1]
    store.rewrite(a1.id, "the dog")
    assert texts(store, made.id) == ["q1", "the dog"]
    assert store.search("cat") == ()
    assert len(store.search("dog")) == 1


def test_deleting_a_message_can_be_undone(store: ChatStore) -> None:
    made = store.create()
    q1, a1, q2, _ = talk(store, made.id, "q1", "a1", "q2", "a2")
    other = store.append(made.id, q1.id, "assistant", "a1 again")
    store.delete_message(other.id)
    assert texts(store, made.id) == ["q1", "a1", "q2", "a2"]
    store.delete_message(q2.id)
    assert texts(store, made.id) == ["q1", "a1"]
    store.restore_message(q2.id)
    assert texts(store, made.id) == ["q1", "a1", "q2", "a2"]
    store.delete_message(q1.id)
    assert texts(store, made.id) == []
    with pytest.raises(UsageError):
        store.delete_message(q1.id)
    store.restore_message(q1.id)
    assert texts(store, made.id) == ["q1", "a1", "q2", "a2"]
    assert store.messages(made.id)[1].versions == (a1.id,)


def test_the_bin(store: ChatStore) -> None:
    made = store.create("gone")
    talk(store, made.id, "hello world")
    store.delete(made.id)
    assert store.conversations() == ()
    assert [item.title for item in store.conversations(deleted=True)] == ["gone"]
    assert store.search("hello") == ()
    assert store.purge() == 0
    store.restore(made.id)
    assert texts(store, made.id) == ["hello world"]
    store.delete(made.id)
    assert store.purge(older_than=0) == 1
    with pytest.raises(UsageError):
        store.restore_message(1)


def test_what_is_deleted_for_good_is_told(store: ChatStore, bus: Bus) -> None:
    gone: list[ChatsPurged] = []
    bus.subscribe(ChatsPurged, gone.append)
    made, other = store.create("gone"), store.create("gone too")
    store.delete(made.id)
    store.purge(older_than=0)
    store.purge(other.id)
    assert [event.keys for event in gone] == [(made.key,), (other.key,)]


def test_each_chat_may_have_its_own_context_policy(store: ChatStore) -> None:
    made = store.create("long")
    assert made.policy is None
    store.set_policy(made.id, "rolling")
    assert store.conversation(made.id).policy == "rolling"
    assert store.fork(store.append(made.id, None, "user", "hello").id).policy == "rolling"
    store.set_policy(made.id, None)
    assert store.conversation(made.id).policy is None
    with pytest.raises(UsageError, match="sideways"):
        store.set_policy(made.id, "sideways")  # type: ignore[arg-type]


def test_the_bin_empties_itself_after_a_month(file: Path, bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_conversations, "MAINTAIN_AFTER", 0.01)
    store = ChatStore(file, bus)
    old, new = store.create("old"), store.create("new")
    store.delete(old.id)
    store.delete(new.id)
    long_ago = time.time() - 31 * 86400
    store.transaction(
        lambda c: c.execute("UPDATE conversation SET deleted_at = ? WHERE id = ?", (long_ago, old.id))
    )
    store.close()
    again = ChatStore(file, bus)
    again.create("x")
    until(lambda: [item.title for item in again.conversations(deleted=True)] == ["new"])
    again.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
def test_nobody_else_reads_the_chats(store: ChatStore, file: Path) -> None:
    store.create()
    for path in file.parent.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path


def test_forking_copies_the_way_there(store: ChatStore) -> None:
    made = store.create("talk", model="m", system="s")
    store.append(made.id, None, "user", "q1", attachments=[NewAttachment("n", text="t")])
    talk_on = talk(store, made.id, "x", "y", "z")
    fork = store.fork(talk_on[1].id)
    assert (fork.title, fork.model, fork.system) == ("talk", "m", "s")
    assert fork.key != made.key
    assert texts(store, fork.id) == ["q1", "x", "y"]
    assert store.messages(fork.id)[0].attachments[0].text == "t"
    assert texts(store, made.id) == ["q1", "x", "y", "z"]


def test_mistakes_are_errors_of_ours(store: ChatStore) -> None:
    one, two = store.create(), store.create()
    message = talk(store, one.id, "q")[0]
    for wrong in (
        lambda: store.append(two.id, message.id, "user", "x"),
        lambda: store.append(99, None, "user", "x"),
        lambda: store.append(one.id, 99, "user", "x"),
        lambda: store.message(99),
        lambda: store.switch(99),
        lambda: store.fork(99),
    ):
        with pytest.raises(UsageError):
            wrong()


def test_changes_are_published(store: ChatStore, bus: Bus) -> None:
    told: list[int | None] = []
    bus.subscribe(ChatChanged, lambda event: told.append(event.conversation))
    made = store.create()
    answer = store.append(made.id, None, "assistant", writing=True)
    store.journal(answer.id, "x")
    store.finish(answer.id, "stop").result()
    store.rename(made.id, "t")
    assert told == [None, made.id, made.id, None]


# ------------------------------------------------------------------------------------------------ search


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("tieng viet", True),
        ("TIẾNG VIỆT", True),
        ("tiếng việt", True),
        ("dep", True),
        ("đẹp", True),
        ("dường phố", True),
        ("nuoc", True),
        ("pho bo nuoc", False),
        ("vie", True),
        ("viet ", True),
        ("vie ", False),
        ('"', False),
        ("NEAR(", False),
        ("tieng AND", False),
        ("text:viet", False),
        ("*", False),
        ("", False),
    ],
)
def test_search_does_not_care_about_diacritics(store: ChatStore, query: str, found: bool) -> None:
    made = store.create()
    talk(store, made.id, "Viết về tiếng Việt thật đẹp, về đường phố và nước.", "Xin chào")
    assert bool(store.search(query)) is found


def test_hits_say_where_and_show_what(store: ChatStore) -> None:
    made = store.create("Chuyện Hà Nội", model="m", folder="f")
    first = store.append(made.id, None, "user", "word " * 100 + "phở bò Hà Nội " + "word " * 100, model="m")
    hits = store.search("ha noi")
    assert [hit.message for hit in hits] == [None, first.id]
    assert [hits[0].snippet[a:b] for a, b in hits[0].marks] == ["Hà", "Nội"]
    assert [hits[1].snippet[a:b] for a, b in hits[1].marks] == ["Hà", "Nội"]
    assert hits[1].snippet[0] == hits[1].snippet[-1] == "…"
    assert len(hits[1].snippet) < 180
    assert hits[1].title == "Chuyện Hà Nội"
    assert store.search("ha noi", SearchFilter(folder="other")) == ()
    assert store.search("ha noi", SearchFilter(model="other")) == ()
    assert (
        len(store.search("ha noi", SearchFilter(folder="f", model="m", since=1.0, until=time.time() + 9)))
        == 2
    )
    assert store.search("ha noi", SearchFilter(until=1.0)) == ()
    assert store.search("ha noi", SearchFilter(conversation=made.id + 1)) == ()


def test_folding() -> None:
    assert fold("Đường PHỐ ấẫệ") == "duong pho aae"
    assert match_expression('say "hi" đi') == '"say" "hi" "di"*'
    assert match_expression("  ") == ""


# ----------------------------------------------------------------------------------------------- formats


def test_a_newer_file_is_refused_politely(file: Path, store: ChatStore, bus: Bus) -> None:
    store.create("kept")
    store.close()
    with sqlite3.connect(file) as connection:
        connection.execute(f"PRAGMA user_version = {store_schema.VERSION + 1}")
    connection.close()
    before = file.read_bytes()
    other = ChatStore(file, bus)
    assert isinstance(other.problem, StoreNewerError)
    assert [item.title for item in other.conversations()] == ["kept"]
    with pytest.raises(StoreNewerError):
        other.create()
    other.close()
    assert file.read_bytes() == before


def test_a_file_that_is_no_database(file: Path, bus: Bus) -> None:
    file.parent.mkdir()
    file.write_bytes(b"no database " * 1000)
    store = ChatStore(file, bus)
    assert isinstance(store.problem, StoreDamagedError)
    assert store.conversations() == ()
    with pytest.raises(StoreDamagedError):
        store.create()
    store.close()
    assert file.read_bytes() == b"no database " * 1000


def test_a_damaged_page_keeps_the_rest_readable(file: Path, store: ChatStore, bus: Bus) -> None:
    made = store.create("kept")
    for number in range(200):
        store.append(made.id, store.leaf(made.id), "user", f"{number} " + "x" * 500)
    store.close()
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 20_000] = os.urandom(20_000)
    file.write_bytes(raw)
    other = ChatStore(file, bus)
    assert [item.title for item in other.conversations()] == ["kept"]
    other.messages(made.id)
    other.close()


def test_a_folder_that_cannot_be_written(tmp_path: Path, bus: Bus) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    store = ChatStore(blocker / "chats.sqlite", bus)
    with pytest.raises(ReadOnlyError):
        store.create()
    store.close()


def test_migrations_run_in_order_after_a_backup(
    file: Path, store: ChatStore, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create("old")
    store.close()
    more = "ALTER TABLE conversation ADD COLUMN extra TEXT NOT NULL DEFAULT 'x; y';"
    monkeypatch.setattr(store_schema, "MIGRATIONS", (*store_schema.MIGRATIONS, more))
    monkeypatch.setattr(store_schema, "VERSION", store_schema.VERSION + 1)
    other = ChatStore(file, bus)
    assert [item.title for item in other.conversations()] == ["old"]
    other.create("new")
    other.close()
    connection = sqlite3.connect(file)
    assert connection.execute("PRAGMA user_version").fetchone() == (store_schema.VERSION,)
    connection.close()
    backup = sqlite3.connect(file.with_name(f"chats.format-{store_schema.VERSION - 1}.sqlite"))
    assert backup.execute("SELECT title FROM conversation").fetchall() == [("old",)]
    backup.close()


def test_a_migration_that_fails_changes_nothing(
    file: Path, store: ChatStore, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create("old")
    store.close()
    bad = "CREATE TABLE extra (id);\nINSERT INTO nowhere VALUES (1);"
    monkeypatch.setattr(store_schema, "MIGRATIONS", (*store_schema.MIGRATIONS, bad))
    monkeypatch.setattr(store_schema, "VERSION", store_schema.VERSION + 1)
    other = ChatStore(file, bus)
    with pytest.raises(sqlite3.OperationalError):
        other.create("new")
    other.close()
    monkeypatch.undo()
    again = ChatStore(file, bus)
    assert [item.title for item in again.conversations()] == ["old"]
    again.close()


# ----------------------------------------------------------------------------------- threads, processes


def test_a_chat_in_memory_is_never_written(tmp_path: Path, bus: Bus) -> None:
    store = ChatStore(None, bus)
    made = store.create("secret")
    talk(store, made.id, "q", "a")
    assert texts(store, made.id) == ["q", "a"]
    assert len(store.search("q")) == 1
    store.close()
    other = ChatStore(None, bus)
    assert other.conversations() == ()
    other.close()


def test_many_threads_read_and_write(store: ChatStore) -> None:
    made = [store.create(str(number)) for number in range(4)]
    errors: list[BaseException] = []

    def work(conversation: int) -> None:
        try:
            for number in range(15):
                talk(store, conversation, f"line {number}")
                assert len(store.messages(conversation)) == number + 1
                store.search("line")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(item.id,)) for item in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert [len(store.messages(item.id)) for item in made] == [15] * 4


def test_two_stores_on_one_file(store: ChatStore, file: Path, bus: Bus) -> None:
    other = ChatStore(file, bus)
    one = store.create("one")
    two = other.create("two")
    answer = store.append(one.id, None, "assistant", writing=True)
    store.journal(answer.id, "going on")
    third = ChatStore(file, bus)
    assert {item.title for item in third.conversations()} == {"one", "two"}
    other.append(two.id, None, "user", "x")
    store.finish(answer.id, "stop").result()
    assert texts(third, one.id) == ["going on"]
    third.close()
    other.close()


def test_after_close_nothing_works_and_nothing_hangs(store: ChatStore) -> None:
    store.create()
    store.close()
    store.close()
    with pytest.raises(UsageError):
        store.create()
    with pytest.raises(UsageError):
        store.conversations()


WRITER = """
import sys
from pathlib import Path
from app.chat.store import ChatStore
from app.core.events import Bus

store = ChatStore(Path(sys.argv[1]), Bus())
made = store.create("crash")
print("ready", made.id, flush=True)
parent, number = None, 0
while True:
    question = store.append(made.id, parent, "user", f"question {number}")
    print("committed", question.id, flush=True)
    answer = store.append(made.id, question.id, "assistant", writing=True)
    for word in range(20):
        store.journal(answer.id, f"w{word} ")
    store.finish(answer.id, "stop").result()
    print("committed", answer.id, flush=True)
    parent, number = answer.id, number + 1
"""


@pytest.mark.slow
def test_killed_at_any_moment_nothing_committed_is_lost(file: Path, bus: Bus) -> None:
    import random

    rounds = int(os.environ.get("HEARTH_KILLS", "10"))
    rng = random.Random(7)
    committed: set[int] = set()
    for _ in range(rounds):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(file)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready")
        time.sleep(rng.uniform(0, 0.25))
        process.kill()
        lines = process.stdout.read().splitlines()
        process.stdout.close()
        process.wait()
        committed |= {
            int(line.split()[1]) for line in lines if line.startswith("committed ") and line[-1].isdigit()
        }
        store = ChatStore(file, bus)
        assert store.problem is None
        kept = {message.id: message for c in store.conversations() for message in store.tree(c.id)}
        assert committed <= kept.keys()
        assert all(message.state == "done" for message in kept.values())
        assert all(message.text for number, message in kept.items() if number in committed)
        store.close()
    check = sqlite3.connect(file)
    assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    check.close()


def room(store: ChatStore, *, pages: int) -> None:
    """Let the file have so many more pages; as a disk that is full, or no longer."""

    def work(connection: sqlite3.Connection) -> None:
        there = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {there + pages}")

    store._file.write(work).result()


def test_an_answer_without_room_is_written_when_there_is(
    store: ChatStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.chat.store_file.AGAIN", 0.01)
    monkeypatch.setattr("app.chat.store.EVERY", 0.01)
    chat = store.create().id
    answer = store.append(chat, None, "assistant", writing=True)
    parts = ["begun ", "w" * 50_000]

    def journalled() -> str:
        return store._file.read(lambda connection: store_journal.in_file(connection, answer.id)[0], "")

    store.journal(answer.id, parts[0])
    until(lambda: journalled() == parts[0])
    room(store, pages=0)
    store.journal(answer.id, parts[1])
    with pytest.raises(SaveDiskFullError):
        store.finish(answer.id, "stop").result()
    with pytest.raises(SaveDiskFullError):
        store.save_unsaved()
    assert texts(store, chat) == ["".join(parts)]
    room(store, pages=1000)
    until(lambda: store.message(answer.id).state == "done")
    assert texts(store, chat) == ["".join(parts)]
    store.save_unsaved()
    talk(store, chat, "the next question")


def test_pieces_without_room_are_not_left_out(store: ChatStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.chat.store_file.AGAIN", 0.01)
    monkeypatch.setattr("app.chat.store.EVERY", 0.01)
    answer = store.append(store.create().id, None, "assistant", writing=True)
    room(store, pages=0)
    store.journal(answer.id, "w" * 50_000)
    store.journal(answer.id, " more")
    room(store, pages=1000)
    store.journal(answer.id, " end")
    until(
        lambda: (
            store._file.read(lambda connection: store_journal.in_file(connection, answer.id)[0], "")
            == "w" * 50_000 + " more end"
        )
    )


def test_an_answer_waits_for_another_process_that_holds_the_file(
    store: ChatStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.chat.store_file.AGAIN", 0.01)
    answer = store.append(store.create().id, None, "assistant", writing=True)
    store.journal(answer.id, "all of it")
    store._file.write(lambda connection: connection.execute("PRAGMA busy_timeout = 1")).result()
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        store.finish(answer.id, "stop").result()
    other.execute("ROLLBACK")
    other.close()
    until(lambda: store.message(answer.id).state == "done")
    assert store.message(answer.id).text == "all of it"


def test_an_interrupted_answer_keeps_its_journal(file: Path, bus: Bus) -> None:
    script = WRITER.split("parent, number", maxsplit=1)[0] + (
        "answer = store.append(made.id, None, 'assistant', writing=True)\n"
        "store.journal(answer.id, 'what was written ', 'thought')\n"
        "import os, signal, sqlite3, time\n"
        "look = sqlite3.connect(sys.argv[1])\n"
        "while not look.execute('SELECT 1 FROM journal').fetchone(): time.sleep(0.01)\n"
        "store.journal(answer.id, 'lost')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run(
        [sys.executable, "-c", script, str(file)], check=False, stdout=subprocess.DEVNULL, timeout=60
    )
    store = ChatStore(file, bus)
    (message,) = store.messages(store.conversations()[0].id)
    assert (message.text, message.reasoning) == ("what was written ", "thought")
    assert (message.state, message.reason) == ("done", "interrupted")
    assert len(store.search("written")) == 1
    store.close()


# ------------------------------------------------------------------------------ what an answer is kept with


def test_probabilities_and_the_time_of_thought_stay_with_an_answer(store: ChatStore) -> None:
    chat = store.create()
    answer = store.append(chat.id, None, "assistant", writing=True)
    tokens = (TokenLogprob("Hi", b"Hi", -0.1, (("Hi", b"Hi", -0.1), ("Yo", b"Yo", -2.5))),)
    store.finish(answer.id, "stop", thought=1.5, logprobs=tokens).result()
    assert store.logprobs(answer.id) == tokens
    assert store.message(answer.id).thought == 1.5
    assert store.logprobs(answer.id + 1) == ()


def test_a_summary_stands_for_a_message(store: ChatStore) -> None:
    chat = store.create()
    made = store.append(chat.id, None, "user", "a long story")
    store.set_context(made.id, "summary", "short")
    assert store.message(made.id).as_message().text == "short"
    store.set_context(made.id, "")
    assert store.message(made.id).as_message().text == "a long story"
    assert store.message(made.id).summary == "short"
    with pytest.raises(UsageError):
        store.set_context(made.id + 1, "pinned")


def test_a_conversation_has_a_context_policy_of_its_own(store: ChatStore) -> None:
    chat = store.create()
    assert chat.policy is None
    store.set_policy(chat.id, "drop_middle")
    assert store.conversation(chat.id).policy == "drop_middle"
    store.set_policy(chat.id, None)
    assert store.conversation(chat.id).policy is None
