"""A model is loaded and run once in a process of its own, so that a crash is a message.

For what runs for long, a camera's loop, the live page, and a model that takes another's place while they run: they
have no parent that outlives them (see ``runtime.guard``), but a model that has run once on a picture of its input's
size runs on every other.
"""

from __future__ import annotations

from typing import Any

from runtime.child import ChildDied, Tell, run_in_child
from runtime.errors import ModelError
from runtime.file_kind import shown
from runtime.load_request import LoadRequest

# Seconds for one start of Python, one load and one run; the slowest devices and models take a quarter of it.
_PATIENCE = 120.0


def try_model(request: LoadRequest, nice: int = 0) -> None:
    """Load a model and run it once, in a child process.

    Args:
        request: which file, and how it is loaded.
        nice: how far the child stands back behind other processes, as ``nice(1)`` counts; POSIX only.

    Raises:
        ModelError: it crashes the interpreter, does not answer, or cannot be used.
        EdgeExportError: whatever else its loading raises.
    """
    try:
        run_in_child("runtime.trial:load_and_run", request.to_json() | {"nice": nice}, _PATIENCE)
    except ChildDied as died:
        name = shown(request.path)
        if died.how == "crashed (SIGKILL)":
            text = f"{name}: killed when it was tried, most likely for lack of memory; use a smaller model"
        elif died.how.startswith("crashed "):
            crash = died.how.removeprefix("crashed ")
            text = f"{name}: crashes the interpreter {crash}; convert the model again, or fetch it again"
        else:
            text = f"{name}: the model {died.how}{': ' if died.words else ''}{died.words}"
        raise ModelError(text) from died
    except OSError as error:
        raise ModelError(
            f"{shown(request.path)}: cannot be tried before it is used, for no process can be started: "
            f"{error.strerror or error}; end other programs, or raise the limit of processes"
        ) from error


def load_and_run(request: dict[str, Any], _tell: Tell) -> None:
    """The child's work: the model looks at a grey picture once."""
    import os

    import numpy as np

    if request["nice"] and hasattr(os, "nice"):
        os.nice(request["nice"])
    classifier = LoadRequest.from_json(request).load()
    pixels = classifier.contract.preprocessing
    classifier.classify(np.full((pixels.height, pixels.width, 3), 127, np.uint8))
