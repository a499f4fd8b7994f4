"""Tells that the end of a model file is missing: the interpreter does not need it, but labels and preprocessing do."""

from __future__ import annotations

from runtime.associated_files import associated_files, is_cut_short
from runtime.file_kind import shown
from runtime.flatbuffer import Buffer
from runtime.metadata import read_metadata
from runtime.model_file import ModelFile

# Names that the sentence lists.
_LISTED = 3


def missing_archive(model: ModelFile) -> str | None:
    """In one sentence, that the archive of labels and the like is not there or cut short; None where that is not so.

    It should be there where the metadata announce files in it, and where one begins.

    Raises:
        ModelError: The metadata or the archive are damaged in another way.
    """
    announced = _announced(model)
    if not is_cut_short(model.path, model.data_end) and (not announced or associated_files(model.path)):
        return None
    names = f" with {', '.join(map(shown, announced[:_LISTED]))}" if announced else ""
    return f"the archive{names} behind the model is missing or cut short; copy or download the file again"


def _announced(model: ModelFile) -> tuple[str, ...]:
    """Names of all files that the metadata speak of; field numbers as in ``runtime.metadata``."""
    if model.metadata_blob is None or read_metadata(model) is None:  # which says what is wrong with damaged ones
        return ()
    root = Buffer(model.metadata_blob).root()
    files = root.tables(6)
    for subgraph in root.tables(3)[:1]:
        files += subgraph.tables(4)
        for tensor in (*subgraph.tables(2), *subgraph.tables(3)):
            files += tensor.tables(6)
    return tuple(dict.fromkeys(name for file in files if (name := file.text(0))))
