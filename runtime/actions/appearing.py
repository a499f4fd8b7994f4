"""Which labels hold, as the options that name labels mean it."""

from __future__ import annotations

from runtime.actions.action import Seen

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
