"""Everything that the page's requests are answered from."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from runtime.file_kind import shown
from runtime.page.access import Access
from runtime.page.live import Live, without_logins
from runtime.page.openapi import openapi
from runtime.page.options import PageOptions
from runtime.page.pictures import Pictures
from runtime.page.uploads import Uploads
from runtime.results import as_json
from runtime.said import Said

if TYPE_CHECKING:
    from runtime.answers import Classification

_FILES = ("page.html", "page.css", "page.js", "icon.svg", "token.html")


class Site:
    """What there is to see, and who sees it; many threads use it.

    Args:
        options: of the page.
        access: who may ask.
        uploads: classifies posted pictures.
        live: of the camera; None without one.
        camera: as the user named it.
        log: told in one line who came with a wrong token.
    """

    def __init__(
        self,
        options: PageOptions,
        access: Access,
        uploads: Uploads,
        live: Live | None,
        camera: str | None,
        log: Callable[[str], None],
    ) -> None:
        self.access, self.uploads, self.live = access, uploads, live
        self.pictures = Pictures()
        self.viewers, self.stream_fps = options.viewers, options.stream_fps
        self.max_upload_bytes = options.max_upload_bytes
        self._options, self._log, self._said = options, log, Said(log)
        self._camera = None if camera is None else without_logins(camera)
        self._files = {name: files("runtime.page").joinpath("files").joinpath(name).read_bytes() for name in _FILES}
        self._guard = threading.Lock()
        self._watching = {"stream": 0, "events": 0}

    def file(self, name: str) -> bytes:
        """A file of the page."""
        return self._files[name]

    def token_page(self, *, wrong: bool) -> bytes:
        """The page that asks for the token.

        Args:
            wrong: say that the one that was shown is not right.
        """
        return self._files["token.html"].replace(b" hidden", b"") if wrong else self._files["token.html"]

    @contextmanager
    def viewer(self, what: str) -> Iterator[bool]:
        """A viewer's place in the block: whether there was one.

        Args:
            what: ``stream`` or ``events``; each browser takes one of both.
        """
        with self._guard:
            room = self._watching[what] < self.viewers
            self._watching[what] += room
        try:
            yield room
        finally:
            with self._guard:
                self._watching[what] -= room

    def status(self) -> dict[str, Any]:
        """What runs here and what it sees, ready for JSON."""
        contract = self.uploads.slot.current.contract
        with self._guard:
            watching = max(self._watching.values())
        about = {
            "model": contract.file.path.name,
            "classes": len(contract.labels),
            "camera": self._camera,
            "viewers": {"now": watching, "most": self.viewers},
            "most_upload_bytes": self.max_upload_bytes,
        }
        return about | (self.live.status() if self.live is not None else {})

    def openapi(self) -> dict[str, Any]:
        """The description of the interface, for programs."""
        return openapi(self._options, token=self.access.token is not None)

    def answer_json(self, name: str, answer: Classification) -> bytes:
        """The answer for a posted picture, as ``runtime classify --json`` gives it."""
        return as_json(name, answer).encode("utf-8", "backslashreplace")

    def say(self, line: str) -> None:
        """One line in the log."""
        self._log(f"page: {line}")

    def wrong_token(self, visitor: str) -> None:
        """Say in the log that somebody came with a wrong token; who tries many fills no log."""
        self._said.say(f"page: a wrong token, from {shown(visitor)}", "token")
