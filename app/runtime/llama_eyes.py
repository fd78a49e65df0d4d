"""A vision projector (mmproj) through libmtmd: text with images to tokens and pieces of images, those to embeddings.

``Projector.read`` may be called from any thread (mtmd.h), ``encode`` from one at a time; ``show`` belongs to the engine
thread. The pieces that ``read`` gives own what libmtmd made of an image until they are no longer used.
"""

import ctypes
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from app.core.errors import BadImageError, HearthError, LoadFailedError
from app.core.pictures import MOST_IMAGES, MOST_PIXELS_TOGETHER, check
from app.core.types import LoadPlan
from app.runtime.llama import devices, lib
from app.runtime.llama_context import Context, Floats
from app.runtime.llama_log import LogCapture
from app.runtime.llama_model import Model, check_file
from app.runtime.llama_params import FLASH_ATTENTION, thread_counts
from app.runtime.template_messages import IMAGE_MARK

_OK, _DAMAGED = 0, 2  # mtmd.h, mtmd_tokenize
_NOWHERE = b"/nowhere"
"""Where ffmpeg is looked for: a damaged image must not be handed to it as a film."""


class Piece(Struct, eq=False):
    """A piece of an image: ``count`` embeddings over ``positions`` positions. ``key`` names its content."""

    key: tuple[bytes, int, int]
    digest: bytes
    count: int
    positions: int
    pointer: int
    owner: "_Chunks"


class _Chunks:
    """What mtmd_tokenize made; freed with the last piece of it."""

    def __init__(self, mtmd: Any) -> None:
        self._free, self.pointer = mtmd.mtmd_input_chunks_free, mtmd.mtmd_input_chunks_init()

    def __del__(self) -> None:
        self._free(self.pointer)


class Projector:
    """A loaded projector. ``close`` frees it, before the model."""

    def __init__(self, mtmd: Any, pointer: int, model: Model, path: str) -> None:
        self._mtmd, self.pointer, self._model, self.path = mtmd, pointer, model, path
        self.width: int = lib.llama_model_n_embd_inp(model.pointer)
        self._whole = bool(mtmd.mtmd_decode_use_non_causal(pointer, None))

    @classmethod
    def load(cls, plan: LoadPlan, model: Model, capture: LogCapture) -> "Projector":
        """Read the plan's projector. Raises a HearthError that says why it can't be used with this model."""
        path = plan.projector or ""
        check_file(Path(path))
        try:
            from llama_cpp import mtmd_cpp  # noqa: PLC0415 - only where images are looked at
        except (OSError, RuntimeError, ImportError) as error:
            raise LoadFailedError(model=path, detail="this build of the engine has no libmtmd") from error
        mtmd: Any = mtmd_cpp
        mtmd.mtmd_helper_log_set(capture.callback, None)
        before = len(capture.lines())
        pointer = mtmd.mtmd_init_from_file(os.fsencode(path), model.pointer, _params(mtmd, plan))
        if not pointer:
            raise LoadFailedError(model=Path(path).name, detail=_why(capture.lines()[before:]))
        projector = cls(mtmd, pointer, model, path)
        if not mtmd.mtmd_support_vision(pointer):
            projector.close()
            raise LoadFailedError(model=Path(path).name, detail="it hears, but does not see")
        return projector

    def close(self) -> None:
        """Free it. Idempotent."""
        if self.pointer:
            self._mtmd.mtmd_free(self.pointer)
            self.pointer = 0

    # ------------------------------------------------------------------------------ from any thread

    def read(self, text: str, images: Sequence[bytes], *, add_special: bool) -> list[list[int] | Piece]:
        """Runs of tokens and pieces of images, in order; ``text`` has a mark for each image. Raises BadImageError."""
        bitmaps = self._bitmaps(images)
        try:
            return self._pieces(
                text, bitmaps, [hashlib.sha256(image).digest() for image in images], add_special
            )
        finally:
            for bitmap in bitmaps:
                self._mtmd.mtmd_bitmap_free(bitmap)

    def count(self, width: int, height: int) -> int:
        """Places that an image of this size takes, with the marks around it."""
        bitmap = self._mtmd.mtmd_bitmap_init(width, height, None)
        try:
            found = self._pieces(IMAGE_MARK, [bitmap], [bytes(32)], add_special=False)
        finally:
            self._mtmd.mtmd_bitmap_free(bitmap)
        return sum(item.count if isinstance(item, Piece) else len(item) for item in found)

    def encode(self, piece: Piece) -> Floats:
        """(count, n_embd) embeddings, a copy. Raises LoadFailedError when libmtmd fails."""
        if self._mtmd.mtmd_encode_chunk(self.pointer, piece.pointer):
            raise BadImageError(number=1, detail="the projector could not encode it")
        address = self._mtmd.mtmd_get_output_embd(self.pointer)
        return np.ctypeslib.as_array(address, (piece.count, self.width)).copy()

    def whole(self, piece: Piece, n_ubatch: int) -> bool:
        """The piece can be computed: where its places look at each other, one micro-batch must hold all of it."""
        return not self._whole or piece.count <= n_ubatch

    # ------------------------------------------------------------------------------ the engine thread

    def show(self, context: Context, piece: Piece, embeddings: Floats, start: int, seq: int) -> int:
        """Compute a piece into a sequence from place ``start`` on; returns what llama_decode does."""
        after = ctypes.c_int32(0)
        code = self._mtmd.mtmd_helper_decode_image_chunk(
            self.pointer,
            context.pointer,
            piece.pointer,
            embeddings.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
            context.position(seq, start),
            seq,
            context.n_batch,
            ctypes.byref(after),
            self._mtmd.mtmd_helper_post_decode_callback(0),
            None,
        )
        if not code:
            context.note_still(seq, start + piece.count, piece.count - piece.positions)
        return int(code)

    # ------------------------------------------------------------------------------ inside

    def _bitmaps(self, images: Sequence[bytes]) -> list[int]:
        if len(images) > MOST_IMAGES:
            raise BadImageError(number=MOST_IMAGES + 1, detail=f"{MOST_IMAGES} in one request are the most")
        pixels, found = 0, []
        try:
            for number, image in enumerate(images, 1):
                pixels += _checked(number, image)
                if pixels > MOST_PIXELS_TOGETHER:
                    raise BadImageError(
                        number=number, detail="the images of this request are too large together"
                    )
                found.append(self._bitmap(number, image))
        except HearthError:
            for bitmap in found:
                self._mtmd.mtmd_bitmap_free(bitmap)
            raise
        return found

    def _bitmap(self, number: int, image: bytes) -> int:
        options = self._mtmd.mtmd_helper_init_opt_default()
        options.video_params.ffmpeg_bin_dir = _NOWHERE
        data = (ctypes.c_uint8 * len(image)).from_buffer_copy(image)
        bitmap = self._mtmd.mtmd_helper_bitmap_init_from_buf(self.pointer, data, len(image), False, options)
        if not bitmap:
            raise BadImageError(number=number, detail="it is damaged")
        return int(bitmap)

    def _pieces(
        self, text: str, bitmaps: list[int], digests: list[bytes], add_special: bool
    ) -> list[list[int] | Piece]:
        mtmd, chunks = self._mtmd, _Chunks(self._mtmd)
        data = text.encode("utf-8", "surrogatepass").replace(b"\0", b"")
        asked = mtmd.mtmd_input_text(data, len(data), add_special, True)
        array = (ctypes.c_void_p * len(bitmaps))(*bitmaps)
        names = dict(zip((self._name(bitmap, at) for at, bitmap in enumerate(bitmaps)), digests, strict=True))
        code = mtmd.mtmd_tokenize(self.pointer, chunks.pointer, ctypes.byref(asked), array, len(bitmaps))
        if code != _OK:
            why = "it can't be prepared" if code == _DAMAGED else "the template lost its place"
            raise BadImageError(number=1, detail=why)
        count = mtmd.mtmd_input_chunks_size(chunks.pointer)
        found: list[list[int] | Piece] = []
        parts: dict[bytes, int] = {}  # of each image, so far
        for at in range(count):
            item = mtmd.mtmd_input_chunks_get(chunks.pointer, at)
            name = mtmd.mtmd_input_chunk_get_id(item)
            if name is None:
                found.append(self._tokens(item))
            else:
                parts[name] = parts.get(name, -1) + 1
                found.append(self._piece(item, names[name], parts[name], chunks))
        return found

    def _name(self, bitmap: int, at: int) -> bytes:
        name = b"%d" % at
        self._mtmd.mtmd_bitmap_set_id(bitmap, name)
        return name

    def _tokens(self, item: int) -> list[int]:
        length = ctypes.c_size_t(0)
        tokens = self._mtmd.mtmd_input_chunk_get_tokens_text(item, ctypes.byref(length))
        return list(tokens[: length.value])

    def _piece(self, item: int, digest: bytes, part: int, chunks: _Chunks) -> Piece:
        count = self._mtmd.mtmd_input_chunk_get_n_tokens(item)
        positions = max(1, min(count, self._mtmd.mtmd_input_chunk_get_n_pos(item)))
        return Piece((digest, part, count), digest, count, positions, item, chunks)


def _checked(number: int, image: bytes) -> int:
    try:
        return check(image).pixels
    except ValueError as error:
        raise BadImageError(number=number, detail=str(error)) from error


def _params(mtmd: Any, plan: LoadPlan) -> Any:
    params = mtmd.mtmd_context_params_default()
    params.use_gpu = plan.n_gpu_layers != 0 and lib.llama_supports_gpu_offload()
    if plan.devices and params.use_gpu:
        params.device = devices().get(plan.devices[0])
    params.n_threads = thread_counts(plan)[1]
    params.media_marker = IMAGE_MARK.encode()
    params.flash_attn_type = FLASH_ATTENTION[plan.flash_attn]
    params.print_timings = False
    return params


def _why(lines: list[str]) -> str:
    errors = [line for line in lines if "error" in line.lower() or "mismatch" in line or "failed" in line]
    return (
        errors[0].split(": ", 1)[-1].removeprefix("error: ").strip().rstrip(".")
        if errors
        else "llama.cpp did not say why"
    )
