"""llama.cpp's sampler chains and grammars as objects that free themselves. ``sampling`` decides what is in a chain."""

import ctypes
import os
import re
import sys
import tempfile
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from app.runtime.llama import fast, lib
from app.runtime.llama_context import Context, Floats
from app.runtime.llama_model import Model

CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""``llama_token_data``."""

_sample = fast("llama_sampler_sample", ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32)
_accept = fast("llama_sampler_accept", None, ctypes.c_void_p, ctypes.c_int32)
_apply = fast("llama_sampler_apply", None, ctypes.c_void_p, ctypes.c_void_p)
_chain_add = fast("llama_sampler_chain_add", None, ctypes.c_void_p, ctypes.c_void_p)
_clone = fast("llama_sampler_clone", ctypes.c_void_p, ctypes.c_void_p)
_init_dry = fast(
    "llama_sampler_init_dry", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_float, ctypes.c_float,
    ctypes.c_int32, ctypes.c_int32, ctypes.c_void_p, ctypes.c_size_t,
)  # fmt: skip
_free = fast("llama_sampler_free", None, ctypes.c_void_p)
_grammar = fast(
    "llama_sampler_init_grammar", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p
)
_lazy_grammar = fast(
    "llama_sampler_init_grammar_lazy_patterns", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p,
    ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t,
)  # fmt: skip

_WRONG = re.compile(
    r"error parsing grammar: (?P<what>[^\n]{1,160})|grammar does not contain a '[^'\n]*' symbol|left recursion"
)
"""What llama-grammar.cpp says of a grammar that it can't use."""


class Candidates:
    """The whole vocabulary as llama.cpp's candidate array; filled again for each use."""

    def __init__(self, n_vocab: int) -> None:
        self._ids = np.arange(n_vocab, dtype=np.int32)
        self._data = np.empty(n_vocab, CANDIDATE)
        self._id, self._logit = self._data["id"], self._data["logit"]
        self._array = lib.llama_token_data_array()
        self._pointer = ctypes.cast(self._data.ctypes.data, ctypes.POINTER(lib.llama_token_data))

    def fill(self, logits: Floats) -> Any:
        """All tokens with these logits; returns the array's address."""
        self._id[:] = self._ids
        self._logit[:] = logits
        return self._set(len(self._ids))

    def one(self, token: int) -> Any:
        """Just one token."""
        self._data[0] = (token, 1.0, 0.0)
        return self._set(1)

    def _set(self, size: int) -> Any:
        self._array.data, self._array.size = self._pointer, size
        self._array.selected, self._array.sorted = -1, False
        return ctypes.addressof(self._array)

    @property
    def possible(self) -> bool:
        """The single token (after ``one``) was not ruled out."""
        return bool(self._data[0]["logit"] > -np.inf)

    @property
    def selected(self) -> int:
        """The token a chain chose, or -1."""
        index = self._array.selected
        return int(self._array.data[index].id) if index >= 0 else -1


class _Dry:
    """A DRY sampler to be cloned: for each breaker llama.cpp goes through the vocabulary (20 ms for a small one)."""

    def __init__(self, vocab: int, numbers: tuple[float, float, int, int], breakers: tuple[str, ...]) -> None:
        array = (ctypes.c_char_p * len(breakers))(*[text.encode() for text in breakers])
        self.pointer = _init_dry(vocab, *numbers, ctypes.addressof(array), len(breakers))

    def __del__(self) -> None:
        _free(self.pointer)


_Known = OrderedDict[tuple[tuple[float, float, int, int], tuple[str, ...]], _Dry]
_known: weakref.WeakKeyDictionary[Model, _Known] = weakref.WeakKeyDictionary()
MOST_KNOWN = 8


def _dry(model: Model, numbers: tuple[float, float, int, int], breakers: tuple[str, ...]) -> _Dry:
    """One of the latest of this model, or a new one. (Used by the one thread that prepares requests.)"""
    known = _known.setdefault(model, OrderedDict())
    key = numbers, breakers
    found = known.get(key) or _Dry(model.vocab, numbers, breakers)
    known[key] = found
    known.move_to_end(key)
    if len(known) > MOST_KNOWN:
        known.popitem(last=False)
    return found


class Chain:
    """A sampler chain that owns its samplers. Freed by ``close``, or with the object."""

    def __init__(self) -> None:
        self._inside = False
        params = lib.llama_sampler_chain_default_params()
        params.no_perf = True
        self.pointer = ctypes.cast(lib.llama_sampler_chain_init(params), ctypes.c_void_p).value

    def add(self, sampler: Any) -> None:
        """Append a sampler (the result of an ``llama_sampler_init_*`` function)."""
        _chain_add(self.pointer, sampler)

    def add_chain(self, chain: "Chain") -> None:
        """Append all of another chain; it is freed with this one, and can be applied by itself until then."""
        self.add(chain.pointer)
        chain._inside = True

    def add_bias(self, model: Model, bias: dict[int, float]) -> None:
        """Append a logit bias."""
        array = (lib.llama_logit_bias * len(bias))(*[lib.llama_logit_bias(t, b) for t, b in bias.items()])
        self.add(lib.llama_sampler_init_logit_bias(model.n_vocab, len(bias), array))

    def add_dry(self, model: Model, numbers: tuple[float, float, int, int], breakers: Sequence[str]) -> None:
        """Append DRY: (multiplier, base, allowed length, last n) and its sequence breakers."""
        self.add(_clone(_dry(model, numbers, tuple(breakers)).pointer))

    def sample(self, context: Context, index: int) -> int:
        """Choose from the logits of a batch index, and accept the choice."""
        return int(_sample(self.pointer, context.pointer, index))

    def apply(self, array: Any) -> None:
        """Run over candidates without accepting."""
        _apply(self.pointer, array)

    def accept(self, token: int) -> None:
        """Take note of a token that was written."""
        _accept(self.pointer, token)

    def close(self) -> None:
        """Free the chain. Idempotent; one that is inside another goes with that."""
        if self.pointer and not self._inside:
            _free(self.pointer)
        self.pointer = None

    __del__ = close


class Grammar:
    """A GBNF grammar over the vocabulary. With ``patterns`` (regular expressions over the whole answer so far; the
    grammar takes over at their first group) or ``tokens`` to trigger it, it is lazy."""

    def __init__(
        self, model: Model, source: str, patterns: Sequence[str] = (), tokens: Sequence[int] = ()
    ) -> None:
        self._pointer: Any = None
        text = source.encode()
        if patterns or tokens:
            texts = (ctypes.c_char_p * len(patterns))(*[pattern.encode() for pattern in patterns])
            numbers = (ctypes.c_int32 * len(tokens))(*tokens)
            self._pointer = _lazy_grammar(
                model.vocab, text, b"root", texts, len(patterns), numbers, len(tokens)
            )
        else:
            self._pointer = _grammar(model.vocab, text, b"root")
        if not self._pointer:
            said = _overheard(lambda: _grammar(model.vocab, text, b"root"))
            raise ValueError(f"llama.cpp can't read the grammar{_reason(said)}")

    def apply(self, array: Any) -> None:
        """Rule out candidates that the grammar does not allow next."""
        _apply(self._pointer, array)

    def accept(self, token: int) -> None:
        """Move on. The token must be one that ``apply`` left in: llama.cpp ends the process otherwise."""
        _accept(self._pointer, token)

    def close(self) -> None:
        """Free the grammar. Idempotent."""
        if self._pointer:
            _free(self._pointer)
            self._pointer = None

    __del__ = close


def _overheard(call: Callable[[], object]) -> str:
    """What is written to standard error meanwhile: llama.cpp says nowhere else what is wrong with a grammar."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with tempfile.TemporaryFile() as file:
            os.dup2(file.fileno(), 2)
            try:
                call()
                sys.stderr.flush()
            finally:
                os.dup2(kept, 2)
            file.seek(0)
            said = file.read()
    finally:
        os.close(kept)
    os.write(2, said)
    return said.decode("utf-8", "replace")


def _reason(said: str) -> str:
    found = _WRONG.search(said)
    if found is None:
        return ""
    text = found.group("what") or found.group()
    return f": {text.rstrip()} the end" if text.endswith(" at ") else f": {text.strip()}"
