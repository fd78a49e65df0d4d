"""Between the composer and the controller: the draft, what it takes of the window, what is attached."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QLocale, QObject, QStandardPaths, Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QFileDialog, QWidget

from app.chat import attachments
from app.ui import picture_files
from app.ui.composer import Composer
from app.ui.drop_zone import DropZone

if TYPE_CHECKING:
    from app.chat.store_types import NewAttachment
    from app.ui.chat_controller import ChatController
    from app.ui.chat_drafts import Slot

translate = QCoreApplication.translate


class ComposerDesk(QObject):
    """Connects the two."""

    def __init__(self, page: QWidget, composer: Composer, controller: "ChatController") -> None:
        super().__init__(page)
        self._page, self._composer, self._controller = page, composer, controller
        self._too_long = False
        self._folder = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.HomeLocation)
        """Where files are looked for: not where the program was started, and next time where they were."""
        composer.stop_requested.connect(controller.stop)
        composer.text_changed.connect(self._typed)
        composer.files_dropped.connect(self.attach)
        self._zone = DropZone(composer.parentWidget() or page, self.attach, self._hover)
        composer.long_paste.connect(self._attach_text)
        composer.attach_requested.connect(self._choose_files)
        composer.image_pasted.connect(self._attach_image)
        controller.busy_changed.connect(composer.set_busy)
        controller.drafted.connect(composer.set_draft)
        controller.pictures_sized.connect(self._show_costs)
        controller.sized.connect(self._show_size)

    def _typed(self) -> None:
        self._controller.drafts.keep(self._composer.text(), tuple(self._composer.attachments.items))
        self._tell_size()

    def _tell_size(self) -> None:
        items = tuple(self._composer.attachments.items)
        self._controller.window.size_up(self._composer.text(), items)
        self.show_sight()

    def _show_size(self, tokens: int | None, exact: bool) -> None:
        text, limit = QLocale().toString, self._controller.window.use().limit
        self._too_long = bool(limit and tokens and tokens > limit)
        self.show_sight()
        if tokens is None:
            self._composer.set_hint("")
            return
        words = (
            translate("ChatPage", "{count} tokens")
            if exact
            else translate("ChatPage", "about {count} tokens")
        )
        hint = words.format(count=text(tokens))
        if limit:
            share = text(100 * tokens / limit, "f", 0 if tokens * 10 > limit else 1)
            hint = translate("ChatPage", "{tokens}  ·  {share} %").format(tokens=hint, share=share)
        why = translate("ChatPage", "What this question takes of the context.")
        self._composer.set_hint(hint, why=why)

    def _attached(self, to: "Slot | None", items: list["NewAttachment"]) -> None:
        drafts = self._controller.drafts
        if to is None or to == drafts.slot:
            self._composer.attachments.add(items)
        else:
            drafts.add(to, tuple(items))

    def _show_costs(self, tokens: list[int | None]) -> None:
        self._composer.attachments.set_tokens(tokens)

    def show_sight(self) -> None:
        """Say so when the model can't see what is attached, or the context can't hold it."""
        images = any(item.kind == "image" for item in self._composer.attachments.items)
        models = self._controller.models
        if not images or models.sees_images():
            words = translate(
                "ChatPage",
                "This is more than the model's context holds: shorten it, or load the model with more context.",
            )
            self._composer.set_note(words if self._too_long else "")
            return
        words = translate(
            "ChatPage",
            "This model can't see images: the picture is kept with the chat, only the text is sent. "
            "Choose a model that sees images, or download the projector (mmproj) of this one beside it.",
        )
        if why := models.why_blind():
            words = translate(
                "ChatPage",
                "This model's projector can't be used, so only the text is sent. The engine says: {why}",
            ).format(why=why)
        self._composer.set_note(words)

    def _hover(self, over: bool) -> None:
        if over:
            self._composer.set_note(translate("ChatPage", "Let go to attach it to your message."))
        else:
            self.show_sight()

    def attach(self, paths: Sequence[Path]) -> None:
        """Read files for the next question, each by itself: one that is refused takes none of the others away."""
        for path in paths:
            self._read(partial(picture_files.from_paths, [path]))

    def _attach_image(self, image: QImage | bytes) -> None:
        self._read(lambda: [picture_files.from_clipboard(image)])

    def _attach_text(self, text: str) -> None:
        self._composer.attachments.add([attachments.from_paste(text)])

    def _read(self, work: "Callable[[], list[NewAttachment]]") -> None:
        self._controller.run(work, partial(self._attached, self._controller.drafts.slot), "attachments")

    def _choose_files(self) -> None:
        dialog = QFileDialog(self._page, translate("ChatPage", "Attach files"), self._folder)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.filesSelected.connect(self._chosen)
        dialog.open()

    def _chosen(self, names: list[str]) -> None:
        self._folder = str(Path(names[0]).parent)
        self.attach([Path(name) for name in names])
