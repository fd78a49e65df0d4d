"""A load that a kept question waits for: the question is in the store before room is made, which may take minutes."""

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Future

    from app.compose import Services


def is_ready(services: "Services", model: str) -> bool:
    """Whether it can be asked at once: loaded, with its cache."""
    known = services.supervisor.snapshot(model)
    return known is not None and known.state == "ready" and not known.rests


def load_after(services: "Services", model: str, after: "Future[Any]", unwanted: threading.Event) -> None:
    """Load and settle ``after`` as that ends, a load that can't even begin too: it becomes the answer's error. On the
    task pool; ``unwanted`` gives up waiting for room."""
    try:
        services.load(model, over=unwanted).add_done_callback(partial(_pass_on, after))
    except Exception as error:  # noqa: BLE001 - it is shown in the answer's place
        after.set_exception(error)


def _pass_on(after: "Future[Any]", done: "Future[Any]") -> None:
    if done.cancelled():
        after.cancel()
    elif (error := done.exception()) is not None:
        after.set_exception(error)
    else:
        after.set_result(done.result())
