"""Settings > Engines: which backend drives each device and why, and the backend packs with what can be done to them."""

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from app.core.errors import PackRefusedError
from app.ui import tasks, words
from app.ui.dialogs import confirm
from app.ui.errors import describe
from app.ui.hardware_words import why_words
from app.ui.pack_fetch import PackFetch
from app.ui.widgets import Hairline, make_button, make_label

if TYPE_CHECKING:
    from app.compose import Services
    from app.hardware.facts import Gpu, Machine
    from app.runtime.pack_store import Pack


class EnginesCard(QFrame):
    """Reads the machine when it is seen; every act runs in the background and is shown when it is done."""

    def __init__(self, services: "Services", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._known: tuple[Machine, tuple[Pack, ...], tuple[str, ...]] | None = None
        self.setProperty("role", "card")
        self.title, self.problem = make_label("heading", self), make_label("bad", self, wrap=True)
        self.busy = make_label("secondary", self, wrap=True)
        self.fetch = PackFetch(self)
        self.rows: list[QWidget] = []
        self.choices: dict[str, QComboBox] = {}
        self._error: Exception | None = None
        self._acts = 0
        """Under way: a look at the devices that ends meanwhile leaves what is said of them."""
        self.file = make_button(self._choose_file, "", self, compact=True)
        self.address = make_button(self._choose_address, "", self, compact=True)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addWidget(self.file)
        buttons.addWidget(self.address)
        buttons.addStretch(1)
        self._list = QVBoxLayout()
        self._list.setSpacing(0)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 12)
        column.setSpacing(8)
        for item in (self.title, self.busy, self.fetch, self.problem):
            column.addWidget(item)
        column.addLayout(self._list)
        column.addLayout(buttons)
        self.problem.hide()
        self._retranslate()

    # ------------------------------------------------------------------ reading

    def refresh(self) -> None:
        """Read the devices and the packs again."""
        services = self._services

        def work() -> Any:
            machine = services.machine()
            return machine, services.packs.packs(), tuple(services.packs.previous())

        tasks.run(work, self._show, self._failed, self, order=self)

    def _show(self, found: Any) -> None:
        self._known = found
        if not self._acts:
            self._say("")
        self._fill()

    def _failed(self, error: Exception) -> None:
        stopped = self.fetch.stopped and not self.fetch.isHidden()
        self._say("")
        if not stopped:
            self._error = error
            self.problem.setText(describe(_in_words(error)).sentence)
            self.problem.show()

    def _say(self, text: str) -> None:
        self.busy.setText(text)
        self.busy.setVisible(bool(text))
        if not text:
            self.fetch.hide()
        for button in (self.file, self.address):
            button.setEnabled(not text)

    def _fill(self) -> None:
        for row in self.rows:
            row.hide()
            row.deleteLater()
        self.rows.clear()
        self.choices.clear()
        if self._known is None:
            return
        machine, packs, previous = self._known
        self._add(*self._words(machine.cpu.name or self.tr("Processor"), self._cpu_words(machine)))
        for gpu in machine.gpus:
            self._add_gpu(gpu)
        problems = {backend.name: backend.problem for backend in machine.backends if backend.problem}
        for pack in packs:
            self._add_pack(pack, problems.get(pack.path) or "", pack.backend in previous)

    def _words(self, name: str, why: str) -> tuple[QLabel, QLabel]:
        first, second = make_label(parent=self, wrap=True), make_label("secondary", self, wrap=True)
        first.setText(name)
        second.setText(why)
        return first, second

    def _add(self, name: QLabel, why: QLabel, *controls: QWidget) -> None:
        holder = QWidget(self)
        texts = QVBoxLayout()
        texts.setSpacing(2)
        texts.addWidget(name)
        texts.addWidget(why)
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 10, 0, 10)
        row.setSpacing(8)
        row.addLayout(texts, 1)
        for control in controls:
            row.addWidget(control, 0, Qt.AlignmentFlag.AlignVCenter)
        line = Hairline(self)
        self._list.addWidget(line)
        self._list.addWidget(holder)
        self.rows += [line, holder]

    # ------------------------------------------------------------------ devices

    def _cpu_words(self, machine: "Machine") -> str:
        found = next((item for item in machine.backends if item.name.upper() == "CPU"), None)
        device = found.devices[0].name if found and found.devices else "CPU"
        return self.tr("{device}: always there; it computes what no GPU takes.").format(device=device)

    def _add_gpu(self, gpu: "Gpu") -> None:
        name, why = self._words(gpu.name, self._gpu_words(gpu))
        if not gpu.devices:
            self._add(name, why)
            return
        choice = QComboBox(self)
        choice.setAccessibleName(self.tr("Backend for {device}").format(device=gpu.name))
        choice.addItem(self.tr("Automatic"), "")
        for device in gpu.devices:
            choice.addItem(device, device)
        asked = self._asked()
        own = next((device for device in gpu.devices if device in asked), "")
        choice.setCurrentIndex(max(0, choice.findData(own)))
        choice.activated.connect(lambda _at: self._choose_device(gpu, str(choice.currentData())))
        self.choices[gpu.name] = choice
        self._add(name, why, choice)

    def _gpu_words(self, gpu: "Gpu") -> str:
        from app.planning.fit import preferred_device  # noqa: PLC0415 - with the first machine only

        if not gpu.devices:
            said = self.tr("Not used: {why}.").format(why=why_words(gpu.unused))
            return (
                said
                if gpu.unused
                else self.tr("No backend drives it: a pack for it, or its driver, is missing.")
            )
        asked = self._asked()
        own = next((device for device in gpu.devices if device in asked), "")
        if own:
            return self.tr("{device}: chosen by you.").format(device=own)
        if asked:
            return self.tr("Not used: you chose other devices.")
        if gpu.software:
            return self.tr("{device}: the processor imitating a GPU; not used by itself.").format(
                device=preferred_device(gpu)
            )
        chosen = preferred_device(gpu)
        others = ", ".join(device for device in gpu.devices if device != chosen)
        if others:
            return self.tr("{device}: its maker's own backend before {others}.").format(
                device=chosen, others=others
            )
        return self.tr("{device}: the one backend that drives it.").format(device=chosen)

    def _asked(self) -> list[str]:
        text = self._services.settings.value.engine.devices
        return [part.strip() for part in text.split(",") if part.strip()]

    def _choose_device(self, gpu: "Gpu", device: str) -> None:
        """The setting names all devices to use: the others keep theirs."""

        def keep() -> None:  # asked there: another card's choice may be on its way
            rest = [name for name in self._asked() if name not in gpu.devices]
            self._services.settings.set("engine.devices", ",".join([*rest, device] if device else rest))

        self._act(keep, "", self._services.settings)

    # ------------------------------------------------------------------ packs

    def _add_pack(self, pack: "Pack", problem: str, has_previous: bool) -> None:
        name, why = self._words(f"{pack.name} · {words.size(pack.bytes)}", self._pack_words(pack, problem))
        store, controls = self._services.packs, list[QWidget]()
        if has_previous and (pack.used or (pack.off and pack.origin == "installed")):
            controls.append(
                self._button(self.tr("Go back to the one before"), lambda: store.roll_back(pack.backend))
            )
        if pack.backend:
            turn = self.tr("Turn off") if pack.used else self.tr("Use")
            controls.append(self._button(turn, lambda: store.turn(pack.path, not pack.used)))
        if pack.origin == "installed":
            controls.append(self._remover(pack))
        self._add(name, why, *controls)

    def _pack_words(self, pack: "Pack", problem: str) -> str:
        origin = {
            "bundled": self.tr("came with Hearth"),
            "installed": self.tr("installed by you"),
            "setting": self.tr("named in the settings"),
            "environment": self.tr("named by HEARTH_PACKS"),
        }[pack.origin]
        why = why_words(problem or pack.why)
        if pack.crashes and not why:
            return self.tr(
                "Backend pack, {origin}: used. The engine crashed on it; the next time it is turned off."
            ).format(origin=origin)
        if not why:
            return self.tr("Backend pack, {origin}: used.").format(origin=origin)
        return self.tr("Backend pack, {origin}: not used, {why}.").format(origin=origin, why=why)

    def _button(self, text: str, act: Callable[[], object]) -> QWidget:
        button = make_button(lambda: self._act(act, self.tr("Trying it out…")), "", self, compact=True)
        button.setText(text)
        return button

    def _remover(self, pack: "Pack") -> QWidget:
        def ask() -> None:
            confirm.ask(
                self,
                self.tr("Remove {name}?").format(name=pack.name),
                self.tr("Its files are deleted. It can be installed again from where it came."),
                self.tr("Remove"),
                lambda: self._act(lambda: self._services.packs.remove(pack.path), self.tr("Trying it out…")),
            )

        button = make_button(ask, "", self, compact=True)
        button.setText(self.tr("Remove"))
        return button

    def _choose_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self,
            self.tr("Install a backend pack"),
            "",
            self.tr("Backend packs (*.tar.xz *.tar.gz *.zip manifest.json)"),
        )
        if name:
            self.install(name.removesuffix("manifest.json") if name.endswith("manifest.json") else name)

    def _choose_address(self) -> None:
        text, agreed = QInputDialog.getText(
            self, self.tr("Install a backend pack"), self.tr("Address (https, or http with #sha256=…):")
        )
        if agreed and text.strip():
            self.install(text.strip())

    def install(self, source: str) -> None:
        """Verify, try out and install a pack from a file, a folder or an address."""
        from app.runtime.pack_archive import is_address  # noqa: PLC0415 - with the first pack only

        note = self.fetch.note if is_address(source) else None
        if note:
            self.fetch.start()
        self._act(
            lambda: self._services.packs.install(source, note),
            self.tr("Fetching, verifying and trying it out…"),
        )

    def _act(self, work: Callable[[], object], saying: str, order: Hashable = None) -> None:
        self.problem.hide()
        if saying or not self._acts:
            self._say(saying)
        self._acts += 1
        tasks.run(work, self._acted, self._act_failed, self, order=order)

    def _acted(self, _none: object) -> None:
        self._acts -= 1
        self.refresh()

    def _act_failed(self, error: Exception) -> None:
        self._acts -= 1
        self._failed(error)

    # ------------------------------------------------------------------ Qt's events

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._known is None:
            self._say(self.tr("Asking the devices…"))
        self.refresh()  # a crash may have turned a pack off since it was last seen

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
            self._fill()
        super().changeEvent(event)

    def _retranslate(self) -> None:
        self.title.setText(self.tr("Engines"))
        if self._error is not None:
            self.problem.setText(describe(_in_words(self._error)).sentence)
        self.file.setText(self.tr("Install from a file…"))
        self.address.setText(self.tr("Install from an address…"))


def _in_words(error: Exception) -> Exception:
    """A refusal whose reason is in the reader's language."""
    if not isinstance(error, PackRefusedError):
        return error
    return PackRefusedError(**{**error.params, "detail": why_words(str(error.params["detail"]))})
