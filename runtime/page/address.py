"""Where the page is listened for, and what its address is for people."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from typing import Any, NamedTuple

from runtime.errors import DataError, UsageError
from runtime.file_kind import shown


class Address(NamedTuple):
    """An address of this machine.

    Attributes:
        family: of the socket.
        place: what it is bound to: address and port, and two numbers more for IPv6.
        loopback: whether nothing outside this machine can reach it.
    """

    family: socket.AddressFamily
    place: tuple[Any, ...]
    loopback: bool


def resolve(host: str, port: int) -> Address:
    """What ``--host`` and ``--port`` mean.

    Raises:
        UsageError: no such address.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"--host {shown(host)}: no address of this machine ({getattr(error, 'strerror', None) or error}); "
            "127.0.0.1 is this machine alone, 0.0.0.0 all its networks"
        ) from error
    family, _, _, _, place = found[0]
    loopback = ipaddress.ip_address(str(place[0]).partition("%")[0]).is_loopback
    return Address(family, place, loopback)


def listen(address: Address, host: str) -> socket.socket:
    """A socket that listens there.

    Raises:
        DataError: the port is taken, or not allowed, or the address is another machine's.
    """
    listener = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        if (
            os.name == "posix"
        ):  # a port that was just left may be taken again at once; Windows means another thing by it
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address.place)
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise DataError(_why_not(error, host, int(address.place[1]))) from error
    return listener


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"--port {port}: taken by another program; stop that, or choose another port (0 takes any free one)"
    if error.errno == errno.EACCES:
        return f"--port {port}: not allowed; ports below 1024 are the administrator's, choose a higher one"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"--host {shown(host)}: not an address of this machine (0.0.0.0 means all that it has)"
    return f"--host {shown(host)} --port {port}: cannot be listened on: {error.strerror or error}"


def page_url(listener: socket.socket, loopback: bool) -> str:
    """The address to type into a browser."""
    host, port = listener.getsockname()[:2]
    if not loopback and ipaddress.ip_address(host.partition("%")[0]).is_unspecified:
        host = _own_address(listener.family) or socket.gethostname()
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def _own_address(family: socket.AddressFamily) -> str | None:
    """The address that other machines see, by asking the routing table; nothing is sent."""
    # Addresses for documentation, RFC 5737 and RFC 3849: never those of a real machine.
    target = "2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1"
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect((target, 9))
            return str(asking.getsockname()[0])
        except OSError:
            return None
