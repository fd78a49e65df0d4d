"""Being written."""

from app.server.routes import Endpoint


def endpoints(found: list[Endpoint]) -> list[Endpoint]:
    """None yet."""
    return []
