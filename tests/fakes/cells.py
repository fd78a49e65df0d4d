"""A KV cache of single cells that behaves as llama.cpp's unified one does, states of sequences included."""

from app.runtime.jobs import Step
from app.runtime.shelf import State


class Cells:
    """Cells with a place, a position, a token and the sequences that hold them; decoding takes the first free ones."""

    def __init__(self, count: int, *, can_cut: bool = True, can_share: bool = True) -> None:
        self.count, self.can_cut, self.can_share = count, can_cut, can_share
        self.cells: list[tuple[int, int, int, set[int]]] = []

    def trim(self, seq: int, length: int) -> int:
        if length and not self.can_cut and length < self.length(seq):
            length = 0
        for _, pos, _, holders in self.cells:
            if pos >= length:
                holders.discard(seq)
        self._drop()
        return length

    def share(self, source: int, target: int, length: int) -> int:
        assert not self.length(target)
        for _, pos, _, holders in self.cells:
            if source in holders and pos < length:
                holders.add(target)
        return length

    def _drop(self) -> None:
        self.cells = [cell for cell in self.cells if cell[3]]

    def length(self, seq: int) -> int:
        return sum(seq in holders for *_, holders in self.cells)

    def tokens(self, seq: int) -> list[int]:
        return [token for _, _, token, holders in sorted(self.cells, key=lambda c: c[1]) if seq in holders]

    def decode(self, step: Step) -> bool:
        if len(self.cells) + step.tokens > self.count:
            return False
        for chunk in step.chunks:
            assert self.length(chunk.job.seq) == chunk.start, "positions are contiguous"
            for offset in range(chunk.count):
                pos = chunk.start + offset
                self._take(pos, chunk.job.tokens[pos], chunk.job.seq)
        return True

    def _take(self, pos: int, token: int, seq: int) -> None:
        taken = {cell[0] for cell in self.cells}
        free = next(place for place in range(self.count) if place not in taken)
        self.cells.append((free, pos, token, {seq}))

    # A state is its tokens, modulo 251, a byte each.

    def state_size(self, seq: int) -> int:
        return self.length(seq)

    def save_state(self, seq: int) -> bytes:
        return self.state_of(self.tokens(seq))

    def state_of(self, tokens: list[int]) -> bytes:
        return bytes(token % 251 for token in tokens)

    def load_state(self, seq: int, state: State, tokens: list[int]) -> bool:
        assert not self.length(seq)
        if len(state) != len(tokens):
            return False
        assert len(self.cells) + len(tokens) <= self.count
        for pos, token in enumerate(state):
            self._take(pos, token, seq)
        return True
