"""From a GenerateRequest to what the engine can start with: prompt tokens, samplers and answers. Runs on the worker's
intake thread, beside the engine: templates, tokenizers and grammars take milliseconds that a step should not wait for.
"""

import time
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from app.core.errors import BadRequestError, PromptTooLongError
from app.core.generate import GenerateRequest, ImagePart, Message, Part, ToolSpec
from app.runtime.formats import template_kwargs_for, tools_of
from app.runtime.grammar import Constraint, constraint_for
from app.runtime.kvstore import Stored
from app.runtime.llama_model import Model
from app.runtime.parsing import parser_for
from app.runtime.sampling import Sampler, choose_seed
from app.runtime.stream import Answer
from app.runtime.template import ChatTemplate, template_for
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


class Intake:
    """Prepares requests for one model; ``n_ctx`` is what one conversation may hold. ``find`` looks a conversation's
    state up on disk; ``seed`` is for requests without one (-1: a random one each time)."""

    def __init__(
        self,
        model: Model,
        n_ctx: int,
        find: Callable[[str], Stored | None] = lambda _: None,
        seed: int = -1,
    ) -> None:
        self._model, self._n_ctx, self._find, self._seed = model, n_ctx, find, seed
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
        if any(isinstance(part, ImagePart) for message in request.messages for part in _parts(message)):
            raise BadRequestError(detail="this model was loaded without eyes for images")
        prompt, tokens, dropped = self._fitted(request)
        self._check_length(tokens)
        constraint = constraint_for(request, self.template.source, (prompt or "")[-TAIL:])
        choices: list[Choice] = []
        try:
            for index in range(max(1, request.sampling.n)):
                made = self._choice(request, tokens, index, constraint, prompt or "")
                choices.append(made)
        except BaseException:
            for choice in choices:
                choice.sampler.close()
            raise
        stored = self._find(request.conversation) if request.conversation else None
        return Prepared(key, request, tokens, choices, arrived, dropped, stored)

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
        sampler = Sampler(self._model, request.sampling, seed, constraint)
        sampler.prime(tokens)
        return Choice(sampler, answer, seed)

    def _check_length(self, tokens: list[int]) -> None:
        if not tokens:
            raise BadRequestError(detail="the prompt is empty")
        if len(tokens) >= self._n_ctx:
            raise PromptTooLongError(tokens=len(tokens), limit=self._n_ctx)
        if bad := [token for token in tokens if not 0 <= token < self._model.n_vocab]:
            raise BadRequestError(detail=f"there is no token {bad[0]}")

    def _fitted(self, request: GenerateRequest) -> tuple[str | None, list[int], tuple[int, ...]]:
        """(prompt, tokens, dropped messages): the whole conversation, or what its policy leaves of it."""
        prompt, tokens = self._whole(request)
        room = self._n_ctx - answer_room(self._n_ctx, request.sampling.max_tokens)
        if request.context_policy == "stop" or not request.messages or len(tokens) <= room:
            return prompt, tokens, ()
        sizes = self._sizes(request, len(tokens))
        dropped = choose_dropped(request.messages, sizes, room, request.context_policy)
        left = droppable(request.messages, request.context_policy)
        while True:
            kept = tuple(m for at, m in enumerate(request.messages) if at not in dropped)
            prompt, tokens = self._whole(msgspec.structs.replace(request, messages=kept))
            more = next((turn for turn in left if turn[0] not in dropped), None)
            if len(tokens) <= room or more is None:
                return prompt, tokens, dropped
            dropped = (*dropped, *more)  # the estimate was too low

    def _sizes(self, request: GenerateRequest, total: int) -> list[int]:
        """Tokens of each message, scaled so that they add up to the prompt's."""
        counts = [len(self.tokenize(_all_text(message))) + 4 for message in request.messages]
        return [count * total // sum(counts) + 1 for count in counts]

    def _whole(self, request: GenerateRequest) -> tuple[str | None, list[int]]:
        prompt = self._prompt(request)
        return prompt, list(request.tokens) if prompt is None else self.tokenize(prompt)

    def _prompt(self, request: GenerateRequest) -> str | None:
        return self.prompt(request) if request.messages else request.prompt

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
        prompt = self.template.render(messages, tools)
        return prompt, self.tokenize(prompt)

    def tokenize(self, text: str) -> list[int]:
        """A prompt's tokens: special tokens' texts count as those; BOS is added where the model wants it and the
        text does not begin with it."""
        bos = self._model.bos
        twice = bool(bos) and text.startswith(bos)
        return self._model.tokenize(text, add_special=not twice, parse_special=True)

    def tokenize_text(self, text: str, *, special: bool) -> list[int]:
        """Any text's tokens; ``special`` as in the Tokenize command."""
        return self._model.tokenize(text, add_special=special, parse_special=special)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Tokens to text. Raises BadRequestError for tokens that are not in the vocabulary."""
        try:
            return self._model.detokenize(tuple(tokens))
        except ValueError as error:
            raise BadRequestError(detail=str(error)) from error


def _parts(message: Message) -> tuple[Part, ...]:
    return () if isinstance(message.content, str) else message.content


def _all_text(message: Message) -> str:
    calls = "".join(call.name + call.arguments for call in message.tool_calls)
    return message.text + message.reasoning + calls
