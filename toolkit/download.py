"""Download one file: resumable, checked, and whole or absent."""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import os
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO, NoReturn
from urllib.parse import urljoin, urlsplit

from runtime.errors import DataError
from toolkit.progress import progress_bar

DEFAULT_MAX_BYTES = 2 * 1024**3
TIMEOUT_SECONDS = 30.0
# A connection that breaks off is taken up again this often in one call; the next call starts afresh.
MAX_ATTEMPTS = 5
RETRY_PAUSE_SECONDS = 1.0
_CHUNK_BYTES = 1 << 18
_BUSY_STATUS = frozenset({429, 500, 502, 503, 504})
_HEX_DIGITS = {"sha256": 64, "md5": 32}


def fetch(
    url: str,
    destination: Path,
    *,
    checksum: str | None,
    description: str,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> Path:
    """Download ``url`` to ``destination``, going on from an earlier attempt where the server allows it.

    The bytes arrive in ``<destination>.part``, which takes its final name only once it is complete and its
    checksum is right.

    Args:
        url: an https address (http only for this machine itself).
        destination: the file to make. A file that is there with the right checksum is returned untouched;
            with ``checksum=None`` any file there is, so that one put there by hand works without a network.
        checksum: ``"sha256:HEX"`` or ``"md5:HEX"``; None takes the MD5 the server sends (``x-goog-hash``).
        description: what is downloaded, a few words for the progress bar.
        max_bytes: a larger file is refused.

    Returns:
        ``destination``.

    Raises:
        DataError: the address is refused, the download failed, or what arrived is not what was expected.
    """
    _require_safe(url)
    expected = None if checksum is None else _Checksum.parse(checksum)
    if destination.is_dir():
        raise DataError(f"cannot download to {destination}: a folder of that name is there; remove it")
    if destination.exists() and (expected is None or expected.of(destination) == expected):
        return destination
    job = _Download(url, destination, expected, description, max_bytes)
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        resumed, checked = job.receive()
        if not checked and resumed:
            # The earlier attempt may have been of an older version of the file: once more from the start.
            _, checked = job.receive()
        if not checked:
            raise DataError(job.mismatch)
        job.part.replace(destination)
    except OSError as error:
        raise DataError(f"cannot write {job.part}: {error.strerror or error}") from error
    return destination


@dataclass(frozen=True)
class _Checksum:
    """One digest: ``algorithm`` is a hashlib name, ``digest`` lower-case hexadecimal."""

    algorithm: str
    digest: str

    @staticmethod
    def parse(text: str) -> _Checksum:
        algorithm, _, digest = text.strip().lower().partition(":")
        if not re.fullmatch(r"[0-9a-f]+", digest) or len(digest) != _HEX_DIGITS.get(algorithm):
            raise DataError(f"not a checksum: {text!r}; expected sha256:HEX or md5:HEX")
        return _Checksum(algorithm, digest)

    @staticmethod
    def from_headers(headers: Message) -> _Checksum | None:
        """The MD5 of ``x-goog-hash: crc32c=...,md5=BASE64``, which may also be sent as two headers."""
        for item in ",".join(headers.get_all("x-goog-hash", [])).split(","):
            name, _, value = item.strip().partition("=")
            if name == "md5":
                try:
                    digest = base64.b64decode(value, validate=True).hex()
                except binascii.Error:
                    return None
                return _Checksum("md5", digest) if len(digest) == _HEX_DIGITS["md5"] else None
        return None

    def of(self, path: Path) -> _Checksum:
        """The same kind of checksum, of the file ``path``."""
        # MD5 is here to find damage; what must withstand an attacker is pinned with SHA-256.
        digest = hashlib.new(self.algorithm, usedforsecurity=False)
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
        return _Checksum(self.algorithm, digest.hexdigest())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.digest}"


class _BrokenOffError(Exception):
    """The transfer ended early, and another attempt may help; the text says why."""


@dataclass
class _Download:
    """One file on its way; ``mismatch`` says what was wrong with the last complete one."""

    url: str
    destination: Path
    expected: _Checksum | None
    description: str
    max_bytes: int
    mismatch: str = ""

    @property
    def part(self) -> Path:
        return self.destination.with_name(self.destination.name + ".part")

    def receive(self) -> tuple[bool, bool]:
        """Complete ``part`` and check it; a wrong one is deleted.

        Returns:
            Whether bytes of an earlier call were used, and whether the checksum is right.
        """
        resumed = self._received() > 0
        for attempt in range(1, MAX_ATTEMPTS + 1):
            before = self._received()
            try:
                expected = self._attempt(before)
                break
            except _BrokenOffError as error:
                if attempt == MAX_ATTEMPTS:
                    raise self._failure(str(error)) from error
                time.sleep(RETRY_PAUSE_SECONDS)
        actual = expected.of(self.part)
        if actual == expected:
            return resumed, True
        self.part.unlink()
        self.mismatch = (
            f"the download of {self.url} is damaged or not the expected file: expected {expected}, "
            f"received {actual}; it was deleted"
        )
        return resumed, False

    def _received(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _attempt(self, offset: int) -> _Checksum:
        """Ask for what is missing from ``offset`` on and append it; returns the checksum to expect."""
        with self._open(offset) as response:
            expected = self.expected or _Checksum.from_headers(response.headers)
            if expected is None:
                raise DataError(
                    f"refused to download {self.url}: no checksum is known for it and the server sends none; "
                    f"put a file you trust at {self.destination}"
                )
            start, total = self._extent(response, offset)
            self._save(response, start, total)
        return expected

    def _open(self, offset: int) -> HTTPResponse:
        headers = {"User-Agent": "edge-export-toolkit", "Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        request = urllib.request.Request(self.url, headers=headers)  # noqa: S310 - fetch has seen the scheme
        opener = urllib.request.build_opener(_SafeRedirects)
        try:
            response: HTTPResponse = opener.open(request, timeout=TIMEOUT_SECONDS)
        except urllib.error.HTTPError as error:
            self._raise_status(error)
        except urllib.error.URLError as error:
            raise self._failure(_reason(error.reason)) from error
        except (OSError, HTTPException, ValueError) as error:  # broken off in the middle of the headers
            raise self._failure(_reason(error)) from error
        return response

    def _raise_status(self, error: urllib.error.HTTPError) -> NoReturn:
        with error:
            if error.code == 416:
                # What is here is not the beginning of what the server has.
                self.part.unlink(missing_ok=True)
                raise _BrokenOffError("the server cannot go on from the earlier download") from error
            reason = f"the server answered {error.code} {error.reason}"
            if error.code in _BUSY_STATUS:
                raise _BrokenOffError(reason) from error
            raise self._failure(reason) from error

    def _extent(self, response: HTTPResponse, offset: int) -> tuple[int, int | None]:
        """Where the response's first byte belongs in the file, and the size of the whole file if known."""
        start = 0
        if response.status == 206:
            begins = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
            if begins is None or int(begins[1]) != offset:
                self.part.unlink(missing_ok=True)
                raise _BrokenOffError("the server sent another range than the one asked for")
            start = offset
        total = None if response.length is None else start + response.length
        if total is not None and total > self.max_bytes:
            raise self._too_large(total)
        return start, total

    def _save(self, response: HTTPResponse, start: int, total: int | None) -> None:
        """Write the body into ``part`` from byte ``start`` on."""
        position = start
        with (
            self.part.open("r+b" if start else "wb") as file,
            progress_bar(self.description, total, unit=" B", done=start) as bar,
        ):
            file.seek(start)
            while chunk := _read(response):
                position += len(chunk)
                if position > self.max_bytes:
                    file.truncate(0)
                    raise self._too_large(position)
                file.write(chunk)
                bar.update(len(chunk))
            # Onto the disk before the rename: a power cut must not leave the final name on an empty file.
            file.flush()
            os.fsync(file.fileno())
        if total is not None and position < total:
            raise _BrokenOffError(f"the connection broke off after {position} of {total} bytes")

    def _too_large(self, size: int) -> DataError:
        self.part.unlink(missing_ok=True)
        return DataError(f"refused to download {self.url}: {size} bytes or more, the limit is {self.max_bytes}")

    def _failure(self, reason: str) -> DataError:
        found = " (the file there now has another checksum)" if self.destination.exists() else ""
        return DataError(
            f"cannot download {self.url}: {reason}; try again, or put the file at {self.destination}{found}"
        )


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read(_CHUNK_BYTES)
    except (OSError, HTTPException) as error:
        raise _BrokenOffError(f"the connection broke off: {_reason(error)}") from error


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects only to addresses that `fetch` itself would take."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        _require_safe(urljoin(req.full_url, newurl))
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _require_safe(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and _is_loopback(parts.hostname or ""):
        return
    raise DataError(f"refused to download {url!r}: only https addresses are taken")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reason(error: object) -> str:
    """One line for an exception; its class name where it has no text."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return " ".join(text.split()) or type(error).__name__
