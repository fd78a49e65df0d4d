"""How the open conversation is answered: sampling, context policy and system prompt, its own before the profile's of
its model before the settings'.
"""

from typing import TYPE_CHECKING

import msgspec
from PySide6.QtCore import QObject, Signal

from app.chat.session import TurnOptions
from app.core.generate import ContextPolicy, SamplingParams

if TYPE_CHECKING:
    from app.ui.chat_controller import ChatController


class ChatHow(QObject):
    """What is chosen for a conversation that is not there yet is part of its draft. ``changed`` tells of it."""

    changed = Signal()

    def __init__(self, owner: "ChatController") -> None:
        super().__init__(owner)
        self._owner = owner

    def options(self, model: str = "") -> TurnOptions:
        """How the next turn is asked."""
        owner, model = self._owner, model or self._owner.model
        chat, kept = owner.services.settings.value.chat, owner.conversation
        sampling = (
            (kept.sampling if kept is not None else None)
            or owner.services.presets.sampling(model)
            or SamplingParams(
                temperature=chat.temperature, top_p=chat.top_p, max_tokens=chat.max_tokens or None
            )
        )
        if chat.logprobs:
            sampling = msgspec.structs.replace(sampling, logprobs=chat.logprobs)
        quant, sees = owner.models.quant(model), owner.models.sees_images(model)
        return TurnOptions(model, quant, sampling, self.policy, images=sees)

    @property
    def policy(self) -> ContextPolicy:
        """What happens when the window of the open conversation is full."""
        kept = self._owner.conversation
        own = kept.policy if kept is not None else self._owner.drafts.begun.policy
        return own or self._owner.services.settings.value.chat.context_policy

    def set_policy(self, policy: ContextPolicy) -> None:
        """What happens in this chat when its window is full."""
        owner = self._owner
        chat, store = owner.chat, owner.place.store
        if chat is None:
            owner.drafts.choose_policy(policy)
        else:
            owner.change(lambda: store.set_policy(chat, policy), lambda _none: owner.reload())

    def system_prompt(self) -> str:
        """What the open conversation begins with, or a new one would."""
        owner = self._owner
        if owner.conversation is not None:
            return owner.conversation.system
        if owner.drafts.begun.system is not None:
            return owner.drafts.begun.system
        profile = owner.services.presets.current(owner.model) if owner.model else None
        usual = owner.services.settings.value.chat.system_prompt
        return profile.system if profile is not None and profile.system else usual

    def set_system(self, text: str) -> None:
        """Another system prompt for the open conversation, from the next question on."""
        owner = self._owner
        chat, store = owner.chat, owner.place.store
        if chat is None:
            owner.drafts.choose_system(text)
            self.changed.emit()
        else:
            owner.change(lambda: store.update(chat, system=text), lambda _none: owner.reload())
