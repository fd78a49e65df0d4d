"""Files that go with a question."""

from pathlib import Path

import pytest

from app.chat import attachments
from app.core import pictures
from app.core.errors import UsageError
from tests.fakes.projector import RED, picture


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain", "plain"),
        ("tiếng Việt".encode(), "tiếng Việt"),
        (b"\xef\xbb\xbfmarked", "marked"),
        ("rộng".encode("utf-16"), "rộng"),
        (b"a\r\nb", "a\nb"),
        ("café".encode("latin-1"), "café"),
        (b"", ""),
    ],
)
def test_text_in_any_usual_encoding(raw: bytes, text: str) -> None:
    found = attachments.from_bytes("a.txt", raw)
    assert (found.kind, found.text, found.data) == ("text", text, raw)


@pytest.mark.parametrize(
    ("raw", "mime"),
    [
        (picture(RED), "image/png"),
        (b"\xff\xd8\xff\xc0\0\x11\x08\0\x02\0\x02\x03", "image/jpeg"),
        (b"GIF89a\x02\0\x02\0", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8X" + bytes(14), "image/webp"),
    ],
)
def test_images_are_known_by_their_bytes(raw: bytes, mime: str) -> None:
    found = attachments.from_bytes("liar.txt", raw)
    assert (found.kind, found.mime, found.text, found.data) == ("image", mime, "", raw)


@pytest.mark.parametrize(
    "raw", [b"\x7fELF\0\0\0", b"PK\x03\x04\x00\x01", b"text\0with zero", b"\xff\xfe\x00"]
)
def test_what_is_neither_is_refused(raw: bytes) -> None:
    with pytest.raises(UsageError):
        attachments.from_bytes("x", raw)


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.py").write_text("print()")
    assert attachments.from_file(tmp_path / "a.py").name == "a.py"
    with pytest.raises(UsageError):
        attachments.from_file(tmp_path / "nothing")
    with pytest.raises(UsageError):
        attachments.from_file(tmp_path)
    monkeypatch.setattr(attachments, "LARGEST_TEXT", 3)
    with pytest.raises(UsageError, match="too large"):
        attachments.from_file(tmp_path / "a.py")
    monkeypatch.setattr(pictures, "LARGEST_BYTES", 3)
    with pytest.raises(UsageError, match="too large"):
        attachments.from_file(tmp_path / "a.py")


def test_long_pastes() -> None:
    assert not attachments.is_long_paste("short\n" * 20)
    assert attachments.is_long_paste("x" * 7000)
    assert attachments.is_long_paste("x\n" * 100)
    assert attachments.from_paste("text", 2).name == "pasted-2.txt"
