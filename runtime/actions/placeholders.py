"""What stands in the commands of ``--on`` for an answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.actions.action import Seen

#: Label, its score (0.000 to 1.000), the picture's path or the camera, the frame's number, when it was taken (UTC).
PLACEHOLDERS = ("label", "score", "source", "frame", "time")
_PLACEHOLDER = re.compile(r"\{(" + "|".join(PLACEHOLDERS) + r")\}")


def fill_in(words: Sequence[str], seen: Seen, label: str) -> tuple[str, ...]:
    """The command for one answer: placeholders in its words are filled in, other braces stay."""
    from runtime.actions.appearing import score_of
    from runtime.results import utc_time

    values = {
        "label": label,
        "score": f"{score_of(seen, label):.3f}",
        "source": seen.frame.source,
        "frame": str(seen.frame.number),
        "time": utc_time(seen.frame.time),
    }
    return tuple(_PLACEHOLDER.sub(lambda found: values[found[1]], word) for word in words)
