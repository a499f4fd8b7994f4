"""The page of ``--html``: pictures with their answers in one file that needs nothing else."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from converters.inputs.predictor import Predictor
from runtime.errors import MissingPackageError
from runtime.file_kind import shown
from runtime.preprocess import resize
from runtime.spec import Preprocessing
from toolkit.predict.answers import Answer
from toolkit.predict.page_template import TEMPLATE

if TYPE_CHECKING:
    from PIL.Image import Image

# Longest side of a thumbnail, pixels: sharp in a card of 360 on usual screens, 15-25 kB each.
_THUMBNAIL = 400
_JPEG_QUALITY = 80


@dataclass(frozen=True)
class _Card:
    answer: Answer
    thumbnail: str


@dataclass
class Page:
    """Collects answers; keeps a small JPEG of each picture, not the picture."""

    cards: list[_Card] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def add(self, answer: Answer, image: Image) -> None:
        """A picture, in mode RGB, and its answer."""
        self.cards.append(_Card(answer, thumbnail(image)))

    def skip(self, reason: str) -> None:
        """A picture that could not be used, and why, in one line."""
        self.skipped.append(reason)

    def render(self, predictor: Predictor) -> bytes:
        """The page as UTF-8.

        Raises:
            MissingPackageError: jinja2 is not installed.
        """
        try:
            from jinja2 import Environment, StrictUndefined
        except ModuleNotFoundError as error:
            raise MissingPackageError("--html needs jinja2: pip install 'edge-export-toolkit[train]'") from error
        environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        environment.filters["shown"] = shown
        text = environment.from_string(TEMPLATE).render(
            cards=self.cards,
            skipped=self.skipped,
            what=predictor.what,
            classes=len(predictor.labels),
            multi_label=predictor.task == "multi-label",
            nothing="no label" if predictor.task == "multi-label" else "unknown",
        )
        return text.encode("utf-8", "backslashreplace")


def thumbnail(image: Image) -> str:
    """A picture in mode RGB as a ``data:`` address of a JPEG."""
    from PIL import Image as module

    scale = min(1.0, _THUMBNAIL / max(image.size))
    width, height = (max(1, round(side * scale)) for side in image.size)
    stream = io.BytesIO()
    module.fromarray(resize(image, Preprocessing(height, width))).save(stream, "JPEG", quality=_JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
