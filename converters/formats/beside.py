"""Labels and specification in files of their own, beside a model whose format has no place for them."""

from __future__ import annotations

from pathlib import Path

from converters.atomic import write_bytes
from converters.bundle import LABELS_FILE
from runtime.errors import ModelError
from runtime.spec import SPEC_FILE_NAME, ModelSpec


def labels_and_spec(spec: ModelSpec) -> dict[str, bytes]:
    """``labels.txt``, one label a line in the order of the scores, and ``spec.json``: name -> content.

    Raises:
        ModelError: a label that is no Unicode text.
    """
    try:
        return {LABELS_FILE: spec.labels.as_lines().encode(), SPEC_FILE_NAME: spec.to_json().encode()}
    except UnicodeEncodeError as error:  # a folder's name in another encoding comes as lone surrogates
        raise ModelError(f"the specification holds a name that is no Unicode text: {error}") from error


def write_beside(spec: ModelSpec, folder: Path, stem: str) -> list[Path]:
    """Write ``STEM_labels.txt`` and ``STEM_spec.json``; each is whole or as it was before.

    Raises:
        ModelError: a label that is no Unicode text.
        DataError: the files cannot be written.
    """
    files = {folder / f"{stem}_{name}": data for name, data in labels_and_spec(spec).items()}
    for path, data in files.items():
        write_bytes(path, data)
    return list(files)
