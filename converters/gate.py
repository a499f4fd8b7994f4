"""What is said of a file that loses more than it should, accepted or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from converters.comparison import Comparison
from converters.loss import USUAL_AGREEMENT, Loss
from converters.paired import Paired


def refusal(name: str, compared: Comparison, limit: float) -> str | None:
    """Why a file is not kept, without advice; None where it is.

    Args:
        name: of the file, for people.
        compared: its answers.
        limit: points that it may lose.
    """
    loss = Loss.of(compared)
    if loss.is_accepted(limit):
        return None
    if loss.drop is not None and not loss.drop_is_within(limit) and not loss.may_be_chance:
        return (
            f"{name} loses {loss.drop:.1f} points on the {compared.accuracy.images} test pictures, more than the "
            f"{limit:g} allowed, and was not kept"
        )
    lost = "" if loss.drop is None else f", whatever its accuracy (it loses {loss.drop:.1f} points)"
    return (
        f"{name} gives the model's own answer to {compared.top1_agreement:.0%} of {loss.pictures} pictures only: it "
        f"has collapsed{lost}, and was not kept"
    )


def remarks(name: str, compared: Comparison, limit: float) -> list[str]:
    """All that a user should know of a file that passed."""
    return remarks_in(name, compared.to_json(), limit)


def remarks_in(name: str, entry: Mapping[str, Any], limit: float) -> list[str]:
    """The same of what ``Comparison.to_json`` gave."""
    loss, said = Loss.from_json(entry), []
    if loss.drop is not None and not loss.drop_is_within(limit) and loss.is_accepted(limit):
        paired = Paired.from_json(entry["changed"])
        said.append(
            f"{name} loses {loss.drop:.1f} points, more than the {limit:g} allowed, and is "
            f"kept: {len(paired.worse)} of {entry['accuracy']['images']} test pictures got worse and "
            f"{len(paired.better)} better, which chance alone gives in {paired.chance:.0%} of all cases; more test "
            "pictures would tell"
        )
    if loss.agreement < USUAL_AGREEMENT and loss.is_accepted(limit):
        said.append(
            f"{name} gives the model's own answer to {entry['top1_agreement']:.0%} of the pictures only: "
            "try it on pictures that you know"
        )
    return said
