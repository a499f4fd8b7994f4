"""What actions beside the printed answers can be told, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class SaveOptions:
    """Which pictures are kept, and where.

    Attributes:
        folder: gets a folder for each label.
        uncertain_below: keep only what is answered ``unknown`` or with a lower score; None keeps all.
        limit: bytes that the pictures kept may take; None means no limit.
        pause: seconds between two of one label; 0 keeps every picture.
    """

    folder: Path
    uncertain_below: float | None = None
    limit: int | None = None
    pause: float = 0.0


@dataclass(frozen=True)
class CommandRule:
    """A command that a label starts.

    Attributes:
        label: that starts it when it appears; ``unknown`` means that no label holds.
        words: the command and its arguments; ``{label}``, ``{score}`` and the like in them are filled in.
        pause: seconds between two starts.
        timeout: seconds after which it is killed.
    """

    label: str
    words: tuple[str, ...]
    pause: float = 1.0
    timeout: float = 30.0


@dataclass(frozen=True)
class MqttTarget:
    """Where answers are published.

    Attributes:
        host: of the broker.
        port: of the broker.
        topic: under which everything is published.
        tls: whether the connection is encrypted.
        user: to log in with; None for none.
        password: the same.
        discovery: Home Assistant's discovery prefix; empty tells Home Assistant nothing.
    """

    host: str
    port: int
    topic: str
    tls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    discovery: str = "homeassistant"
