"""What the page shows of the camera: the newest answer, the pace, the last changes."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from typing import Any

from runtime.actions.action import Seen
from runtime.answers import STAGES
from runtime.results import utc_time

# Frames a second are measured over this long, seconds; and changes are remembered up to this many.
_RATE_SECONDS = 3.0
_CHANGES = 50
# Share of the newest frame in the mean that is shown of each stage: about the last second of a camera.
_SHARE = 0.1
_USER = re.compile(r"(?<=://)[^/\s]*@")
_QUERY = re.compile(r"(://[^\s?]*)\?[^\s:]*")


class Live:
    """An ``Action`` that keeps the newest answer for whoever looks at it.

    The camera's loop writes down a reference and goes on. Viewers wait here, each on its own thread, and never hold
    the loop up: who is slow misses frames.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._seen: Seen | None = None
        self._moments: deque[float] = deque(maxlen=1000)
        self._means: dict[str, float] = {}
        self._changes: deque[dict[str, Any]] = deque(maxlen=_CHANGES)
        self._changes_count = 0
        self._note: dict[str, Any] | None = None
        self._ended = False

    def handle(self, seen: Seen) -> None:
        """Keep the answer."""
        values = {name: getattr(seen.answer.milliseconds, name) for name in STAGES} | {"age": seen.age_ms}
        with self._changed:
            self._seen = seen
            self._moments.append(time.monotonic())
            for name, value in values.items():
                before = self._means.get(name, value)
                self._means[name] = before + _SHARE * (value - before)
            if seen.changed:
                self._changes.append(_change(seen))
                self._changes_count += 1
            self._changed.notify_all()

    def close(self) -> None:
        """No frame comes any more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def note(self, line: str) -> None:
        """Keep the last line of the log, which says what happens to the camera."""
        with self._changed:
            self._note = {"time": utc_time(time.time()), "text": without_logins(line)}
            self._changed.notify_all()

    def newer_than(self, before: Seen | None, seconds: float) -> Seen | None:
        """The newest answer, as soon as it is another than ``before``; at the latest after ``seconds``."""
        with self._changed:
            self._changed.wait_for(lambda: self._seen is not before, seconds)
            return self._seen

    @property
    def empty(self) -> bool:
        """Whether no frame has come yet."""
        return self._seen is None

    @property
    def ended(self) -> bool:
        """Whether the source has come to its end."""
        return self._ended

    def status(self) -> dict[str, Any]:
        """Pace, mean times and the newest answer, ready for JSON."""
        with self._changed:
            seen, note, means = self._seen, self._note, dict(self._means)
            moments = list(self._moments)
            changes = self._changes_count
        return {
            "frames_per_second": round(_rate(moments, time.monotonic()), 2),
            "seconds_since_frame": round(time.monotonic() - moments[-1], 2) if moments else None,
            "ended": self._ended,
            "milliseconds": {name: round(value, 2) for name, value in means.items()},
            "answer": None if seen is None else _answer(seen),
            "changes": changes,
            "note": note,
        }

    def changes(self) -> list[dict[str, Any]]:
        """The last changes, newest first, ready for JSON."""
        with self._changed:
            return list(reversed(self._changes))


def without_logins(text: str) -> str:
    """A text without what lets one into the URLs in it: viewers need not know names, passwords and tokens."""
    return _QUERY.sub(r"\1?...", _USER.sub("", text))


def _rate(moments: list[float], now: float) -> float:
    recent = [moment for moment in moments if now - moment <= _RATE_SECONDS]
    return (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 and recent[-1] > recent[0] else 0.0


def _change(seen: Seen) -> dict[str, Any]:
    scores = {p.label: round(p.score, 4) for p in seen.answer.predictions}
    return {
        "time": utc_time(seen.frame.time),
        "frame": seen.frame.number,
        "labels": [{"label": label, "score": scores.get(label)} for label in seen.answer.labels],
    }


def _answer(seen: Seen) -> dict[str, Any]:
    frame, answer = seen.frame, seen.answer
    return {
        "time": utc_time(frame.time),
        "source": without_logins(frame.source),
        "frame": frame.number,
        "task": seen.task,
        "predictions": [
            {"class_id": p.class_id, "label": p.label, "score": round(p.score, 4)} for p in answer.predictions
        ],
        "labels": list(answer.labels),
        "unknown": answer.unknown,
    }
