"""What a slash in the composer does: a prompt of the library, its variables filled in, or a command of the chat."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

from app.chat import prompts
from app.chat.prompts import Prompt, PromptLibrary
from app.ui import tasks
from app.ui.composer import Composer
from app.ui.dialogs.prompts import PromptsDialog, SystemDialog, VariablesDialog
from app.ui.slash import SlashCommand, SlashList

if TYPE_CHECKING:
    from app.ui.chat_controller import ChatController

Commands = dict[str, tuple[str, Callable[[], object]]]
"""name -> (what it does in words, how)"""


class ChatPrompts(QObject):
    """The library at the composer's service. ``commands`` are the chat's own, said anew in each language."""

    def __init__(
        self,
        composer: Composer,
        controller: "ChatController",
        over: QWidget,
        commands: Callable[[], Commands],
    ) -> None:
        super().__init__(over)
        self._composer, self._controller, self._over, self._commands = composer, controller, over, commands
        self.library = PromptLibrary(controller.services.paths.config / "prompts")
        self._found: dict[str, Prompt] = {}
        self.list = SlashList(composer.edit, over)
        self.list.chosen.connect(self.run)
        self.load()

    def load(self) -> None:
        """Read the library and offer what is in it."""
        tasks.run(lambda: self.library.all(system=False), self._offer, self._controller.report, self)

    def _offer(self, found: tuple[Prompt, ...]) -> None:
        self._found = {prompt.name: prompt for prompt in found}
        own = [SlashCommand(name, " ".join(prompt.text.split())[:60]) for name, prompt in self._found.items()]
        chat = [SlashCommand(name, about, prompt=False) for name, (about, _) in self._commands().items()]
        self.list.set_commands([*own, *chat])

    def run(self, name: str) -> None:
        """Do what ``/name`` stands for."""
        self._composer.set_text("")
        known = self._commands().get(name)
        if name in self._found:
            self.use(self._found[name])
        elif known is not None:
            known[1]()

    def take(self, text: str) -> bool:
        """A text that was sent: whether it was a command, which has been run."""
        found = prompts.command(text)
        if found is None:
            return False
        name, rest = found
        prompt = next((p for p in self._found.values() if p.name.casefold() == name), None)
        if prompt is not None:
            self.use(prompt, rest)
            return True
        if name in self._commands() and not rest:
            self.run(name)
            return True
        return False

    def use(self, prompt: Prompt, rest: str = "") -> None:
        """Put a prompt into the composer; what it does not know is asked for."""
        clipboard = QGuiApplication.clipboard().text()
        sources = prompts.standard_sources(lambda: clipboard, self._controller.model)
        wanted = prompts.missing(prompt.text, sources)

        def fill(values: dict[str, str]) -> None:
            fill_in = partial(prompts.fill_in, prompt.text, values, sources)
            tasks.run(fill_in, put, self._controller.report, self)

        def put(text: str) -> None:
            self._composer.set_text(f"{text}\n\n{rest}" if rest else text)
            self._composer.edit.setFocus()

        if not wanted:
            fill({})
            return
        dialog = VariablesDialog(prompt.name, wanted, self._over)
        dialog.filled.connect(fill)
        dialog.open()

    def manage(self) -> None:
        """Open the library."""
        dialog = PromptsDialog(self.library, self._over)
        dialog.changed.connect(self.load)
        dialog.open()

    def ask_system(self) -> None:
        """Open the system prompt of the chat."""
        dialog = SystemDialog(self._controller.how.system_prompt(), self.library, self._over)
        dialog.chosen.connect(self._controller.how.set_system)
        dialog.open()
