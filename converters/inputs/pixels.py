"""How pictures become the input of a model that carries no spec: what the user says, else what can be told."""

from __future__ import annotations

from dataclasses import dataclass, replace

from converters.inputs.hints import Hints
from runtime.errors import ModelError, UsageError
from runtime.spec import Preprocessing


@dataclass(frozen=True)
class PixelRange:
    """A guess: the input is ``(x - mean) / std`` of pixels 0..255, and why."""

    mean: float
    std: float
    reason: str


#: label_image.py's defaults of ``--input_mean`` and ``--input_std``.
UNIT_RANGE = PixelRange(0, 255, "pixels as 0..1, the default of label_image.py")
#: The model does the rest itself.
RAW_RANGE = PixelRange(0, 1, "pixels as 0..255, which the model normalises itself")

# A first factor below this is meant for 0..255 pixels (1/255, 1/127.5), one above for 0..1 (TF Hub modules: 2).
_SMALL_FACTOR = 0.1


def range_before(factor: float) -> PixelRange:
    """The input of a model that begins by multiplying with ``factor``."""
    if abs(factor) < _SMALL_FACTOR:
        return RAW_RANGE
    return PixelRange(0, 255, "pixels as 0..1, from which the model goes on itself")


def choose_preprocessing(
    hints: Hints, size: tuple[int | None, int | None], guess: PixelRange, name: str
) -> tuple[Preprocessing, str]:
    """Put the user's word and the guess together.

    Args:
        hints: the user's word.
        size: height and width of the model's input in pixels; None where any will do.
        guess: of mean and std.
        name: of the model, for errors.

    Returns:
        The preprocessing and, for people, what it is and why.

    Raises:
        UsageError: a size the model does not take; values out of range.
    """
    height = _side("--input-height", (hints.height, hints.width), size[0], hints.usual_size, name)
    width = _side("--input-width", (hints.width, hints.height), size[1], hints.usual_size, name)
    mean: tuple[float, ...] = (guess.mean,)
    std: tuple[float, ...] = (guess.std,)
    reason = guess.reason
    if hints.mean is not None or hints.std is not None:
        # One without the other: the other is label_image.py's default, as it was there.
        mean, std = hints.mean or (UNIT_RANGE.mean,), hints.std or (UNIT_RANGE.std,)
        reason = "as you say"
    try:
        chosen = Preprocessing(
            height,
            width,
            resample=hints.resample or "bilinear",
            # One number is taken for all three channels.
            mean=mean,  # type: ignore[arg-type]
            std=std,  # type: ignore[arg-type]
        )
    except ModelError as error:
        raise UsageError(_blamed(hints) or str(error)) from error
    shown_mean, shown_std = (",".join(f"{v:g}" for v in dict.fromkeys(values)) for values in (chosen.mean, chosen.std))
    return chosen, f"{width} x {height}, (x - {shown_mean}) / {shown_std}: {reason}"


def _blamed(hints: Hints) -> str | None:
    """The option whose value no preprocessing takes, and why; None where each will do."""
    said = {"--input-height": "height", "--input-width": "width", "--input-mean": "mean", "--input-std": "std"}
    for flag, attribute in said.items():
        value = getattr(hints, attribute)
        try:
            if value is not None:
                replace(Preprocessing(1, 1), **{attribute: value})
        except ModelError as error:
            given = ",".join(f"{v:g}" for v in value) if isinstance(value, tuple) else value
            return f"{flag} {given}: {error}"
    return None


def _side(flag: str, said: tuple[int | None, int | None], fixed: int | None, usual: int, name: str) -> int:
    """One side: what the model takes, else what is said of it, else of the other side, else the usual number."""
    if said[0] is not None and fixed is not None and said[0] != fixed:
        raise UsageError(f"{flag} {said[0]}: {name} takes {fixed} pixels; leave the option out")
    return next((side for side in (fixed, *said) if side is not None), usual)
