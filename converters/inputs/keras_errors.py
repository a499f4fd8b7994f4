"""What is wrong with a Keras file that Keras does not load, in one line for people; nothing of the file is run."""

from __future__ import annotations

import json
import re
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from runtime.errors import first_line, one_line
from runtime.file_kind import shown

_CONFIG, _H5_CONFIG = "config.json", "model_config"
# What Keras writes for its own classes, and for Python's functions and types.
_KNOWN = re.compile(r"(keras|builtins)(\.|$)")
# How Keras says that it does not know a class or function, or takes none of that kind.
_UNKNOWN = re.compile(
    r"Unknown (?:\w+ ?)+: '([^'\n]*)'|Could not locate (?:class|function) '([^'\n]*)'|"
    r"Could not deserialize '([^'\n]*)' because"
)
# Where Keras was thrown out of step by what stands where a name or object should be.
_MALFORMED = (TypeError, AttributeError, KeyError, IndexError, RecursionError)
_ADVICE = "nothing of it was run; save the model with Keras's own layers alone"
_LONGEST = 200


def why_not_loaded(path: Path, error: Exception) -> str:
    """In half a sentence.

    Args:
        path: of the file.
        error: of ``keras.saving.load_model``.
    """
    text = str(error)
    if "No model config found" in text or "model_config" in first_line(error):
        return "it holds weights and no model; `--architecture NAME --model-dir DIR` takes Keras's weight files"
    if "unsafe" in text.lower() or "safe_mode" in first_line(error):
        return "it carries Python code (a Lambda layer), which is not run; save the model without it"
    with suppress(Exception):  # no config, no JSON, too deep: then Keras's own words must do
        if odd := _odd_object(_config(path)):
            return f"it names {odd}; {_ADVICE}"
    if unknown := _UNKNOWN.search(text):
        name = next(group for group in unknown.groups() if group is not None)
        return f"it names {_short(name)!r}, which is no layer or function of Keras's; {_ADVICE}"
    said = first_line(error)
    if "nable to " in said and not zipfile.is_zipfile(path):  # of HDF5, whose numbers of bytes and driver tell nobody
        return "it is damaged or cut short; copy it again"
    if isinstance(error, _MALFORMED):
        return f"the description of the model in it is damaged ({_short(said)}); save the model anew"
    cause = text.partition("Exception encountered: ")[2]  # Keras ends a page on one layer with it
    return _short(cause.strip().splitlines()[0] if cause.strip() else said)


def _config(path: Path) -> Any:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(_CONFIG))
    import h5py

    with h5py.File(path, "r") as file:
        return json.loads(file.attrs[_H5_CONFIG])


def _odd_object(config: Any) -> str | None:
    """The first object in a description that is of no module of Keras's, in words."""
    queue = [config]
    for value in queue:  # grows while it is walked
        queue += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        if not isinstance(value, dict) or not {"class_name", "module"} <= value.keys():
            continue
        name, module = value["class_name"], value["module"]
        if not isinstance(name, str) or not (module is None or isinstance(module, str)):
            return f"{_short(repr(name))} of the module {_short(repr(module))}, which are no names"
        registered = str(value.get("registered_name") or "")
        if module is None and ">" in registered:
            return f"{_short(registered)!r}, a class of somebody's own"
        if module is not None and not _KNOWN.match(module):
            return f"{_short(name)!r} of the module {_short(module)!r}, which is no part of Keras"
    return None


def _short(text: str) -> str:
    line = shown(one_line(text))
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."
