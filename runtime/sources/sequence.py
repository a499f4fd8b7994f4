"""``--camera 'frames/%05d.jpg'``: numbered pictures as a video, without OpenCV."""

from __future__ import annotations

import re
import time
from pathlib import Path

from runtime.errors import SourceError
from runtime.file_kind import shown
from runtime.images import read_image_bytes
from runtime.sources.frame import Frame, decoded_frame

# What FFmpeg takes for pictures that do not say how fast they follow each other.
_RATE = 25.0


class SequenceSource:
    """A ``FrameSource`` over files whose names count up by one.

    Args:
        pattern: a path with ``%d`` or ``%05d`` in the file's name; the lowest number that is there is the first.
        fps: frames a second, for ``--realtime``; None for 25.

    Raises:
        SourceError: there is no such file.
    """

    live = False

    def __init__(self, pattern: str, fps: float | None = None) -> None:
        self.name = pattern
        self.frame_seconds: float | None = 1 / (fps or _RATE)
        self._next = _first_number(pattern)
        self._count = -1
        self._path = Path(pattern)
        self._file_name = self._path.name

    def grab(self) -> bool:
        """Step to the next file; False behind the last."""
        path = self._path.with_name(self._file_name % self._next)
        if not path.exists():
            return False
        self._path, self._next, self._count = path, self._next + 1, self._count + 1
        return True

    def retrieve(self) -> Frame:
        """Decode the file.

        Raises:
            ImageError: it is damaged.
        """
        started = time.perf_counter()
        data = read_image_bytes(self._path)
        return decoded_frame(self.name, self._count, data, started)

    def close(self) -> None:
        """Nothing is held."""


def _first_number(pattern: str) -> int:
    nothing = SourceError(f"--camera {shown(pattern)}: no such pictures")
    path = Path(pattern)
    try:
        name = re.compile(r"([0-9]+)".join(re.escape(part) for part in re.split(r"%(?:0[1-9])?d", path.name)))
        found = [match for match in (name.fullmatch(file.name) for file in path.parent.iterdir()) if match]
    except (OSError, ValueError, TypeError):  # another %, or no folder
        raise nothing from None
    numbers = [int(match[1]) for match in found if path.name % int(match[1]) == match[0]]
    if not numbers:
        raise nothing
    return min(numbers)
