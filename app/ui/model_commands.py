"""What can be done with models from anywhere in the window: load, unload, import, fetch the starter."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QFileDialog

from app.core.errors import LoadCancelledError, UsageError
from app.core.events import InstanceChanged
from app.core.types import ModelRecord
from app.ui import picks, tasks

if TYPE_CHECKING:
    from concurrent.futures import Future

    from app.planning.planner import Wishes
    from app.ui.main_window import MainWindow


class ModelCommands(QObject):
    """Work runs on the pool; what goes wrong is said above the page, with the button that helps."""

    def __init__(self, window: "MainWindow") -> None:
        super().__init__(window)
        self._window = window

    # ------------------------------------------------------------------ loading

    def ask_load(self, model: str) -> None:
        """Open the load dialog for a model."""
        services = self._window.services
        tasks.run(lambda: services.library.get(model), self._open_dialog, self._window.say_error, self)

    def _open_dialog(self, record: ModelRecord) -> None:
        from app.ui.dialogs.load import LoadDialog  # noqa: PLC0415 - not before someone loads

        dialog = LoadDialog(record, self._window.services, self._window)
        dialog.load_asked.connect(lambda wishes: self.load_now(record.id, wishes))
        dialog.open()

    def choose_load(self) -> None:
        """From the menu: the library is where models are chosen."""
        self._window.obey("library", "")

    def load_now(self, model: str, wishes: "Wishes | None" = None) -> None:
        """Load and go to the chat, where its progress is shown."""
        services = self._window.services
        follow = self._follow(model)

        def failed(error: Exception) -> None:
            if not isinstance(error, LoadCancelledError):
                self._window.say_error(error, model)

        def begun(future: "Future[InstanceChanged]") -> None:
            tasks.watch(future, lambda _ready: follow(), failed, self)

        tasks.run(lambda: services.load(model, wishes), begun, failed, self)
        self._window.obey("open", "chat")

    def _follow(self, model: str) -> Callable[[], None]:
        """Choose the model in the chat as soon as its load has begun, not before: the chat joins a load under way
        and would otherwise begin one of its own, without these wishes. Returns what chooses it at the latest."""
        done = False

        def choose() -> None:
            nonlocal done
            if not done:
                done = True
                off()
                self._window.obey("chat", model)

        def on_instance(event: InstanceChanged) -> None:
            if event.model == model and event.state in {"loading", "ready"}:
                choose()

        off = self._window.bridge.on(InstanceChanged, on_instance, self)
        return choose

    def unload(self, model: str) -> None:
        """Free a model's memory."""
        future = self._window.services.supervisor.unload(model)
        tasks.watch(future, None, self._window.say_error, self)

    def unload_all(self) -> None:
        """Free what is loaded."""
        for instance in self._window.services.supervisor.snapshots():
            if instance.state in {"ready", "loading", "starting"}:
                self.unload(instance.model)

    # ------------------------------------------------------------------ files from elsewhere

    def choose_import(self) -> None:
        """Ask for files, then import them."""
        paths, _ = QFileDialog.getOpenFileNames(
            self._window, self.tr("Import models"), str(Path.home()), self.tr("GGUF models (*.gguf)")
        )
        self.import_files([Path(path) for path in paths])

    def import_files(self, paths: list[Path]) -> None:
        """Take files into the library, one task each, and show them there."""
        for path in paths:
            self._import(path)

    def _import(self, path: Path) -> None:
        library = self._window.services.library
        self._window.say(self.tr("Importing {file}…").format(file=path.name))

        def done(record: ModelRecord) -> None:
            self._window.say(self.tr("{name} is in the library.").format(name=record.name), "good")
            self._window.obey("library", record.id)

        def failed(error: Exception) -> None:
            self._window.say_error(error)

        tasks.run(lambda: library.import_file(path), done, failed, self)

    # ------------------------------------------------------------------ the starter

    def get_starter(self) -> None:
        """Load the starter model if it is here, else download it."""
        services = self._window.services
        starter = picks.starter()

        def find() -> "ModelRecord | str":
            record = picks.find_local(services.library.models(), starter)
            if record is not None:
                return record
            detail = services.hub.repo(starter.repo)
            quant = next((item for item in detail.quants if item.quant == starter.quant), None)
            if quant is None:
                raise UsageError(detail=f"{starter.repo} has no {starter.quant} any more.")
            return services.downloads.enqueue(quant)

        def found(result: "ModelRecord | str") -> None:
            if isinstance(result, ModelRecord):
                self.load_now(result.id)
            else:
                self._window.obey("downloads", None)

        tasks.run(find, found, self._window.say_error, self)
