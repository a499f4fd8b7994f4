"""Which loss of accuracy a file may have, and what is said of one that may be chance."""

from __future__ import annotations

from converters.comparison import Comparison
from converters.options import ConvertOptions
from converters.paired import Paired

# Share of pictures with the model's own answer from which on nobody need be told.
_USUAL_AGREEMENT = 0.9


def is_accepted(drop: float | None, options: ConvertOptions, paired: Paired | None = None) -> bool:
    """Whether a loss may be.

    Args:
        drop: in points; None means that there was nothing to measure it with.
        options: with the limit.
        paired: the pictures behind it: a loss that may be chance is no reason to refuse a file, unless it is larger
            than chance excuses. None lets the drop alone decide.
    """
    return is_accepted_loss(drop, options.max_accuracy_drop, paired)


def is_accepted_loss(drop: float | None, limit: float, paired: Paired | None = None) -> bool:
    """The same with the limit itself, in points."""
    if drop is None or drop <= limit + 1e-9:  # 2.0 as a difference of shares may be a hair more
        return True
    return paired is not None and paired.excuses(drop)


def chance_note(name: str, compared: Comparison, options: ConvertOptions) -> str | None:
    """What to say of a file that is accepted although it loses more than it may; None of any other."""
    paired, drop = compared.paired, compared.accuracy_drop
    if is_accepted(drop, options) or not is_accepted(drop, options, paired):
        return None
    return (
        f"{name} loses {drop:.1f} points, more than the {options.max_accuracy_drop:g} allowed, and is "
        f"kept: {len(paired.worse)} of {compared.accuracy.images} test pictures got worse and {len(paired.better)} "
        f"better, which chance alone gives in {paired.chance:.0%} of all cases; more test pictures would tell"
    )


def remark(name: str, compared: Comparison, options: ConvertOptions) -> str | None:
    """What a user should know of a file that passed."""
    if note := chance_note(name, compared, options):
        return note
    if compared.top1_agreement < _USUAL_AGREEMENT:
        return (
            f"{name} gives the model's own answer to {compared.top1_agreement:.0%} of the pictures only: "
            "try it on pictures that you know"
        )
    return None
