"""What ``--camera`` may name, told from its text alone."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Literal
from urllib.parse import urlsplit

Kind = Literal["device", "pi", "test", "stdin", "http", "stream", "sequence", "file"]

_PI = re.compile(r"pi(:[0-9]{1,2})?")
_DEVICE = re.compile(r"[0-9]{1,4}|/dev/.+")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_SEQUENCE = re.compile(r"%(0[1-9])?d")
# What cameras take for logins in a query.
_SECRET = re.compile(r"([?&][^=&]*(?:pass|pwd|token|key|auth|secret|sig)[^=&]*=)[^&#]*", re.IGNORECASE)
# A URL that ends in one of these is a file that has an end; any other URL is a stream that should have none.
_VIDEO_FILES = (".mp4", ".m4v", ".avi", ".mkv", ".mov", ".webm")


def camera_kind(camera: str) -> Kind:
    """What kind of source a camera's name means; a file of such a name is meant by ``./name``."""
    if camera in ("test", "-"):
        return "test" if camera == "test" else "stdin"
    if _PI.fullmatch(camera):
        return "pi"
    if _DEVICE.fullmatch(camera):
        return "device"
    if is_url(camera):
        if _path_of(camera).endswith(_VIDEO_FILES):
            return "file"
        return "http" if camera.lower().startswith(("http://", "https://")) else "stream"
    return "sequence" if _SEQUENCE.search(PurePath(camera).name) else "file"


def is_live(kind: Kind) -> bool:
    """Whether such a source should never end, so that it is opened again where it does."""
    return kind in ("device", "pi", "test", "http", "stream")


def is_url(text: str) -> bool:
    """Whether it begins as ``scheme://``."""
    return bool(_URL.match(text))


def without_password(name: str) -> str:
    """A URL as it may be shown and logged, ``http://user:...@host/?pwd=...``; any other name as it is."""
    if not is_url(name):
        return name
    scheme, _, rest = name.partition("://")
    place, slash, path = rest.partition("/")
    login, at, host = place.rpartition("@")
    user, colon, _ = login.partition(":")
    path = _SECRET.sub(r"\1...", path)
    if not at:
        return f"{scheme}://{place}{slash}{path}"
    return f"{scheme}://{user}:...@{host}{slash}{path}" if colon else f"{scheme}://...@{host}{slash}{path}"


def _path_of(url: str) -> str:
    try:
        return urlsplit(url).path.lower()
    except ValueError:
        return url.lower()
