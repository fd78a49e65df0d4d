"""The next tokens of all sequences of a step at once. What is chosen is what each sampler would choose by itself."""

from collections.abc import Sequence

from app.runtime.llama_choose import UNSURE, Rows
from app.runtime.llama_context import Context
from app.runtime.sampling import Sampler


class Chooser:
    """For a batch in which each of ``samplers`` wants the logits of one token, in this order. ``choose`` is called
    once for each step, on the engine thread."""

    def __init__(self, context: Context, samplers: Sequence[Sampler]) -> None:
        self._context, self._samplers = context, tuple(samplers)
        few = all(sampler.few for sampler in samplers)
        self._rows = Rows(context.model.n_vocab, len(samplers)) if few else None
        self._early = True  # somebody may not end yet

    def choose(self) -> list[int]:
        """A token for each; NO_TOKEN where a grammar allows none."""
        if self._rows is None:
            return [sampler.sample(self._context, row) for row, sampler in enumerate(self._samplers)]
        if self._early:
            pairs = zip(self._samplers, self._rows.sequences, strict=True)
            self._early = True in [sampler.describe(one) for sampler, one in pairs]
        tokens = self._rows.choose(self._context.table_address)
        for row, sampler in enumerate(self._samplers):
            sampler.written += 1
            if tokens[row] == UNSURE:
                tokens[row] = sampler.from_all(self._context, row)
        return tokens
