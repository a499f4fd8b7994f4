"""Which labels hold, as the options that name labels mean it."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from runtime.actions.action import Seen
from runtime.errors import UsageError
from runtime.file_kind import shown

#: What users call it when no label holds.
UNKNOWN = "unknown"


def holding(seen: Seen) -> tuple[str, ...]:
    """The labels that hold, ``unknown`` where none does."""
    return seen.answer.labels or (UNKNOWN,)


def score_of(seen: Seen, label: str) -> float:
    """Its score, 0..1; of ``unknown`` the best score that there is."""
    for position, name in enumerate(seen.labels):
        if name == label:
            return float(seen.scores[position])
    return float(seen.scores.max(initial=0.0))


def check_label(option: str, label: str, labels: Sequence[str]) -> None:
    """Refuse a label that the model never answers.

    Args:
        option: that names it.
        label: the label, or ``unknown``.
        labels: of the model.

    Raises:
        UsageError: the model has no such label.
    """
    if label in labels or label == UNKNOWN:
        return
    near = get_close_matches(label, [*labels, UNKNOWN], 1)
    advice = f"; is {shown(near[0])} meant?" if near else "; runtime info MODEL shows its labels"
    raise UsageError(f"{option} {shown(label)}: the model has no such label{advice}")
