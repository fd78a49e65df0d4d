"""Speeds over the last second of work: prompt tokens and written tokens apart, each over the time of the steps that
computed them. A mixed step's time is shared by its tokens' counts being given to both."""

from collections import deque

WINDOW = 1.0
GAP = 0.25
"""Seconds that a piece of a prompt may hold up the answers being written beside it."""
LEAST_PIECE = 64


class Meter:
    """Fed once for each step by the engine thread."""

    def __init__(self) -> None:
        self._steps: deque[tuple[float, float, int, int, int]] = deque()
        self._last_end = 0.0
        self.prefill_speed = 0.0
        """Prompt tokens per second, the newest estimate; 0 before the first prompt."""

    def step(self, began: float, ended: float, tokens: int, sampled: int, sequences: int) -> None:
        """A step of ``tokens`` in all computed from ``began`` to ``ended``; ``sampled`` tokens were written."""
        # A short pause between two steps belongs to the second one: speeds are as the user sees them.
        start = self._last_end if began - self._last_end < 0.05 else began
        self._last_end = ended
        prompt = tokens - sampled if tokens > sequences else 0
        self._steps.append((ended, ended - start, prompt, sampled, tokens))
        while self._steps[0][0] < ended - WINDOW:
            self._steps.popleft()
        if prompt >= 32 and ended > start:
            speed = prompt / (ended - start)
            self.prefill_speed = speed if not self.prefill_speed else 0.7 * self.prefill_speed + 0.3 * speed

    def wrote(self, began: float, ended: float, sequences: int, steps: int) -> None:
        """``steps`` steps of one token for each of ``sequences``."""
        start = self._last_end if began - self._last_end < 0.05 else began
        self._last_end = ended
        self._steps.append((ended, ended - start, 0, sequences * steps, sequences))
        while self._steps[0][0] < ended - WINDOW:
            self._steps.popleft()

    def piece(self, most: int) -> int:
        """Prompt tokens, at most ``most``, that may go beside answers being written."""
        speed = self.prefill_speed
        return max(LEAST_PIECE, min(most, int(speed * GAP))) if speed else most

    def readings(self, now: float, busy: bool) -> dict[str, float]:
        """Tokens per second while ``busy``, else zeros; and the size of the last batch."""
        recent = [step for step in self._steps if step[0] >= now - WINDOW] if busy else []
        return {
            "prefill_tps": _speed(recent, 2),
            "decode_tps": _speed(recent, 3),
            "batch": float(recent[-1][4]) if recent else 0.0,
        }


def _speed(steps: list[tuple[float, float, int, int, int]], column: int) -> float:
    seconds = sum(step[1] for step in steps if step[column])
    return sum(step[column] for step in steps) / seconds if seconds > 0 else 0.0
