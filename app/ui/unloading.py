"""Freeing a model's memory by hand: asked about first while it answers somebody."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QWidget

from app.ui import tasks
from app.ui.dialogs import confirm

if TYPE_CHECKING:
    from app.runtime.supervisor import Supervisor


def unload(
    parent: QWidget, supervisor: "Supervisor", models: Sequence[str], failed: Callable[[Exception], None]
) -> None:
    """Unload these models, at once where nobody waits for an answer of theirs."""

    def go() -> None:
        for model in models:
            tasks.watch(supervisor.unload(model), None, failed, parent)

    busy = [item for item in supervisor.snapshots() if item.model in models and item.state == "ready"]
    count = sum(item.active + item.waiting for item in busy)
    if not count:
        go()
        return
    confirm.ask(
        parent,
        QCoreApplication.translate("Unloading", "Unload while it answers?"),
        QCoreApplication.translate(
            "Unloading", "%n answer(s) would break off; what is written of them is kept.", "", count
        ),
        QCoreApplication.translate("Unloading", "Unload"),
        go,
    )
