"""Images that LM Studio's clients upload before they ask about them: kept in memory, the oldest gone first."""

import base64
import binascii
from collections import OrderedDict
from typing import Any

from app.core.pictures import check, kind_of
from app.server.backend import new_id
from app.server.errors import Problem, bad_field

ROOM = 128 << 20
"""Bytes of all files together."""


class Files:
    """What was uploaded to one server. Used on its loop."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def take(self, content: str, name: str) -> dict[str, Any]:
        """Keep a file given in base64; its handle as the clients read it. Raises Problem for what is no image that a
        model can be shown."""
        try:
            raw = base64.b64decode(content, validate=True)
            check(raw)
        except binascii.Error as error:
            raise bad_field("contentBase64", f"{name or 'The file'} is not base64: {error}.") from error
        except ValueError as error:
            raise bad_field("contentBase64", f"{name or 'The file'} can't be used: {error}.") from error
        key = new_id()
        self._kept[key] = raw
        while sum(map(len, self._kept.values())) > self._room and len(self._kept) > 1:
            self._kept.popitem(last=False)
        return {"identifier": key, "fileType": "image", "sizeBytes": len(raw)}

    def url(self, key: str) -> str:
        """A file as a ``data:`` URL. Raises Problem when it was never uploaded, or is gone."""
        raw = self._kept.get(key)
        if raw is None:
            raise Problem(404, "not_found", f"There is no file {key} here (any more): upload it again.")
        self._kept.move_to_end(key)
        return f"data:{kind_of(raw)};base64,{base64.b64encode(raw).decode()}"
