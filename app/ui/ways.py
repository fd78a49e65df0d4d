"""Back and forward on the Discover page: two buttons, Alt with an arrow, and the mouse's own buttons."""

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QAbstractScrollArea, QWidget

from app.ui import keys
from app.ui.visits import Visit, Visits, Wanted
from app.ui.widgets import IconButton


class Ways(QObject):
    """``go`` carries the place to show again. While it is shown ``going`` keeps it from becoming a new place."""

    go = Signal(object)

    def __init__(self, page: QWidget) -> None:
        super().__init__(page)
        self.visits = Visits()
        self.going = False
        self.back = IconButton("chevron-left", self.go_back, page)
        self.forward = IconButton("chevron-right", self.go_forward, page)
        keys.bind(page, "discover_back", self.go_back)
        keys.bind(page, "discover_forward", self.go_forward)
        keys.keymap().changed.connect(self.retranslate)
        self.show_state()

    def watch(self, areas: tuple[QAbstractScrollArea, ...]) -> None:
        """Lists and texts keep the mouse's further buttons to themselves: look at what they get."""
        for area in areas:
            area.viewport().installEventFilter(self)

    def search(self, wanted: Wanted, *, typed: bool) -> None:
        """Another search was made."""
        self.visits.search(wanted, typed=typed)
        self.show_state()

    def open(self, repo: str) -> None:
        """A repository was opened beside the results."""
        if not self.going:
            self.visits.open(repo)
        self.show_state()

    def go_back(self) -> None:
        """One place back, if there is one."""
        if self.visits.can_go_back:
            self._turn_to(self.visits.back())

    def go_forward(self) -> None:
        """One place forward, if there is one."""
        if self.visits.can_go_forward:
            self._turn_to(self.visits.forward())

    def _turn_to(self, visit: Visit) -> None:
        self.going = True
        self.go.emit(visit)
        self.show_state()

    def turn(self, event: QMouseEvent) -> bool:
        """Whether a mouse press was one of the two buttons; then it is done."""
        ways = {Qt.MouseButton.BackButton: self.go_back, Qt.MouseButton.ForwardButton: self.go_forward}
        go = ways.get(event.button())
        if go is not None:
            go()
        return go is not None

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        pressed = event.type() == QEvent.Type.MouseButtonPress
        if pressed and isinstance(event, QMouseEvent) and self.turn(event):
            return True
        return super().eventFilter(watched, event)

    def show_state(self) -> None:
        """Which of the buttons lead somewhere."""
        self.back.setEnabled(self.visits.can_go_back)
        self.forward.setEnabled(self.visits.can_go_forward)

    def retranslate(self) -> None:
        """Put the texts in place again."""
        self.back.set_words(keys.with_key(self.tr("Back"), keys.page_key_text("discover_back")))
        self.forward.set_words(keys.with_key(self.tr("Forward"), keys.page_key_text("discover_forward")))
