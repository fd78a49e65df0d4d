"""Reads tool calls out of the stream: names as soon as they are whole, arguments piece by piece.

One reader serves one section of calls. It never raises on what a model writes: a call that can't be read is given
back as text.
"""

import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence

from app.core.generate import ToolCallDelta, ToolSpec
from app.runtime.formats import ToolFormat
from app.runtime.json_span import JsonSpan

_OBJECT = (
    r'\s*\{{\s*(?:"type"\s*:\s*"function"\s*,\s*)?'
    r'"{name}"\s*:\s*("(?:[^"\\]|\\.){{1,200}}")\s*,\s*"{arguments}"\s*:\s*(?=\{{)'
)
_LONGEST_HEAD = 4000
_SHORT_HEAD = 300
"""Characters that the name of a call is written in by then."""


class ToolReader:
    """Feed it what follows the mark that opened the section. ``rest`` is None until the section has ended, then the
    text that follows it."""

    def __init__(
        self,
        form: ToolFormat,
        tools: Sequence[ToolSpec],
        index: int = 0,
        new_id: Callable[[], str] | None = None,
    ) -> None:
        self._form, self._new_id = form, new_id or _new_id
        self._types = {tool.name: _text_arguments(tool) for tool in tools}
        self._buffer, self._raw = "", form.start
        self._found: list[ToolCallDelta] = []
        self._span = JsonSpan()
        self._name, self._key, self._count = "", "", 0
        self._streaming, self._scanned, self._said = False, 0, False
        self._state: Callable[[], bool] = self._between if form.open else self._head
        self.index = index
        """Of the next call."""
        self.rest: str | None = None
        self.junk = ""
        """Text in front of ``rest`` that looked like a call and was none."""

    def feed(self, text: str) -> list[ToolCallDelta]:
        """The pieces of calls that are certain now."""
        self._buffer += text
        while self.rest is None and self._state():
            pass
        found, self._found = self._found, []
        return found

    def finish(self, *, cut: bool = False) -> tuple[list[ToolCallDelta], str]:
        """At the end of the answer: (last pieces, text that was no call after all). A model that ended inside a call
        forgot its marks, which are made good; when the answer was ``cut`` short, the arguments stay open, so that
        nobody takes them for whole."""
        if self.rest is not None:
            return [], ""
        unsaid = self._state == self._arguments and not self._said
        if cut and (unsaid or self._state in {self._value, self._keys, self._gemma}):
            self._leave_open()
        elif self._state == self._object:
            self._buffer = "" if self._whole_object(self._buffer) else self._buffer
        elif self._state in {self._value, self._keys}:
            self._cut_off()
        left = self._raw + self._buffer if self._state in {self._head, self._object, self._named} else ""
        if cut and self._raw.strip() and len(self._buffer) < _SHORT_HEAD:
            left = ""  # the beginning of a call behind its mark
        found, self._found = self._found, []
        return found, left

    # -------------------------------------------------------------------------------------- marks
    def _take(self, mark: str) -> str | None:
        """The text up to ``mark``, which is dropped; None: it has not come yet."""
        before, found, after = self._buffer.partition(mark)
        if not found:
            return None
        self._buffer = after
        return before

    def _between(self) -> bool:
        form, text = self._form, self._buffer.lstrip(" \n\t\r,;")
        for mark, following in ((form.call_open, self._head), (form.end, self._end)):
            if mark and text.startswith(mark):
                self._buffer, self._raw = text[len(mark) :], mark
                return following()
            if mark and mark.startswith(text):
                return False
        if form.kind == "json" and not form.call_open:
            return self._between_objects(text)
        if text or not form.open:
            self.rest = self._buffer if text else None
        return False

    def _between_objects(self, text: str) -> bool:
        text = text.lstrip("[ \n\t\r,") if self._form.listed else text
        if text.startswith("{"):
            self._buffer = text
            return self._head()
        if text.startswith("]") and self._form.listed:
            self._buffer = text[1:]
            if not self._form.end:
                self.rest = self._buffer
            return True
        if text:
            self.rest = text
        return False

    def _end(self) -> bool:
        self.rest = self._buffer
        return False

    def _give_back(self, text: str) -> bool:
        """The mark and ``text`` behind it were no call."""
        self.junk = self._raw + text
        self.rest, self._raw = (
            self._buffer.removeprefix(text),
            "",
        )
        return False

    def _head(self) -> bool:
        self._state = self._object if self._form.kind == "json" else self._named
        self._span, self._scanned = JsonSpan(), 0
        return True

    # -------------------------------------------------------------------------------------- one JSON object per call
    def _object(self) -> bool:
        form = self._form
        # Past some length this can't match any more: the keys came in another order.
        pattern = _OBJECT.format(name=form.name_key, arguments=form.args_key)
        found = re.match(pattern, self._buffer) if len(self._buffer) < _LONGEST_HEAD else None
        if found and _unquoted(found.group(1)).strip():
            self._buffer = self._buffer[found.end() :]
            self._begin(_unquoted(found.group(1)))
            self._span, self._state = JsonSpan(), self._arguments
            return True
        if self._buffer.lstrip()[:1] not in {"", "{"}:
            return self._give_back("")
        end = self._span.feed(self._buffer[self._scanned :])
        if end < 0:
            self._scanned = len(self._buffer)
            return False
        end += self._scanned
        if not self._whole_object(self._buffer[:end]):
            return self._give_back(self._buffer[:end])
        self._buffer = self._buffer[end:]
        self._state = self._close
        return True

    def _whole_object(self, text: str) -> bool:
        """A call whose keys came in another order."""
        try:
            call = json.loads(text)
        except (ValueError, RecursionError):
            return False
        if isinstance(call, dict) and isinstance(call.get("function"), dict):
            call = call["function"]
        if not isinstance(call, dict) or not _is_name(call.get(self._form.name_key)):
            return False
        arguments = call.get(self._form.args_key, call.get("arguments", call.get("parameters", {})))
        self._begin(call[self._form.name_key], str(call.get(self._form.id_key) or ""))
        self._say(arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False))
        self._raw = ""
        return True

    def _arguments(self) -> bool:
        end = self._span.feed(self._buffer)
        self._say(self._buffer if end < 0 else self._buffer[:end])
        self._buffer = "" if end < 0 else self._buffer[end:]
        if end < 0:
            return False
        self._state = self._tail if self._form.kind == "json" else self._close
        return True

    def _tail(self) -> bool:
        """The rest of the call's object (an id, the closing brace)."""
        found = re.match(r'(?:[^{}"]|"(?:[^"\\]|\\.)*")*\}', self._buffer)
        if not found:
            return False
        self._buffer = self._buffer[found.end() :]
        self._state = self._close
        return True

    def _close(self) -> bool:
        mark, text = self._form.call_close.strip(), self._buffer.lstrip()
        if mark and mark.startswith(text) and text != mark:
            return False
        if mark and text.startswith(mark):
            self._buffer = text[len(mark) :]
        self._raw, self._state = "", self._between
        return True

    # -------------------------------------------------------------------------------------- a bare name first
    def _named(self) -> bool:
        name = self._take_name()
        if name is None:
            return self._give_back(self._buffer) if len(self._buffer) > _LONGEST_HEAD else False
        if not name.strip():
            taken = name + (self._form.name_end if self._form.kind != "tags" else "")
            self._buffer = taken + self._buffer
            return self._give_back(taken)
        name, _, given = name.partition("[CALL_ID]")
        self._begin(*_kimi(name) if self._form.name == "kimi" else (name.strip(), given.strip()))
        self._state = {"named": self._arguments, "tags": self._keys, "gemma": self._gemma}[self._form.kind]
        if self._form.kind == "named":
            self._buffer = self._buffer.lstrip()
        return True

    def _take_name(self) -> str | None:
        form = self._form
        if form.kind != "tags":
            return self._take(form.name_end)
        # Some leave the mark behind the name out when there are no arguments, or a line break.
        found = re.search(
            "|".join(map(re.escape, (form.key_open, form.call_close, form.name_end))), self._buffer
        )
        if not found:
            return None
        name = self._buffer[: found.start()]
        self._buffer = self._buffer[found.end() if found.group() == form.name_end else found.start() :]
        return name

    # -------------------------------------------------------------------------------------- a tag per argument
    def _keys(self) -> bool:
        form, text = self._form, self._buffer.lstrip()
        if text.startswith(form.call_close):
            self._say("}" if self._count else "{}")
            self._state = self._close
            return True
        if not text.startswith(form.key_open):
            stuck = not (form.key_open.startswith(text) or form.call_close.startswith(text))
            if stuck:  # whatever this is, the call is over
                self._cut_off()
                self.rest = self._buffer
            return False
        found = re.match(_key_pattern(form), text, re.DOTALL)
        if not found:
            return False
        self._key, self._buffer = found.group(1).strip(), text[found.end() :]
        self._say(("{" if not self._count else ", ") + json.dumps(self._key, ensure_ascii=False) + ": ")
        self._count += 1
        self._state = self._value
        if found.re.groups > 1 and found.group(2) == "true":
            self._types.setdefault(self._name, set()).add(self._key)
        return True

    def _value(self) -> bool:
        text = self._take(self._form.value_close)
        if text is None:
            self._stream_text()
            return False
        self._end_value(text)
        self._state = self._keys
        return True

    def _stream_text(self) -> None:
        """The safe part of a plain text; what could be the closing mark or the line break before it waits."""
        keep = len(self._form.value_close)
        if len(self._buffer) <= keep + 1 or not self._is_text():
            return
        ready, self._buffer = self._buffer[: -keep - 1], self._buffer[-keep - 1 :]
        if not self._streaming:
            ready = ready.removeprefix("\n") if self._form.pad else ready
            self._say('"')
        self._streaming = True
        self._say(_escaped(ready))

    def _end_value(self, text: str) -> None:
        if self._streaming:
            self._say(_escaped(text.removesuffix("\n") if self._form.pad else text) + '"')
        else:
            self._say(self._json_value(_unpadded(text, self._form)))
        self._streaming = False

    def _is_text(self) -> bool:
        return self._key in self._types.get(self._name, ())

    def _json_value(self, text: str) -> str:
        if not self._is_text():
            try:
                json.loads(text)
            except (ValueError, RecursionError):
                pass
            else:
                return text.strip()
        return json.dumps(text, ensure_ascii=False)

    def _cut_off(self) -> None:
        """The answer ended inside a call: what came so far is kept."""
        if self._state == self._value:
            self._end_value(self._buffer)
        self._say("}" if self._count else "{}")

    def _leave_open(self) -> None:
        """The arguments up to where the answer was cut."""
        if self._state == self._gemma:
            self._say("{" + self._buffer)
        elif not self._count:
            self._say("{")
        elif self._state == self._value:
            opened = "" if self._streaming or not self._is_text() else '"'
            self._say(opened + (_escaped(self._buffer) if self._is_text() else self._buffer))

    # -------------------------------------------------------------------------------------- Gemma's notation
    def _gemma(self) -> bool:
        from app.runtime.tool_gemma import to_json  # noqa: PLC0415 - one family's notation

        text = self._take(self._form.call_close)
        if text is None:
            return False
        self._say(to_json("{" + text))
        self._raw, self._state = "", self._between
        return True

    # -------------------------------------------------------------------------------------- what comes out
    def _begin(self, name: str, given: str = "") -> None:
        self._name, self._count, self._raw, self._said = name, 0, "", False
        self._found.append(ToolCallDelta(self.index, given or self._new_id(), name))
        self.index += 1

    def _say(self, arguments: str) -> None:
        if arguments:
            self._said = True
            self._found.append(ToolCallDelta(self.index - 1, arguments=arguments))


def _escaped(text: str) -> str:
    """The inside of a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        return text[1:-1]


def _new_id() -> str:
    return f"call_{uuid.uuid4().hex[:24]}"


def _kimi(name: str) -> tuple[str, str]:
    """``functions.NAME:N`` is both id and name."""
    found = re.fullmatch(r"(?:functions\.)?(.+?)(?::\d+)?", name.strip())
    return (found.group(1) if found else name), name.strip()


def _key_pattern(form: ToolFormat) -> str:
    close = r"\s*".join(re.escape(part) for part in form.key_close.split("\n"))
    close = close.replace(re.escape("{string}"), "(true|false)")
    return rf"{re.escape(form.key_open)}(.*?){close}"


def _unpadded(text: str, form: ToolFormat) -> str:
    """Without the line breaks that belong to the marks."""
    return text.removeprefix("\n").removesuffix("\n") if form.pad else text


def _text_arguments(tool: ToolSpec) -> set[str]:
    """Arguments whose values are plain text, so that ``5`` means ``"5"``."""
    properties = tool.parameters.get("properties")
    if not isinstance(properties, Mapping):
        return set()
    return {name for name, schema in properties.items() if is_text(schema)}


def is_text(schema: object) -> bool:
    """The schema asks for a plain text."""
    if not isinstance(schema, Mapping):
        return False
    kinds = schema.get("type")
    values = schema.get("enum")
    return kinds == "string" or (
        kinds is None and isinstance(values, list) and all(isinstance(v, str) for v in values)
    )
