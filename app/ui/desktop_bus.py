"""A line to the Linux desktop: calls and signals of the session's D-Bus, on the GUI thread without blocking it.

PySide's own QtDBus can't be told to send an unsigned number or a dictionary of variants, which every portal wants;
jeepney (which the keyring needs anyway) says each signature outright. The greeting runs on the task pool, what comes
later is read when Qt says that something is there.
"""

import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, QSocketNotifier

from app.ui import tasks

log = logging.getLogger(__name__)

PORTAL, PORTAL_PATH = "org.freedesktop.portal.Desktop", "/org/freedesktop/portal/desktop"
Heard = Callable[..., None]
"""Gets the values of a signal or a reply, one by one; a variant is (signature, value)."""


def variant(pair: tuple[str, Any]) -> Any:
    """What a variant holds, also when it holds another."""
    signature, value = pair
    return variant(value) if signature == "v" else value


class DesktopBus(QObject):
    """Calls made before the greeting has ended wait for it; without a bus they fail, each to its ``failed``."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._line: Any = None
        self._dead = sys.platform != "linux" or not os.environ.get("DBUS_SESSION_BUS_ADDRESS")
        self._waiting: list[Callable[[], None]] = []
        self._replies: dict[int, tuple[Heard, Heard]] = {}
        self._listeners: list[tuple[str, str, str, Heard]] = []
        self._notifier: QSocketNotifier | None = None
        self._number = 0
        if not self._dead:
            tasks.run(_greet, self._begin, self._no_bus, self)

    @property
    def there(self) -> bool:
        """A bus answers, or has not said no yet."""
        return not self._dead

    def _begin(self, line: Any) -> None:
        if self._dead:
            line.close()
            return
        self._line = line
        line.sock.setblocking(False)
        self._notifier = QSocketNotifier(line.sock.fileno(), QSocketNotifier.Type.Read, self)
        self._notifier.activated.connect(self._read)
        self._catch_up()

    def _no_bus(self, error: Exception) -> None:
        log.info("no session bus: %s", error)
        self._hang_up()

    def _catch_up(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each()

    # ------------------------------------------------------------------ asking

    def call(
        self,
        place: tuple[str, str, str],
        member: str,
        signature: str,
        body: tuple[Any, ...],
        answered: Heard,
        failed: Heard,
    ) -> None:
        """Call ``member`` at ``place`` (service, object path, interface). ``failed`` gets the reason as words."""
        if not self._dead and self._line is None:
            self._waiting.append(lambda: self.call(place, member, signature, body, answered, failed))
            return
        if self._dead:
            failed("there is no session bus")
            return
        from jeepney import DBusAddress, new_method_call  # noqa: PLC0415 - on Linux with a bus only

        service, path, interface = place
        address = DBusAddress(path, service, interface)
        serial = next(self._line.outgoing_serial)
        self._replies[serial] = (answered, failed)
        message = new_method_call(address, member, signature or None, body)
        try:
            self._line.sock.sendall(message.serialise(serial=serial))
        except OSError as error:
            self._no_bus(error)

    def listen(self, path: str, interface: str, member: str, heard: Heard) -> None:
        """Hear a signal of an object."""
        self._listeners.append((path, interface, member, heard))
        rule = f"type='signal',path='{path}',interface='{interface}',member='{member}'"
        bus = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
        self.call(bus, "AddMatch", "s", (rule,), _ignore, _ignore)

    def request(
        self,
        interface: str,
        member: str,
        signature: str,
        body: Callable[[dict[str, Any]], tuple[Any, ...]],
        answered: Heard,
        failed: Heard,
    ) -> None:
        """A portal's call that answers by a signal of its own object. ``body`` gets the options to put in;
        ``answered`` the dictionary of results. The desktop may ask the user, so it may take as long as they do."""

        def ask() -> None:
            self._number += 1
            token = f"hearth{os.getpid()}_{self._number}"
            sender = str(self._line.unique_name).removeprefix(":").replace(".", "_")
            path = f"{PORTAL_PATH}/request/{sender}/{token}"
            self.listen(path, "org.freedesktop.portal.Request", "Response", ended)
            options = {"handle_token": ("s", token)}
            place = (PORTAL, PORTAL_PATH, interface)
            self.call(place, member, signature, body(options), _ignore, failed)

        def ended(code: int, results: dict[str, Any]) -> None:
            if code:
                failed("the desktop said no")
            else:
                answered({name: variant(value) for name, value in results.items()})

        if self._line is None and not self._dead:
            self._waiting.append(ask)
        elif self._dead:
            failed("there is no session bus")
        else:
            ask()

    # ------------------------------------------------------------------ hearing

    def _read(self) -> None:
        try:
            data = self._line.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            self._no_bus(error)
            return
        if not data:
            self._hang_up()
            return
        self._line.parser.add_data(data)
        while self._line is not None and (message := self._line.parser.get_next_message()) is not None:
            self._take(message)

    def _take(self, message: Any) -> None:
        from jeepney import HeaderFields, MessageType  # noqa: PLC0415 - see call

        fields, kind = message.header.fields, message.header.message_type
        if kind in {MessageType.method_return, MessageType.error}:
            answered, failed = self._replies.pop(fields.get(HeaderFields.reply_serial), (_ignore, _ignore))
            if kind == MessageType.error:
                failed(str(message.body[0] if message.body else fields.get(HeaderFields.error_name)))
            else:
                answered(*message.body)
        elif kind == MessageType.signal:
            path, interface, member = (fields.get(number) for number in _NAMES)
            for at, of, name, heard in tuple(self._listeners):
                if (at, of, name) == (path, interface, member):
                    heard(*message.body)

    # ------------------------------------------------------------------ the end

    def _hang_up(self) -> None:
        self._dead = True
        if self._notifier is not None:
            self._notifier.setEnabled(False)
            self._notifier = None
        if self._line is not None:
            self._line.close()
            self._line = None
        replies, self._replies = self._replies, {}
        self._catch_up()
        for _answered, failed in replies.values():
            failed("the session bus is gone")

    def close(self) -> None:
        """Leave the bus; what waits for an answer gets none. Idempotent."""
        self._replies.clear()
        self._waiting.clear()
        self._listeners.clear()
        self._hang_up()


_NAMES = (1, 2, 3)
"""D-Bus' numbers for a message's path, interface and member."""


def _greet() -> Any:
    from jeepney.io.blocking import open_dbus_connection  # noqa: PLC0415 - see call

    return open_dbus_connection("SESSION")


def _ignore(*_values: object) -> None:
    """Nobody asked."""
