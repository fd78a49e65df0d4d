"""How to reach the network, as data: importing it costs nothing."""

from msgspec import Struct


class Net(Struct, frozen=True):
    """How to reach the network. ``proxy``: empty for the system's, ``none``, or an address."""

    proxy: str = ""
    ca_file: str = ""
    connect: float = 10.0
    stall: float = 30.0
