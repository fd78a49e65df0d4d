"""Where this machine's server can be reached: from itself, and from others when it answers the network."""

import ipaddress
import socket
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

Kind = Literal["machine", "network", "name"]
LOOPBACK = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = ("0.0.0.0", "::")
VIRTUAL = ("docker", "br-", "veth", "virbr", "vmnet", "vboxnet")
"""Beginnings of the names of interfaces that lead to no other machine."""


class Address(Struct, frozen=True):
    """One base address; ``machine``: for programs here, ``network``: by number, ``name``: by this machine's name."""

    url: str
    kind: Kind


def is_local(host: str) -> bool:
    """Whether only this machine is answered."""
    return host in LOOPBACK


def addresses(url: str, host: str, numbers: Iterable[str] | None = None) -> tuple[Address, ...]:
    """Every base address of the server at ``url`` that listens on ``host``; the ones for the network first, because
    they are what one has to be told."""
    own = Address(url, "machine")
    if is_local(host):
        return (own,)
    scheme, _, rest = url.partition("://")
    port = rest.rpartition(":")[2]
    if host not in EVERYWHERE:
        return (Address(url, "network"),)
    found = [
        Address(f"{scheme}://{n}:{port}", "network") for n in (own_numbers() if numbers is None else numbers)
    ]
    name = f"{socket.gethostname().split('.')[0].lower()}.local"
    return (*found, *([Address(f"{scheme}://{name}:{port}", "name")] if found else []), own)


def own_numbers() -> list[str]:
    """This machine's IPv4 addresses on networks that others may be on, home networks first."""
    import psutil  # noqa: PLC0415 - not needed before the server is looked at

    up = {
        name for name, stats in psutil.net_if_stats().items() if stats.isup and not name.startswith(VIRTUAL)
    }
    rows = [row for name, rows in psutil.net_if_addrs().items() if name in up for row in rows]
    numbers = {row.address for row in rows if row.family == socket.AF_INET}
    reachable = [n for n in numbers if not _alone(ipaddress.ip_address(n))]
    return sorted(reachable, key=lambda n: (not n.startswith("192.168."), ipaddress.ip_address(n).packed))


def _alone(number: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return number.is_loopback or number.is_link_local
