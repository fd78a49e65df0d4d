"""The header reader: what it reads, what it refuses, and that no header can hurt it."""

import os
import random
import struct
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.errors import BadHeaderError, HearthError, TruncatedModelError, WrongMagicError
from app.models import gguf
from app.models.gguf import ArrayStub, FileReader, read_header, read_strings
from tests.fakes.gguf_writer import (
    Tensor,
    Typed,
    header_bytes,
    model_metadata,
    model_tensors,
    write_gguf,
    write_model,
)

MEMORY = 64 << 20
SECONDS = 10.0  # of the processor, since the machine may be busy; tracing slows it down by a factor


class Bytes:
    """A reader over bytes in memory that counts what was asked."""

    def __init__(self, data: bytes, size: int | None = -1) -> None:
        self.data, self.reads = data, 0
        self.size = len(data) if size == -1 else size

    def read_at(self, offset: int, size: int) -> bytes:
        self.reads += 1
        return self.data[offset : offset + size]


def test_the_real_starter_is_read(starter: Path) -> None:
    header = read_header(starter)
    assert header.metadata["general.architecture"] == "llama"
    assert header.metadata["llama.block_count"] == 30
    assert header.metadata["tokenizer.ggml.tokens"] == ArrayStub("str", 49152, 1107)
    assert len(header.tensors) == 272
    last = header.tensors[-1]
    assert header.data_offset + last.offset + last.bytes == starter.stat().st_size
    tokens = list(read_strings(starter, header, "tokenizer.ggml.tokens"))
    assert len(tokens) == 49152
    assert tokens[:2] == ["<|endoftext|>", "<|im_start|>"]


def test_a_jump_reads_what_a_walk_reads(starter: Path) -> None:
    with FileReader(starter) as reader:
        walked = gguf._Parser(gguf.Cursor(reader, str(starter)), jump=False).parse(tensors=True)
    assert read_header(starter) == walked


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("big_endian", [False, True])
def test_versions_and_byte_orders(tmp_path: Path, version: int, big_endian: bool) -> None:
    metadata = {
        "general.architecture": "llama",
        "a.bool": True,
        "a.int": 7,
        "a.negative": -3,
        "a.float": 0.5,
        "a.numbers": [1, 2, 3],
        "a.texts": ["một", "hai"],
        "a.empty": [],
        "a.small": Typed("u8", 200),
    }
    path = write_gguf(tmp_path / "m.gguf", metadata, model_tensors(), version=version, big_endian=big_endian)
    header = read_header(path)
    assert (header.version, header.big_endian) == (version, big_endian)
    assert header.metadata == metadata | {
        "a.small": 200,
        "a.numbers": (1, 2, 3),
        "a.texts": ("một", "hai"),
        "a.empty": (),
    }
    assert [t.name for t in header.tensors] == [t.name for t in model_tensors()]


def test_version_1_has_short_lengths(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "old.gguf", {"general.architecture": "llama", "n": ["a", "b"]}, version=1)
    header = read_header(path)
    assert header.version == 1
    assert header.metadata["n"] == ("a", "b")


def test_a_reader_without_a_size_will_do() -> None:
    raw = header_bytes(model_metadata(vocab=5000), model_tensors())
    header = read_header(Bytes(raw, size=None), name="far/away.gguf")
    assert header.size is None
    assert header.path == "far/away.gguf"
    assert header.metadata["tokenizer.ggml.tokens"] == ArrayStub(
        "str", 5000, header.metadata["tokenizer.ggml.tokens"].offset
    )  # type: ignore[union-attr]


def test_general_keys_alone_need_one_read() -> None:
    raw = header_bytes(model_metadata(vocab=200_000), model_tensors())
    reader = Bytes(raw)
    header = read_header(reader, tensors=False)
    assert reader.reads == 1
    assert not header.complete
    assert header.metadata["llama.context_length"] == 2048
    assert header.tensors == ()


def test_short_and_long_arrays(tmp_path: Path) -> None:
    many = [f"t{i}" for i in range(6000)]
    metadata = {
        "general.architecture": "x",
        "tokenizer.ggml.tokens": many,
        "tokenizer.n": 1,
        "s": Typed("arr:f32", [1.5] * 9000),
    }
    path = write_gguf(tmp_path / "m.gguf", metadata, model_tensors())
    header = read_header(path)
    assert header.metadata["tokenizer.ggml.tokens"].count == 6000  # type: ignore[union-attr]
    assert header.metadata["s"].kind == "f32"  # type: ignore[union-attr]
    assert list(read_strings(path, header, "tokenizer.ggml.tokens")) == many
    assert list(read_strings(path, header, "nothing")) == []


def test_a_vocabulary_that_pretends_to_be_a_key_is_walked(tmp_path: Path) -> None:
    fake = "x" * 16_000 + "\x14" + "\0" * 7 + "tokenizer.ggml.model" + "\x04\0\0\0" + "\0" * 40
    metadata = {
        "general.architecture": "x",
        "tokenizer.ggml.tokens": ["a"] * 2500 + [fake] + ["b"] * 500,
        "tokenizer.k": 5,
    }
    header = read_header(write_gguf(tmp_path / "m.gguf", metadata, model_tensors()))
    assert header.metadata["tokenizer.k"] == 5
    assert len(header.tensors) == len(model_tensors())


def test_nested_arrays_are_stepped_over(tmp_path: Path) -> None:
    metadata = {"general.architecture": "x", "deep": [[1, 2], [3]], "after": 1}
    header = read_header(write_gguf(tmp_path / "m.gguf", metadata))
    assert header.metadata["deep"].kind == "array"  # type: ignore[union-attr]
    assert header.metadata["after"] == 1
    deeper: object = [1]
    for _ in range(6):
        deeper = [deeper]
    with pytest.raises(BadHeaderError, match="nested too deep"):
        read_header(write_gguf(tmp_path / "deep.gguf", {"deep": deeper}))


@pytest.mark.parametrize(
    ("content", "found"),
    [(b"<!doctype html>", "'<!do'"), (b"", "nothing"), (b"PK\x03\x04", r"'PK\\x03\\x04'")],
)
def test_wrong_magic_names_what_it_found(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "page.gguf"
    path.write_bytes(content)
    with pytest.raises(WrongMagicError, match=found):
        read_header(path)


def test_a_short_file_says_how_short(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.gguf")
    whole = path.stat().st_size
    for size in (whole - 4096, 5000, 100, 10, 3):
        with path.open("r+b") as file:
            file.truncate(size)
        with pytest.raises(TruncatedModelError) as caught:
            read_header(path)
        assert caught.value.params["found"] == size
        assert int(caught.value.params["expected"]) > size


def test_weights_missing_altogether(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", None, [Tensor("token_embd.weight", (1024, 1024))], weights=False)
    with pytest.raises(TruncatedModelError):
        read_header(path)


def test_an_unknown_tensor_type_takes_the_room_it_has(tmp_path: Path) -> None:
    raw = bytearray(header_bytes({"general.architecture": "x"}, [Tensor("a", (64,)), Tensor("b", (64,))]))
    first = raw.index(struct.pack("<Q", 1) + b"a") + 9 + 4 + 8
    raw[first : first + 4] = struct.pack("<I", 99)
    header = read_header(Bytes(bytes(raw) + bytes(512)))
    assert [(t.type, t.bytes) for t in header.tensors] == [("type 99", 256), ("F32", 256)]


def _string(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def _start(tensors: int, keys: int, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys)


HOSTILE = {
    "many tensors": _start(1 << 60, 0),
    "many keys": _start(0, 1 << 60),
    "many small keys": _start(0, 16_001)
    + b"".join(_string(b"%d" % i) + b"\0\0\0\0\1" for i in range(16_000)) * 2,
    "long key": _start(0, 1) + struct.pack("<Q", 1 << 40),
    "long text": _start(0, 1) + _string(b"k") + struct.pack("<IQ", 8, 1 << 62),
    "long numbers": _start(0, 1) + _string(b"k") + struct.pack("<IIQ", 9, 6, 1 << 61),
    "long strings": _start(0, 1) + _string(b"k") + struct.pack("<IIQ", 9, 8, 1 << 61),
    "empty strings": _start(0, 1) + _string(b"k") + struct.pack("<IIQ", 9, 8, 20_000_000) + bytes(40 << 20),
    "kept strings": _start(0, 4000)
    + b"".join(_string(b"%d" % i) + struct.pack("<IIQ", 9, 8, 500) + bytes(4000) for i in range(4000)),
    "nested": _start(0, 1) + _string(b"k") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 5000,
    "nested wide": _start(0, 1)
    + _string(b"k")
    + struct.pack("<IIQ", 9, 9, 1 << 40)
    + struct.pack("<IQ", 9, 1 << 40) * 99,
    "nested empty": _start(0, 1)
    + _string(b"k")
    + struct.pack("<IIQ", 9, 9, 7_000_000)
    + struct.pack("<IQ", 0, 0) * 900_000,
    "unknown type": _start(0, 1) + _string(b"k") + struct.pack("<I", 77),
    "future version": _start(0, 0, 4),
    "version zero": _start(0, 0, 0),
    "empty key": _start(0, 1) + _string(b"") + struct.pack("<IB", 0, 1),
    "key twice": _start(0, 2) + (_string(b"k") + struct.pack("<IB", 0, 1)) * 2,
    "alignment": _start(0, 1) + _string(b"general.alignment") + struct.pack("<II", 4, 33),
    "alignment text": _start(0, 1) + _string(b"general.alignment") + struct.pack("<I", 8) + _string(b"x"),
    "tensor twice": header_bytes({}, [Tensor("t", (32,)), Tensor("t", (32,))]),
    "long name": header_bytes({}, [Tensor("t" * 64, (32,))]),
    "odd rows": header_bytes({}, [Tensor("t", (33, 2), "Q8_0")]),
    "huge tensor": _start(1, 0) + _string(b"t") + struct.pack("<I4QIQ", 4, *([1 << 40] * 4), 0, 0),
    "five dimensions": _start(1, 0) + _string(b"t") + struct.pack("<I5QIQ", 5, 1, 1, 1, 1, 1, 0, 0),
    "removed type": _start(1, 0) + _string(b"t") + struct.pack("<IQIQ", 1, 32, 4, 0),
    "a hole": _start(1, 0) + _string(b"t") + struct.pack("<IQIQ", 1, 32, 0, 4096) + bytes(8192),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_header_is_refused_quickly_and_in_little_memory(name: str) -> None:
    raw = HOSTILE[name]
    readers = [Bytes(raw), Bytes(raw, size=None)]
    for reader in readers:
        tracemalloc.start()
        start = time.thread_time()
        with pytest.raises((BadHeaderError, TruncatedModelError)):
            read_header(reader)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < MEMORY
        assert time.thread_time() - start < SECONDS


def test_a_huge_sparse_file_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "sparse.gguf"
    path.write_bytes(_start(0, 1) + _string(b"k") + struct.pack("<IIQ", 9, 8, 1 << 30))
    os.truncate(path, 1 << 40)
    start = time.thread_time()
    with pytest.raises(BadHeaderError):
        read_header(path)
    assert time.thread_time() - start < SECONDS


def survives(raw: bytes) -> bool:
    """Read ``raw``; True when it was accepted. Anything but an error of ours is a bug."""
    try:
        header = read_header(Bytes(raw))
    except HearthError as error:
        _ = str(error)  # the sentence can be made
        return False
    assert all(t.bytes >= 0 for t in header.tensors)
    return True


def mutate(raw: bytes, rng: random.Random) -> bytes:
    """Flip, overwrite, cut, repeat or splice a few bytes, mostly near the beginning."""
    data = bytearray(raw)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(min(len(data), rng.choice([24, 200, len(data)])) or 1)
        match rng.randrange(6):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at : at + 8] = struct.pack(
                    "<Q", rng.choice([0, 1, 255, 1 << 31, 1 << 40, (1 << 64) - 1])
                )
            case 2:
                data[at : at + 4] = struct.pack("<I", rng.choice([0, 8, 9, 13, 1 << 16, (1 << 32) - 1]))
            case 3:
                del data[at : at + rng.randint(1, 16)]
            case 4:
                data[at:at] = data[at : at + rng.randint(1, 64)]
            case 5:
                data = data[: rng.randint(at, len(data))]
        if not data:
            break
    return bytes(data)


def fuzz(rounds: int, seed: int = 1) -> int:
    """Mutate small headers ``rounds`` times; returns how many were still accepted."""
    rng = random.Random(seed)
    bases = [
        header_bytes(model_metadata(vocab=20), model_tensors(layers=1)) + bytes(1 << 16),
        header_bytes(model_metadata(vocab=2500), model_tensors(layers=1)) + bytes(1 << 16),
        header_bytes({"a": [[1], [2]], "b": ["x"] * 9}, [Tensor("t", (32,))], version=2) + bytes(256),
        header_bytes({"a": [1.0], "b": ["x"] * 9}, [Tensor("t", (32,))], version=1) + bytes(256),
        header_bytes({"a": [1.0], "b": ["x"] * 9}, [Tensor("t", (32,))], big_endian=True) + bytes(256),
    ]
    accepted = 0
    for _ in range(rounds):
        raw = mutate(rng.choice(bases), rng)
        tracemalloc.reset_peak()
        began, before = time.thread_time(), tracemalloc.get_traced_memory()[0]
        accepted += survives(raw)
        taken = tracemalloc.get_traced_memory()[1] - before
        assert taken < MEMORY, f"{taken} bytes for {raw[:400]!r}"
        assert time.thread_time() - began < SECONDS, raw[:400]
    return accepted


def test_mutated_headers() -> None:
    rounds = int(os.environ.get("HEARTH_FUZZ", "10000"))
    tracemalloc.start()
    try:
        accepted = fuzz(rounds)
    finally:
        tracemalloc.stop()
    assert 0 < accepted < rounds


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=400))
def test_any_bytes_after_the_magic(tail: bytes) -> None:
    survives(b"GGUF" + tail)
    survives(_start(2, 3) + tail)


values = st.one_of(
    st.booleans(),
    st.integers(0, (1 << 32) - 1),
    st.floats(allow_nan=False, width=32),
    st.text(max_size=30),
    st.lists(st.integers(0, 255), max_size=9),
    st.lists(st.text(max_size=9), min_size=1, max_size=5),
)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.text(min_size=1, max_size=20), values, max_size=8),
    st.sampled_from([2, 3]),
    st.booleans(),
)
def test_what_is_written_is_read(metadata: dict[str, object], version: int, big_endian: bool) -> None:
    metadata.pop("general.alignment", None)
    raw = header_bytes(metadata, [Tensor("t", (32, 2), "Q4_0")], version=version, big_endian=big_endian)
    header = read_header(Bytes(raw + bytes(64)))
    expected = {key: tuple(value) if isinstance(value, list) else value for key, value in metadata.items()}
    assert header.metadata == expected
