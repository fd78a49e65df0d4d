"""A whole answer gathered from its events: what every API's non-streaming form is made of. Pure."""

from collections.abc import Sequence

from msgspec import Struct, field

from app.core.generate import Delta, Finished, FinishReason, Timings, TokenLogprob, ToolCall, Usage


class ChoiceAnswer(Struct):
    """One of the n answers while it grows."""

    index: int
    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    calls: list["CallParts"] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    end: Finished | None = None

    @property
    def text(self) -> str:
        """The content."""
        return "".join(self.texts)

    @property
    def reasoning(self) -> str:
        """What was thought before it."""
        return "".join(self.thoughts)

    @property
    def reason(self) -> FinishReason:
        """Why it ended."""
        return self.end.reason if self.end else "cancelled"

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The calls, in order."""
        return [ToolCall(call.id, call.name, "".join(call.arguments) or "{}") for call in self.calls]


class CallParts(Struct):
    """One tool call while it grows."""

    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class Answer:
    """All choices of one request."""

    def __init__(self) -> None:
        self._choices: dict[int, ChoiceAnswer] = {}
        self.done = False
        self.dropped: tuple[int, ...] = ()
        """Messages that were left out of the prompt."""

    def add(self, event: Delta | Finished) -> None:
        """Take the next event."""
        choice = self._choices.get(event.choice)
        if choice is None:
            choice = self._choices[event.choice] = ChoiceAnswer(event.choice)
        if isinstance(event, Finished):
            choice.end, self.done = event, event.done
            return
        self.dropped = self.dropped or event.dropped
        if event.text:
            choice.texts.append(event.text)
        if event.reasoning:
            choice.thoughts.append(event.reasoning)
        if event.logprobs:
            choice.logprobs.extend(event.logprobs)
        for piece in event.tool_calls:
            while len(choice.calls) <= piece.index:
                choice.calls.append(CallParts())
            call = choice.calls[piece.index]
            call.id, call.name = call.id or piece.id, call.name or piece.name
            call.arguments.append(piece.arguments)

    @property
    def choices(self) -> list[ChoiceAnswer]:
        """By number."""
        return [self._choices[index] for index in sorted(self._choices)]

    @property
    def first(self) -> ChoiceAnswer:
        """The only one, for APIs that know no more."""
        return self._choices.get(0) or ChoiceAnswer(0)

    @property
    def usage(self) -> Usage:
        """Of all choices together."""
        return total_usage([choice.end for choice in self.choices if choice.end])

    @property
    def timings(self) -> Timings:
        """Of the first choice."""
        return self.first.end.timings if self.first.end else Timings()


def total_usage(ends: Sequence[Finished]) -> Usage:
    """The sum; each prompt is counted by its own first choice."""
    return Usage(
        prompt=sum(end.usage.prompt for end in ends),
        completion=sum(end.usage.completion for end in ends),
        cached=sum(end.usage.cached for end in ends),
        reasoning=sum(end.usage.reasoning for end in ends),
    )
