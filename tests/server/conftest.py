"""A server over the fake engine, and one over the real worker with the starter model, on any free ports."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx2 as httpx
import pytest
from msgspec.structs import replace

from app.core.events import Bus
from app.core.series import SeriesStore
from app.core.settings import SettingsStore
from app.core.types import LoadPlan, ModelFile, ModelRecord
from app.models.gguf import read_header
from app.models.summary import summarize
from app.runtime.supervisor import Supervisor
from app.server.host import ServerHost
from tests.fakes import minilm
from tests.fakes.engine import FakeLibrary, FakeSupervisor
from tests.fakes.projector import write_projector


class Served(SimpleNamespace):
    """host, supervisor, settings, bus, address."""


@pytest.fixture
def served(tmp_path, bus: Bus, request: pytest.FixtureRequest) -> Iterator[Served]:
    """Over the fake engine; more of the host's services by indirect parametrization."""
    settings = SettingsStore(tmp_path / "settings.toml", bus)
    supervisor = FakeSupervisor()
    plan = lambda record, *_more: SimpleNamespace(plan=LoadPlan(record.path))  # noqa: E731
    more = dict(getattr(request, "param", {}))
    series = SeriesStore(bus) if more.pop("series", None) else None
    host = ServerHost(
        FakeLibrary(),
        supervisor,
        plan,
        bus,
        settings,
        keys_file=tmp_path / "keys.json",
        series=series,
        **more,
    )
    address = host.start("127.0.0.1", 0).address
    yield Served(host=host, supervisor=supervisor, settings=settings, bus=bus, address=address)
    host.close()
    supervisor.close()
    if series is not None:
        series.close()


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.address, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def real(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server over real workers, one for all tests: ``model`` writes, ``vectors`` embeds; ``minilm`` embeds with a
    model that was made for it, loaded when first asked."""
    folder = tmp_path_factory.mktemp("real")
    bus = Bus()
    settings = SettingsStore(folder / "settings.toml", bus)
    size = starter.stat().st_size
    files, summary = (ModelFile(str(starter), size),), summarize(read_header(starter))
    writer = ModelRecord(
        "starter/SmolLM2-135M-Instruct:Q4_1", "SmolLM2", files, size, summary, added_at=1.7e9
    )
    # The same weights as a model for vectors: the mean of its tokens' last states.
    embedder = replace(writer, id="vectors/SmolLM2-135M-Instruct:Q4_1", projector=None)
    eyes = str(write_projector(folder / "mmproj.gguf", starter))
    writer = replace(writer, projector=eyes)
    plan = LoadPlan(writer.path, n_ctx=2048, n_parallel=4, projector=eyes)
    plans = {writer.id: plan, embedder.id: replace(plan, n_ctx=512, embeddings=True, projector=None)}
    small = _minilm(folder / "minilm.gguf")
    plans[small.id] = LoadPlan(small.path, n_ctx=512, n_parallel=4, embeddings=True)
    supervisor = Supervisor(bus, folder)
    loads = [supervisor.ensure_ready(record.id, plans[record.id]) for record in (writer, embedder)]
    for load in loads:
        load.result(60)
    series = SeriesStore(bus)
    planned = lambda record, *_more: SimpleNamespace(plan=plans[record.id])  # noqa: E731
    library = FakeLibrary((writer, embedder, small))
    host = ServerHost(library, supervisor, planned, bus, settings, series=series)
    address = host.start("127.0.0.1", 0).address
    ids = {"model": writer.id, "vectors": embedder.id, "minilm": small.id}
    yield Served(host=host, supervisor=supervisor, settings=settings, bus=bus, address=address, **ids)
    host.close()
    supervisor.close()
    series.close()


def _minilm(path: Path) -> ModelRecord:
    """Its GGUF, written now; the tests that use it skip where its weights were not fetched."""
    summary, size = None, 1
    if minilm.fetched():
        summary, size = summarize(read_header(minilm.write_minilm(path))), path.stat().st_size
    files = (ModelFile(str(path), size),)
    return ModelRecord(
        "sentence-transformers/all-MiniLM-L6-v2:F32", "MiniLM", files, size, summary, added_at=1.7e9
    )
