"""Where a host name leads: to this machine, to a network of its own, or to the world.

A server out in the world must not make this machine ask its own neighbourhood (metadata services, routers, databases) for
anything: a redirect, a token realm or an upload's Location that leads from a public host inward is refused.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_loopback(host: str) -> bool:
    """Whether a host (a name or an address, without port) is this machine by its spelling alone; nothing is looked up."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3
        return True
    try:
        return _plain(ipaddress.ip_address(name)).is_loopback
    except ValueError:
        return False


def leads_inward(origin: str, target: str) -> bool:
    """Whether a public host sends us to an address that is not public. Names are looked up.

    What cannot be looked up counts as public: behind a proxy it is the proxy that knows.
    """
    if origin.strip("[]").lower() == target.strip("[]").lower():
        return False
    return _is_private(target) and not _is_private(origin)


def _is_private(host: str) -> bool:
    return is_loopback(host) or any(not _plain(address).is_global for address in _addresses(host))


def _addresses(host: str) -> Iterator[_Address]:
    name = host.strip("[]")
    try:
        yield ipaddress.ip_address(name)
        return
    except ValueError:
        pass
    try:
        # getaddrinfo also knows the spellings `127.1` and `0x7f000001`.
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return
    for _family, _type, _protocol, _name, place in found:
        yield ipaddress.ip_address(str(place[0]).partition("%")[0])


def _plain(address: _Address) -> _Address:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address.sixtofour or address
    return address
