"""Embeddings and reranking: texts in, one pooled vector (or one score) for each out.

Many inputs share a batch, each as a sequence of its own. What pooling a model wants is in its metadata; a model
without a pooling of its own (``none``) gets the mean of its tokens' vectors.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from app.core.errors import BadRequestError, InternalError, PromptTooLongError
from app.runtime.llama_context import OK, POOLING_NONE, POOLING_RANK, Context
from app.runtime.llama_model import Model
from app.runtime.protocol import Embed

Rows = npt.NDArray[np.float32]


class Embedder:
    """``prepare`` may run on any thread; ``compute`` on the engine thread, while no answer is being written."""

    def __init__(self, model: Model, context: Context) -> None:
        self._model, self._context = model, context

    def prepare(self, command: Embed) -> list[list[int]]:
        """Tokens of each input. Raises BadRequestError or PromptTooLongError."""
        if not self._context.plan.embeddings:
            raise BadRequestError(detail="this model was loaded to write text, not for embeddings")
        if command.query is not None and self._context.pooling != POOLING_RANK:
            raise BadRequestError(detail="this model is not a reranker")
        found = [self._tokens(item, command.query) for item in command.inputs]
        limit = min(self._context.n_batch, self._context.n_ctx)
        for tokens in found:
            if not tokens:
                raise BadRequestError(detail="an input is empty")
            if len(tokens) > limit:
                raise PromptTooLongError(tokens=len(tokens), limit=limit)
            if bad := [token for token in tokens if not 0 <= token < self._model.n_vocab]:
                raise BadRequestError(detail=f"there is no token {bad[0]}")
        return found

    def _tokens(self, item: str | tuple[int, ...], query: str | None) -> list[int]:
        if isinstance(item, tuple):
            return list(item)
        if query is not None:
            return self._pair(query, item)
        return self._model.tokenize(item, add_special=True, parse_special=False)

    def _pair(self, query: str, document: str) -> list[int]:
        # As llama-server joins them (tools/server/server-common.cpp, format_prompt_rerank).
        model = self._model
        if form := model.named_template("rerank"):
            text = form.replace("{query}", query).replace("{document}", document)
            return model.tokenize(text, add_special=False, parse_special=True)
        plain = (model.tokenize(text, add_special=False, parse_special=False) for text in (query, document))
        left, right = plain
        begin, end, sep = model.special_tokens()
        return [*begin, *left, *end, *sep, *right, *end]

    def compute(self, inputs: Sequence[list[int]], *, normalize: bool) -> Rows:
        """(inputs, width) vectors, in order; scores have width 1. Raises InternalError when llama.cpp refuses."""
        rows: list[Rows] = []
        for group in self._groups(inputs):
            rows += self._group(group)
        found = np.stack(rows) if rows else np.zeros((0, 0), np.float32)
        if normalize and self._context.pooling != POOLING_RANK:
            lengths = np.linalg.norm(found, axis=1, keepdims=True)
            found = np.divide(found, np.where(lengths > 0, lengths, 1.0), dtype=np.float32)
        return np.ascontiguousarray(found, np.float32)

    def _groups(self, inputs: Sequence[list[int]]) -> list[list[list[int]]]:
        room = min(self._context.n_batch, self._context.n_ubatch, self._context.n_cells)
        groups: list[list[list[int]]] = []
        used = room + 1
        for tokens in inputs:
            if used + len(tokens) > room or len(groups[-1]) >= self._context.n_seq:
                groups.append([])
                used = 0
            groups[-1].append(tokens)
            used += len(tokens)
        return groups

    def _group(self, group: list[list[int]]) -> list[Rows]:
        context = self._context
        context.clear()
        context.batch.clear()
        ends = [
            context.batch.add_run(tokens, 0, seq, last=True, every=True) for seq, tokens in enumerate(group)
        ]
        code = context.encode() if context.memory is None else context.decode()
        if code != OK:
            raise InternalError(detail=f"llama.cpp could not compute the embeddings ({code})")
        found = [self._row(seq, end, len(group[seq])) for seq, end in enumerate(ends)]
        context.clear()
        return found

    def _row(self, seq: int, end: int, count: int) -> Rows:
        context = self._context
        if context.pooling == POOLING_RANK:
            return context.pooled(seq, 1).copy()
        if context.pooling != POOLING_NONE:
            return context.pooled(seq, self._model.n_embd).copy()
        rows = np.stack([context.embedding(at) for at in range(end - count + 1, end + 1)])
        mean: Rows = rows.mean(axis=0, dtype=np.float32)
        return mean
