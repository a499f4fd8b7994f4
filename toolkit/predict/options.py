"""What ``toolkit predict`` can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from runtime.errors import UsageError
from runtime.spec import ResampleFilter


@dataclass(frozen=True)
class Hints:
    """What the user says about a model that does not say it itself; None leaves it to the model or to a guess.

    Attributes:
        labels: a file with one label a line, or ``imagenet`` for the names that come with the toolkit.
        input_layer: tensor or operation that takes the picture, with or without ``:0``.
        output_layer: tensor or operation that gives the scores.
        mean: subtracted from 0..255 pixels; one number, or three.
        std: what the difference is divided by; one number, or three.
        height: of the input, pixels.
        width: of the input, pixels.
        resample: resize filter.
    """

    labels: str | None = None
    input_layer: str | None = None
    output_layer: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    height: int | None = None
    width: int | None = None
    resample: ResampleFilter | None = None

    def refuse(self, allowed: frozenset[str], what: str) -> None:
        """Make sure that nothing was said but what is in ``allowed``.

        Raises:
            UsageError: an option that this kind of model does not take.
        """
        flags = {"labels": "--labels", "mean": "--input-mean", "std": "--input-std", "height": "--input-height"}
        flags |= {"width": "--input-width", "input_layer": "--input-layer", "output_layer": "--output-layer"}
        flags |= {"resample": "--resample"}
        for name, flag in flags.items():
            if name not in allowed and getattr(self, name) is not None:
                raise UsageError(f"{flag} has no place with {what}; leave it out")


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
