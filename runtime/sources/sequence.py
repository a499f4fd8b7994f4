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
        self.name = shown(pattern)
        self.frame_seconds: float | None = 1 / (fps or _RATE)
        self._names = _Names(pattern)
        first = self._names.first()
        if first is None:
            raise SourceError(f"--camera {self.name}: no such pictures")
        self._next = first
        self._count = -1
        self._path = self._names.path

    def grab(self) -> bool:
        """Step to the next file; False behind the last."""
        path = self._names.file(self._next)
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


class _Names:
    """The names of the files: one number in each, with leading zeros or without."""

    def __init__(self, pattern: str) -> None:
        self.path = Path(pattern)
        place = [*re.finditer(r"%(?:0([1-9]))?d", self.path.name)][-1]
        self._width = int(place[1] or 1)
        self._head, self._tail = self.path.name[: place.start()], self.path.name[place.end() :]

    def file(self, number: int) -> Path:
        return self.path.with_name(f"{self._head}{number:0{self._width}}{self._tail}")

    def first(self) -> int | None:
        """The lowest number that is there."""
        name = re.compile(f"{re.escape(self._head)}([0-9]{{1,18}}){re.escape(self._tail)}")
        try:
            found = [match for match in (name.fullmatch(file.name) for file in self.path.parent.iterdir()) if match]
        except OSError:
            return None
        return min((int(match[1]) for match in found if self.file(int(match[1])).name == match[0]), default=None)
