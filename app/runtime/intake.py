"""From a GenerateRequest to what the engine can start with: prompt tokens, samplers and answers. Runs on the worker's
intake thread, beside the engine: templates, tokenizers and grammars take milliseconds that a step should not wait for.
"""

import time
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from app.core.errors import BadImageError, BadRequestError, NoEyesError, PromptTooLongError
from app.core.generate import GenerateRequest, ImagePart, Message, ToolSpec
from app.runtime.formats import template_kwargs_for, tools_of
from app.runtime.grammar import Constraint, constraint_for
from app.runtime.jobs import Span
from app.runtime.kvstore import Stored
from app.runtime.llama_eyes import Piece, Projector
from app.runtime.llama_model import Model
from app.runtime.media import places, plain, shown
from app.runtime.parsing import parser_for
from app.runtime.sampling import Sampler, choose_seed
from app.runtime.stream import Answer
from app.runtime.template import ChatTemplate, template_for
from app.runtime.template_messages import IMAGE_MARK
from app.runtime.trimming import answer_room, choose_dropped, droppable

TAIL = 400
"""Characters of a prompt's end that tell a parser how the answer begins."""


class Choice(Struct):
    """One of a request's n answers, ready to be written."""

    sampler: Sampler
    answer: Answer
    seed: int


class Prepared(Struct):
    """A request with everything it needs but a place in the cache. ``arrived`` is on ``time.monotonic``'s clock."""

    key: int
    request: GenerateRequest
    tokens: list[int]
    choices: list[Choice]
    arrived: float
    dropped: tuple[int, ...] = ()
    stored: Stored | None = None
    """The conversation's state on disk, when it is not in the cache."""
    spans: tuple[Span, ...] = ()
    """Images among the tokens."""


class Prompt(Struct):
    """A prompt's text (None for ready tokens), its tokens with the places of images, and the images."""

    text: str | None
    tokens: list[int]
    spans: tuple[Span, ...] = ()
    dropped: tuple[int, ...] = ()


class Eyes(Struct):
    """What a model sees with: a projector, or why there is none; ``n_ubatch`` bounds what must be computed at once."""

    projector: Projector | None = None
    why: str = "it was loaded without a vision projector"
    n_ubatch: int = 512


class Intake:
    """Prepares requests for one model; ``n_ctx`` is what one conversation may hold. ``find`` looks a conversation's
    state up on disk; ``seed`` is for requests without one (-1: a random one each time). A model that was loaded for
    vectors (``writes`` is false) answers nothing."""

    def __init__(
        self,
        model: Model,
        n_ctx: int,
        find: Callable[[str], Stored | None] = lambda _: None,
        seed: int = -1,
        eyes: Eyes | None = None,
        *,
        writes: bool = True,
    ) -> None:
        self._writes = writes
        self._model, self._n_ctx, self._find, self._seed = model, n_ctx, find, seed
        self._eyes = eyes or Eyes()
        self._template: ChatTemplate | None = None

    @property
    def template(self) -> ChatTemplate:
        """The model's chat template, made at the first use."""
        if self._template is None:
            metadata = {**self._model.metadata, "tokenizer.chat_template": self._model.template}
            self._template = template_for(metadata, self._model.bos, self._model.eos)
        return self._template

    def prepare(self, key: int, request: GenerateRequest) -> Prepared:
        """Template, tokenize, check, and make a sampler and an answer for each choice. Raises HearthError."""
        arrived = time.monotonic()
        if not self._writes:
            raise BadRequestError(detail="this model was loaded for embeddings, not to write text")
        found = self._fitted(request)
        prompt, tokens = found.text or "", found.tokens
        self._check_length(tokens)
        constraint = constraint_for(request, self.template.source, prompt[-TAIL:])
        choices: list[Choice] = []
        try:
            for index in range(max(1, request.sampling.n)):
                made = self._choice(request, tokens, index, constraint, prompt)
                choices.append(made)
        except BaseException:
            for choice in choices:
                choice.sampler.close()
            raise
        stored = self._find(request.conversation) if request.conversation else None
        return Prepared(key, request, tokens, choices, arrived, found.dropped, stored, found.spans)

    def _choice(
        self,
        request: GenerateRequest,
        tokens: list[int],
        index: int,
        constraint: Constraint | None,
        prompt: str,
    ) -> Choice:
        parser = parser_for(self.template.source, request, prompt[-TAIL:]) if request.messages else None
        answer = Answer(self._model, request, parser, index)
        seed = choose_seed(request.sampling, index, self._seed)
        sampler = Sampler(self._model, request.sampling, seed, constraint, self._n_ctx)
        sampler.prime(plain(tokens))
        return Choice(sampler, answer, seed)

    def _check_length(self, tokens: list[int]) -> None:
        if not tokens:
            raise BadRequestError(detail="the prompt is empty")
        if len(tokens) >= self._n_ctx:
            raise PromptTooLongError(tokens=len(tokens), limit=self._n_ctx)
        if tokens[-1] < 0:
            raise BadRequestError(detail="the prompt ends with an image; write something after it")

    def _fitted(self, request: GenerateRequest) -> Prompt:
        """The whole conversation, or what its policy leaves of it."""
        found = self._whole(request)
        room = self._n_ctx - answer_room(self._n_ctx, request.sampling.max_tokens)
        if request.context_policy == "stop" or not request.messages or len(found.tokens) <= room:
            return found
        sizes = self._sizes(request, found)
        dropped = choose_dropped(request.messages, sizes, room, request.context_policy)
        left = droppable(request.messages, request.context_policy)
        while True:
            kept = tuple(m for at, m in enumerate(request.messages) if at not in dropped)
            found = self._whole(msgspec.structs.replace(request, messages=kept))
            more = next((turn for turn in left if turn[0] not in dropped), None)
            if len(found.tokens) <= room or more is None:
                return msgspec.structs.replace(found, dropped=dropped)
            dropped = (*dropped, *more)  # the estimate was too low

    def _sizes(self, request: GenerateRequest, found: Prompt) -> list[int]:
        """Tokens of each message, scaled so that they add up to the prompt's."""
        images = len(images_of(request.messages))
        each = sum(span.count for span in found.spans) // images if images else 0
        counts = [
            len(self.tokenize(_all_text(message))) + 4 + each * len(images_of((message,)))
            for message in request.messages
        ]
        return [count * len(found.tokens) // sum(counts) + 1 for count in counts]

    def _whole(self, request: GenerateRequest) -> Prompt:
        text = self.prompt(request) if request.messages else request.prompt
        if text is None:
            if bad := [token for token in request.tokens if not 0 <= token < self._model.n_vocab]:
                raise BadRequestError(detail=f"there is no token {bad[0]}")
            return Prompt(None, list(request.tokens))
        return self._seen(text, images_of(request.messages))

    def _seen(self, text: str, images: Sequence[bytes]) -> Prompt:
        """The text's tokens, with images where their marks stand. Raises NoEyesError or BadImageError."""
        if not images:
            return Prompt(text, self.tokenize(text))
        projector = self._eyes.projector
        if projector is None:
            raise NoEyesError(model=self._model.name, detail=self._eyes.why)
        if text.count(IMAGE_MARK) != len(images):
            raise BadRequestError(detail="the model's chat template leaves images out")
        tokens: list[int] = []
        spans: list[Span] = []
        for item in projector.read(text, images, add_special=self._adds_special(text)):
            if isinstance(item, Piece):
                self._check_piece(item, projector)
                spans.append(Span(len(tokens), item.count, item))
                tokens += places(item.digest, item.count, item.positions)
            else:
                tokens += item
        return Prompt(text, tokens, tuple(spans))

    def _check_piece(self, piece: Piece, projector: Projector) -> None:
        if not projector.whole(piece, self._eyes.n_ubatch):
            detail = f"it has {piece.count} tokens and the micro-batch holds {self._eyes.n_ubatch}"
            raise BadImageError(number=1, detail=detail)

    def measure(self, width: int, height: int) -> int:
        """Tokens that an image of this size takes. Raises NoEyesError."""
        if self._eyes.projector is None:
            raise NoEyesError(model=self._model.name, detail=self._eyes.why)
        return self._eyes.projector.count(width, height)

    def prompt(self, request: GenerateRequest) -> str:
        """The request's messages through the chat template."""
        return self.template.render(
            request.messages,
            tools_of(request),
            add_generation_prompt=not request.continue_last,
            continue_last=request.continue_last,
            **template_kwargs_for(request, self.template.source),
        )

    def render(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> tuple[str, list[int]]:
        """The prompt exactly as the model reads it, and its tokens."""
        found = self._seen(self.template.render(messages, tools), images_of(messages))
        return (found.text or "").replace(IMAGE_MARK, "<image>"), list(shown(found.tokens))

    def tokenize(self, text: str) -> list[int]:
        """A prompt's tokens: special tokens' texts count as those; BOS is added where the model wants it and the
        text does not begin with it."""
        return self._model.tokenize(text, add_special=self._adds_special(text), parse_special=True)

    def _adds_special(self, text: str) -> bool:
        bos = self._model.bos
        return not (bos and text.startswith(bos))

    def tokenize_text(self, text: str, *, special: bool) -> list[int]:
        """Any text's tokens; ``special`` as in the Tokenize command."""
        return self._model.tokenize(text, add_special=special, parse_special=special)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Tokens to text. Raises BadRequestError for tokens that are not in the vocabulary."""
        try:
            return self._model.detokenize(tuple(tokens))
        except ValueError as error:
            raise BadRequestError(detail=str(error)) from error


def images_of(messages: Sequence[Message]) -> list[bytes]:
    """The images of a conversation, in order."""
    return [
        part.data
        for message in messages
        if not isinstance(message.content, str)
        for part in message.content
        if isinstance(part, ImagePart)
    ]


def _all_text(message: Message) -> str:
    calls = "".join(call.name + call.arguments for call in message.tool_calls)
    return message.text + message.reasoning + calls
