"""Who may ask for what: the name asked for, the page that asks, and the token."""

from __future__ import annotations

import hmac
import ipaddress
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from email.message import Message

# A host name or an IPv4 address, or an IPv6 address in brackets; then perhaps a port.
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
_LOOPBACK_NAME = "localhost"


@dataclass(frozen=True)
class Refusal:
    """Why a request is not answered.

    Attributes:
        status: of the answer.
        reason: one sentence for whoever asked.
    """

    status: HTTPStatus
    reason: str


@dataclass(frozen=True)
class Access:
    """The rules that every request is held against before anything of it is done.

    Attributes:
        names: lower-case host names under which the page may be asked for; addresses always may. A web site whose own
            name is suddenly made to mean this machine (DNS rebinding) comes with a name that is not among them.
        token: what a visitor must show; None where everybody may come.
        cookie: the cookie that holds the token. Ports of one machine share their cookies, so it has the port in its
            name.
    """

    names: frozenset[str]
    token: str | None
    cookie: str

    def refusal_of(self, headers: Message, *, navigates: bool) -> Refusal | None:
        """What speaks against a request, its token aside; None where nothing does.

        Args:
            headers: of the request.
            navigates: whether it asks for a page that other web sites may link to.
        """
        host = headers.get("Host", "")
        if not self.knows(host):
            return Refusal(
                HTTPStatus.MISDIRECTED_REQUEST,
                "This page does not answer to that name. Use the address that the command printed, or start it with "
                "--allow-host NAME.",
            )
        origin = headers.get("Origin")
        if origin is not None and origin.lower() not in {f"http://{host.lower()}", f"https://{host.lower()}"}:
            return Refusal(HTTPStatus.FORBIDDEN, "A page of another web site asks for this; that is not allowed.")
        # Browsers say by themselves where a request comes from (W3C Fetch Metadata); other programs say nothing.
        foreign = headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}
        if foreign and not (navigates and headers.get("Sec-Fetch-Mode") == "navigate"):
            return Refusal(HTTPStatus.FORBIDDEN, "Another web site asks for this; that is not allowed.")
        return None

    def knows(self, host: str) -> bool:
        """Whether a ``Host`` header means this machine for certain."""
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found[1].strip("[]").lower().rstrip(".")
        return name in self.names or _is_address(name)

    def admits(self, headers: Message, asked: str | None) -> bool:
        """Whether the visitor shows the token: in the address, a header or a cookie.

        Args:
            headers: of the request.
            asked: ``token`` of the address's query.
        """
        if self.token is None:
            return True
        scheme, _, bearer = headers.get("Authorization", "").partition(" ")
        shown = [asked or "", bearer.strip() if scheme.lower() == "bearer" else "", self._cookie_of(headers)]
        good = self.token.encode()
        # All three are compared, each in a time that says nothing about how much of it was right.
        right = [hmac.compare_digest(word.encode("utf-8", "surrogateescape"), good) for word in shown]
        return any(right)

    def _cookie_of(self, headers: Message) -> str:
        for part in headers.get("Cookie", "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == self.cookie:
                return value
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def own_names(host: str, allowed: tuple[str, ...], machine: str) -> frozenset[str]:
    """The names for ``Access.names``.

    Args:
        host: what is listened on.
        allowed: what the user allows besides.
        machine: this machine's own name, as ``socket.gethostname`` gives it.
    """
    first = machine.partition(".")[0]
    names = {_LOOPBACK_NAME, host, machine, first, f"{first}.local", *allowed}  # .local: mDNS, RFC 6762
    return frozenset(name.lower().rstrip(".") for name in names if name)
