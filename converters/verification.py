"""What a verification found: the proofs of a file, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from converters.verify import Run

State = Literal["ok", "failed", "not done"]


@dataclass(frozen=True)
class Check:
    """One proof: its name, how it went, and in words what was found."""

    name: str
    state: State
    text: str


@dataclass(frozen=True)
class Verification:
    """All proofs of a file.

    Attributes:
        path: of the file.
        kind: what it is called.
        against: what it was compared with, in words.
        size: bytes.
        checks: the proofs.
        compared: whether there was a trained model; without one agreement and drop say nothing.
        runs: on each interpreter that ran it.
    """

    path: Path
    kind: str
    against: str
    size: int
    compared: bool
    checks: tuple[Check, ...]
    runs: tuple[Run, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """The proofs that do not hold."""
        return tuple(check for check in self.checks if check.state == "failed")

    def to_json(self) -> dict[str, Any]:
        """For ``toolkit verify --json``."""
        return {
            "file": str(self.path),
            "kind": self.kind,
            "bytes": self.size,
            "against": self.against,
            "compared": self.compared,
            "passed": not self.failed,
            "checks": [{"name": c.name, "state": c.state, "text": c.text} for c in self.checks],
            "runs": [run.to_json() for run in self.runs],
        }
