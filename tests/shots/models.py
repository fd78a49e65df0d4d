"""Pictures of Discover and Downloads in each of their states."""

from typing import TYPE_CHECKING, Any

from tests.fakes.hub_data import STARTER_REPO
from tests.shots import machine

if TYPE_CHECKING:
    from tests.shots.__main__ import Studio

STARTER = f"{STARTER_REPO}:Q4_1"
GATED = "meta-llama/Llama-3.1-8B-Instruct-GGUF"


def discover(studio: "Studio") -> None:
    """Empty search, searching, filters, a repository, its header's facts, a gated one, nothing found."""
    page = studio.window.open_page("discover")
    studio.wait(lambda: page.results.items)
    studio.take("discover")
    _searching(studio, page)
    page.filters_button.click()
    page.filters.fits.click()
    studio.wait(lambda: page.results.items and not page.searcher.busy)
    studio.take("discover-filters")
    page.filters.clear.click()
    page.filters_button.click()
    page.show_repo("Qwen/Qwen3-8B-GGUF")
    studio.wait(lambda: page.repo.table.model_.rows and page.repo.prospects.of)
    studio.take("repository")
    _forecast(studio, page)
    page.show_repo(GATED)
    studio.wait(lambda: page.repo.prospects.of and "meta" in page.repo.head.name.text())
    studio.take("repository-gated")
    page.search("there is no such model")
    studio.wait(lambda: page.left.currentWidget() is page.nothing)
    studio.take("discover-nothing")


def _searching(studio: "Studio", page: Any) -> None:
    slow = studio.hub.fault("slow_start", "api", times=None, seconds=60.0)
    page.search("qwen")
    studio.wait(lambda: page.searcher.busy)
    studio.take("discover-searching")
    studio.hub.faults.remove(slow)
    page.search("")
    studio.wait(lambda: page.results.items and not page.searcher.busy)


def _forecast(studio: "Studio", page: Any) -> None:
    """A repository whose header was read, on a machine whose speed is known."""
    machine.measured(studio)
    page.show_repo(STARTER_REPO)
    studio.wait(lambda: page.repo.prospects.summary is not None)
    studio.take("repository-forecast")
    machine.unmeasured(studio)


def downloads(studio: "Studio") -> None:
    """Nothing, downloading, paused beside failed, waiting for a licence with its dialog, verified."""
    services, window, hub = studio.services, studio.window, studio.hub
    page = window.open_page("downloads")
    studio.take("downloads-empty")
    quants = {quant.quant: quant for quant in services.hub.repo(STARTER_REPO).quants}
    gated = next(quant for quant in services.hub.repo(GATED).quants if quant.quant == "Q4_K_M")
    hub.rate = 250_000
    services.downloads.enqueue(quants["Q4_1"])
    studio.wait(lambda: any(row.speed for row in services.downloads.snapshots()))
    page.table.select(quants["Q4_1"].id)
    studio.take("downloads-running")
    services.downloads.enqueue(quants["Q8_0"])  # promised, never there: a real failure
    services.downloads.pause(quants["Q4_1"].id)
    services.downloads.enqueue(gated)
    studio.wait(
        lambda: {"paused", "failed", "waiting"} <= {row.state for row in services.downloads.snapshots()}
    )
    page.table.select(quants["Q8_0"].id)
    studio.take("downloads")
    page.table.select(gated.id)
    studio.take("downloads-gated")
    dialog = window.gate.sign_in(GATED, gated.id)
    studio.wait(lambda: "…" not in dialog.state.text())
    studio.take("sign-in", dialog)
    dialog.close()
    hub.rate = 60_000_000
    services.downloads.resume(quants["Q4_1"].id)
    studio.wait(lambda: any(row.state == "done" for row in services.downloads.snapshots()))
    for quant in (quants["Q8_0"], gated):
        services.downloads.remove(quant.id)
    page.entered()
    page.table.select(quants["Q4_1"].id)
    studio.take("downloads-verified")


def offline(studio: "Studio") -> None:
    """The Hub away."""
    studio.services.hub._endpoint = "http://127.0.0.1:9"
    page = studio.window.open_page("discover")
    page.search("qwen")
    studio.wait(lambda: page.whole.currentWidget() is page.offline)
    studio.take("discover-offline")


def load_dialog(studio: "Studio") -> Any:
    """The dialog before a load, once it has said what will be."""
    from app.ui.dialogs.load import LoadDialog

    dialog = LoadDialog(studio.services.library.get(STARTER), studio.services, studio.window)
    dialog.show()
    studio.wait(dialog.verdict.text)
    return dialog


def show_options(studio: "Studio", dialog: Any) -> None:
    """Its second tab, with every option."""
    dialog.tabs.setCurrentIndex(1)
    studio.wait(lambda: dialog.options is not None and dialog.options.isVisible())
