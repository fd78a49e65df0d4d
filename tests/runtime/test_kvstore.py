"""Conversations that come back from disk without a prefill."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.events import Bus
from app.core.generate import Message, SamplingParams
from app.core.types import LoadPlan
from app.runtime.kvstore import KvStore, build, drop_conversations, fingerprint, key_of, make_room, parse
from app.runtime.supervisor import Supervisor
from tests.fakes.asking import MODEL, Reply, ask, request, small_plan

TOKENS = list(range(300))


def kept(folder: Path, key: str = "key") -> KvStore:
    store = KvStore(folder, key)
    store.put("chat", TOKENS, b"state" * 100)
    store.close()
    store.close()
    return store


def test_what_was_put_is_found(tmp_path: Path) -> None:
    found = kept(tmp_path / "kv").find("chat")
    assert found
    assert (found.tokens, found.state) == (TOKENS, b"state" * 100)
    assert kept(tmp_path).find("other") is None
    assert KvStore(tmp_path / "none", "key").find("chat") is None


def test_another_model_never_gets_it(tmp_path: Path) -> None:
    path = kept(tmp_path).path("chat")
    other = KvStore(tmp_path, "other")
    path.rename(other.path("chat"))
    assert other.find("chat") is None
    assert not other.path("chat").exists()


_FILE = build("key", "chat", TOKENS, b"state" * 100)


@given(st.integers(0, len(_FILE) - 1), st.integers(1, 255))
@settings(max_examples=1000, deadline=None)
def test_a_changed_byte_is_noticed(at: int, change: int) -> None:
    damaged = _FILE[:at] + bytes([_FILE[at] ^ change]) + _FILE[at + 1 :]
    with pytest.raises(ValueError, match="it"):
        parse(damaged, "key", "chat")


@given(st.integers(0, len(_FILE) - 1))
def test_a_cut_file_is_noticed(length: int) -> None:
    with pytest.raises(ValueError, match="it"):
        parse(_FILE[:length], "key", "chat")


def test_a_damaged_file_is_deleted(tmp_path: Path) -> None:
    store = kept(tmp_path)
    store.path("chat").write_bytes(_FILE[:-1])
    assert store.find("chat") is None
    assert not store.path("chat").exists()


def test_a_deleted_chat_leaves_nothing(tmp_path: Path) -> None:
    for key in ("one", "two"):
        kept(tmp_path, key)
    (tmp_path / "junk.kv").write_bytes(b"x")
    assert drop_conversations(tmp_path, ["other"]) == 0
    assert drop_conversations(tmp_path, ["chat", "other"]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["junk.kv"]


def test_the_oldest_go_first(tmp_path: Path) -> None:
    for number in range(4):
        path = tmp_path / f"{number}.kv"
        path.write_bytes(b"x" * 100)
        os.utime(path, (number, number))
    (tmp_path / ".state-left").write_bytes(b"x")
    make_room(tmp_path, 250, keep=tmp_path / "0.kv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.kv", "2.kv", "3.kv"]


def test_too_large_or_unwritable_is_let_be(tmp_path: Path) -> None:
    store = KvStore(tmp_path, "key", cap=10)
    store.put("chat", TOKENS, b"x" * 100)
    store.close()
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_bytes(b"")
    blocked = KvStore(tmp_path / "file" / "kv", "key")
    blocked.put("chat", TOKENS, b"x")
    blocked.close()


def test_the_key_follows_model_and_plan(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"a" * 3_000_000)
    plan = LoadPlan(str(path))
    first = key_of(plan, "1")
    assert key_of(LoadPlan(str(path), n_ctx=77, n_threads=3), "1") == first
    assert key_of(LoadPlan(str(path), type_k="q8_0"), "1") != first
    assert key_of(plan, "2") != first
    path.write_bytes(b"a" * 2_999_999 + b"b")
    assert key_of(plan, "1") != first


# --------------------------------------------------------------------------- with the real model


def turn(supervisor: Supervisor, history: tuple[Message, ...]) -> Reply:
    sampling = SamplingParams(temperature=0, max_tokens=8)
    return ask(supervisor, request(messages=history, sampling=sampling, conversation="chat-1")).wait()


def restarted(tmp_path: Path, starter: Path, **changes: object) -> Supervisor:
    supervisor = Supervisor(Bus(), tmp_path / "logs", cache=tmp_path / "cache")
    supervisor.ensure_ready(MODEL, small_plan(starter, **changes)).result(60)
    return supervisor


def test_a_chat_goes_on_after_a_restart(tmp_path: Path, starter: Path) -> None:
    long = Message("user", "Remember: " + " ".join(f"item {n}" for n in range(80)))
    supervisor = restarted(tmp_path, starter)
    first = turn(supervisor, (long,))
    supervisor.close()
    assert len(list((tmp_path / "cache" / "kv").glob("*.kv"))) == 1

    history = (long, Message("assistant", first.text()), Message("user", "Thanks."))
    supervisor = restarted(tmp_path, starter)
    second = turn(supervisor, history)
    usage, fresh = second.finished().usage, first.finished()
    assert usage.cached > 0.9 * fresh.usage.prompt
    supervisor.unload(MODEL).result(60)

    supervisor.ensure_ready(MODEL, small_plan(starter, type_k="q8_0")).result(60)
    assert turn(supervisor, history).finished().usage.cached == 0
    supervisor.close()
    for path in (tmp_path / "cache" / "kv").glob("*.kv"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    supervisor = restarted(tmp_path, starter)
    assert turn(supervisor, history).finished().usage.cached == 0
    supervisor.close()


def test_two_chats_in_turn_are_prefilled_once(tmp_path: Path, starter: Path) -> None:
    supervisor = restarted(tmp_path, starter, n_parallel=1)
    chats = [(Message("user", f"Say {word}. " + "word " * 240),) for word in ("yes", "no")]
    sampling = SamplingParams(temperature=0, max_tokens=24, ignore_eos=True)

    def say(chat: int, history: tuple[Message, ...]) -> Reply:
        asked = request(messages=history, sampling=sampling, conversation=f"chat-{chat}")
        return ask(supervisor, asked).wait()

    try:
        firsts = [say(at, history).text() for at, history in enumerate(chats)]
        for at, history in enumerate(chats):
            chats[at] = (*history, Message("assistant", firsts[at]), Message("user", "Go on."))
            usage = say(at, chats[at]).finished().usage
            assert usage.cached >= usage.prompt - 20
        again = say(0, chats[0][:1])
        assert again.finished().usage.cached > 240
        assert again.text() == firsts[0]
        supervisor.forget(["chat-1"])
        say(0, chats[0][:1])  # it was heard before this
    finally:
        supervisor.close()
    assert len(list((tmp_path / "cache" / "kv").glob("*.kv"))) == 1


def test_files_of_one_size_that_only_differ_in_the_middle_are_told_apart(tmp_path: Path) -> None:
    """Two quants with the same long vocabulary in their headers, and the same last tensors."""
    found = set()
    for kind in range(3):
        path = tmp_path / f"{kind}.gguf"
        with path.open("wb") as file:
            file.truncate(40 << 20)
            file.seek(8 << 20)
            file.write(bytes([kind + 1]) * (2 << 20))
        found.add(fingerprint(path))
    assert len(found) == 3
