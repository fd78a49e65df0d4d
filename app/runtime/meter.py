"""Speeds over the last second of work: prompt tokens and written tokens apart, each over the time of the steps that
computed them. A mixed step's time is shared by its tokens' counts being given to both."""

from collections import deque

WINDOW = 1.0
SMOOTH = 0.04
"""Seconds that a step may take beside answers being written, whatever its prompts' fair share is: 25 words a second are
more than anybody reads."""
GAP = 0.25
"""Seconds that prompts may add to such a step at most."""
LEAST_PIECE = 4


class Meter:
    """Fed once for each step by the engine thread."""

    def __init__(self) -> None:
        self._steps: deque[tuple[float, float, int, int, int]] = deque()
        self._last_end = 0.0
        self.prefill_speed = 0.0
        """Prompt tokens per second, without the words written beside them; 0 before the first prompt."""
        self._plain: dict[int, float] = {}
        """Seconds of a step that writes one token for each of so many sequences."""

    def step(self, began: float, ended: float, tokens: int, sampled: int, sequences: int) -> None:
        """A step of ``tokens`` in all computed from ``began`` to ``ended``; ``sampled`` tokens were written."""
        # A short pause between two steps belongs to the second one: speeds are as the user sees them.
        start = self._last_end if began - self._last_end < 0.05 else began
        self._last_end = ended
        prompt = tokens - sampled if tokens > sequences else 0
        self._steps.append((ended, ended - start, prompt, sampled, tokens))
        while self._steps[0][0] < ended - WINDOW:
            self._steps.popleft()
        if not prompt:
            self._write(sequences, ended - start)
        elif prompt >= LEAST_PIECE and ended > start:
            self._read(prompt, ended - start, sampled)

    def wrote(self, began: float, ended: float, sequences: int, steps: int) -> None:
        """``steps`` steps of one token for each of ``sequences``."""
        start = self._last_end if began - self._last_end < 0.05 else began
        self._last_end = ended
        self._write(sequences, (ended - start) / steps)
        self._steps.append((ended, ended - start, 0, sequences * steps, sequences))
        while self._steps[0][0] < ended - WINDOW:
            self._steps.popleft()

    def _write(self, sequences: int, seconds: float) -> None:
        before = self._plain.get(sequences, seconds)
        self._plain[sequences] = 0.7 * before + 0.3 * seconds

    def _read(self, prompt: int, seconds: float, sampled: int) -> None:
        speed = prompt / max(seconds - self._writing(sampled), seconds / 4)
        weight = 0.3 * min(1.0, prompt / 64) if self.prefill_speed else 1.0
        self.prefill_speed += weight * (speed - self.prefill_speed)

    def _writing(self, sequences: int) -> float:
        """Seconds of a step that only writes for ``sequences``, or for the nearest number seen; 0 before the first."""
        nearest = min(self._plain, key=lambda seen: abs(seen - sequences), default=0) if sequences else 0
        return self._plain.get(nearest, 0.0)

    @property
    def step_seconds(self) -> float:
        """Of a step that writes for one sequence (or for as few as were seen); 0 before the first."""
        return self._writing(1)

    def piece(self, most: int, writing: int, reading: int) -> int:
        """Prompt tokens, at most ``most``, that may go beside ``writing`` answers while ``reading`` prompts wait.

        Each gets an equal share of the time, so no answer is slower than it will be when all of them write; where
        steps are short, prompts get more, up to the pace of a quick reader.
        """
        if not self.prefill_speed:
            return most
        plain = self._writing(writing)
        seconds = min(GAP, max(SMOOTH - plain, plain * reading / writing))
        return max(LEAST_PIECE, min(most, int(self.prefill_speed * seconds)))

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
