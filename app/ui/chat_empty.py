"""What stands in the middle of a chat in which nothing was asked yet."""

from PySide6.QtCore import QCoreApplication

from app.ui.empty_state import EmptyState

translate = QCoreApplication.translate


def show(empty: EmptyState, there_are_models: bool, temporary: bool) -> None:
    """Say what can be done, or (without a model) what is needed."""
    if not there_are_models:
        empty.show_state(
            translate("ChatPage", "No model here yet"),
            translate(
                "ChatPage",
                "A model answers your questions on this machine. The starter model is small and answers at once.",
            ),
            translate("ChatPage", "Get the starter model (98 MB)"),
            translate("ChatPage", "Search for models"),
        )
        return
    about = translate("ChatPage", "It is answered on this machine; nothing leaves it.")
    if temporary:
        about = translate(
            "ChatPage", "A temporary chat: it is never written to the disk, and gone when you leave Hearth."
        )
    empty.show_state(translate("ChatPage", "What would you like to know?"), about)
