"""Starts the window: one per data folder, dressed and translated before it is shown, services started after."""

import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QSocketNotifier, QTimer
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication

from app.core import crash
from app.core.errors import AlreadyRunningError, HearthError
from app.core.paths import NEW_CHAT, Paths, find_paths
from app.ui import file_events, tasks, translate
from app.ui.resources import resource
from app.ui.single import SingleWindow

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.compose import Services
    from app.ui.file_events import FileEvents
    from app.ui.main_window import MainWindow
    from app.ui.windows import Windows

log = logging.getLogger(__name__)


def run(compose: "Callable[[Paths], Services]", args: list[str]) -> int:
    """Open the window and stay until it is closed. Returns the exit code: 0, or 1 when it can't be opened."""
    application = _application()
    files = file_events.watch(application)
    single: SingleWindow | None = None
    try:
        paths = find_paths().ensure()
        single = SingleWindow(paths.lock_file)
        if not single.take():
            return _hand_over(single, paths, args)
        services = compose(paths)
    except HearthError as error:
        if single is not None:
            single.close()
        return _refuse(error)
    crash.watch(paths.logs)
    again: list[str] = []
    try:
        code = _show(application, services, single, args, again, files)
    except Exception as error:
        crash.note(error)
        raise
    finally:
        crash.unwatch()
        tasks.close()
        services.close()
        single.close()
    if again:
        _start_again(again)
    return code


def _start_again(command: list[str]) -> None:
    """The version that is in place now, when nothing of this one holds a lock any more."""
    if sys.platform == "win32":
        import subprocess  # noqa: PLC0415 - only there and then

        subprocess.Popen(command)
        return
    sys.stdout.flush()
    try:
        os.execv(command[0], command)
    except OSError as error:
        log.error("%s can't be started: %s", command[0], error)


def _application() -> QApplication:
    existing = QApplication.instance()
    if isinstance(existing, QApplication):
        return existing
    application = QApplication(sys.argv[:1])
    application.setApplicationName("Hearth")
    application.setDesktopFileName("hearth")
    icon = resource("icons", "app", "hearth.svg")
    if icon.is_file():
        application.setWindowIcon(QIcon(str(icon)))
    return application


def _hand_over(single: SingleWindow, paths: Paths, args: list[str]) -> int:
    if single.tell(_wish(args)):
        return 0
    return _refuse(AlreadyRunningError(path=str(paths.data)))


def _wish(args: list[str]) -> str:
    """What the window shall do when it is there: open a file, begin a chat, or nothing."""
    if not args or args[0] == NEW_CHAT:
        return "".join(args)
    return str(Path(args[0]).absolute())


def _refuse(error: HearthError) -> int:
    # There is no window to say it in: standard error, and a box for who started it with a click.
    from PySide6.QtWidgets import QMessageBox  # noqa: PLC0415 - only when nothing else can be shown

    from app.ui.errors import describe  # noqa: PLC0415

    translate.install("system")
    text = describe(error).sentence
    print(text, file=sys.stderr)
    if not sys.stderr.isatty() and os.environ.get("QT_QPA_PLATFORM") != "offscreen":
        QMessageBox.critical(None, "Hearth", text)
    return 1


def _show(
    application: QApplication,
    services: "Services",
    single: SingleWindow,
    args: list[str],
    again: list[str],
    files: "FileEvents | None",
) -> int:
    """``again`` gets the command to start the program with once it has ended, when that was asked for."""
    from app.ui import look  # noqa: PLC0415 - a second copy that only knocks needs none of it
    from app.ui.windows import Windows  # noqa: PLC0415

    general = services.settings.value.general
    translate.install(general.language)
    look.apply(general)
    windows = Windows(services, application)
    single.asked.connect(windows.raise_with)
    notifier = _quit_on_signals(application, windows)
    window = windows.open()
    window.painted.connect(lambda: _after_paint(windows, window, single, args))
    if files is not None:
        window.painted.connect(lambda: files.open_with(windows.raise_with))
    code = application.exec()
    if notifier is not None:
        notifier.setEnabled(False)
        signal.set_wakeup_fd(-1)
    if windows.restarting:
        again += services.updates.restart_command()
    windows.close()
    application.processEvents()
    return code


def _after_paint(windows: "Windows", window: "MainWindow", single: SingleWindow, args: list[str]) -> None:
    trace = os.environ.get("HEARTH_TRACE_START")
    if trace:
        print(f"painted {time.time()}", flush=True)
        if trace == "quit":
            QTimer.singleShot(0, window.close)
            return
    QTimer.singleShot(0, window.panels.fill)
    QTimer.singleShot(50, single.listen)
    QTimer.singleShot(100, windows.start)
    tasks.run(window.services.start, owner=window)
    if window.services.settings.value.server.autostart:
        window.server.turn(True)
    if args:
        window.raise_with(_wish(args))
    for problem in window.services.settings.problems[:1]:
        window.say_error(problem)
    if report := crash.last_report(window.services.paths.logs):
        window.offer_report(report)


def _quit_on_signals(application: QApplication, windows: "Windows") -> QSocketNotifier | None:
    """Ctrl-C and TERM close the window as a click does. Python runs its handlers only between bytecodes, so the
    signal's wake-up byte is what gets us out of Qt's loop."""
    if sys.platform == "win32":
        return None
    import socket  # noqa: PLC0415 - 5 ms on some systems

    reader, writer = socket.socketpair()
    for end in (reader, writer):
        end.setblocking(False)
    signal.set_wakeup_fd(writer.fileno())
    notifier = QSocketNotifier(reader.fileno(), QSocketNotifier.Type.Read, application)

    def asked(*_: object) -> None:
        reader.recv(64)
        windows.quit()

    notifier.activated.connect(asked)
    notifier.setProperty("ends", (reader, writer))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    return notifier
