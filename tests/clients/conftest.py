"""Clients whose requirements can't live beside ours, in an environment and a process of their own; the server they ask
is started by tests/server/test_suites.py.
"""

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each test of langchain's suite once: those of structured output in TestStructured, the others in TestChat."""
    items[:] = [
        item for item in items
        if getattr(item.cls, "__name__", "") not in {"TestChat", "TestStructured"}
        or (item.cls.__name__ == "TestStructured") == ("structured" in item.name)
    ]  # fmt: skip


@pytest.fixture(scope="session")
def address() -> str:
    """The server's, without a path."""
    return os.environ["HEARTH_ADDRESS"]


@pytest.fixture(scope="session")
def model() -> str:
    """Writes."""
    return os.environ["HEARTH_MODEL"]


@pytest.fixture(scope="session")
def vectors() -> str:
    """Embeds."""
    return os.environ["HEARTH_VECTORS"]
