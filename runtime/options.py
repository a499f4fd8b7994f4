"""What ``runtime classify`` and its like can be told, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path

from runtime.answers import AnswerRules
from runtime.contract import Overrides
from runtime.records import dataclass
from runtime.sources.open import CameraOptions


@dataclass(frozen=True)
class ModelOptions:
    """Which model, and how it is run.

    Attributes:
        model: a ``.tflite`` file, or a folder of exports; None for ``./model``.
        overrides: what the user says about it.
        threads: of the interpreter; None takes all processors, at most four.
    """

    model: Path | None = None
    overrides: Overrides = field(default_factory=Overrides)
    threads: int | None = None


@dataclass(frozen=True)
class OutputOptions:
    """What is done with answers.

    Attributes:
        json: one JSON object a line instead of text.
    """

    json: bool = False


@dataclass(frozen=True)
class ClassifyOptions:
    """Everything that ``runtime classify`` can be told; see its ``--help``.

    Attributes:
        paths: pictures and folders; empty with a camera.
        camera: instead of pictures.
        model: which model.
        rules: which answers are wanted.
        outputs: what is done with them.
    """

    paths: tuple[str, ...] = ()
    camera: CameraOptions | None = None
    model: ModelOptions = field(default_factory=ModelOptions)
    rules: AnswerRules = field(default_factory=AnswerRules)
    outputs: OutputOptions = field(default_factory=OutputOptions)
