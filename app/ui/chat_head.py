"""The row above the open conversation: its title, a second model, its system prompt, and the model that answers."""

from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QSize, Signal
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from app.ui import theme
from app.ui.model_picker import ModelPicker
from app.ui.second_model import SecondModel
from app.ui.widgets import Elided, IconButton, make_button

if TYPE_CHECKING:
    from app.ui.chat_controller import ChatController

translate = QCoreApplication.translate
_SHOWN = 80


class ChatHead(QWidget):
    """Tells what was asked; shows what it is told."""

    list_toggled = Signal()
    system_asked = Signal()
    left = Signal()
    """The temporary chat is done with."""

    def __init__(self, controller: "ChatController", parent: QWidget) -> None:
        super().__init__(parent)
        self._controller = controller
        self.title = Elided(parent=self)
        self.toggle = IconButton("sidebar", self.list_toggled.emit, self)
        self.system = IconButton("prompt", self.system_asked.emit, self)
        self.second = SecondModel(controller, self)
        self.leave = make_button(self.left.emit, "link", self, compact=True)
        self.picker = ModelPicker(self)
        self._lay_out()
        told = (
            controller.busy_changed,
            controller.models_changed,
            controller.drafted,
            controller.how.changed,
        )
        for signal in told:
            signal.connect(lambda *_: self.show_system())

    def _lay_out(self) -> None:
        self.setMinimumHeight(48)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 0, 16, 0)
        row.setSpacing(8)
        for button in (self.toggle, self.second, self.system):
            button.setIconSize(QSize(18, 18))
            button.setAutoRaise(True)
        font = theme.font("chat")
        font.setWeight(QFont.Weight.DemiBold)
        self.title.setFont(font)
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.leave.hide()
        row.addWidget(self.toggle)
        row.addWidget(self.title, 1)
        for widget in (self.leave, self.second, self.system, self.picker):
            row.addWidget(widget)

    def show_title(self, title: str) -> None:
        """The conversation's name, or what it is while it has none."""
        temporary = translate("ChatPage", "Temporary chat")
        kind = temporary if self._controller.place.temporary else translate("ChatPage", "New chat")
        self.title.setText(title or kind)

    def show_system(self) -> None:
        """Whether the open conversation begins with a system prompt, and with which."""
        words, text = (
            translate("ChatPage", "System prompt of this chat"),
            self._controller.how.system_prompt(),
        )
        text = " ".join(text.split())
        self.system.show_icon("prompt", "accent" if text else "text-2")
        self.system.set_words(f"{words}: {text[:_SHOWN]}{'…' * (len(text) > _SHOWN)}" if text else words)

    def show_place(self, temporary: bool) -> None:
        """It is written to the disk, or not."""
        self.leave.setVisible(temporary)
        self.show_title(self._controller.title)

    def retranslate(self) -> None:
        """Say everything again."""
        self.toggle.set_words(translate("ChatPage", "Show or hide the list of chats"))
        self.show_system()
        self.leave.setText(translate("ChatPage", "Leave it"))
        about = translate("ChatPage", "A temporary chat is never written; a new one is kept again.")
        self.leave.setToolTip(about)
        self.second.retranslate()
        self.show_title(self._controller.title)
