"""The next tokens of all sequences of a step at once: numpy's and llama.cpp's code is read from memory once, not once
for each. What is chosen is what each sampler would choose by itself."""

from collections.abc import Sequence

from app.runtime.llama_context import Context, Floats
from app.runtime.llama_shortlist import shortlists
from app.runtime.sampling import Sampler

FEW, FEW_REMEMBER = 6, 2
"""From so many sequences on, shortlists are quicker than llama.cpp's own way over the whole vocabulary; where penalties
look at every token, earlier. (For one, reading numpy's code from main memory costs more than it saves.)"""


class Chooser:
    """For a batch in which each of ``samplers`` wants the logits of one token, in this order. ``choose`` is called
    once for each step, on the engine thread."""

    def __init__(self, context: Context, samplers: Sequence[Sampler]) -> None:
        self._context, self._samplers = context, tuple(samplers)
        kinds = {sampler.kind for sampler in samplers}
        self._greedy = kinds == {"greedy"}
        self._only = samplers[0] if len(samplers) == 1 and not self._greedy else None
        few = FEW_REMEMBER if any(sampler.remembers for sampler in samplers) else FEW
        self._short = kinds == {"short"} and len(samplers) >= few
        self._most = max(sampler.short for sampler in samplers)

    def choose(self) -> list[int]:
        """A token for each; NO_TOKEN where a grammar allows none."""
        if self._only is not None:
            return [self._only.sample(self._context, 0)]
        if not (self._greedy or self._short):
            return [sampler.sample(self._context, row) for row, sampler in enumerate(self._samplers)]
        table = self._context.table(len(self._samplers))
        for row, sampler in enumerate(self._samplers):
            sampler.begin(table, row)
        if self._greedy:
            best: list[int] = table.argmax(axis=1).tolist()
            return best
        return self._from_shortlists(table)

    def _from_shortlists(self, table: Floats) -> list[int]:
        lists = shortlists(table.shape[1], len(table))
        enough = lists.fill(table, self._most)
        sure = [
            there and sampler.pick(lists, row)
            for row, (sampler, there) in enumerate(zip(self._samplers, enough, strict=True))
        ]
        tokens = lists.chosen()
        for row, sampler in enumerate(self._samplers):
            if sure[row]:
                sampler.accept(tokens[row])
            else:
                tokens[row] = sampler.from_all(self._context, row)
        return tokens
