"""One answer on its way out: from tokens to whole UTF-8 text, past the stop strings, split into content, reasoning and
tool calls, and gathered into one Delta for each step."""

from app.core.generate import Delta, GenerateRequest, TokenLogprob, ToolCallDelta
from app.runtime.answer import AnswerParser
from app.runtime.formats import budget_of
from app.runtime.llama_model import Model
from app.runtime.parsing import StopMatcher, TextStream


class Answer:
    """The text side of one choice. Not thread-safe; the engine thread pushes, then takes. Without a parser (a raw
    prompt) all text is content."""

    def __init__(
        self, model: Model, request: GenerateRequest, parser: AnswerParser | None, choice: int
    ) -> None:
        self.choice = choice
        self.stop = ""
        """The stop string that ended it."""
        self.tokens = 0
        self.called = False
        """A tool was called."""
        self.reasoning_tokens = 0
        self._model, self._parser = model, parser
        self._markers = model.markers(parser.markers) if parser is not None else {}
        self._budget = budget_of(request)
        self._stream = TextStream()
        self._stops = StopMatcher(request.sampling.stop) if request.sampling.stop else None
        self._least = request.sampling.min_tokens
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[ToolCallDelta] = []
        self._logprobs: list[TokenLogprob] = []
        self._untold = 0

    @property
    def endless(self) -> bool:
        """No text ends it: it need not be looked at before the next token is computed."""
        return self._stops is None

    @property
    def plain(self) -> bool:
        """Text that has no ``unsafe`` letter comes out as it goes in, and changes nothing here."""
        waits = self._stream.waits or (self._stops is not None and self._stops.waits)
        return not waits and (self._parser is None or self._parser.plain)

    def unsafe(self) -> bytes:
        """256 flags: the first bytes of letters that could begin something else than text."""
        starts = (*(self._parser.starts if self._parser else ()), *(self._stops.stops if self._stops else ()))
        flags = bytearray(256)
        for start in filter(None, starts):
            flags[start.encode("utf-8", "surrogatepass")[0]] = 1
        return bytes(flags)

    def count(self, tokens: int) -> None:
        """So many tokens were written past this."""
        self.tokens += tokens

    @property
    def budgeted(self) -> bool:
        """``closing`` has to be asked before each token."""
        return self._budget is not None

    def push(self, token: int, logprob: TokenLogprob | None = None) -> bool:
        """One token more; True when a stop string is complete and the answer has to end."""
        self.tokens += 1
        self._untold += 1
        if logprob is not None:
            self._logprobs.append(logprob)
        if self._parser is not None and self._parser.reasoning_open:
            self.reasoning_tokens += 1
        data = self._model.piece(token) or self._markers.get(token, b"")
        text = self._stream.feed(data) if data else ""
        return self._text_in(text) if text else False

    def closing(self) -> str:
        """The text that ends the thinking, once its budget is spent; else empty."""
        parser, budget = self._parser, self._budget
        if parser is None or budget is None or not parser.reasoning_open or self.reasoning_tokens < budget:
            return ""
        self._budget = None
        return parser.close_text

    def count_end(self) -> None:
        """A token that ends the answer and has no text (end of turn)."""
        self.tokens += 1
        self._untold += 1

    def _text_in(self, text: str) -> bool:
        if self._stops is not None and self.tokens >= self._least:
            text, self.stop = self._stops.feed(text)
        if text:
            self._show(text)
        return bool(self.stop)

    def _show(self, text: str) -> None:
        if self._parser is None:
            self._text.append(text)
        else:
            self._gather(self._parser.feed(text))

    def _gather(self, pieces: list[Delta]) -> None:
        for piece in pieces:
            if piece.text:
                self._text.append(piece.text)
                continue  # a piece is of one kind
            if piece.reasoning:
                self._reasoning.append(piece.reasoning)
            if piece.tool_calls:
                self.called = True
                self._calls.extend(piece.tool_calls)

    def finish(self, *, cut: bool = False) -> None:
        """Nothing follows: let go of what was held back. ``cut``: the model would have gone on."""
        if not self.stop:
            text = self._stream.flush()
            if self._stops is not None:
                if text:
                    text, self.stop = self._stops.feed(text)
                text += "" if self.stop else self._stops.flush()
            if text:
                self._show(text)
        if self._parser is not None:
            self._gather(self._parser.finish(cut=cut))

    def take(self) -> Delta | None:
        """What is new since the last time, or None when there is nothing to show."""
        if not (self._reasoning or self._calls or self._logprobs):  # the usual case
            if not self._text:
                return None
            delta = Delta(self.choice, "".join(self._text), tokens=self._untold)
            self._text, self._untold = [], 0
            return delta
        delta = Delta(
            choice=self.choice,
            text="".join(self._text),
            reasoning="".join(self._reasoning),
            tool_calls=tuple(self._calls),
            logprobs=tuple(self._logprobs),
            tokens=self._untold,
        )
        self._text, self._reasoning, self._calls, self._logprobs, self._untold = [], [], [], [], 0
        return delta
