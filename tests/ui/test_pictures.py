"""Pictures in the chat: pasted, dropped, counted, asked about over the real engine, kept, shown and exported."""

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace
from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QMimeData, QSize, Qt, QTranslator
from PySide6.QtGui import QColor, QImage, QImageReader
from pytestqt.qtbot import QtBot

from app.chat import attachments
from app.chat.store_types import NewAttachment
from app.core import pictures
from app.core.errors import UsageError
from app.core.types import LoadPlan, ModelFile, ModelRecord
from app.runtime.supervisor import Supervisor
from app.ui import chat_export, picture_files
from app.ui.dialogs.picture import PictureDialog
from app.ui.pages.chat import ChatPage
from app.ui.picture_chip import PictureChip
from app.ui.picture_strip import PictureTile
from tests.fakes.asking import small_plan
from tests.fakes.chat_page import ask, chat_page, until
from tests.fakes.engine import FakeLibrary
from tests.fakes.projector import RED, TOKENS, picture, png, write_projector

pytestmark = pytest.mark.echo


@pytest.fixture
def seeing(services: Any, starter: Path, tmp_path: Path) -> Iterator[Any]:
    """The same services over the real worker, with a model that sees three colours."""
    supervisor = Supervisor(services.bus, tmp_path / "logs")
    eyes = str(write_projector(tmp_path / "mmproj.gguf", starter))
    record = ModelRecord("starter", "SmolLM2", (ModelFile(str(starter), 1),), 1, projector=eyes)
    plan: LoadPlan = small_plan(starter, projector=eyes)
    fields = vars(services) | {
        "supervisor": supervisor,
        "engine": lambda _source: supervisor,
        "library": FakeLibrary((record,)),
        "load": lambda model, **_more: supervisor.ensure_ready(model, plan),
    }
    services.settings.set("chat.max_tokens", 4)
    supervisor.ensure_ready(record.id, plan).result(60)
    yield SimpleNamespace(**fields)
    supervisor.close()


def red(side: int = 40) -> QImage:
    image = QImage(side, side, QImage.Format.Format_RGB32)
    image.fill(QColor(*RED))
    return image


def paste(page: ChatPage, image: QImage) -> None:
    data = QMimeData()
    data.setImageData(image)
    page.composer.edit.insertFromMimeData(data)


def chips(page: ChatPage) -> list[PictureChip]:
    return [chip for chip in page.composer.attachments._chips if isinstance(chip, PictureChip)]


def test_a_pasted_picture_is_seen_kept_shown_and_exported(qtbot: QtBot, seeing: Any, tmp_path: Path) -> None:
    with chat_page(qtbot, seeing) as page:
        paste(page, red())
        until(qtbot, lambda: chips(page) and f"{TOKENS} token" in chips(page)[0].facts())
        assert "40 × 40" in chips(page)[0].accessibleName()
        assert not page.composer._note.text()
        ask(qtbot, page, "Which colour?")
        chat = page.controller.chat or 0
        question, answer = seeing.chats.messages(chat)
        assert (question.attachments[0].kind, answer.state) == ("image", "done")
        assert answer.usage.prompt > TOKENS + 8
        tile = page.transcript.findChild(PictureTile)
        assert tile is not None
        until(qtbot, lambda: not tile.image.isNull())
        assert "pasted" in tile.accessibleName()
        qtbot.mouseClick(tile, Qt.MouseButton.LeftButton)
        until(qtbot, lambda: page.window().findChild(PictureDialog))
        page.window().findChild(PictureDialog).accept()

        page.controller.turns.regenerate(page.transcript.entries[1])
        until(qtbot, lambda: len(seeing.chats.messages(chat)[1].versions) == 2)
        until(qtbot, lambda: seeing.chats.messages(chat)[1].state == "done")
        again = seeing.chats.messages(chat)[1].usage
        assert again.prompt == answer.usage.prompt
        assert again.cached == again.prompt - 1, "the picture is not read again"
        page.controller.turns.ask_again(question.id, page.transcript.entries[0], "Which colour is it?")
        until(qtbot, lambda: seeing.chats.messages(chat)[0].text == "Which colour is it?")
        assert seeing.chats.messages(chat)[0].attachments, "an edited question keeps its picture"

        assert b"/Image" in chat_export.content(seeing.chats, chat, ".pdf")
        assert 'src="data:image/png;base64,' in chat_export.content(seeing.chats, chat, ".html")
        written = str(chat_export.content(seeing.chats, chat, ".md"))
        assert re.search(r"!\[pasted image \d+\.png\]\[picture-", written)
        assert "]: data:image/png;base64," in written
        assert '"data":' in chat_export.content(seeing.chats, chat, ".json")


def test_a_model_without_eyes_is_told_with_the_next_step(qtbot: QtBot, services: Any) -> None:
    with chat_page(qtbot, services) as page:
        page.composer.attachments.add([NewAttachment("cat.png", "image", "image/png", data=picture(RED))])
        assert "Choose a model that sees images" in page.composer._note.text()
        assert not page.controller.how.options().images
        first = services.library.records()[0]
        services.library._records = (replace(first, projector="mmproj.gguf"),)
        page.controller.models.load()
        until(qtbot, page.controller.models.sees_images)
        page.desk.show_sight()
        assert not page.composer._note.text()
        first = chips(page)[0]
        page.composer.attachments.add([NewAttachment("dog.png", "image", "image/png", data=picture(RED))])
        assert chips(page)[0] is first, "it is not decoded again"
        for _ in range(2):
            qtbot.mouseClick(chips(page)[0], Qt.MouseButton.LeftButton)
        assert not page.composer.attachments.items


def photo(turned: int, order: str = "<") -> bytes:
    """A JPEG of two halves that says how the camera was held."""
    image = red(32).copy(0, 0, 32, 16)
    for x, y in ((x, y) for x in range(16) for y in range(8)):
        image.setPixelColor(x, y, QColor(0, 0, 255))
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "JPEG", 95)  # type: ignore[call-overload]
    plain = bytes(data.data())
    tiff = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(
        f"{order}IHHHIHHI", 8, 1, 0x0112, 3, 1, turned, 0, 0
    )
    said = b"Exif\0\0" + tiff
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(said) + 2) + said + plain[2:]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("turned", range(1, 9))
def test_a_photo_is_shown_as_the_camera_was_held(qapp: object, turned: int, order: str) -> None:
    raw = photo(turned, order)
    buffer = QBuffer()
    buffer.setData(QByteArray(raw))
    buffer.open(QIODevice.OpenModeFlag.ReadOnly)
    reader = QImageReader(buffer)
    reader.setAutoTransform(True)
    expected = reader.read()
    assert picture_files.small(raw, None) == expected
    assert picture_files.small(raw, QSize(8, 8)).size() == expected.size() / 4
    assert pictures.orientation(raw) == turned
    for cut in range(0, len(raw), 7):
        assert 1 <= pictures.orientation(raw[:cut]) <= 8


@contextmanager
def asked_in(qapp: Any) -> Iterator["Asked"]:
    """What Qt has translated meanwhile; its plugins are loaded before."""
    picture_files.small(picture(RED), None)
    asked = Asked()
    qapp.installTranslator(asked)
    asked.texts.clear()  # which way the language is read
    yield asked
    qapp.removeTranslator(asked)


class Asked(QTranslator):
    """Notes what is to be translated."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def isEmpty(self) -> bool:
        return False

    def translate(
        self, context: str, text: str, disambiguation: str | None = None, n: int = -1
    ) -> str | None:
        self.texts.append(text)
        return None


@pytest.mark.parametrize("kind", ["png", "jpeg", "bmp", "webp"])
def test_reading_a_picture_asks_python_for_nothing(qapp: Any, kind: str) -> None:
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    assert red().save(buffer, kind)
    raw = bytes(data.data())
    with asked_in(qapp) as asked:
        assert picture_files.small(raw, None).size() == red().size()
    assert asked.texts == []


@pytest.mark.parametrize("raw", [b"", b"\x89PNG", b"hello", b"II*\0" + b"x" * 99, b"<svg/>"])
def test_no_plugin_guesses_at_what_is_no_picture(qapp: Any, raw: bytes) -> None:
    with asked_in(qapp) as asked:
        assert picture_files.small(raw, QSize(9, 9)).isNull()
    assert asked.texts == []


def test_a_sideways_photo_stands_upright_before_the_engine(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(photo(6))
    (file,) = picture_files.from_paths([tmp_path / "photo.jpg"])
    assert (file.name, file.mime, pictures.orientation(file.data)) == ("photo.jpg", "image/jpeg", 1)
    assert (pictures.measure(file.data).width, pictures.measure(file.data).height) == (16, 32)
    upright = attachments.from_bytes("photo.jpg", photo(1))
    assert picture_files.ready([upright]) == [upright]


def test_a_pasted_photo_is_taken_as_its_file_and_copied_whole(
    qtbot: QtBot, services: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = QMimeData()
    offered.setData("image/jpeg", photo(6))
    taken: list[QMimeData] = []
    clipboard = SimpleNamespace(setMimeData=taken.append)
    monkeypatch.setattr("app.ui.dialogs.picture.QGuiApplication.clipboard", lambda: clipboard)
    with chat_page(qtbot, services) as page:
        page.composer.edit.insertFromMimeData(offered)
        until(qtbot, lambda: chips(page))
        item = page.composer.attachments.items[0]
        assert (item.mime, pictures.orientation(item.data)) == ("image/jpeg", 1)
        whole = picture_files.small(item.data, None)
        dialog = PictureDialog(page, item.name, item.data, picture_files.small(item.data, QSize(4, 4)))
        dialog.copy.click()
        until(qtbot, lambda: taken)
        assert taken[0].imageData().size() == whole.size() != dialog.image.size()
        assert taken[0].data("image/jpeg").data() == item.data


def test_cells_that_come_as_a_picture_too_are_pasted_as_words(qtbot: QtBot, services: Any) -> None:
    offered = QMimeData()
    offered.setText("a\tb")
    offered.setImageData(red())
    with chat_page(qtbot, services) as page:
        page.composer.edit.insertFromMimeData(offered)
        assert page.composer.text() == "a\tb"


def test_a_disk_without_room_for_a_picture_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Path, "write_bytes", lambda _path, _data: (_ for _ in ()).throw(OSError(28, "No space left"))
    )
    assert picture_files.small(picture(RED), None).isNull()
    with pytest.raises(OSError, match="No space left"):
        picture_files.ready([NewAttachment("cat.jpg", "image", "image/jpeg", data=photo(6))])


def test_what_the_engine_can_not_decode_becomes_a_png(tmp_path: Path) -> None:
    path = tmp_path / "red.webp"
    assert red().save(str(path), "WEBP")
    (file,) = picture_files.ready([attachments.from_file(path)])
    assert (file.mime, file.data[:4]) == ("image/png", b"\x89PNG")
    assert picture_files.small(file.data, QSize(10, 10)).width() == 10
    with pytest.raises(UsageError, match="damaged"):
        picture_files.ready([replace(attachments.from_file(path), data=path.read_bytes()[:40])])
    with pytest.raises(UsageError, match="too large"):
        attachments.from_bytes("bomb.png", png(60_000, 60_000, b""))
    with pytest.raises(UsageError, match="damaged"):
        attachments.from_bytes("cut.png", picture(RED)[:12])
