"""A library of prompts, with variables filled in when they are used: ``{{date}}``, ``{{clipboard}}``, own ones.

A prompt is one Markdown file with its name as the file's; what begins with ``/`` in the composer runs it.
"""

import datetime as dt
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

from app.core.errors import ReadOnlyError, SaveDiskFullError, UsageError

_VARIABLE = re.compile(r"\{\{\s*([^\W\d][\w.-]*)(?::([^{}]*))?\s*\}\}")
_NAME = re.compile(r"[^\W_][\w -]{0,59}")
LARGEST = 1 << 20
LARGEST_FILE = 4 << 20

Source = Callable[[str], str]
"""Gives a variable's value from what stands after its colon (``{{file:notes.txt}}``), or an empty text."""


class Variable(Struct, frozen=True):
    """A variable a prompt asks for; ``argument`` is its default, or what its source needs."""

    name: str
    argument: str = ""


class Prompt(Struct, frozen=True):
    """One prompt. ``system``: it is offered as a system prompt, not in the composer."""

    name: str
    text: str
    system: bool = False


def variables(text: str) -> tuple[Variable, ...]:
    """The variables of a prompt, in order, each once."""
    found = {
        match[1].casefold(): Variable(match[1].casefold(), match[2] or "")
        for match in _VARIABLE.finditer(text)
    }
    return tuple(found.values())


def missing(text: str, sources: Mapping[str, Source]) -> tuple[Variable, ...]:
    """The variables that no source gives: a form asks for them."""
    return tuple(variable for variable in variables(text) if variable.name not in sources)


def fill_in(text: str, values: Mapping[str, str], sources: Mapping[str, Source] | None = None) -> str:
    """Put values in, those given first, then the sources', then the defaults. A value is never looked into for
    variables of its own."""

    def value(match: re.Match[str]) -> str:
        name, argument = match[1].casefold(), match[2] or ""
        if name in values:
            return values[name]
        source = (sources or {}).get(name)
        return source(argument) if source else argument

    return _VARIABLE.sub(value, text)


def standard_sources(
    clipboard: Callable[[], str], model: str = "", now: Callable[[], dt.datetime] | None = None
) -> dict[str, Source]:
    """``date``, ``time``, ``datetime``, ``weekday``, ``model``, ``clipboard`` and ``file:<path>``."""
    clock = now or (lambda: dt.datetime.now().astimezone())
    return {
        "date": lambda form: clock().strftime(form or "%Y-%m-%d"),
        "time": lambda form: clock().strftime(form or "%H:%M"),
        "datetime": lambda form: clock().strftime(form or "%Y-%m-%d %H:%M"),
        "weekday": lambda _: clock().strftime("%A"),
        "model": lambda _: model,
        "clipboard": lambda _: clipboard(),
        "file": read_text,
    }


def read_text(name: str) -> str:
    """A text file's content. Raises UsageError when it can't be read or is no text."""
    path = Path(name.strip()).expanduser()
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UsageError(detail=f"{path} is too large to put into a prompt.")
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(detail=f"{path} is not a text file.") from error
    except (OSError, ValueError) as error:
        raise UsageError(detail=f"{path} can't be read.") from error


def command(text: str) -> tuple[str, str] | None:
    """Name and rest of a line that begins with a slash: ``/translate Hello`` is ("translate", "Hello")."""
    match = re.match(r"/([^\W_][\w-]*)(?:\s+(.*))?$", text, re.DOTALL)
    return (match[1].casefold(), match[2] or "") if match else None


class PromptLibrary:
    """The prompts of one folder (``paths.config / "prompts"``): ``<name>.md``, ``<name>.system.md``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self, *, system: bool | None = None) -> tuple[Prompt, ...]:
        """Prompts by name, of one kind or of both; a file that can't be read is left out."""
        found = [prompt for path in self._folder.glob("*.md") if (prompt := _read(path))]
        wanted = [prompt for prompt in found if system is None or prompt.system == system]
        return tuple(sorted(wanted, key=lambda prompt: prompt.name.casefold()))

    def find(self, name: str) -> Prompt | None:
        """The composer's prompt for a slash command; spaces may be written as dashes."""
        plain = name.casefold().replace(" ", "-")
        return next((p for p in self.all(system=False) if p.name.casefold().replace(" ", "-") == plain), None)

    def save(self, prompt: Prompt) -> None:
        """Write or replace. Raises UsageError for a name that can't be a file's, ReadOnlyError, SaveDiskFullError."""
        if not _NAME.fullmatch(prompt.name):
            raise UsageError(detail="A prompt's name has letters, digits, spaces and dashes, 60 at most.")
        path = self._path(prompt)
        temporary = self._folder / f".{secrets.token_hex(6)}.part"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            temporary.write_text(prompt.text, "utf-8")
            temporary.replace(path)
        except OSError as error:
            if error.errno == 28:
                raise SaveDiskFullError(path=str(path), missing="a few kB") from error
            raise ReadOnlyError(path=str(self._folder)) from error

    def remove(self, prompt: Prompt) -> None:
        """Delete; one that is gone already is fine."""
        self._path(prompt).unlink(missing_ok=True)

    def _path(self, prompt: Prompt) -> Path:
        return self._folder / f"{prompt.name}{'.system' if prompt.system else ''}.md"


def _read(path: Path) -> Prompt | None:
    try:
        if path.stat().st_size > LARGEST:
            return None
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    system = path.stem.endswith(".system")
    return Prompt(path.stem.removesuffix(".system"), text, system)
