"""A desktop on a session bus of its own: the portals and the notification service that the window talks to.

The bus is the real dbus-daemon; what answers on it stands in for GNOME or KDE: it notes what it was told, answers as
the portals' specification says, and sends the signals it is told to.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

from jeepney import DBusAddress, HeaderFields, MessageType, new_error, new_method_return, new_signal
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import DBusConnection, open_dbus_connection
from jeepney.wrappers import unwrap_msg

DAEMON = shutil.which("dbus-daemon")
PATH = "/org/freedesktop/portal/desktop"
SESSION = f"{PATH}/session/1_1/fake"
NOTES = "/org/freedesktop/Notifications"


@contextlib.contextmanager
def session_bus() -> Iterator[str]:
    """A dbus-daemon; gives its address."""
    assert DAEMON is not None
    command = [DAEMON, "--session", "--nofork", "--nopidfile", "--print-address=1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


class FakeDesktop:
    """``settings`` is what the portal knows; ``calls`` what it was asked, as (member, values)."""

    def __init__(self, *, declines: bool = False) -> None:
        self.declines = declines
        self.settings: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.line: DBusConnection = open_dbus_connection("SESSION")
        for name in ("org.freedesktop.portal.Desktop", "org.freedesktop.Notifications"):
            unwrap_msg(self.line.send_and_get_reply(message_bus.RequestName(name)))
        self._thread = threading.Thread(target=self._serve, name="fake-desktop", daemon=True)
        self._thread.start()

    def called(self, member: str) -> tuple[Any, ...] | None:
        """The values ``member`` was first called with; None before it was."""
        return next((values for name, values in tuple(self.calls) if name == member), None)

    def signal(self, path: str, interface: str, member: str, signature: str, body: tuple[Any, ...]) -> None:
        """Tell everybody."""
        self.line.send(new_signal(DBusAddress(path, interface=interface), member, signature, body))

    def press(self) -> None:
        """The user presses the key that was bound."""
        values = (SESSION, "quick-ask", 1, {"activation_token": ("s", "token-1")})
        self.signal(PATH, "org.freedesktop.portal.GlobalShortcuts", "Activated", "osta{sv}", values)

    def close(self) -> None:
        """Leave the bus."""
        with contextlib.suppress(OSError):
            self.line.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(30)
        self.line.close()

    # ------------------------------------------------------------------ answering

    def _serve(self) -> None:
        with contextlib.suppress(OSError, ConnectionError):
            while True:
                message = self.line.receive()
                if message.header.message_type == MessageType.method_call:
                    self._answer(message)

    def _answer(self, call: Any) -> None:
        member = call.header.fields[HeaderFields.member]
        self.calls.append((member, call.body))
        answer = getattr(self, f"_do_{member}", None)
        if answer is None:
            self.line.send(new_error(call, "org.freedesktop.DBus.Error.UnknownMethod", "s", ("unknown",)))
            return
        answer(call)

    def _do_CreateSession(self, call: Any) -> None:
        self._respond(call, call.body[0], {"session_handle": ("s", SESSION)})

    def _do_BindShortcuts(self, call: Any) -> None:
        bound = [(name, {"trigger_description": ("s", "Press Ctrl+Alt+Space")}) for name, _ in call.body[1]]
        self._respond(call, call.body[3], {"shortcuts": ("a(sa{sv})", bound)}, int(self.declines))

    def _respond(self, call: Any, options: dict[str, Any], results: dict[str, Any], code: int = 0) -> None:
        sender = call.header.fields[HeaderFields.sender].removeprefix(":").replace(".", "_")
        handle = f"{PATH}/request/{sender}/{options['handle_token'][1]}"
        self.line.send(new_method_return(call, "o", (handle,)))
        self.signal(handle, "org.freedesktop.portal.Request", "Response", "ua{sv}", (code, results))

    def _do_Close(self, call: Any) -> None:
        self.line.send(new_method_return(call))

    def _do_ReadAll(self, call: Any) -> None:
        found = {group: self.settings[group] for group in call.body[0] if group in self.settings}
        self.line.send(new_method_return(call, "a{sa{sv}}", (found,)))

    def _do_GetCapabilities(self, call: Any) -> None:
        self.line.send(new_method_return(call, "as", (["actions", "body", "body-markup"],)))

    def _do_Notify(self, call: Any) -> None:
        self.line.send(new_method_return(call, "u", (7,)))


@contextlib.contextmanager
def fake_desktop(*, declines: bool = False) -> Iterator[FakeDesktop]:
    """A bus in the environment and a desktop on it; the environment is as it was afterwards."""
    before = os.environ.get("DBUS_SESSION_BUS_ADDRESS")
    with session_bus() as address:
        os.environ["DBUS_SESSION_BUS_ADDRESS"] = address
        desktop = FakeDesktop(declines=declines)
        try:
            yield desktop
        finally:
            desktop.close()
            os.environ.pop("DBUS_SESSION_BUS_ADDRESS")
            if before is not None:
                os.environ["DBUS_SESSION_BUS_ADDRESS"] = before
