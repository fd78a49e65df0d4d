"""What can be done with models from anywhere in the window: load, unload, import, fetch the starter."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QFileDialog

from app.core.errors import LoadCancelledError, UsageError
from app.core.events import DownloadChanged, InstanceChanged
from app.core.types import ModelRecord
from app.models.presets import Preset
from app.models.quants import split_names
from app.ui import picks, tasks
from app.ui.unloading import unload

if TYPE_CHECKING:
    from concurrent.futures import Future

    from app.planning.planner import Wishes
    from app.ui.main_window import MainWindow


_POLL_MS = 300


class ModelCommands(QObject):
    """Work runs on the pool; what goes wrong is said above the page, with the button that helps."""

    def __init__(self, window: "MainWindow") -> None:
        super().__init__(window)
        self._window = window
        self._profiles: dict[str, Preset | None] = {}
        """What each load under way was asked for with; in force once it begins."""
        self._to_start = ""
        """The download that is loaded as soon as it is here."""
        window.bridge.on(InstanceChanged, self._on_instance, self)
        window.bridge.on(DownloadChanged, self._on_download, self)

    def _on_instance(self, event: InstanceChanged) -> None:
        if event.state == "stopped":
            self._window.services.presets.use(event.model, None)
        elif event.state in {"starting", "loading"}:
            self._use_profile(event.model)

    def _use_profile(self, model: str) -> None:
        if model in self._profiles:
            self._window.services.presets.use(model, self._profiles.pop(model))

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

    def load_now(self, model: str, wishes: "Wishes | None" = None, profile: Preset | None = None) -> None:
        """Load and go to the chat, where its progress is shown. ``profile`` is how it answers until it is unloaded."""
        services = self._window.services
        self._profiles[model] = profile
        follow = self._follow(model)

        def failed(error: Exception) -> None:
            self._profiles.pop(model, None)
            if not isinstance(error, LoadCancelledError):
                self._window.say_error(error, model, lambda: self.load_now(model, wishes, profile))

        def begun(future: "Future[InstanceChanged]") -> None:
            tasks.watch(future, lambda _ready: done(), failed, self)

        def done() -> None:
            self._use_profile(model)
            follow()

        tasks.run(lambda: services.load(model, wishes), begun, failed, self, long=True)
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

    def load_profile(self, model: str, preset: Preset) -> None:
        """Load with a named profile; what is loaded otherwise is loaded again."""
        services = self._window.services

        def plan() -> "Wishes":
            from app.planning.choices import with_choices  # noqa: PLC0415 - see load_now
            from app.planning.wishes import from_settings  # noqa: PLC0415

            return from_settings(with_choices(services.settings.value.engine, preset.load))

        def planned(wishes: "Wishes") -> None:
            self.load_now(model, wishes, preset)

        tasks.run(plan, planned, self._window.say_error, self)

    def load_again(self, model: str) -> None:
        """After it has ended by itself: as it was loaded before."""
        profile = self._window.services.presets.in_use(model)
        if profile is not None:
            self.load_profile(model, profile)
        else:
            self.load_now(model)

    def unload(self, model: str) -> None:
        """Free a model's memory."""
        unload(self._window, self._window.services.supervisor, [model], self._window.say_error)

    def unload_all(self) -> None:
        """Free what is loaded."""
        supervisor = self._window.services.supervisor
        loaded = {"ready", "loading", "starting"}
        models = [item.model for item in supervisor.snapshots() if item.state in loaded]
        unload(self._window, supervisor, models, self._window.say_error)

    # ------------------------------------------------------------------ files from elsewhere

    def choose_import(self) -> None:
        """Ask for files, then import them."""
        paths, _ = QFileDialog.getOpenFileNames(
            self._window, self.tr("Import models"), str(Path.home()), self.tr("GGUF models (*.gguf)")
        )
        self.import_files([Path(path) for path in paths])

    def import_files(self, paths: list[Path]) -> None:
        """Take files into the library, a split set as one, and show them there."""
        for path in first_parts(paths):
            self._import(path)

    def _import(self, path: Path) -> None:
        library, name = self._window.services.library, path.name
        self._window.say(lambda: self.tr("Importing {file}…").format(file=name))
        copied = [0, 0]
        clock = QTimer(self, interval=_POLL_MS)

        def note(done: int, total: int) -> None:
            copied[:] = done, total  # from the pool's thread: read by the clock

        def tell() -> None:
            if copied[1]:
                share = round(100 * copied[0] / copied[1])
                self._window.say(
                    lambda: self.tr("Importing {file}: {share} %").format(file=name, share=share)
                )

        def done(record: ModelRecord) -> None:
            clock.deleteLater()
            self._window.say(lambda: self.tr("{name} is in the library.").format(name=record.name), "good")
            self._window.obey("library", record.id)

        def failed(error: Exception) -> None:
            clock.deleteLater()
            self._window.say_error(error)

        clock.timeout.connect(tell)
        clock.start()
        # One after another: a disk that copies several at once is slower.
        copying = partial(library.import_file, path, progress=note)
        tasks.run(copying, done, failed, self, order="imports", long=True)

    def add_folder(self, path: Path) -> None:
        """Read a folder's models in place from now on, and show them."""
        library = self._window.services.library

        def done(_none: object) -> None:
            text = partial(self.tr("Models in {folder} are read there from now on.").format, folder=path)
            self._window.say(text, "good")
            self._window.obey("library", "")

        tasks.run(lambda: library.add_folder(path), done, self._window.say_error, self)

    # ------------------------------------------------------------------ the starter

    def get_starter(self, start: bool = False) -> None:
        """Load the starter model if it is here, else download it; ``start`` loads it then."""
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
                self._to_start = result if start else ""
                self._window.obey("downloads", None)

        def failed(error: Exception) -> None:
            self._window.say_error(error, "", lambda: self.get_starter(start))

        tasks.run(find, found, failed, self)

    def _on_download(self, event: DownloadChanged) -> None:
        """Who has gone to another page meanwhile is not taken away from it."""
        if event.id == self._to_start and event.state == "done" and event.model:
            self._to_start = ""
            if self._window.page_shown() in {"downloads", "chat"}:
                self.load_now(event.model)


def first_parts(paths: Sequence[Path]) -> list[Path]:
    """One path for each file or split set, in their order."""
    return list(dict.fromkeys(path.with_name(split_names(path.name)[0]) for path in paths))
