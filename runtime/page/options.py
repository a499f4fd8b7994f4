"""What ``runtime serve`` can be told about its page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: Bytes of a posted picture at most; a 50-megapixel JPEG of a phone has about 15 MB.
MAX_UPLOAD_BYTES = 25_000_000
#: Pixels of a posted picture at most: it decodes to 150 MB, which a device with 512 MB of memory still has.
MAX_UPLOAD_PIXELS = 50_000_000


@dataclass(frozen=True)
class PageOptions:
    """Where the page is, who may see it, and how much of it.

    Attributes:
        host: address or name of this machine that is listened on.
        port: TCP port; 0 takes any free one.
        token_file: holds the token that visitors must show; made where it is missing. None makes a token that lasts as
            long as the command where the page leaves this machine, and asks for none where it does not.
        allow_hosts: further names under which the page may be asked for.
        viewers: browsers that watch at the same time at most.
        stream_fps: pictures a second that each viewer gets at most.
        max_upload_bytes: of a posted picture.
        max_upload_pixels: of a posted picture.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    token_file: Path | None = None
    allow_hosts: tuple[str, ...] = ()
    viewers: int = 4
    stream_fps: float = 15.0
    max_upload_bytes: int = MAX_UPLOAD_BYTES
    max_upload_pixels: int = MAX_UPLOAD_PIXELS
