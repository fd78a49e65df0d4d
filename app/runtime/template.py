"""Chat templates: messages in, prompt text out.

The template comes from the GGUF (``tokenizer.chat_template``) and is rendered in ``template_sandbox``'s environment.
What a template can't do itself is done for it: a system message it refuses or drops goes into the first user turn,
tools it doesn't know are described in the system message, tool results become user turns, turns that must
alternate are joined. What a template can do is found out once, by rendering probes.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from app.core.errors import TemplateFailedError
from app.core.generate import Message, ToolSpec
from app.runtime.formats import PHI4, own_format
from app.runtime.template_messages import (
    Shape,
    as_dicts,
    tool_dicts,
    with_system_tools,
    without_system,
    without_tools,
)

_Dict = dict[str, Any]
log = logging.getLogger(__name__)

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
MAX_SOURCE = 131_072
"""Characters; the longest template known has 17,000."""
SECONDS = 2.0
PROBE_SECONDS = 0.25
_MARK = "\ue000continue\ue001"
_PROBE_TOOL = ToolSpec("hearth_probe", "probe", {"type": "object", "properties": {"x": {"type": "string"}}})
_SHAPES = (
    Shape(),
    Shape(null_content=True),
    Shape(text_arguments=True),
    Shape(null_content=True, text_arguments=True),
)


class ChatTemplate:
    """One compiled template. Thread-safe; renderings of one template wait for each other (each is bounded by
    SECONDS). Raises TemplateFailedError when the source can't be compiled or rendered."""

    def __init__(self, source: str, bos: str, eos: str) -> None:
        from app.runtime.template_sandbox import SandboxedTemplates  # noqa: PLC0415 - Jinja takes 60 ms to import

        if len(source) > MAX_SOURCE:
            raise TemplateFailedError(detail="it is longer than any real template")
        self.source, self._fixed = source, {"bos_token": bos, "eos_token": eos}
        self._lock = threading.RLock()
        self._environment = SandboxedTemplates()
        try:
            self._template = self._environment.from_string(source)
        except (Exception, RecursionError) as error:
            raise _failed(error) from error
        self._answers: dict[str, Any] = {}
        self._no_tools: list[_Dict] | None = None

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec] = (),
        *,
        add_generation_prompt: bool = True,
        continue_last: bool = False,
        **kwargs: object,
    ) -> str:
        """The prompt. ``continue_last`` leaves the last assistant message open instead of opening a new one;
        ``kwargs`` reach the template as variables (``enable_thinking``, ``reasoning_effort``, ...)."""
        if continue_last and messages and messages[-1].role == "assistant":
            return self._render_open(messages, tools, kwargs)
        return self._render_fitted(
            messages, tools, {**kwargs, "add_generation_prompt": add_generation_prompt}
        )

    # -------------------------------------------------------------------------------------- what it can do
    @property
    def knows_system(self) -> bool:
        """It shows a system message."""
        probe = [Message("system", "hearth-system"), Message("user", "hearth-user")]
        return bool(self._once("system", lambda: "hearth-system" in self._try(probe, [], Shape())))

    @property
    def knows_tools(self) -> bool:
        """It shows the tools it is given, and how it wants them called is known (``formats``)."""
        probe = [Message("user", "hearth-user")]
        shows = self._once("tools", lambda: _PROBE_TOOL.name in self._try(probe, [_PROBE_TOOL], Shape()))
        return own_format(self.source) is not None and bool(shows)

    @property
    def shape(self) -> Shape | None:
        """How it wants earlier tool calls; None: it can't show them."""
        found: Shape | None = self._once("shape", self._find_shape)
        return found

    def _find_shape(self) -> Shape | None:
        from app.runtime.template_messages import probe_calls, shows_call  # noqa: PLC0415 - only for tools

        for shape in _SHAPES:
            if shows_call(self._try(probe_calls(), [_PROBE_TOOL], shape)):
                return shape
        return None

    def _once(self, key: str, find: Callable[[], Any]) -> Any:
        with self._lock:
            if key not in self._answers:
                self._answers[key] = find()
            return self._answers[key]

    def _try(self, messages: Sequence[Message], tools: Sequence[ToolSpec], shape: Shape) -> str:
        try:
            given = {"add_generation_prompt": True}
            return self._render_once(as_dicts(messages, shape), tool_dicts(tools), given, PROBE_SECONDS)
        except TemplateFailedError as error:
            log.debug("the template refuses a probe: %s", error)
            return ""

    # -------------------------------------------------------------------------------------- rendering
    def _render_open(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], kwargs: Mapping[str, Any]
    ) -> str:
        *before, last = messages
        if last.text or not last.reasoning:
            marked = Message("assistant", last.text + _MARK, last.reasoning)
        else:
            marked = Message("assistant", "", last.reasoning + _MARK)
        text = self._render_fitted([*before, marked], tools, {**kwargs, "add_generation_prompt": False})
        kept, found, _ = text.rpartition(_MARK)
        if not found:
            raise TemplateFailedError(detail="it does not show the message that is to be continued")
        return kept

    def _render_fitted(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], kwargs: Mapping[str, Any]
    ) -> str:
        calls = any(message.tool_calls or message.role == "tool" for message in messages)
        shape = self.shape if calls else Shape()
        described = tools if tools and not self.knows_tools else ()
        if described or shape is None:
            messages, shape = without_tools(messages, described), Shape()
        tools = () if described else tools
        if any(message.role == "system" for message in messages) and not self.knows_system:
            messages = without_system(messages)
        dicts = as_dicts(messages, shape)
        try:
            return self._render_once(dicts, tool_dicts(tools), kwargs)
        except TemplateFailedError as error:
            if "alternat" not in str(error).lower():
                raise
            return self._render_once(_joined(dicts), tool_dicts(tools), kwargs)

    def _render_once(
        self, messages: list[_Dict], tools: list[_Dict], kwargs: Mapping[str, Any], seconds: float = 0.0
    ) -> str:
        if tools and own_format(self.source) is PHI4:
            messages = with_system_tools(messages, tools)
        given = {
            **self._fixed,
            **deepcopy(dict(kwargs)),
            "messages": messages,
            "tools": tools or self._no_tools,
        }
        try:
            return self._run(given, _size(messages) + _size(tools), seconds)
        except TemplateFailedError as error:
            # No tools are None as in transformers; some templates loop over them all the same.
            if tools or self._no_tools is not None or "'NoneType' object is not iterable" not in str(error):
                raise
            self._no_tools = []
            return self._run({**given, "tools": []}, _size(messages), seconds)

    def _run(self, given: dict[str, Any], size: int, seconds: float) -> str:
        from app.runtime.template_guard import Guard  # noqa: PLC0415 - only to render

        with self._lock:
            self._environment.guard = Guard(4_000_000 + 8 * size, 64_000_000 + 32 * size, seconds or SECONDS)
            try:
                context = self._template.new_context(given)
                return self._environment.concat(self._template.root_render_func(context))
            except (Exception, RecursionError) as error:
                raise _failed(error) from error


def _failed(error: BaseException) -> TemplateFailedError:
    text = "it nests too deeply" if isinstance(error, (RecursionError, MemoryError)) else str(error)
    return TemplateFailedError(detail=(text or type(error).__name__)[:300].rstrip(". "))


def _size(value: Any) -> int:
    """Characters in a tree, roughly."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(_size, value.values())) + 16 * len(value)
    return sum(map(_size, value)) + 8 if isinstance(value, (list, tuple)) else 8


def _joined(messages: list[_Dict]) -> list[_Dict]:
    """Neighbours of one role become one message."""
    found: list[_Dict] = []
    for message in messages:
        if found and found[-1]["role"] == message["role"] != "tool":
            parts = (found[-1].get("content"), message.get("content"))
            found[-1] = {**found[-1], **message, "content": "\n\n".join(part for part in parts if part)}
        else:
            found.append(message)
    return found


def template_for(metadata: Mapping[str, object], bos: str, eos: str) -> ChatTemplate:
    """The model's own template, or ChatML when it has none. Where a model brings several
    (``tokenizer.chat_template.<name>``), the unnamed one is taken."""
    source = metadata.get("tokenizer.chat_template")
    return ChatTemplate(source if isinstance(source, str) and source.strip() else CHATML, bos, eos)
