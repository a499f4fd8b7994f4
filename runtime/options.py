"""What ``runtime classify`` and its like can be told, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.answers import AnswerRules
from runtime.contract import Overrides

if TYPE_CHECKING:  # a dataclass takes a millisecond to make: who asks for one picture does not wait for those of others
    from runtime.actions.options import CommandRule, MqttTarget, SaveOptions
    from runtime.delegates import Delegate
    from runtime.sources.open import CameraOptions
    from runtime.xnnpack import Xnnpack


@dataclass(frozen=True)
class ModelOptions:
    """Which model, and how it is run.

    Attributes:
        model: a ``.tflite`` file, or a folder of exports; None for ``./model``.
        overrides: what the user says about it.
        threads: of the interpreter; None takes all processors, at most four.
        xnnpack: whether XNNPACK does the arithmetic.
        delegate: a library that takes operators over.
        autotune: measure which threads and XNNPACK are quickest, as far as they are not given.
    """

    model: Path | None = None
    overrides: Overrides = field(default_factory=Overrides)
    threads: int | None = None
    xnnpack: Xnnpack = "auto"
    delegate: Delegate | None = None
    autotune: bool = False


@dataclass(frozen=True)
class OutputOptions:
    """What is done with answers.

    Attributes:
        json: one JSON object a line instead of text.
        csv: a file that gets one row for each answer.
        save: where pictures are kept, and which.
        window: show a camera's frames in a window.
        on: commands that labels start.
        mqtt: where a camera's answers are published.
        gpio: labels, each with the pin that is on while it holds; a label may have several, and a pin.
    """

    json: bool = False
    csv: Path | None = None
    save: SaveOptions | None = None
    window: bool = False
    on: tuple[CommandRule, ...] = ()
    mqtt: MqttTarget | None = None
    gpio: tuple[tuple[str, str], ...] = ()


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
