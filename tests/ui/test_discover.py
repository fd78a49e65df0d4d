"""Discover: filters, ways back, pasted addresses, forecasts from a header, cards, picks; over the local Hub."""

from typing import Any

import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QImage, QMouseEvent
from PySide6.QtWidgets import QApplication

from app.core.errors import HubServerError
from app.models import hub_images
from app.models.hub_types import RepoSummary, SearchPage
from app.planning.rates import Rates, TypeRate
from app.ui.card_text import images, plain_card, without_images
from app.ui.picks import all_picks, starter
from app.ui.recommend import recommend
from app.ui.visits import Visit, Visits, Wanted
from tests.fakes.hub_data import STARTER_REPO
from tests.fakes.hub_server import FakeFile, FakeRepo, LocalHub

STARTER = f"{STARTER_REPO}:Q4_1"
QWEN = "Qwen/Qwen3-8B-GGUF"
LONG = 20000


@pytest.fixture
def discover(qtbot: Any, local_hub: Any, window: Any) -> Any:
    page = window.open_page("discover")
    qtbot.waitUntil(lambda: bool(page.results.items), timeout=LONG)
    return page


def opened(qtbot: Any, page: Any, repo: str) -> None:
    qtbot.waitUntil(
        lambda: page.repo.head.name.text() == repo and bool(page.repo.table.model_.rows), timeout=LONG
    )


def found(page: Any) -> list[str]:
    return [item.id for item in page.results.items]


# -------------------------------------------------------------------------------------------- searching


def test_filters_narrow_the_results_and_can_be_cleared(qtbot: Any, discover: Any) -> None:
    everything = len(found(discover))
    discover.filters_button.click()
    assert discover.filters.isVisible()
    bar = discover.filters
    bar.architecture.setCurrentIndex(bar.architecture.findData("gemma3"))
    bar.architecture.activated.emit(bar.architecture.currentIndex())
    qtbot.waitUntil(lambda: 0 < len(found(discover)) < everything, timeout=LONG)
    assert {item.architecture for item in discover.results.items} == {"gemma3"}
    assert discover.filters_button.text() == "Filters (1)"
    bar.qat.click()
    bar.access.setCurrentIndex(2)
    bar.access.activated.emit(2)
    qtbot.waitUntil(lambda: found(discover) == ["google/gemma-3-4b-it-qat-q4_0-gguf"], timeout=LONG)
    bar.clear.click()
    qtbot.waitUntil(lambda: len(found(discover)) == everything, timeout=LONG)


def test_what_fits_this_machine(qtbot: Any, discover: Any) -> None:
    discover.filters_button.click()
    discover.filters.fits.click()
    qtbot.waitUntil(lambda: "unsloth/DeepSeek-V3.1-GGUF" not in found(discover), timeout=LONG)
    assert STARTER_REPO in found(discover)


def test_another_hub_is_searched_at_once(qtbot: Any, discover: Any, services: Any) -> None:
    with LocalHub([FakeRepo("other/one-GGUF")]) as other:
        services.settings.set("hub.endpoint", other.url)
        qtbot.waitUntil(lambda: found(discover) == ["other/one-GGUF"], timeout=LONG)
        services.settings.set("hub.endpoint", "http://127.0.0.1:9")
        qtbot.waitUntil(lambda: discover.whole.currentWidget() is discover.offline, timeout=LONG)
        services.settings.set("hub.endpoint", other.url)
        qtbot.waitUntil(lambda: discover.whole.currentWidget() is not discover.offline, timeout=LONG)


def test_a_page_that_fails_can_be_fetched_again(
    qtbot: Any, window: Any, services: Any, monkeypatch: Any
) -> None:
    broken = [True]

    def search(_words: str, *, cursor: str | None = None, **_more: Any) -> SearchPage:
        if cursor and broken[0]:
            raise HubServerError(status=503)
        first = int(cursor or 0)
        return SearchPage(tuple(RepoSummary(f"me/m-{n}") for n in range(first, first + 5)), str(first + 5))

    monkeypatch.setattr(services.hub, "search", search)
    page = window.open_page("discover")
    qtbot.waitUntil(lambda: not page.banner.isHidden(), timeout=LONG)
    assert len(found(page)) == 5
    broken[0] = False

    def fetched() -> bool:
        if (
            page.banner.isVisible()
        ):  # the list may have asked once more by itself, and failed, in the meantime
            page.banner.button.click()
        return len(found(page)) >= 10

    qtbot.waitUntil(fetched, timeout=LONG)


@pytest.mark.parametrize("error", [HubServerError(status=503), RuntimeError("odd")])
def test_a_search_that_fails_shows_no_older_results_and_can_be_tried_again(
    qtbot: Any, window: Any, services: Any, monkeypatch: Any, error: Exception
) -> None:
    broken = [False]

    def search(words: str, **_more: Any) -> SearchPage:
        if broken[0]:
            raise error
        return SearchPage(
            (RepoSummary(f"me/{words or 'any'}-1"), RepoSummary(f"me/{words or 'any'}-2")), None
        )

    monkeypatch.setattr(services.hub, "search", search)
    page = window.open_page("discover")
    qtbot.waitUntil(lambda: len(found(page)) == 2, timeout=LONG)
    broken[0] = True
    page.search("gemma")
    qtbot.waitUntil(page.banner.isVisible, timeout=LONG)
    assert found(page) == []
    assert page.status.text() == ""
    assert page.banner.button.isVisible()
    broken[0] = False
    page.banner.button.setFocus()
    page.banner.button.click()
    assert page.banner.isHidden()
    assert page.search_line.hasFocus()
    qtbot.waitUntil(lambda: found(page) == ["me/gemma-1", "me/gemma-2"], timeout=LONG)


def test_a_pasted_address_opens_its_repository_and_points_at_its_file(qtbot: Any, discover: Any) -> None:
    addresses = {
        f"https://huggingface.co/{QWEN}/blob/main/Qwen3-8B-Q6_K.gguf": "Q6_K",
        f"https://huggingface.co/{QWEN}?show_file_info=Qwen3-8B-Q2_K.gguf": "Q2_K",
        f"hf.co/{QWEN}:Q5_K_M": "Q5_K_M",
    }
    discover.search(f"https://huggingface.co/{QWEN}")
    opened(qtbot, discover, QWEN)
    assert discover.repo.table.current() is None
    for pasted, quant in addresses.items():
        discover.search(pasted)
        qtbot.waitUntil(lambda quant=quant: pointed_at(discover) == quant, timeout=LONG)


def pointed_at(page: Any) -> str | None:
    row = page.repo.table.current()
    return row.quant.quant if row else None


def test_an_address_of_something_else_is_told(qtbot: Any, discover: Any) -> None:
    discover.search("https://example.com/a/b")
    qtbot.waitUntil(lambda: discover.left.currentWidget() is discover.nothing, timeout=LONG)
    assert "not the address of a model" in discover.nothing._text.text()


def test_visits_are_a_browser_s() -> None:
    visits = Visits()
    visits.search(Wanted("q"), typed=True)
    visits.search(Wanted("qwen"), typed=True)
    visits.open("a/b")
    visits.search(Wanted("llama"), typed=True)
    assert visits.back() == Visit(Wanted("qwen"), "a/b")
    assert visits.back() == Visit(Wanted("qwen"))
    assert visits.back() == Visit()
    assert not visits.can_go_back
    visits.forward()
    visits.open("c/d")
    assert not visits.can_go_forward
    assert visits.back() == Visit(Wanted("qwen"))


def test_back_and_forward_by_button_key_and_mouse(qtbot: Any, discover: Any) -> None:
    everything = found(discover)
    assert not discover.back.isEnabled()
    discover.search("qwen3-8b")
    opened(qtbot, discover, QWEN)
    discover.search("smollm2-135m")
    opened(qtbot, discover, STARTER_REPO)
    discover.back.click()
    assert discover.search_line.text() == "smollm2-135m"
    assert discover.right.currentWidget() is discover.picks
    qtbot.keyClick(discover, Qt.Key.Key_Left, Qt.KeyboardModifier.AltModifier)
    opened(qtbot, discover, QWEN)
    assert discover.search_line.text() == "qwen3-8b"
    for _ in range(2):
        area = discover.list.viewport()
        where = QPointF(5, 5)
        button = Qt.MouseButton.BackButton
        event = QMouseEvent(
            QMouseEvent.Type.MouseButtonPress, where, where, button, button, Qt.KeyboardModifier.NoModifier
        )
        QApplication.sendEvent(area, event)
    assert found(discover) == everything
    discover.forward.click()
    discover.forward.click()
    opened(qtbot, discover, QWEN)


# ------------------------------------------------------------------------------------- one repository


def rates() -> dict[str, Rates]:
    types = {name: TypeRate(20e9, 200e9) for name in ("Q4_0", "Q4_K", "Q8_0", "F16")}
    return {"CPU": Rates("CPU", 2, 1e-4, 1e-5, types, {"f16": 1e9, "q8_0": 1e9})}


def test_the_header_of_one_file_forecasts_them_all(
    qtbot: Any, discover: Any, services: Any, local_hub: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(services.outlook, "rates", rates)
    discover.show_repo(STARTER_REPO)
    repo = discover.repo
    qtbot.waitUntil(lambda: repo.prospects.summary is not None, timeout=LONG)
    assert "30 layers" in repo.head.header.text()
    assert repo.measure.isHidden()
    rows = {row.quant.quant: row.prospect for row in repo.table.model_.rows}
    assert all(found.needed and found.speed for found in rows.values())
    assert rows["Q2_K"].speed.low > rows["Q8_0"].speed.low
    assert rows["Q2_K"].needed < rows["Q8_0"].needed
    at = repo.table.model_.find(STARTER)
    from app.ui.table_model import NOTE_ROLE

    assert "tokens/s" in repo.table.model_.index(at, 2).data(NOTE_ROLE)
    assert "Q4_K_M is recommended: the usual balance" in repo.note.text()
    assert local_hub.bytes_served("Q4_1.gguf") < 8_000_000


def test_an_unmeasured_machine_offers_to_measure(
    qtbot: Any, discover: Any, services: Any, monkeypatch: Any
) -> None:
    known: dict[str, Rates] = {}
    monkeypatch.setattr(services.outlook, "rates", lambda: known)
    monkeypatch.setattr(services.outlook, "measure", lambda: known.update(rates()))
    discover.show_repo(STARTER_REPO)
    repo = discover.repo
    qtbot.waitUntil(repo.measure.isVisible, timeout=LONG)
    repo.measure.click()
    qtbot.waitUntil(lambda: any(row.prospect.speed for row in repo.table.model_.rows), timeout=LONG)
    assert repo.measure.isHidden()


def test_companions_are_named_and_come_last(qtbot: Any, discover: Any) -> None:
    discover.show_repo("ggml-org/SmolVLM2-2.2B-Instruct-GGUF")
    opened(qtbot, discover, "ggml-org/SmolVLM2-2.2B-Instruct-GGUF")
    last = discover.repo.table.model_.rows[-1]
    assert last.quant.kind == "projector"
    from app.ui.table_model import NOTE_ROLE

    index = discover.repo.table.model_.index(len(discover.repo.table.model_.rows) - 1, 0)
    assert index.data(NOTE_ROLE) == "Vision projector"


def test_return_downloads_the_selected_file(
    qtbot: Any, discover: Any, services: Any, monkeypatch: Any
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(services.downloads, "enqueue", lambda quant: asked.append(quant.id))
    discover.show_repo(QWEN)
    opened(qtbot, discover, QWEN)
    table = discover.repo.table
    table.select(f"{QWEN}:Q8_0")
    table.setFocus()
    qtbot.keyClick(table, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: asked == [f"{QWEN}:Q8_0"])


@pytest.mark.parametrize(
    ("fits", "name", "why"),
    [
        ({}, "Q4_K_M", "usual"),
        (
            {"Q4_K_M": "too_large", "Q4_K_S": "too_large", "IQ4_XS": "too_large", "Q4_0": "too_large"},
            "Q3_K_M",
            "best",
        ),
        (dict.fromkeys(("Q2_K", "Q3_K_M", "IQ4_XS", "Q4_0", "Q4_K_M"), "too_large"), "Q5_K_M", "smallest"),
    ],
)
def test_one_file_is_recommended_with_the_reason(
    local_hub: Any, services: Any, fits: dict[str, str], name: str, why: str
) -> None:
    detail = services.hub.repo(QWEN)
    labels = {f"{QWEN}:{quant}": fit for quant, fit in fits.items()}
    choice = recommend(detail.quants, labels)
    assert (choice.id, choice.why) == (f"{QWEN}:{name}", why)
    everything = dict.fromkeys((quant.id for quant in detail.quants), "too_large")
    assert recommend(detail.quants, everything) is None
    trained = recommend(services.hub.repo("unsloth/gemma-3-12b-it-qat-GGUF").quants, {})
    assert trained.why == "trained"


# ---------------------------------------------------------------------------------------------- the card

CARD = """# Tiny
<div align="center"><img src="logo.png" alt="the logo"><br><a href="https://a.example/x">Link <b>here</b></a></div>
<script>alert(1)</script><style>p {}</style> 3 < 5 and List<int>
<!-- nobody sees this --> ![chart](http://127.0.0.1:9/x.png)

```html
<div>code stays</div>
```
"""


def test_a_card_loses_its_html_and_keeps_its_text() -> None:
    text = plain_card(CARD)
    assert "script" not in text
    assert "alert" not in text
    assert "[Link **here**](https://a.example/x)" in text
    assert "3 < 5 and List&lt;int&gt;" in text
    assert "<div>code stays</div>" in text
    assert "nobody" not in text
    assert images(text) == ["logo.png", "http://127.0.0.1:9/x.png"]
    assert "the logo" in without_images(text)
    assert "![" not in without_images(text)


def test_a_card_of_half_pictures_is_soon_read() -> None:
    text = "![](" * 25_000  # of 2,000, three seconds
    assert without_images(text) == text
    assert images(text) == []


def png() -> bytes:
    from PySide6.QtCore import QBuffer, QByteArray, QIODevice

    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image = QImage(8, 8, QImage.Format.Format_RGB32)
    image.fill(0xFF0000)
    image.save(buffer, "PNG")
    return bytes(data.data())


def test_pictures_come_only_when_asked_for(qtbot: Any, discover: Any, local_hub: Any) -> None:
    local_hub.add(FakeRepo("me/card-GGUF", {"logo.png": FakeFile.of(png())}, card=CARD))
    discover.show_repo("me/card-GGUF")
    repo = discover.repo
    qtbot.waitUntil(repo.pictures.isVisible, timeout=LONG)
    assert repo.pictures.text() == "Show 2 pictures"
    assert not [asked for asked in local_hub.requests if "logo.png" in asked.path]
    repo.pictures.click()
    qtbot.waitUntil(lambda: repo.card.has_pictures, timeout=LONG)
    assert repo.pictures.isHidden()
    assert list(repo.card._fetched) == ["logo.png"]  # the other address is in a private network


@pytest.mark.parametrize(
    "address",
    ["http://pictures.example/x.png", "https://10.0.0.1/x.png", "https://router.local/x", "file:///etc/passwd",
     "https://localhost/x", "https://me:pw@pictures.example/x.png", "ftp://a.example/x"],
)  # fmt: skip
def test_pictures_from_odd_addresses_are_never_asked_for(address: str) -> None:
    with pytest.raises(Exception, match="not a public one"):
        hub_images.address("https://huggingface.co", "a/b", address)
    assert hub_images.address("https://huggingface.co", "a/b", "img/x.png").endswith(
        "/a/b/resolve/main/img/x.png"
    )


def test_a_picture_is_a_small_raster_one() -> None:
    assert hub_images.take(iter([png()])) == png()
    for data in (b"<svg xmlns=...", b"\x89PNG\r\n\x1a\n" + bytes(hub_images.LIMIT)):
        with pytest.raises(Exception, match="picture"):
            hub_images.take(iter([data]))


# ---------------------------------------------------------------------------------------------- picks


def test_the_picks_are_well_formed() -> None:
    picks = all_picks()
    assert [pick.memory for pick in picks] == sorted(pick.memory for pick in picks)
    assert len({pick.repo for pick in picks}) == len(picks)
    assert starter() in picks
    assert sum(pick.starter for pick in picks) == 1
    from app.models.hub_address import parse_address
    from app.models.quants import explain
    from app.ui.pick_list import purpose_words

    for pick in picks:
        address = parse_address(f"{pick.repo}:{pick.quant}")
        assert address is not None
        assert address.repo == pick.repo
        assert explain(pick.quant).bits
        assert purpose_words(pick.purpose)
        assert pick.memory in {4, 8, 16, 32}
        assert pick.gigabytes + 1.5 < pick.memory


def test_a_pick_opens_its_repository_at_its_file(qtbot: Any, discover: Any) -> None:
    discover.picks.chosen.emit(f"{STARTER_REPO}:Q4_1")
    opened(qtbot, discover, STARTER_REPO)
    assert found(discover)[discover.list.currentIndex().row()] == STARTER_REPO
    assert discover.repo.table.current().quant.quant == "Q4_1"


def test_a_model_that_sees_brings_its_projector(
    qtbot: Any, discover: Any, services: Any, monkeypatch: Any
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(services.downloads, "enqueue", lambda quant: asked.append(quant.kind))
    discover.show_repo("ggml-org/SmolVLM2-2.2B-Instruct-GGUF")
    opened(qtbot, discover, "ggml-org/SmolVLM2-2.2B-Instruct-GGUF")
    discover.repo._act(discover.repo.table.model_.rows[0].quant.id, "download")
    qtbot.waitUntil(lambda: asked == ["text", "projector"], timeout=LONG)
    assert "projector" in discover.repo.banner.words.text()
