"""The button that has the next question answered by a second model, too."""

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QPoint, Signal
from PySide6.QtWidgets import QWidget

from app.ui.chat_list_menus import new_menu
from app.ui.widgets import IconButton

if TYPE_CHECKING:
    from app.ui.chat_controller import ChatController

translate = QCoreApplication.translate


class SecondModel(IconButton):
    """Holds the choice for one question."""

    chosen = Signal()
    search_asked = Signal()
    """There is no second model yet."""

    def __init__(self, controller: "ChatController", parent: QWidget) -> None:
        super().__init__("compare", self.choose, parent)
        self._controller = controller
        self.model = ""

    def choose(self) -> None:
        """Ask which."""
        menu = new_menu(self)
        others = {m: name for m, name in self._controller.names.items() if m != self._controller.model}
        head = menu.addAction(translate("ChatPage", "The next question is answered by a second model, too"))
        head.setEnabled(False)
        menu.addSeparator()
        for model, name in others.items():
            action = menu.addAction(name, partial(self.take, model))
            action.setCheckable(True)
            action.setChecked(model == self.model)
        if not others:  # the slash command comes here with one model, too
            menu.addAction(translate("ChatPage", "Search for another model"), self.search_asked.emit)
        if self.model:
            menu.addAction(translate("ChatPage", "By one model only"), partial(self.take, ""))
        menu.popup(self.mapToGlobal(QPoint(0, self.height())))

    def take(self, model: str) -> None:
        """The next question goes to this one, too; "": to one model only."""
        self.model = model
        self.retranslate()
        self.chosen.emit()

    def use(self) -> str:
        """The choice, which is used up by this."""
        model, self.model = self.model, ""
        self.retranslate()
        return model

    def retranslate(self) -> None:
        """Say it again."""
        self.show_icon("compare", "accent" if self.model else "text-2")
        name = self._controller.names.get(self.model, "")
        words = translate("ChatPage", "Ask a second model the same")
        going = translate("ChatPage", "The next question goes to {name}, too").format(name=name)
        self.set_words(going if name else words)
