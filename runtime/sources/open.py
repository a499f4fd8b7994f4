"""``--camera`` to a source of frames."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:  # who classifies one picture has these options too, and must not wait for the rest
    from runtime.sources.capture import Capture
    from runtime.sources.frame import Frame, FrameSource, OpenSource
    from runtime.sources.view import Roi

T = TypeVar("T")


@dataclass(frozen=True)
class CameraOptions:
    """Which camera, and how its frames are taken.

    Attributes:
        camera: as the user names it; see ``runtime classify --help``.
        realtime: play a file at its own speed, as a camera would: frames that come while the model works are left out.
        fps: frames that are classified a second at most; None means as many as come.
        loop: a file begins again when it has ended.
        backend: OpenCV's part that opens the camera, ``v4l2`` say; None lets OpenCV choose.
        size: width and height that the camera is asked for, pixels.
        camera_fps: frames a second that the camera is asked for.
        pixel_format: four letters that the camera is asked for, ``MJPG`` say.
        rotate: degrees that each frame is turned clockwise: 0, 90, 180 or 270.
        mirror: whether left and right are exchanged, after the turn.
        roi: the part that is looked at, after both; None for all of it.
        timeout: seconds without a frame after which a camera or stream is opened anew.
    """

    camera: str
    realtime: bool = False
    fps: float | None = None
    loop: bool = False
    backend: str | None = None
    size: tuple[int, int] | None = None
    camera_fps: float | None = None
    pixel_format: str | None = None
    rotate: Literal[0, 90, 180, 270] = 0
    mirror: bool = False
    roi: Roi | None = None
    timeout: float = 10.0


def capture(
    options: CameraOptions,
    prepare: Callable[[Frame], T],
    log: Callable[[str], None],
    idle: Callable[[], None] = lambda: None,
) -> Capture[T]:
    """The frames of the camera that is meant, as ``prepare`` makes them ready.

    Args:
        options: which camera, and how.
        prepare: called with each frame that is looked at, on the capture thread.
        log: told in one line what happens to the camera.
        idle: called some times a second while no frame comes.

    Raises:
        SourceError: it cannot be opened.
        MissingPackageError: a package is needed for it.
    """
    from runtime.sources.capture import Capture

    return Capture(
        opener(options, log),
        prepare,
        # Who pipes pictures in does so at a camera's pace.
        realtime=options.realtime or options.camera == "-",
        fps=options.fps,
        loop=options.loop,
        timeout=options.timeout,
        log=log,
        idle=idle,
    )


def every_frame_counts(options: CameraOptions) -> bool:
    """Whether each frame gets an answer, as fast as that goes; else the newest one counts."""
    from runtime.sources.kinds import camera_kind, is_live

    return not options.realtime and options.camera != "-" and not is_live(camera_kind(options.camera))


def opener(options: CameraOptions, log: Callable[[str], None] = lambda line: None) -> OpenSource:
    """What opens the camera that is meant, now and after it broke.

    Args:
        options: which camera, and how.
        log: told in one line what the camera does not do as asked; each line once.
    """
    from runtime.sources.view import View

    view = View(options.rotate, options.mirror, options.roi)
    said: set[str] = set()

    def tell(line: str) -> None:
        if line not in said:
            said.add(line)
            log(line)

    def open_source() -> FrameSource:
        source = _open(options, tell)
        return source if view.leaves_all else view.of(source)

    return open_source


def _open(options: CameraOptions, log: Callable[[str], None]) -> FrameSource:
    from runtime.sources.kinds import camera_kind

    kind = camera_kind(options.camera)
    if kind == "test":
        from runtime.sources.pattern import PatternSource

        return PatternSource(options.size, options.camera_fps)
    if kind == "stdin":
        from runtime.sources.jpegs import stdin_source

        return stdin_source()
    if kind == "pi":
        from runtime.sources.picamera import PiSource

        return PiSource(options.camera, options.size, options.camera_fps, options.timeout, log)
    if kind == "sequence":
        from runtime.sources.sequence import SequenceSource

        return SequenceSource(options.camera, options.camera_fps)
    if kind == "http":
        from runtime.sources.http import open_http_camera

        found = open_http_camera(options.camera, options.camera_fps, options.timeout)
        if found is not None:
            return found
    if kind == "file":
        _check_file(options.camera)
    from runtime.sources.opencv import Asked, OpenCVSource

    asked = Asked(options.backend, options.size, options.camera_fps, options.pixel_format)
    return OpenCVSource(options.camera, asked, options.timeout, log)


def _check_file(camera: str) -> None:
    """A name that means nothing else is a file's: where there is none, it may be mistyped.

    Raises:
        SourceError: there is no such file.
    """
    from runtime.sources.kinds import is_url

    path = Path(camera)
    if is_url(camera) or os.path.lexists(path):
        return
    from difflib import get_close_matches

    from runtime.errors import SourceError
    from runtime.file_kind import shown

    known = ["pi", "test"] if path.name == camera else []
    with suppress(OSError, ValueError):
        known += [entry.name for entry in path.parent.iterdir()]
    near = get_close_matches(path.name, known, 1)
    advice = f"is {shown(path.with_name(near[0]))} meant?" if near else "a number, pi and test are cameras, too"
    raise SourceError(f"--camera {shown(camera)}: no such file; {advice}")
