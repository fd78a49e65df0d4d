"""Clients whose requirements can't live beside ours, in an environment and a process of their own; the server they ask
is started by tests/server/test_suites.py.
"""

import os

import pytest


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
