"""Being written."""

from app.server.backend import Backend
from app.server.routes import Endpoint


def endpoints(backend: Backend) -> list[Endpoint]:
    """None yet."""
    return []
