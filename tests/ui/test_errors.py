"""Every error a person can meet: words, what to do, a button that something answers to."""

import re
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtGui import QGuiApplication

from app.core.errors import HearthError, HubUnreachableError, UsageError, _tree, all_errors
from app.core.events import ErrorInfo
from app.planning.watch import ACTIONS
from app.ui import errors, translate
from app.ui.asked import handlers
from app.ui.chat_style import make_style
from app.ui.message_parts import ErrorCard
from app.ui.widgets import Banner
from tests.make_translations import TS

ALL = list(all_errors().values())
ON_PAGES = {"retry", "load_again", "load_options", "download_again"}
"""What the pages do by themselves where the error stands."""


def _made(kind: type[HearthError]) -> HearthError:
    names = re.findall(r"{(\w+)}", kind.template + kind.hint)
    return kind(**{name: name.upper() for name in names})


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.code)
def test_it_is_whole_sentences_with_its_facts_in_them(kind: type[HearthError]) -> None:
    described = errors.describe(_made(kind))
    assert described.text
    assert all(name in described.sentence for name in _made(kind).params.values())
    assert described.text.rstrip().endswith((".", "DETAIL"))
    assert not described.hint or described.hint.endswith(".")


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.code)
def test_its_action_has_a_label_and_somebody_who_does_it(window: Any, kind: type[HearthError]) -> None:
    if kind.action:
        assert errors.action_label(kind.action)
        assert kind.action in handlers(window) or kind.action in ON_PAGES


@pytest.mark.parametrize("kind", [k for k in ALL if not k.action], ids=lambda kind: kind.code)
def test_without_a_next_step_its_words_can_be_copied(qtbot: Any, kind: type[HearthError]) -> None:
    banner = Banner()
    qtbot.addWidget(banner)
    banner.show_error(errors.describe(_made(kind)))
    assert not banner.copy.isHidden()
    banner.copy.click()
    assert QGuiApplication.clipboard().text() == banner.words.text()


def test_the_card_in_the_chat_can_be_copied_too(qtbot: Any) -> None:
    from app.ui import theme

    theme.notifier().apply("light")
    card = ErrorCard(make_style(), None)  # type: ignore[arg-type]
    qtbot.addWidget(card)
    card.show_error(ErrorInfo("bad_request", "No.", {}, ""), "It can't be served.", "", "")
    assert not card._copy.isHidden()
    card._copy.click()
    assert QGuiApplication.clipboard().text() == "It can't be served."


def test_every_error_speaks_vietnamese(qtbot: Any) -> None:
    known = translate.read_ts(Path(TS))
    for kind in _tree(HearthError):
        for text in (kind.template, kind.hint):
            if text not in {"", "{detail}"}:
                assert ("Errors", text) in known, text


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("[Errno -3] Temporary failure in name resolution", "its name is not known here"),
        ("[Errno 111] Connection refused", "nothing answers there"),
        ("The handshake operation timed out", "no answer came in time"),
        ("certificate verify failed: self-signed certificate", "its certificate is not trusted"),
        ("the proxy refused (407)", "the proxy asks for a name and a password"),
        ("the proxy refused (403 Forbidden)", "the proxy refused"),
        (
            "the proxy host:port is no address",
            "the proxy's address is wrong; it looks like http://host:8080",
        ),
        ("the proxy 10.0.0.1 can't be reached (refused)", "the proxy itself does not answer"),
        ("[Errno 101] Network is unreachable", "there is no way to it"),
        ("Server disconnected without sending a response", "the connection broke off"),
    ],
)
def test_the_systems_words_are_said_in_the_users_and_kept(raw: str, words: str) -> None:
    described = errors.describe(HubUnreachableError(host="hub", detail=raw))
    assert words in described.text
    assert raw not in described.sentence
    assert described.details == raw


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (
            "data.bin is neither text nor an image. Copy its text and paste it, or save it as a text file.",
            (
                "data.bin không phải văn bản cũng không phải ảnh. Hãy chép nội dung của nó rồi dán vào,"
                " hoặc lưu thành tệp văn bản."
            ),
        ),
        ("a.txt can't be read: Permission denied.", "Không đọc được a.txt: hệ thống không cho phép."),
        ("{x} is damaged.", "{x} bị hỏng."),
    ],
)
def test_our_own_sentences_are_said_with_their_names(qtbot: Any, raw: str, shown: str) -> None:
    translate.install("vi")
    try:
        assert errors.describe(UsageError(detail=raw)).sentence == shown
    finally:
        translate.install("en")
    assert errors.describe(UsageError(detail="Something else.")).text == "Something else."


def test_the_offline_page_says_it_in_vietnamese(qtbot: Any, window: Any) -> None:
    offline = window.open_page("discover").offline
    translate.install("vi")
    offline.show_reason(HubUnreachableError(host="hub", detail="[Errno 111] Connection refused"))
    shown = offline._text.text()
    translate.install("en")
    assert "refused" not in shown
    assert "hub" in shown
    assert not offline.more.isHidden()
    assert offline.details.isHidden()
    offline.more.click()
    said = offline.details.text().splitlines()[1:]  # below whose words they are
    assert said == ["[Errno 111] Connection refused"]
    assert not offline.details.isHidden()


def test_trying_again_does_what_was_tried(qtbot: Any, window: Any) -> None:
    tried: list[int] = []
    window.say_error(HubUnreachableError(host="hub", detail="no network"), "", lambda: tried.append(1))
    window.banner.button.click()
    assert tried == [1]
    assert window.banner.isHidden()


def test_what_mends_a_slow_model_has_a_label_and_somebody_who_does_it(window: Any) -> None:
    for action in filter(None, ACTIONS.values()):
        assert errors.action_label(action), action
        assert action in handlers(window), action


def test_an_engine_s_own_words_are_said_to_be_its_own(qtbot: Any) -> None:
    broken = ErrorInfo("worker_crashed", "", {"model": "m", "why": "x"}, "GGML_ASSERT(x) failed")
    assert errors.describe(broken).details == "GGML_ASSERT(x) failed"
    try:
        translate.install("vi")
        first, _, rest = errors.describe(broken).details.partition("\n")
        assert "tiếng Anh" in first
        assert rest == "GGML_ASSERT(x) failed"
    finally:
        translate.install("en")
