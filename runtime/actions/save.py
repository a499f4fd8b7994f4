"""Pictures by their labels in a folder: the next training set."""

from __future__ import annotations

import re
import time
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from runtime.actions.action import Seen
from runtime.actions.folder_names import folder_name, safe_name
from runtime.actions.kept_pictures import KeptPictures
from runtime.actions.options import SaveOptions
from runtime.actions.worker import Worker
from runtime.errors import DataError, ImageError, one_line
from runtime.file_kind import shown
from runtime.images import jpeg_bytes
from runtime.said import Said
from runtime.sources.frame import Frame

#: Folder of pictures without an answer, beside those of the labels.
UNKNOWN_FOLDER = "_unknown_"
# Of JPEGs made from a camera's frames: the best that its format's own scale of 1 to 95 has (Pillow's documentation).
_QUALITY = 95
# First bytes of encoded pictures -> ending of their files.
_ENDINGS = (
    (re.compile(rb"\xff\xd8\xff"), ".jpg"),
    (re.compile(rb"\x89PNG\r\n"), ".png"),
    (re.compile(rb"GIF8"), ".gif"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), ".webp"),
    (re.compile(rb"BM"), ".bmp"),
    (re.compile(rb"II\*\0|MM\0\*"), ".tif"),
    (re.compile(rb"P[1-6]\s"), ".ppm"),
    (re.compile(rb".{4}ftypavi", re.DOTALL), ".avif"),
)
# Frames that wait for the disk at most, and more of them as long as they are small: bytes together.
_WAITING, _WAITING_BYTES = 2, 16_000_000
# Seconds that the frames which wait at the end are given.
_LAST = 0.5


class SavePictures:
    """Saves pictures into a folder for each label: files as they are, frames of a camera as JPEG.

    A picture with several labels lies in the folder of each, which is how ``toolkit train --multi-label`` takes it.
    Pictures that are kept for being uncertain lie under the best guess.

    Args:
        options: what is saved.
        said: told what could not be saved.
        camera: whether frames come without waiting: then they are written by another thread, one that the disk is too
            slow for is left out, and the oldest pictures go when the limit is reached. Pictures of files are all
            saved, until the limit is reached.

    Raises:
        UsageError: the folder cannot be written to.
    """

    def __init__(self, options: SaveOptions, said: Said, *, camera: bool) -> None:
        self._options, self._said, self._camera = options, said, camera
        # A camera's frames are nowhere else; of a file that a power cut leaves empty here there is the original.
        self._kept = KeptPictures(options.folder, options.limit, replace=camera, durable=camera)
        self._saved_at: dict[str, float] = {}
        self._worker = Worker("save", self._save_or_say, _WAITING, self._failed) if camera else None
        self._refused = 0

    def handle(self, seen: Seen) -> None:
        """Save the picture, if it is one that is wanted.

        Raises:
            DataError: a picture that is no camera's cannot be written.
        """
        if not self._wanted(seen):
            return
        places = _places(seen, uncertain=self._options.uncertain_below is not None)
        if not self._due(places):
            return
        item = (seen.frame, places)
        if self._worker is None:
            try:
                self._save(item)
            except OSError as error:
                raise DataError(f"--save {self._problem(error)}") from error
        elif not self._worker.offer(item, max(_WAITING, _WAITING_BYTES // _size(seen.frame))):
            self._said.say("the disk is too slow; pictures are left out")

    def close(self) -> None:
        """Write what waits, and say how many pictures the limit kept out."""
        if self._worker is not None:
            self._worker.close(_LAST)
        if self._refused and not self._camera:
            self._said.say(f"{self._refused} pictures not saved: the limit is reached (--save-limit)")

    def _wanted(self, seen: Seen) -> bool:
        least = self._options.uncertain_below
        if least is None:
            return True
        if seen.task == "multi-label":  # unsure is a score that is far from yes and from no
            return bool((abs(seen.scores - 0.5) < least - 0.5).any())
        best = seen.answer.predictions[:1]
        return seen.answer.unknown or not best or best[0].score < least

    def _due(self, places: tuple[str, ...]) -> bool:
        """Whether enough time has passed since the last picture in one of these folders."""
        now = time.monotonic()
        pause = self._options.pause
        if pause and all(now - self._saved_at.get(place, -pause) < pause for place in places):
            return False
        self._saved_at |= dict.fromkeys(places, now)
        return True

    def _save_or_say(self, item: tuple[Frame, tuple[str, ...]]) -> None:
        try:
            self._save(item)
        except OSError as error:
            self._said.say(f"{self._problem(error)}; pictures are left out")
        except (ImageError, ValueError, MemoryError) as error:
            self._said.say(f"frame {item[0].number} cannot be saved: {error}", "frame")
        else:
            self._said.forget()

    def _failed(self, error: Exception) -> None:
        self._said.say(f"a frame cannot be saved: {type(error).__name__}: {one_line(error)}", "frame")

    def _save(self, item: tuple[Frame, tuple[str, ...]]) -> None:
        frame, places = item
        data = frame.original or jpeg_bytes(frame.image(), _QUALITY)
        stem, suffix = _name(frame, data, own=not self._camera)
        for place in places:
            if not self._kept.put(data, place, stem, suffix):
                self._refused += 1
                if self._camera:
                    self._said.say("--save-limit is smaller than a picture; none is saved")

    def _problem(self, error: OSError) -> str:
        return f"{shown(self._options.folder)}: {error.strerror or error}"


def _places(seen: Seen, *, uncertain: bool) -> tuple[str, ...]:
    labels = seen.answer.labels
    if uncertain and seen.task == "single-label":
        labels = tuple(guess.label for guess in seen.answer.predictions[:1]) or labels
    return tuple(folder_name(label) for label in labels) or (UNKNOWN_FOLDER,)


def _size(frame: Frame) -> int:
    return max(1, len(frame.picture) if isinstance(frame.picture, bytes) else frame.picture.nbytes)


def _name(frame: Frame, data: bytes, *, own: bool) -> tuple[str, str]:
    """Name and ending of a picture's file: its own if it has one, else the moment and the frame's number."""
    suffix = next((ending for pattern, ending in _ENDINGS if pattern.match(data)), ".img")
    if own:
        web = "://" in frame.source
        path = PurePosixPath(unquote(urlsplit(frame.source).path)) if web else Path(frame.source)
        if path.stem and path.suffix:
            return safe_name(path.stem), path.suffix if _same_kind(path.suffix, suffix) else suffix
    whole, milliseconds = divmod(round(frame.time * 1000), 1000)
    moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime(whole))
    return f"{moment}.{milliseconds:03}Z-{frame.number}", suffix


def _same_kind(suffix: str, found: str) -> bool:
    same = {".jpg": (".jpg", ".jpeg", ".jpe", ".jfif"), ".tif": (".tif", ".tiff"), ".ppm": (".ppm", ".pgm")}
    return suffix.lower() in same.get(found, (found,))
