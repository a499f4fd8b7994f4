"""What ``toolkit predict`` can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from converters.inputs.hints import Hints
from runtime.errors import UsageError


@dataclass(frozen=True)
class PredictOptions:
    """Everything that ``toolkit predict`` can be told; see its ``--help``.

    Attributes:
        paths: pictures, and folders of pictures.
        model: a bundle, ``.keras``, ``.h5``, SavedModel, ``.pb`` or ``.tflite``; None takes ``./model``.
        graph: a frozen graph, whatever its name ends in.
        architecture: an ImageNet network instead of a model.
        model_dir: folder with weights of ``architecture``.
        cache_dir: of the toolkit; None takes the user's.
        hints: about the model.
        top_k: predictions a picture.
        json: one object a line instead of text.
        html: a page to write with pictures and answers.
    """

    paths: tuple[str, ...] = ()
    model: Path | None = None
    graph: Path | None = None
    architecture: str | None = None
    model_dir: Path | None = None
    cache_dir: Path | None = None
    hints: Hints = field(default_factory=Hints)
    top_k: int = 5
    json: bool = False
    html: Path | None = None

    def __post_init__(self) -> None:
        if not self.paths:
            raise UsageError("name pictures or folders of pictures: toolkit predict photo.jpg")
        if self.top_k < 1:
            raise UsageError(f"--top-k must be 1 or more, not {self.top_k}")
        if sum(choice is not None for choice in (self.model, self.graph, self.architecture)) > 1:
            raise UsageError("give one of --model, --graph and --architecture")
        if self.model_dir is not None and self.architecture is None:
            raise UsageError("--model-dir holds weights for --architecture NAME; a trained model is named with --model")
