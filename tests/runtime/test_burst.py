"""Steps that our own library computes by itself: what goes straight to a reader is what Python would write, and what is
not plain text is left to Python. llama.cpp's part is played by callbacks here."""

import ctypes
import json
import socket
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.core.generate import Delta
from app.runtime import llama_choose
from app.runtime.llama_burst import MOST_STEPS, Stretch
from app.runtime.llama_context import Batch
from app.runtime.speaker import Speaker
from tests.server.test_straight import unchunked

pytestmark = pytest.mark.skipif(not llama_choose.available(), reason="another build of llama-cpp-python")

N_VOCAB = 640
END = 7
HEAD, TAIL = b'data: {"text":', b',"more":null}\n\n'
UNSAFE = bytes(int(byte in b"<[") for byte in range(256))
NOT_WINDOWS = pytest.mark.skipif(not hasattr(socket, "send_fds"), reason="sockets are not lent here")


class Played:
    """A stretch over a model that says what it is told to: ``script`` has a row of tokens for each step, ``pieces`` the
    bytes of a token."""

    def __init__(
        self, script: Sequence[Sequence[int]], pieces: dict[int, bytes], codes: dict[int, int] | None = None
    ):
        self.script, self.pieces, self.codes = script, pieces, codes or {}
        self.steps = 0
        self.seen: list[list[int]] = []
        self.visitors = ctypes.c_int32(0)
        count = len(script[0])
        self._logits = (ctypes.c_float * (N_VOCAB * count))()
        rows = llama_choose.Rows(N_VOCAB, count)
        batch = Batch(count)
        for seq in range(count):
            batch.add(0, 10 * seq, seq)
        model = SimpleNamespace(vocab=None, n_vocab=N_VOCAB)
        context: Any = SimpleNamespace(pointer=None, model=model, batch=batch)
        self.batch = batch
        self.stretch = Stretch(context, rows, [END, llama_choose.UNSURE], self.visitors)
        kinds = (
            ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, type(batch.struct)),
            ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p),
            ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32,
                             ctypes.c_int32, ctypes.c_bool),
        )  # fmt: skip
        self._calls = [
            kind(call) for kind, call in zip(kinds, (self._decode, self._row, self._piece), strict=True)
        ]
        for name, call in zip(("decode", "logits", "piece"), self._calls, strict=True):
            setattr(self.stretch._all, name, ctypes.cast(call, ctypes.c_void_p))

    def _decode(self, _context: int, batch: Any) -> int:
        self.seen.append(batch.token[: batch.n_tokens])
        step, self.steps = self.steps, self.steps + 1
        ctypes.memset(self._logits, 0, ctypes.sizeof(self._logits))
        for row, token in enumerate(self.script[step]):
            if token >= 0:
                self._logits[row * N_VOCAB + token] = 1.0
        return self.codes.get(step, 0)

    def _row(self, _context: int) -> int:
        return ctypes.addressof(self._logits)

    def _piece(self, _vocab: int, token: int, out: int, room: int, _strip: int, _special: bool) -> int:
        data = self.pieces.get(token, b"x")
        ctypes.memmove(out, data, min(len(data), room))
        return len(data) if len(data) <= room else -len(data)

    def run(self, most: int = MOST_STEPS, seconds: float = 60.0) -> int:
        """From the token 1 on."""
        return self.stretch.run([1] * len(self.script[0]), most, seconds)


class Reader:
    """A client, and the speaker that writes to it."""

    def __init__(self) -> None:
        self.client, end = socket.socketpair()
        end.setblocking(False)
        self.speaker = Speaker(end.detach(), HEAD, TAIL, UNSAFE)

    def texts(self) -> list[str]:
        """What came: the text of each chunk."""
        self.speaker.close()
        data = b"".join(iter(lambda: self.client.recv(65536), b""))
        body = unchunked(b"\r\n\r\n" + data + b"0\r\n\r\n").decode()
        return [json.loads(line.removeprefix("data: "))["text"] for line in body.split("\n") if line]


@pytest.fixture
def reader() -> Iterator[Reader]:
    made = Reader()
    yield made
    made.speaker.close()
    made.client.close()


def test_tokens_are_chosen_fed_back_and_left_for_the_caller() -> None:
    played = Played([[2, 3], [4, 5], [6, END], [8, 8]], {})
    assert played.run() == 0
    assert played.stretch.rows == [[2, 3], [4, 5], [6, END]]
    assert played.seen == [[1, 1], [2, 3], [4, 5]]
    assert played.batch._pos[:] == [3, 13]


def test_it_stops_for_visitors_for_time_and_where_it_was_told_to() -> None:
    script = [[2]] * 100
    played = Played(script, {})
    played.run(most=5)
    assert len(played.stretch.rows) == 5
    played.run(seconds=0.0)
    assert len(played.stretch.rows) == 1
    played.visitors.value = 1
    played.run()
    assert len(played.stretch.rows) == 1
    played.visitors.value = 0
    played.run(most=1000)
    assert len(played.stretch.rows) == MOST_STEPS


def test_a_step_that_fails_is_told_and_those_before_it_count() -> None:
    played = Played([[2], [3], [4]], {}, codes={2: 1})
    assert played.run() == 1
    assert played.stretch.rows == [[2], [3]]


@NOT_WINDOWS
def test_each_text_but_the_last_goes_to_its_own_reader(reader: Reader) -> None:
    other = Reader()
    played = Played([[2, 3, 4], [3, 2, 4], [2, 2, END]], {2: b"two ", 3: "ba \u1ebf".encode(), 4: b"<four>"})
    played.stretch.speak(0, reader.speaker)
    played.stretch.speak(1, other.speaker)
    played.stretch.speak(2, None)
    assert played.run() == 0
    assert len(played.stretch.rows) == 3
    assert reader.texts() == ["two ", "ba \u1ebf"]
    assert other.texts() == ["ba \u1ebf", "two "]
    other.client.close()


@NOT_WINDOWS
@given(
    st.lists(st.binary(max_size=12) | st.text(max_size=12).map(lambda text: text.encode("utf-8", "replace")))
)
@example([b'"\\/\x08\x0c\n\r\t\x00\x1f\x7f'])
@example(["\U0001f600\u1ec7\ud7ff".encode(), "\U0001f600".encode()[:3]])
@example(["\x85\u2028".encode()])
@example([b"\xc0\x80"])
@example([b"\xed\xa0\x80"])
@example([b"\xf4\x90\x80\x80"])
@example([b"plain", b"a [call"])
@example([b"y" * 512, b"y" * 513])
def test_what_is_spoken_is_what_python_would_write(pieces: list[bytes]) -> None:
    texts = dict(enumerate(pieces, start=10))
    played, reader = Played([[token] for token in texts] + [[END]], texts), Reader()
    played.stretch.speak(0, reader.speaker)
    played.run()
    spoken = [texts[token] for [token] in played.stretch.rows[:-1]]
    found = reader.texts()
    reader.client.close()
    assert [text.encode() for text in found] == spoken
    [last] = played.stretch.rows[-1]
    assert last == END or not _is_plain(texts[last]) or len(played.stretch.rows) == MOST_STEPS
    assert all(map(_is_plain, spoken))


def _is_plain(data: bytes) -> bool:
    try:
        return 0 < len(data) <= 512 and not {*data} & {*b"<["} and bool(data.decode())
    except UnicodeDecodeError:
        return False


@NOT_WINDOWS
def test_a_reader_that_does_not_keep_up_ends_the_stretch_and_nothing_is_lost(reader: Reader) -> None:
    played = Played([[2]] * 60, {2: b"y" * 400})
    other = reader.speaker.socket
    with socket.socket(fileno=other) as end:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        end.detach()
    played.stretch.speak(0, reader.speaker)
    rows: list[list[int]] = []
    while not (rest := played.stretch.unsaid(0)):
        played.run()
        rows += played.stretch.rows[:-1]
        assert played.steps < 60
    reader.speaker.close()
    data = b"".join(iter(lambda: reader.client.recv(65536), b"")) + rest
    body = unchunked(b"\r\n\r\n" + data + b"0\r\n\r\n")
    assert body == (HEAD + b'"' + b"y" * 400 + b'"' + TAIL) * len(rows)


@NOT_WINDOWS
def test_python_says_the_same_and_returns_what_has_no_room(reader: Reader) -> None:
    said = 'a "quoted" \u1ebf\n'
    assert reader.speaker.say(Delta(text=said, tokens=2)) == b""
    assert reader.speaker.untold == 2
    assert reader.texts() == [said]
    away = Reader()
    away.client.close()
    assert unchunked(b"\r\n\r\n" + away.speaker.say(Delta(text="x")) + b"0\r\n\r\n") == HEAD + b'"x"' + TAIL
    away.speaker.close()
