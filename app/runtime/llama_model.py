"""A loaded model: its weights, vocabulary and metadata. Reading the vocabulary is thread-safe (llama.h)."""

import ctypes
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from app.core.errors import (
    LoadCancelledError,
    LoadFailedError,
    ModelNotFoundError,
    TruncatedModelError,
    WrongMagicError,
)
from app.core.types import LoadPlan
from app.runtime.llama import fast, lib
from app.runtime.llama_log import LogCapture, explain_failure
from app.runtime.llama_params import Params, model_params

log = logging.getLogger(__name__)

MAGIC = b"GGUF"
LEAST_BYTES = 24  # magic, version, two counts

_is_eog = fast("llama_vocab_is_eog", ctypes.c_bool, ctypes.c_void_p, ctypes.c_int32)
_to_piece = fast(
    "llama_token_to_piece", ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32, ctypes.c_char_p, ctypes.c_int32,
    ctypes.c_int32, ctypes.c_bool,
)  # fmt: skip
_tokenize = fast(
    "llama_tokenize", ctypes.c_int32, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32,
    ctypes.POINTER(ctypes.c_int32), ctypes.c_int32, ctypes.c_bool, ctypes.c_bool,
)  # fmt: skip
_adapter = fast("llama_adapter_lora_init", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)
_CONTROL, _UNKNOWN = 1 << 3, 1 << 0  # llama.h, llama_token_attr


def check_adapters(plan: LoadPlan, name: str) -> None:
    """Before the weights are read, which takes minutes for a large model. Raises LoadFailedError for one that is not
    there, WrongMagicError or TruncatedModelError."""
    for adapter in plan.adapters:
        try:
            check_file(Path(adapter.path))
        except ModelNotFoundError as error:
            raise LoadFailedError(model=name, detail=f"there is no adapter {adapter.path}") from error


def check_file(path: Path) -> int:
    """The file's size. Raises ModelNotFoundError, WrongMagicError or TruncatedModelError before llama.cpp is asked,
    whose own words for these are hard to read."""
    try:
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise ModelNotFoundError(name=str(path)) from error
    if size == 0 or (magic and MAGIC.startswith(magic) and size < LEAST_BYTES):
        raise TruncatedModelError(path=str(path), found=size, expected="more")
    if magic != MAGIC:
        raise WrongMagicError(path=str(path), found=ascii(magic.decode("latin-1")))
    return size


class Model:
    """Weights and vocabulary. ``close`` frees them; contexts must be closed before."""

    def __init__(self, pointer: int, path: str) -> None:
        self.pointer = pointer
        self.path = path
        self.vocab = lib.llama_model_get_vocab(pointer)
        self.n_vocab: int = lib.llama_vocab_n_tokens(self.vocab)
        self.metadata = self._metadata()
        self.can_encode = bool(lib.llama_model_has_encoder(pointer))
        self.can_decode = bool(lib.llama_model_has_decoder(pointer))
        self.recurrent = bool(lib.llama_model_is_recurrent(pointer) or lib.llama_model_is_hybrid(pointer))
        self.n_swa: int = lib.llama_model_n_swa(pointer)
        self.experts = int(
            self.metadata.get(f"{self.metadata.get('general.architecture')}.expert_count") or 0
        )
        self.n_ctx_train: int = lib.llama_model_n_ctx_train(pointer)
        self.n_embd: int = lib.llama_model_n_embd_out(pointer)
        self._loaded_with: Params | None = None
        self._pieces: dict[int, bytes] = {}
        self._special_pieces: dict[int, bytes] = {}
        self._eog: frozenset[int] | None = None
        self._buffer = ctypes.create_string_buffer(512)

    # ------------------------------------------------------------------------------ loading

    @classmethod
    def load(
        cls,
        plan: LoadPlan,
        name: str,
        capture: LogCapture,
        on_progress: Callable[[float], bool] = lambda _: True,
    ) -> "Model":
        """Read the weights. ``on_progress(fraction)`` returning False stops it at once (LoadCancelledError); other
        errors say why by their class."""
        size = check_file(Path(plan.model_path))
        check_adapters(plan, name)
        stopped = False

        def report(fraction: float, _user: object) -> bool:
            nonlocal stopped
            stopped = stopped or not on_progress(fraction)
            return not stopped

        params = model_params(plan, lib.llama_progress_callback(report))
        pointer = lib.llama_model_load_from_file(os.fsencode(plan.model_path), params.struct)
        if stopped:
            if pointer:
                lib.llama_model_free(pointer)
            raise LoadCancelledError(model=name)
        if not pointer:
            raise explain_failure(name, plan.model_path, size, capture.lines())
        model = cls(pointer, plan.model_path)
        model._loaded_with = params  # llama.cpp keeps addresses of its arrays
        return model

    def adapters(self, plan: LoadPlan) -> list[tuple[int, float]]:
        """Read the plan's LoRA adapters: (pointer, scale) each. They are freed with the model."""
        found = []
        for adapter in plan.adapters:
            pointer = _adapter(self.pointer, os.fsencode(adapter.path))
            if not pointer:
                raise LoadFailedError(model=self.name, detail=f"the adapter {adapter.path} does not fit it")
            found.append((pointer, adapter.scale))
        return found

    def close(self) -> None:
        """Free the weights. Idempotent."""
        if self.pointer:
            lib.llama_model_free(self.pointer)
            self.pointer = 0

    # ------------------------------------------------------------------------------ metadata

    def _metadata(self) -> dict[str, str]:
        count = lib.llama_model_meta_count(self.pointer)
        return {self._meta(lib.llama_model_meta_key_by_index, i): self._meta_value(i) for i in range(count)}

    def _meta_value(self, index: int) -> str:
        return self._meta(lib.llama_model_meta_val_str_by_index, index)

    def _meta(self, read: Callable[..., int], index: int) -> str:
        size = 256
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = read(self.pointer, index, buffer, size)
            if length < size:
                return buffer.raw[: max(0, length)].decode("utf-8", "replace")
            size = length + 1

    @property
    def name(self) -> str:
        """What its file calls itself, else the file's name."""
        return self.metadata.get("general.name") or Path(self.path).stem

    @property
    def template(self) -> str:
        """The default chat template's source, or an empty string."""
        source = lib.llama_model_chat_template(self.pointer, None)
        return source.decode("utf-8", "replace") if source else ""

    def named_template(self, name: str) -> str:
        """Another template of the file (``rerank``), or an empty string."""
        source = lib.llama_model_chat_template(self.pointer, name.encode())
        return source.decode("utf-8", "replace") if source else ""

    def special_tokens(self) -> tuple[list[int], list[int], list[int]]:
        """(begin, end, separator) tokens that this tokenizer adds around texts; each list has one or none."""
        vocab = self.vocab
        sep = lib.llama_vocab_sep(vocab)
        end = lib.llama_vocab_eos(vocab) if lib.llama_vocab_eos(vocab) >= 0 else sep
        return (
            [lib.llama_vocab_bos(vocab)] if lib.llama_vocab_get_add_bos(vocab) else [],
            [end] if lib.llama_vocab_get_add_eos(vocab) else [],
            [sep] if lib.llama_vocab_get_add_sep(vocab) else [],
        )

    @property
    def size(self) -> int:
        """Bytes of all tensors."""
        return int(lib.llama_model_size(self.pointer))

    # ------------------------------------------------------------------------------ vocabulary

    @property
    def bos(self) -> str:
        """Text of the begin-of-sequence token, or an empty string."""
        return self._text(lib.llama_vocab_bos(self.vocab))

    @property
    def eos(self) -> str:
        """Text of the end-of-sequence token, or an empty string."""
        return self._text(lib.llama_vocab_eos(self.vocab))

    def _text(self, token: int) -> str:
        return self.piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""

    @property
    def adds_bos(self) -> bool:
        """The tokenizer puts BOS before every text."""
        return bool(lib.llama_vocab_get_add_bos(self.vocab))

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Text to tokens. ``add_special``: BOS and EOS where the model has them; ``parse_special``: the texts of
        special tokens count as those."""
        data = text.encode("utf-8", "surrogatepass").replace(b"\0", b"")
        room = len(data) + 16
        while True:
            array = (ctypes.c_int32 * room)()
            count = _tokenize(self.vocab, data, len(data), array, room, add_special, parse_special)
            if count >= 0:
                return array[:count]
            room = -count

    @property
    def eog_tokens(self) -> frozenset[int]:
        """The tokens that end a generation (EOS, end of turn, ...)."""
        if self._eog is None:
            self._eog = frozenset(token for token in range(self.n_vocab) if _is_eog(self.vocab, token))
        return self._eog

    @property
    def suppressed(self) -> tuple[int, ...]:
        """Tokens that the model's file asks never to generate."""
        count = ctypes.c_int32(0)
        array = fast(
            "llama_vocab_get_suppress_tokens",
            ctypes.POINTER(ctypes.c_int32),
            ctypes.c_void_p,
            ctypes.c_void_p,
        )(self.vocab, ctypes.addressof(count))
        return tuple(array[: count.value]) if array and count.value else ()

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes of a token; of a control token only when ``special``. Not always whole UTF-8."""
        known = self._special_pieces if special else self._pieces
        found = known.get(token)
        if found is None:
            found = known[token] = self._piece(token, special)
        return found

    def _piece(self, token: int, special: bool) -> bytes:
        if not 0 <= token < self.n_vocab:
            return b""
        buffer = ctypes.create_string_buffer(512)
        count = _to_piece(self.vocab, token, buffer, 512, 0, special)
        if count < 0:
            buffer = ctypes.create_string_buffer(-count)
            count = _to_piece(self.vocab, token, buffer, -count, 0, special)
        return buffer.raw[:count]

    def markers(self, texts: Sequence[str]) -> dict[int, bytes]:
        """Those of ``texts`` that are one control token each: token to text."""
        found = {}
        for text in texts:
            tokens = self.tokenize(text, add_special=False, parse_special=True)
            if len(tokens) == 1 and self.is_control(tokens[0]):
                found[tokens[0]] = text.encode()
        return found

    def is_control(self, token: int) -> bool:
        """A token that is not text (``<|im_end|>``, ...)."""
        return bool(lib.llama_vocab_is_control(self.vocab, token))

    def detokenize(self, tokens: list[int] | tuple[int, ...]) -> str:
        """Tokens to text, control tokens written out."""
        if bad := [token for token in tokens if not 0 <= token < self.n_vocab]:
            raise ValueError(f"there is no token {bad[0]}; the vocabulary has {self.n_vocab}")
        return b"".join(self.piece(token, special=True) for token in tokens).decode("utf-8", "replace")
