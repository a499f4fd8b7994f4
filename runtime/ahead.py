"""One picture is decoded beside the loading of the interpreter, in a process of its own.

Who asks for one picture waits for numpy and the interpreter to load, most of the time, and for Pillow and the decoding
behind that. Neither needs the other: a child process, parted before numpy is loaded, decodes and resizes. What it
cannot do (a damaged picture, a model that is none) is left to the process that asked, which says what is wrong.
"""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from runtime.errors import EdgeExportError
from runtime.processors import processors

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.contract import Overrides
    from runtime.options import ClassifyOptions
    from runtime.spec import Preprocessing

# Processor seconds after which a decoder that never ends is ended; the largest picture that is taken needs four.
_MOST_SECONDS = 60
_ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Decoded(NamedTuple):
    """A picture as the child gives it.

    Attributes:
        pixels: RGB bytes, row by row, of the size that the model takes.
        decode_ms: what its decoding took, milliseconds.
        resize_ms: what cropping and resizing took, milliseconds.
    """

    pixels: bytes
    decode_ms: float
    resize_ms: float


class Ahead:
    """A picture that a child process is decoding.

    Attributes:
        data: the encoded picture.
    """

    def __init__(self, data: bytes, child: int, reading: int) -> None:
        self.data = data
        self._child = child
        self._reading: int | None = reading

    def take(self, preprocessing: Preprocessing) -> Decoded | None:
        """The picture, waited for; None where the child could not decode it, or took the model for another.

        Args:
            preprocessing: how the model wants it.
        """
        if self._reading is None:
            return None
        try:
            with open(self._reading, "rb", closefd=False) as answer:
                head, pixels = answer.readline(), answer.read()
        finally:
            self.close()
        if not head.endswith(b"\n"):
            return None
        decode_ms, resize_ms, meant = json.loads(head)
        whole = len(pixels) == preprocessing.height * preprocessing.width * 3
        return Decoded(pixels, decode_ms, resize_ms) if whole and meant == repr(preprocessing) else None

    def close(self) -> None:
        """End the child, where it has not ended yet."""
        reading, self._reading = self._reading, None
        if reading is not None:
            os.close(reading)
            os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)


def decode_ahead(options: ClassifyOptions) -> Ahead | None:
    """Begin to decode the picture that is meant; None where there is not just one in a file, or nothing to gain."""
    if len(options.paths) != 1 or not hasattr(os, "fork") or processors() < 2:
        return None
    from pathlib import Path

    # Loaded before the processes part, for both.
    from runtime.contract import read_contract  # noqa: F401
    from runtime.images import read_image_bytes

    try:
        path = Path(options.paths[0])
        if not path.is_file():
            return None
        data = read_image_bytes(path)
        reading, writing = os.pipe()
    except (EdgeExportError, OSError, ValueError):  # which is told by whoever classifies
        return None
    # Until the child has no handlers of this process's any more, whose work it would go on with.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        child = os.fork()
        if not child:
            os.close(reading)
            _work(data, options.model.model, options.model.overrides, writing)
    except OSError:  # no more processes allowed
        os.close(reading)
        os.close(writing)
        return None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.close(writing)
    return Ahead(data, child, reading)


def _work(data: bytes, model: Path | None, overrides: Overrides, writing: int) -> NoReturn:
    """The child's whole life; it says nothing but by its answer."""
    try:
        for number in _ENDING:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        import resource

        from runtime import guard

        guard.forget_parent()
        resource.setrlimit(resource.RLIMIT_CPU, (_MOST_SECONDS, _MOST_SECONDS))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        answer = _answer(data, model, overrides)
        with open(writing, "wb") as stream:
            stream.write(answer)
    finally:
        os._exit(0)


def _answer(data: bytes, model: Path | None, overrides: Overrides) -> bytes:
    from PIL import Image  # noqa: F401 - loading it is no part of the decoding

    from runtime.contract import read_contract
    from runtime.find_model import find_model
    from runtime.images import decode_image
    from runtime.pillow_resize import pillow_resize

    preprocessing = read_contract(find_model(model), overrides).preprocessing
    if preprocessing.resample == "tf-bilinear":  # not Pillow's, and needs numpy
        return b""
    started = time.perf_counter()
    image = decode_image(data)
    decoded = time.perf_counter()
    pixels = pillow_resize(image, preprocessing).tobytes()
    ended = time.perf_counter()
    head = [(decoded - started) * 1000, (ended - decoded) * 1000, repr(preprocessing)]
    return json.dumps(head).encode() + b"\n" + pixels
