"""``--delegate``: a library that takes a model's operators over, such as the Edge TPU's."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.errors import MissingPackageError, ModelError, UsageError, one_line
from runtime.file_kind import shown

#: What the user calls the Edge TPU's library.
EDGE_TPU = "edgetpu"
# https://coral.ai/docs/edgetpu/tflite-python/#load-tensorflow-lite-and-run-an-inference
_EDGE_TPU_LIBRARIES = {"linux": "libedgetpu.so.1", "darwin": "libedgetpu.1.dylib", "win32": "edgetpu.dll"}
# Where options begin; a drive letter's colon, or one in an option's value, is followed by no such thing.
_OPTIONS = re.compile(r":(?=[\w.-]+=)")


@dataclass(frozen=True)
class Delegate:
    """A delegate and its options.

    Attributes:
        name: as the user wrote it.
        library: path, or a name that the system's loader finds.
        options: handed to the library as text; what they mean is written in its own documentation.
    """

    name: str
    library: str
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Delegate:
        """Read ``edgetpu|PATH[:key=value,...]``.

        Raises:
            UsageError: no such file, or options that are none.
        """
        library, options = _split(text)
        if not library:
            raise UsageError("--delegate is empty; name edgetpu or the path of a library")
        pairs: list[tuple[str, str]] = []
        for part in options.split(",") if options else ():
            key, equals, value = part.partition("=")
            if not key or not equals:
                raise UsageError(f"--delegate {shown(text)}: its options are key=value,key=value, not {shown(part)}")
            if key in dict(pairs):
                raise UsageError(f"--delegate {shown(text)}: says {shown(key)} twice")
            pairs.append((key, value))
        return cls(text, _library(library, text), tuple(pairs))


def _split(text: str) -> tuple[str, str]:
    """Library and options; a file whose own name looks as if it had options is that file."""
    if Path(text).is_file():
        return text, ""
    places = [found.start() for found in _OPTIONS.finditer(text)]
    place = next((p for p in reversed(places) if Path(text[:p]).is_file()), places[0] if places else len(text))
    return text[:place], text[place + 1 :]


def _library(name: str, text: str) -> str:
    if name == EDGE_TPU:
        return _EDGE_TPU_LIBRARIES.get(sys.platform, _EDGE_TPU_LIBRARIES["linux"])
    if Path(name).is_file():
        return str(Path(name).absolute())
    if Path(name).name != name:
        raise UsageError(f"--delegate {shown(text)}: no such file: {shown(name)}")
    return name  # the system's loader looks for it


def load_library(delegate: Delegate, interpreters_load: Any) -> Any:
    """The delegate as an interpreter takes it.

    Args:
        delegate: which.
        interpreters_load: ``load_delegate`` of the interpreter's package.

    Raises:
        MissingPackageError: the Edge TPU's library is not installed.
        ModelError: the library cannot be loaded, is no delegate, or refuses.
    """
    name = f"--delegate {shown(delegate.name)}"
    try:
        return interpreters_load(delegate.library, dict(delegate.options))
    except OSError as error:
        text = one_line(error)
        if delegate.library in _EDGE_TPU_LIBRARIES.values():
            raise MissingPackageError(
                f"{name}: the Edge TPU's library is not installed or does not load ({text}): "
                "sudo apt install libedgetpu1-std, from https://coral.ai/software"
            ) from error
        raise ModelError(f"{name}: the library does not load: {text}") from error
    except AttributeError as error:
        raise ModelError(f"{name}: is no TFLite delegate: it has no function tflite_plugin_create_delegate") from error
    except ValueError as error:
        said = one_line(error).removeprefix(f"Failed to load delegate from {one_line(delegate.library)}").strip()
        raise ModelError(f"{name}: the delegate refuses: {said or 'it does not say why'}") from error
