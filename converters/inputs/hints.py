"""What a user can say about a model that does not say it itself."""

from __future__ import annotations

from dataclasses import dataclass

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
        usual_size: height and width where neither the user nor the model says them, pixels; label_image.py's default.
    """

    labels: str | None = None
    input_layer: str | None = None
    output_layer: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    height: int | None = None
    width: int | None = None
    resample: ResampleFilter | None = None
    usual_size: int = 299

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
