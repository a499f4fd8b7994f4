"""A ``.keras`` file, for people who stay in Keras: the same model gives the same bytes."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from pathlib import Path

from converters.atomic import write_bytes
from converters.formats.beside import write_beside
from converters.formats.tracing import TensorFlowSource
from runtime.errors import ModelError, first_line
from runtime.quiet import quiet_stderr

_METADATA = "metadata.json"
# Keras writes down when it saved; zip archives begin here.
_DATE = "1980-01-01@00:00:00"


def write(source: TensorFlowSource, folder: Path, stem: str) -> list[Path]:
    """Write ``STEM.keras``, with labels and specification beside it.

    The model takes float32 (any batch, height, width, 3), normalised as the specification says.

    Args:
        source: what is converted.
        folder: for the files.
        stem: of their names, which the file system takes.

    Returns:
        The files.

    Raises:
        ModelError: the source is no Keras model, or one that Keras cannot save.
        DataError: the files cannot be written.
    """
    model = source.keras_model()
    if model is None:
        raise ModelError(
            "--formats keras needs a Keras model to begin with (a bundle, a .keras or an .h5 file), "
            "and this is none: saved_model and pb can be had from it where it is one of TensorFlow's"
        )
    path = folder / f"{stem}.keras"
    with tempfile.TemporaryDirectory() as scratch:
        saved = Path(scratch) / "model.keras"
        try:
            with quiet_stderr():
                model.save(saved)
        except Exception as error:  # layers that do not say how they were made, and whatever else comes up in Keras
            raise ModelError(f"Keras cannot save the model: {first_line(error)}") from error
        content = _without_dates(saved.read_bytes())
    write_bytes(path, content)
    return [path, *write_beside(source.spec, folder, stem)]


def _without_dates(archive: bytes) -> bytes:
    """The same archive as if it had been written at the beginning of time."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(out, "w") as new:
        for member in old.infolist():
            data = old.read(member)
            if member.filename == _METADATA:
                data = json.dumps(json.loads(data) | {"date_saved": _DATE}).encode()
            copy = zipfile.ZipInfo(member.filename, date_time=(1980, 1, 1, 0, 0, 0))
            copy.create_system = 3  # Unix on every system, for the same bytes everywhere
            copy.external_attr = 0o644 << 16
            new.writestr(copy, data)  # as Keras has it: stored, not compressed
    return out.getvalue()
