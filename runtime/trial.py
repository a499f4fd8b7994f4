"""A model is loaded and run once in a process of its own, so that a crash is a message.

For what runs for long, a camera's loop, the live page, and a model that takes another's place while they run: they
have no parent that outlives them (see ``runtime.guard``), but a model that has run once on a picture of its input's
size runs on every other. And for delegates, whose libraries nobody can check.
"""

from __future__ import annotations

from typing import Any

from runtime.child import ChildDied, Tell, run_in_child
from runtime.errors import ModelError, one_line
from runtime.file_kind import shown
from runtime.load_request import LoadRequest

# Seconds for one start of Python, one load and one run; the slowest devices and models take a quarter of it, an Edge
# TPU some more for its firmware.
_PATIENCE = 120.0
# What the child was about to do when it died.
_STEPS = {
    "load": "while it was loaded",
    "prepare": "while it took the model over",
    "run": "while the model ran",
    "unload": "while it was taken down",
}


def try_model(request: LoadRequest, nice: int = 0) -> None:
    """Load a model and run it once, in a child process.

    Args:
        request: which file, and how it is loaded.
        nice: how far the child stands back behind other processes, as ``nice(1)`` counts; POSIX only.

    Raises:
        ModelError: it, or its delegate, crashes the interpreter, does not answer, or cannot be used.
        EdgeExportError: whatever else its loading raises.
    """
    try:
        run_in_child("runtime.trial:load_and_run", request.to_json() | {"nice": nice}, _PATIENCE)
    except ChildDied as died:
        raise ModelError(_obituary(request, died)) from died
    except OSError as error:
        raise ModelError(
            f"{shown(request.path)}: cannot be tried before it is used, for no process can be started: "
            f"{error.strerror or error}; end other programs, or raise the limit of processes"
        ) from error


def _obituary(request: LoadRequest, died: ChildDied) -> str:
    name, words = shown(request.path), one_line(died.words)
    if request.delegate is not None:
        step = _STEPS.get(died.told[-1] if died.told else "", "before it was loaded")
        return (
            f"--delegate {shown(request.delegate.name)}: {died.how} {step}{f' ({words})' if words else ''}; "
            "check that the library fits this system and interpreter, or leave the option out"
        )
    if died.how == "crashed (SIGKILL)":
        return f"{name}: killed when it was tried, most likely for lack of memory; use a smaller model"
    if died.how.startswith("crashed "):
        crash = died.how.removeprefix("crashed ")
        return f"{name}: crashes the interpreter {crash}; convert the model again, or fetch it again"
    return f"{name}: the model {died.how}{f': {words}' if words else ''}"


def load_and_run(request: dict[str, Any], tell: Tell) -> None:
    """The child's work: the model looks at a grey picture once."""
    import os

    import numpy as np

    if request["nice"] and hasattr(os, "nice"):
        os.nice(request["nice"])
    classifier = LoadRequest.from_json(request).load(step=tell)
    pixels = classifier.contract.preprocessing
    tell("run")
    classifier.classify(np.full((pixels.height, pixels.width, 3), 127, np.uint8))
    tell("unload")
    del classifier
