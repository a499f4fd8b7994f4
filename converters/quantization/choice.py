"""Ways to quantise that were tried, and which of them is taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["int8", "mixed", "int16x8"]
# Files whose sizes differ by no more than this share are of one size: they differ in scales and biases.
_SAME_SIZE = 0.01
# A drop is a difference of shares: 2.0 may come as a hair more.
_HAIR = 1e-9


@dataclass(frozen=True)
class Loss:
    """What a file loses against the trained model.

    Attributes:
        drop: points of accuracy (per cent) on the check pictures, or of agreement where their truth is not known.
        may_be_chance: whether the pictures that got worse are so few that nothing is sure; see ``converters.paired``.
    """

    drop: float
    may_be_chance: bool = False

    def is_within(self, limit: float) -> bool:
        """Whether it is no more than so many points, chance aside."""
        return self.drop <= limit + _HAIR

    def __str__(self) -> str:
        return f"loses {self.drop:.1f} points" + (", which may be chance" if self.may_be_chance else "")


@dataclass(frozen=True)
class Attempt:
    """A way that was tried.

    Attributes:
        scheme: in words, for people.
        kind: what the file may be called: ``mixed`` has float layers.
        size: bytes; 0 where no file came of it.
        loss: None where no file came of it.
        error: why not, in one line.
        accepted: whether the loss is within the limit, or may be chance.
        kept_wide: names of the float tensors whose layers a mixed file keeps in float.
    """

    scheme: str
    kind: Kind
    size: int
    loss: Loss | None
    error: str = ""
    accepted: bool = False
    kept_wide: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """For export.json."""
        return {
            "scheme": self.scheme,
            "kind": self.kind,
            "bytes": self.size,
            "accuracy_drop": None if self.loss is None else self.loss.drop,
            "may_be_chance": self.loss is not None and self.loss.may_be_chance,
            "error": self.error or None,
            "accepted": self.accepted,
            "kept_wide": list(self.kept_wide),
        }


@dataclass(frozen=True)
class Choice:
    """The file that was taken.

    Attributes:
        content: a ``.tflite`` file without metadata.
        attempt: how it was made.
        attempts: all that were tried, in order.
        reason: why this one, in a sentence.
    """

    content: bytes
    attempt: Attempt
    attempts: tuple[Attempt, ...]
    reason: str


@dataclass
class Tried:
    """Attempts, and the file of each, empty where none came of it."""

    attempts: list[Attempt] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)

    def within(self, limit: float) -> bool:
        """Whether some file loses no more than so many points; one whose loss may be chance is no reason to stop."""
        return any(attempt.loss is not None and attempt.loss.is_within(limit) for attempt in self.attempts)


def choose(tried: Tried, limit: float) -> Choice:
    """The smallest file within the limit, else of those whose loss may be chance, else the one that loses least."""
    losses = {n: attempt.loss for n, attempt in enumerate(tried.attempts) if attempt.loss is not None}
    within = [n for n, loss in losses.items() if loss.is_within(limit)]
    accepted = [n for n in losses if tried.attempts[n].accepted]

    candidates = within or accepted
    if candidates:
        least = min(tried.attempts[n].size for n in candidates)
        candidates = [n for n in candidates if tried.attempts[n].size <= least * (1 + _SAME_SIZE)]
    number = min(candidates or losses, key=lambda n: (losses[n].drop, tried.attempts[n].size, n))
    scheme, drop = tried.attempts[number].scheme, losses[number].drop
    if within:
        which = "the only file" if len(within) == 1 else f"the smallest of {len(within)} files"
        reason = f"{scheme}: {which} within {limit:g} points ({drop:.1f} lost)"
    elif accepted:
        reason = f"{scheme}: loses {drop:.1f} points, more than {limit:g}, on so few pictures that it may be chance"
    else:
        reason = f"{scheme}: loses least, {drop:.1f} points, which is more than {limit:g}"
    if number:
        reason += f"; {tried.attempts[0].scheme} loses {losses[0].drop:.1f}"
    return Choice(tried.files[number], tried.attempts[number], tuple(tried.attempts), reason)
