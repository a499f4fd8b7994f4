"""A page that is served in this process, and requests to it as bytes, however odd."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runtime.actions.action import Seen
from runtime.answers import AnswerRules, Classification, Prediction, Stages
from runtime.classifier import Classifier
from runtime.model_slot import ModelSlot
from runtime.page.access import Access, own_names
from runtime.page.address import listen, resolve
from runtime.page.connections import PageServer
from runtime.page.handler import PageHandler
from runtime.page.live import Live
from runtime.page.options import PageOptions
from runtime.page.site import Site
from runtime.page.uploads import Uploads
from runtime.sources.frame import Frame

LABELS = ("red", "green", "blue")


def seen(number: int = 0, label: str = "red", *, changed: bool = True, picture: Any = None, source: str = "0") -> Seen:
    """A frame of one colour with its answer."""
    colour = [255 * (name == label) for name in LABELS]
    pixels = np.full((48, 64, 3), colour, np.uint8) if picture is None else picture
    frame = Frame(source, number, pixels, 1_800_000_000.0 + number, time.monotonic())
    answer = Classification((Prediction(LABELS.index(label), label, 0.9),), (label,), Stages(1.0, 2.0, 3.0, 0.5))
    return Seen(frame, answer, np.zeros(3, np.float32), LABELS, "single-label", changed, 7.0)


class Reply:
    """An answer of the server.

    Args:
        data: all that it sent.
    """

    def __init__(self, data: bytes) -> None:
        head, _, self.body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split()[1]) if first else 0
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


class Served:
    """A page on a free port of the loopback.

    Args:
        classifier: what posted pictures are asked of.
        options: of the page.
        token: that it demands.
        live: of a camera.
        most: connections at a time.
    """

    def __init__(
        self, classifier: Classifier, options: PageOptions, token: str | None, live: Live | None, most: int
    ) -> None:
        self.log: list[str] = []
        self.live = live
        slot = ModelSlot(classifier)
        listener = listen(resolve("127.0.0.1", 0), "127.0.0.1")
        self.port = listener.getsockname()[1]
        access = Access(own_names("127.0.0.1", options.allow_hosts, "pi"), token, f"runtime_token_{self.port}")
        uploads = Uploads.of(slot, AnswerRules(), options.max_upload_pixels)
        self.site = Site(options, access, uploads, live, "0" if live else None, self.log.append)
        self.server = PageServer(listener, partial(PageHandler, self.site), most)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def connect(self) -> socket.socket:
        """A connection to it."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def send(self, data: bytes) -> Reply:
        """Send bytes and read all that comes back."""
        with self.connect() as connection:
            connection.sendall(data)
            return Reply(read_all(connection))

    def ask(self, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> Reply:
        """One request; underscores in the names of headers stand for hyphens, None leaves one out."""
        all_headers: dict[str, str | None] = {"Host": f"127.0.0.1:{self.port}"}
        if body or method == "POST":
            all_headers["Content-Length"] = str(len(body))
        all_headers |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{name}: {value}" for name, value in all_headers.items() if value is not None]
        return self.send("\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode() + body)


def read_all(connection: socket.socket) -> bytes:
    """What comes in until the other side closes, or breaks off."""
    data = b""
    try:
        while part := connection.recv(65536):
            data += part
    except ConnectionResetError:
        pass
    return data


@pytest.fixture
def serve(colours: Path) -> Iterator[Callable[..., Served]]:
    """A function that serves a page, with the options of ``PageOptions``."""
    started: list[Served] = []

    def start(*, token: str | None = None, camera: bool = False, most: int = 20, **options: Any) -> Served:
        live = Live() if camera else None
        started.append(Served(Classifier.load(colours), PageOptions(**options), token, live, most))
        return started[-1]

    yield start
    for served in started:
        served.server.shutdown()
        served.server.server_close()


@pytest.fixture(scope="session")
def green() -> bytes:
    """A green picture as the bytes of a PNG file."""
    file = io.BytesIO()
    Image.new("RGB", (20, 10), (0, 255, 0)).save(file, "PNG")
    return file.getvalue()
