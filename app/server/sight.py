"""Images in requests: whether the model can see them, and whether each can be shown to it."""

from collections.abc import Sequence

from app.core.generate import ImagePart, Message
from app.core.pictures import MOST_IMAGES, check
from app.core.types import ModelRecord
from app.server.backend import Backend
from app.server.errors import bad_field


def sees(backend: Backend, record: ModelRecord) -> bool:
    """Images can be asked about: it is loaded with its projector, or would be."""
    return not _blind(backend, record)


def check_sight(backend: Backend, record: ModelRecord, messages: Sequence[Message], param: str) -> None:
    """Raises Problem, naming the field, for images that the model can't see or that are none."""
    images = images_in(messages)
    if not images:
        return
    if why := _blind(backend, record):
        raise bad_field(param, f"{record.id} can't see images: {why}.")
    if len(images) > MOST_IMAGES:
        raise bad_field(param, f"{len(images)} images are too many; {MOST_IMAGES} are the most.")
    for number, image in enumerate(images, 1):
        try:
            check(image.data)
        except ValueError as error:
            raise bad_field(param, f"Image {number} can't be used: {error}.") from error


def images_in(messages: Sequence[Message]) -> list[ImagePart]:
    """Every image, in order."""
    return [
        part
        for message in messages
        if not isinstance(message.content, str)
        for part in message.content
        if isinstance(part, ImagePart)
    ]


def _blind(backend: Backend, record: ModelRecord) -> str:
    instance = backend.instance(record.id)
    if instance is not None and instance.state == "ready":
        if instance.sees:
            return ""
        if instance.blind:
            return instance.blind
        return "it is loaded without its projector" if record.projector else "it has no projector"
    chosen = backend.settings.value.engine.mmproj.strip()
    if chosen.lower() == "none":
        return "its projector is switched off in the settings" if record.projector else "it has no projector"
    return "" if record.projector or chosen else "it has no projector"
