"""A posted picture: taken out of its request, and classified."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from runtime.answers import AnswerRules
from runtime.errors import ImageError
from runtime.model_slot import ModelSlot
from runtime.sources.frame import Frame

if TYPE_CHECKING:
    from runtime.answers import Classification

# A picture may take so long to come in, and wait so long for its turn, seconds.
BODY_SECONDS, TURN_SECONDS = 60.0, 10.0
# Pictures in memory at a time: one comes in while another is decoded.
_AT_A_TIME = 2
_MOST_PARTS = 8
_TAKEN = "image/..., application/octet-stream, or a form with one file (multipart/form-data)"


class RefusedError(Exception):
    """A request that gets no answer but this one.

    Attributes:
        status: of the answer.
        reason: one sentence for whoever asked.
    """

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass(frozen=True)
class Uploads:
    """Classifies posted pictures with the model in use, one after the other.

    Attributes:
        slot: the model in use.
        rules: which answers are wanted, where the request does not say it.
        most_pixels: a larger picture is refused before it is decoded.
        places: pictures in memory at a time.
        decoding: one picture at a time is decoded.
    """

    slot: ModelSlot
    rules: AnswerRules
    most_pixels: int
    places: threading.Semaphore
    decoding: threading.Lock

    @classmethod
    def of(cls, slot: ModelSlot, rules: AnswerRules, most_pixels: int) -> Uploads:
        """With all places free."""
        return cls(slot, rules, most_pixels, threading.Semaphore(_AT_A_TIME), threading.Lock())

    @contextmanager
    def place(self) -> Iterator[None]:
        """Room in memory for a picture, in the block.

        Raises:
            RefusedError: too many others are before it.
        """
        if not self.places.acquire(timeout=TURN_SECONDS):
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "Too many pictures at a time; try again in a moment.")
        try:
            yield
        finally:
            self.places.release()

    def classify(self, picture: bytes, name: str, rules: AnswerRules) -> Classification:
        """The answer for an encoded picture.

        Raises:
            RefusedError: it is none, is damaged, or too large.
        """
        from runtime.images import open_image

        try:
            with self.decoding:
                width, height = open_image(picture, name).size
                if width * height > self.most_pixels:
                    raise RefusedError(
                        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                        f"The picture has {width} x {height} pixels; at most {self.most_pixels / 1e6:g} million.",
                    )
                model = self.slot.current
                prepared = model.prepare_frame(Frame(name, 0, picture, time.time(), time.monotonic()))
            return model.look(prepared, rules)[0]
        except ImageError as error:
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
        except MemoryError:
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Not enough memory for this picture.") from None

    def rules_of(self, top_k: str | None, threshold: str | None) -> AnswerRules:
        """What a request asks for by ``?top_k=`` and ``?threshold=``.

        Raises:
            RefusedError: a value that cannot be.
        """
        rules = self.rules
        if top_k is not None:
            if not (top_k.isascii() and top_k.isdigit() and len(top_k) < 7 and int(top_k) >= 1):
                raise RefusedError(HTTPStatus.BAD_REQUEST, "top_k must be a whole number, 1 or more.")
            rules = replace(rules, top_k=int(top_k))
        if threshold is not None:
            try:
                value = float(threshold)
            except ValueError:
                value = -1.0
            if not 0 <= value <= 1:
                raise RefusedError(HTTPStatus.BAD_REQUEST, "threshold must be a number from 0 to 1.")
            rules = replace(rules, threshold=value)
        return rules


def body_length(headers: dict[str, list[str]], most_bytes: int) -> int:
    """How long the body of a request is.

    Args:
        headers: values of each header, by its name in lower case.
        most_bytes: a larger one is refused.

    Raises:
        RefusedError: nobody knows, or it is too large.
    """
    lengths = headers.get("content-length", [])
    if "transfer-encoding" in headers or not lengths:
        raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "Send the picture in one piece, with its Content-Length.")
    if len(set(lengths)) != 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "Content-Length must be one whole number.")
    length = int(lengths[0]) if len(lengths[0]) < 16 else most_bytes + 1
    if length > most_bytes:
        raise RefusedError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The picture is too large; at most {most_bytes / 1e6:g} MB."
        )
    if not length:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "The request has no picture: its body is empty.")
    return length


def form_boundary(content_type: str) -> bytes | None:
    """What parts a form; None where the body is the picture itself.

    Raises:
        RefusedError: neither of the two.
    """
    kind, _, rest = content_type.partition(";")
    kind = kind.strip().lower()
    if not kind or kind == "application/octet-stream" or kind.startswith("image/"):
        return None
    if kind == "multipart/form-data":
        for part in rest.split(";"):
            name, _, value = part.strip().partition("=")
            boundary = value.strip('"').encode("latin-1", "replace")
            if name.lower() == "boundary" and 1 <= len(boundary) <= 70:  # RFC 2046, 5.1.1
                return boundary
    hint = " (with curl: -F picture=@photo.jpg)" if kind == "application/x-www-form-urlencoded" else ""
    raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send the picture as {_TAKEN}{hint}.")


def picture_in_form(body: bytes, boundary: bytes) -> bytes:
    """The one file of a form (RFC 7578).

    Raises:
        RefusedError: there is none, or there are several.
    """
    parts = (b"\r\n" + body).split(b"\r\n--" + boundary, _MOST_PARTS + 2)[1:]
    files = []
    for part in parts:
        head, blank, content = part.partition(b"\r\n\r\n")
        if blank and b"filename" in head.lower():
            files.append(content)
    # The form ends in its boundary with two hyphens behind it; what is cut short has none.
    if len(files) != 1 or len(parts) > _MOST_PARTS or not parts[-1].startswith(b"--"):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "The form must be whole and hold one file: the picture.")
    return files[0]
