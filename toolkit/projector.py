"""Files for TensorBoard's embedding projector: features, what they belong to, and thumbnails."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.atomic import write_bytes
from runtime.file_kind import shown

CONFIG_FILE = "projector_config.pbtxt"
_FEATURES_FILE, _METADATA_FILE, _SPRITE_FILE = "features.bytes", "metadata.tsv", "sprite.png"
# Largest picture that every WebGL 1 device takes as one texture is 4096, and TensorBoard's own limit is 8192
# (tensorboard/plugins/projector/vz_projector/data-provider.ts).
_SPRITE_SIDE = 8192


@dataclass(frozen=True)
class Embeddings:
    """What the projector shows: one point a picture.

    Attributes:
        features: float32 (pictures, features).
        paths: of the pictures.
        labels: of the pictures, as text.
        answers: the model's, as text.
        thumbnails: uint8 (pictures, height, width, 3), or None.
    """

    features: NDArray[np.float32]
    paths: Sequence[Path]
    labels: Sequence[str]
    answers: Sequence[str]
    thumbnails: NDArray[np.uint8] | None = None


def write_embeddings(folder: Path, embeddings: Embeddings) -> None:
    """Write the projector's files into a folder of TensorBoard's.

    Raises:
        DataError: the folder cannot be written.
    """
    features = np.ascontiguousarray(embeddings.features, "<f4")
    write_bytes(folder / _FEATURES_FILE, features.tobytes())
    rows = [("label", "answer", "file")]
    columns = zip(embeddings.labels, embeddings.answers, embeddings.paths, strict=True)
    rows += [(_cell(label), _cell(answer), _cell(shown(path))) for label, answer, path in columns]
    text = "".join("\t".join(row) + "\n" for row in rows)
    write_bytes(folder / _METADATA_FILE, text.encode("utf-8", "backslashreplace"))
    sprite = None if embeddings.thumbnails is None else _sprite(embeddings.thumbnails)
    if sprite is not None:
        write_bytes(folder / _SPRITE_FILE, sprite)
    write_bytes(folder / CONFIG_FILE, _config(features.shape, sprite is not None, embeddings.thumbnails).encode())


def _config(shape: tuple[int, ...], sprite: bool, thumbnails: NDArray[Any] | None) -> str:
    """A ``ProjectorConfig`` as text (tensorboard/plugins/projector/projector_config.proto)."""
    lines = ['tensor_name: "features"', f'tensor_path: "{_FEATURES_FILE}"']
    lines += [f"tensor_shape: {size}" for size in shape]
    lines.append(f'metadata_path: "{_METADATA_FILE}"')
    if sprite and thumbnails is not None:
        height, width = thumbnails.shape[1:3]
        lines.append(f'sprite {{ image_path: "{_SPRITE_FILE}" single_image_dim: {width} single_image_dim: {height} }}')
    return "embeddings {\n" + "".join(f"  {line}\n" for line in lines) + "}\n"


def _sprite(thumbnails: NDArray[np.uint8]) -> bytes | None:
    """All thumbnails in one square of rows, as the projector wants them; None where they are too many for one."""
    from PIL import Image

    count, height, width = thumbnails.shape[:3]
    columns = int(np.ceil(np.sqrt(count)))
    if not count or columns * max(height, width) > _SPRITE_SIDE:
        return None
    sheet = np.full((columns * height, columns * width, 3), 255, np.uint8)
    for number, thumbnail in enumerate(thumbnails):
        top, left = number // columns * height, number % columns * width
        sheet[top : top + height, left : left + width] = thumbnail
    stream = io.BytesIO()
    Image.fromarray(sheet).save(stream, "png")
    return stream.getvalue()


def _cell(text: str) -> str:
    """A text for a column of a table that knows no quoting."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split()) or "-"
