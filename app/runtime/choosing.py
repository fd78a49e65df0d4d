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
        self.rows = Rows(context.model.n_vocab, len(samplers)) if few else None
        """What chooses for all at once, where that can be done."""
        self._early = True  # somebody may not end yet

    def prepare(self) -> bool:
        """Describe what the rows are to choose; True when that holds for all that follows."""
        if self._early and self.rows is not None:
            pairs = zip(self._samplers, self.rows.sequences, strict=True)
            self._early = True in [sampler.describe(one) for sampler, one in pairs]
        return not self._early

    def choose(self) -> list[int]:
        """A token for each; NO_TOKEN where a grammar allows none."""
        if self.rows is None:
            return [sampler.sample(self._context, row) for row, sampler in enumerate(self._samplers)]
        self.prepare()
        tokens = self.rows.choose(self._context.table_address)
        self.chosen(tokens, 1)
        return tokens

    def chosen(self, tokens: list[int], steps: int) -> None:
        """The rows have chosen in so many steps, ``tokens`` in the last: where they were not sure, choose."""
        for row, sampler in enumerate(self._samplers):
            sampler.written += steps
            if tokens[row] == UNSURE:
                tokens[row] = sampler.from_all(self._context, row)
