"""Opens http:// and https:// addresses that a user names: with limits, and no other schemes."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from runtime.errors import DataError, first_line
from runtime.file_kind import shown
from runtime.sources.kinds import without_password

_MAX_REDIRECTS = 5
_CHUNK = 256 * 1024


def open_url(url: str, timeout: float, error: type[DataError], name: str) -> http.client.HTTPResponse:
    """The answer to a GET, its body not read yet.

    Redirects are followed, five at most, and only to http and https. A name and a password in the address are given
    to a server that asks for them (Basic or Digest), and to no other host.

    Args:
        url: ``http://`` or ``https://``.
        timeout: seconds that the server may stay silent.
        error: the kind of error to raise.
        name: what to call it in an error.

    Raises:
        DataError: of the given kind; the server cannot be reached, or refuses.
    """
    try:
        address, opener = _prepared(url)
        request = urllib.request.Request(address, headers={"User-Agent": "edge-export-toolkit", "Accept": "*/*"})  # noqa: S310 - the opener knows http and https only
        response: http.client.HTTPResponse = opener.open(request, timeout=timeout)
    except Exception as failure:
        if isinstance(failure, urllib.error.HTTPError):
            failure.close()
        raise error(f"{name}: {_reason(failure)}") from failure
    return response


def fetch(url: str, max_bytes: int, timeout: float, deadline: float, error: type[DataError]) -> bytes:
    """The body that an address gives.

    Args:
        url: ``http://`` or ``https://``.
        max_bytes: a larger body is refused.
        timeout: seconds that the server may stay silent.
        deadline: seconds that all of it may take.
        error: the kind of error to raise.

    Raises:
        DataError: of the given kind; unreachable, refused, cut short, too large or too slow.
    """
    name, begun = shown(without_password(url)), time.monotonic()
    with open_url(url, timeout, error, name) as response:
        announced = response.length
        if announced is not None and announced > max_bytes:
            raise error(f"{name}: {announced / 1e6:.0f} MB, more than the limit of {max_bytes / 1e6:.0f} MB")
        body = bytearray()
        try:
            while data := response.read1(_CHUNK):
                body += data
                if len(body) > max_bytes:
                    raise error(f"{name}: more than the limit of {max_bytes / 1e6:.0f} MB")
                if time.monotonic() - begun > deadline:
                    raise error(f"{name}: not all of it came within {deadline:g} s")
        except (OSError, http.client.HTTPException) as failure:
            raise error(f"{name}: {_reason(failure)}") from failure
    if announced is not None and len(body) < announced:
        raise error(f"{name}: cut short: {len(body)} of {announced} bytes came")
    if not body:
        raise error(f"{name}: an empty answer")
    return bytes(body)


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = _MAX_REDIRECTS
    max_repeats = _MAX_REDIRECTS

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        fp.close()  # else all that the server sends with it is read, and that may have no end
        if urllib.parse.urlsplit(newurl).scheme not in ("http", "https"):
            raise _Refused(f"leads to {shown(newurl[:80])}, which is no http:// or https:// address")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Basic(urllib.request.HTTPBasicAuthHandler):
    def http_error_401(self, req: Any, fp: Any, *answer: Any) -> Any:
        fp.close()
        return super().http_error_401(req, fp, *answer)


class _Digest(urllib.request.HTTPDigestAuthHandler):
    def http_error_401(self, req: Any, fp: Any, *answer: Any) -> Any:
        fp.close()
        return super().http_error_401(req, fp, *answer)


class _Refused(Exception):
    pass


def _prepared(url: str) -> tuple[str, urllib.request.OpenerDirector]:
    """The address as it goes to the server, without a password, and what opens it."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _Refused("no http:// or https:// address")
    host = parts.netloc.rpartition("@")[2]
    # What people paste from a browser: spaces and letters of any language.
    path, query = (urllib.parse.quote(text, safe="/%:@!$&'()*+,;=-._~?[]") for text in (parts.path, parts.query))
    address = urllib.parse.urlunsplit((parts.scheme, host.encode("idna").decode("ascii"), path, query, ""))
    opener = urllib.request.OpenerDirector()
    handlers: list[Any] = [
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ]
    if parts.username is not None:
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        login = (urllib.parse.unquote(text or "") for text in (parts.username, parts.password))
        passwords.add_password(None, address, *login)
        handlers += [_Basic(passwords), _Digest(passwords)]
    for handler in handlers:
        opener.add_handler(handler)
    return address, opener


def _reason(failure: BaseException) -> str:
    """What went wrong, for people."""
    cause = getattr(failure, "reason", failure)
    status = getattr(failure, "code", None)
    if isinstance(status, int):
        if status == 401:
            return "the server asks for a name and a password (http://name:password@host/...), or refuses these"
        if 300 <= status < 400 and "infinite" in str(failure):
            return f"more than {_MAX_REDIRECTS} redirects"
        if 300 <= status < 400:
            return "the server leads to an address that is not http:// or https://"
        return f"the server answers {status} {http.client.responses.get(status, '')}".rstrip()
    if isinstance(cause, TimeoutError) or "timed out" in str(cause):
        return "the server stays silent"
    if isinstance(cause, OSError) and cause.strerror:
        return f"cannot be reached: {cause.strerror}"
    if isinstance(cause, http.client.HTTPException):
        return f"the server does not speak HTTP, or broke off ({type(cause).__name__})"
    return first_line(cause) if isinstance(cause, BaseException) else str(cause)
