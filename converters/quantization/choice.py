"""Ways to quantise that were tried, and which of them is taken."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from converters.loss import Loss, least_agreement

Kind = Literal["int8", "mixed", "int16x8"]
# Files whose sizes differ by no more than this share are of one size: they differ in scales and biases.
_SAME_SIZE = 0.01


@dataclass(frozen=True)
class Attempt:
    """A way that was tried.

    Attributes:
        scheme: in words, for people.
        kind: what the file may be called: ``mixed`` has float layers.
        size: bytes; 0 where no file came of it.
        loss: None where no file came of it.
        error: why not, in one line.
        accepted: whether the file may be handed over; see ``converters.loss``.
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
            "agreement": None if self.loss is None else self.loss.agreement,
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
        network: the float ``.tflite`` file that it was made from: balanced or finetuned ones are none of the model's.
        attempt: how it was made.
        attempts: all that were tried, in order.
        reason: why this one, in a sentence.
    """

    content: bytes
    network: bytes
    attempt: Attempt
    attempts: tuple[Attempt, ...]
    reason: str


@dataclass
class Tried:
    """Attempts; the file of each, empty where none came of it; and the float network that it was made from."""

    attempts: list[Attempt] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)
    networks: list[bytes] = field(default_factory=list)


def choose(tried: Tried, limit: float) -> Choice:
    """The smallest file within the limit, else of those whose loss may be chance, else the one that misses it least."""
    losses = {n: attempt.loss for n, attempt in enumerate(tried.attempts) if attempt.loss is not None}
    within = [n for n, loss in losses.items() if loss.is_within(limit)]
    excused = [n for n, loss in losses.items() if tried.attempts[n].accepted and loss.is_excused(limit)]
    accepted = [n for n in losses if tried.attempts[n].accepted]

    def rank(n: int) -> tuple[float, float, int, int]:
        loss = losses[n]
        return max(0.0, loss.beyond(limit)), loss.drop or 0.0, tried.attempts[n].size, n

    candidates = _smallest(within or excused, tried)
    number = min(candidates or accepted or losses, key=rank)
    scheme, loss = tried.attempts[number].scheme, losses[number]
    if within:
        which = "the only file" if len(within) == 1 else f"the smallest of {len(within)} files"
        reason = f"{scheme}: {which} within {limit:g} points ({loss})"
    else:
        which = _on_few(loss) if excused else f"which comes nearest ({loss})"
        asked = f"{limit:g} points, {least_agreement(limit):.0%} of the trained model's answers"
        reason = f"{scheme}, {which}; nothing that was tried is within the limit ({asked})"
    if number:
        reason += f"; {tried.attempts[0].scheme} {losses.get(0, 'came to nothing')}"
    return Choice(tried.files[number], tried.networks[number], tried.attempts[number], tuple(tried.attempts), reason)


def _on_few(loss: Loss) -> str:
    pictures = f" ({loss.pictures})" * bool(loss.pictures)
    return f"whose loss may be chance with so few pictures{pictures}: it {replace(loss, may_be_chance=False)}"


def _smallest(numbers: list[int], tried: Tried) -> list[int]:
    """Those of one size with the smallest."""
    least = min((tried.attempts[n].size for n in numbers), default=0)
    return [n for n in numbers if tried.attempts[n].size <= least * (1 + _SAME_SIZE)]
