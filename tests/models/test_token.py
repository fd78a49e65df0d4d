"""The token is found, kept in the keyring, and never seen in a log."""

import logging
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest

from app.core.errors import UsageError
from app.models.hub import Hub
from app.models.token import Tokens
from tests.fakes.hub_server import FakeFile, FakeRepo, LocalHub
from tests.fakes.keyrings import Memory


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Memory]:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    before = keyring.get_keyring()
    found = Memory()
    keyring.set_keyring(found)
    yield found
    keyring.set_keyring(before)


def test_it_is_kept_in_the_keyring_and_forgotten(memory: Memory) -> None:
    tokens = Tokens()
    assert tokens.find() == (None, None)
    tokens.save(" hf_secret \n")
    assert tokens.find() == ("hf_secret", "keyring")
    assert Tokens()() == "hf_secret"
    tokens.forget()
    assert tokens() is None
    assert not memory.kept


def test_the_environment_wins_and_the_command_line_s_is_the_last(
    memory: Memory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("hf_shared\n")
    assert Tokens().find() == ("hf_shared", "huggingface")
    tokens = Tokens()
    tokens.save("hf_mine")
    assert tokens.find() == ("hf_mine", "keyring")
    monkeypatch.setenv("HF_TOKEN", "hf_named")
    assert tokens.find() == ("hf_named", "environment")


def test_without_a_keyring_it_says_so(memory: Memory) -> None:
    memory.works = False
    assert Tokens()() is None
    Tokens().forget()
    with pytest.raises(UsageError, match="keyring"):
        Tokens().save("hf_secret")


@pytest.mark.parametrize("text", ["", "  ", "two words", "a\x00b"])
def test_what_is_no_token_is_refused(memory: Memory, text: str) -> None:
    with pytest.raises(UsageError):
        Tokens().save(text)


def test_it_is_in_no_log(memory: Memory, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = Tokens()
    tokens.save("hf_verysecret")
    files = {"a-Q4_0.gguf": FakeFile.promised(20_000, "a")}
    with LocalHub(
        [FakeRepo("me/a-GGUF", files, private=True)], tokens={"hf_verysecret": {"me/a-GGUF"}}
    ) as server:
        hub = Hub(server.url, tokens)
        hub.search("a")
        hub.repo("me/a-GGUF")
        hub.locate("me/a-GGUF", "main", "a-Q4_0.gguf")
        assert all(asked.authorized for asked in server.requests)
    tokens.forget()
    assert "hf_verysecret" not in caplog.text
