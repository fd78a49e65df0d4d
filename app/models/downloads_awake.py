"""Keep the computer from sleeping while something is downloading. What is not possible here is left alone."""

import logging
import shutil
import subprocess
import sys

log = logging.getLogger(__name__)

WHY = "Models are being downloaded"
_ES_CONTINUOUS, _ES_SYSTEM_REQUIRED = 0x80000000, 0x00000001


class Awake:
    """On or off. Call it from one thread only (Windows counts the wish by thread)."""

    def __init__(self) -> None:
        self._helper: subprocess.Popen[bytes] | None = None
        self._on = False

    def set(self, on: bool) -> None:
        """Wish to stay awake, or no longer."""
        if on == self._on:
            return
        self._on = on
        if sys.platform == "win32":
            import ctypes  # noqa: PLC0415 - Windows only

            ctypes.windll.kernel32.SetThreadExecutionState(
                _ES_CONTINUOUS | (_ES_SYSTEM_REQUIRED if on else 0)
            )
        elif on:
            self._start()
        else:
            self._stop()

    def _start(self) -> None:
        command = _command()
        if command is None:
            return
        try:
            # It holds the wish until its input ends, also when this process is killed.
            self._helper = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            log.info("sleep can't be held off: %s", error)

    def _stop(self) -> None:
        helper, self._helper = self._helper, None
        if helper is not None and helper.stdin is not None:
            helper.stdin.close()
            try:
                helper.wait(1.0)
            except subprocess.TimeoutExpired:
                helper.kill()
                helper.wait()


def _command() -> list[str] | None:
    if sys.platform == "darwin" and shutil.which("caffeinate"):
        return ["caffeinate", "-i", "cat"]
    if sys.platform.startswith("linux") and shutil.which("systemd-inhibit"):
        what = ["--what=sleep:idle", "--who=Hearth", f"--why={WHY}", "--mode=block"]
        return ["systemd-inhibit", *what, "cat"]
    return None
