"""A server over the fake engine, on a port of the system's choosing."""

from collections.abc import Iterator
from types import SimpleNamespace

import httpx2 as httpx
import pytest

from app.core.events import Bus
from app.core.settings import SettingsStore
from app.core.types import LoadPlan
from app.server.host import ServerHost
from tests.fakes.engine import FakeLibrary, FakeSupervisor


class Served(SimpleNamespace):
    """host, supervisor, settings, bus, address."""


@pytest.fixture
def served(tmp_path, bus: Bus) -> Iterator[Served]:
    settings = SettingsStore(tmp_path / "settings.toml", bus)
    supervisor = FakeSupervisor()
    plan = lambda record: SimpleNamespace(plan=LoadPlan(record.path))  # noqa: E731
    host = ServerHost(FakeLibrary(), supervisor, plan, bus, settings)
    address = host.start("127.0.0.1", 0).address
    yield Served(host=host, supervisor=supervisor, settings=settings, bus=bus, address=address)
    host.close()
    supervisor.close()


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.address, timeout=10, trust_env=False) as client:
        yield client
