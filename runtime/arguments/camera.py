"""Which camera is watched, and how its frames are taken."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from runtime.command import name_argument
from runtime.errors import UsageError

if TYPE_CHECKING:
    from runtime.sources.kinds import Kind
    from runtime.sources.open import CameraOptions
    from runtime.sources.view import Roi

_TURNS = (0, 90, 180, 270)
_TIMEOUT = 10.0
# Options that have an effect on some kinds of sources only, and which these are.
_ONLY: dict[str, tuple[Sequence[Kind], str]] = {
    "backend": (("device", "file", "stream"), "what OpenCV opens: a number, a video file, an rtsp:// stream"),
    "size": (("device", "pi", "test"), "a number, pi and test"),
    "camera_fps": (("device", "pi", "test", "sequence", "http"), "a number, pi, test, frames/%05d.jpg and http://"),
    "pixel_format": (("device",), "a camera by its number"),
    "loop": (("file", "sequence"), "a video file and frames/%05d.jpg"),
}


def add_camera(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Add ``--camera`` and what belongs to it: the fields of ``CameraOptions``."""
    group = parser.add_argument_group("camera")
    group.add_argument(
        "--camera",
        metavar="NAME",
        type=name_argument,
        required=required,
        help="watch a camera: its number; pi or pi:N (Raspberry Pi, picamera2); http://... (JPEG stream or picture); "
        "rtsp://...; a video file; 'frames/%%05d.jpg'; - (JPEGs on standard input); test (a moving pattern)",
    )
    _add_which(group)
    _add_how(group)


def _add_which(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--size", metavar="WxH", help="picture size that the camera is asked for; small ones are quick (640x480)"
    )
    group.add_argument("--camera-fps", metavar="N", type=float, help="frames a second that the camera is asked for")
    group.add_argument(
        "--pixel-format",
        metavar="MJPG|YUYV",
        help="how a camera sends pictures: MJPG allows large and fast ones over USB, YUYV costs no decoding",
    )
    group.add_argument(
        "--backend", metavar="NAME", help="OpenCV's part that opens it: v4l2, ffmpeg, gstreamer, ... (default: any)"
    )
    group.add_argument(
        "--camera-timeout",
        metavar="SECONDS",
        type=float,
        help="a camera that gives no frame for so long is opened anew (default: 10)",
    )


def _add_how(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--realtime",
        action="store_true",
        help="play a video file at its own speed, as a camera would (default: every frame, as fast as the model goes)",
    )
    group.add_argument("--loop", action="store_true", help="begin a video file again at its end")
    group.add_argument(
        "--fps",
        metavar="N",
        type=float,
        help="frames looked at a second at most, to spare the processor; of a file that is not played in --realtime, "
        "of each second of the video",
    )
    group.add_argument("--every", metavar="SECONDS", type=float, help="look at one frame every so many seconds")
    group.add_argument(
        "--rotate",
        metavar="0|90|180|270",
        type=int,
        choices=_TURNS,
        default=0,
        help="turn frames clockwise (default: 0)",
    )
    group.add_argument("--mirror", action="store_true", help="exchange left and right, after --rotate")
    group.add_argument(
        "--roi",
        metavar="X,Y,W,H",
        help="look at this part only, after --rotate and --mirror: left, top, width and height in pixels, or as "
        "fractions with decimal points (0.25,0.25,0.5,0.5 is the middle)",
    )


def camera_options(args: argparse.Namespace) -> CameraOptions | None:
    """What ``add_camera`` asked for; None where no camera was named.

    Raises:
        UsageError: a value that cannot be, or an option that needs a camera, or another one.
    """
    size, roi, pixel_format = _size(args.size), _roi(args.roi), _pixel_format(args.pixel_format)
    _check_numbers(args)
    if args.camera is None:
        for name in ("realtime", "fps", "every", "rotate", "mirror", "roi", "camera_timeout", *_ONLY):
            if getattr(args, name) not in (None, False, 0):
                raise UsageError(f"{_option(name)} needs --camera")
        return None
    _check_kind(args)
    from runtime.sources.open import CameraOptions

    return CameraOptions(
        camera=args.camera,
        realtime=args.realtime,
        fps=1 / args.every if args.every is not None else args.fps,
        loop=args.loop,
        backend=args.backend,
        size=size,
        camera_fps=args.camera_fps,
        pixel_format=pixel_format,
        rotate=args.rotate,
        mirror=args.mirror,
        roi=roi,
        timeout=args.camera_timeout or _TIMEOUT,
    )


def _check_numbers(args: argparse.Namespace) -> None:
    for name in ("fps", "camera_fps"):
        value = getattr(args, name)
        if value is not None and not 0 < value <= 1000:
            raise UsageError(f"{_option(name)} must be above 0 and at most 1000, not {value:g}")
    if args.every is not None and not 0.001 <= args.every <= 86_400:
        raise UsageError(f"--every must be 0.001 to 86400 seconds, not {args.every:g}")
    if args.every is not None and args.fps is not None:
        raise UsageError("--fps and --every say the same in two ways; give one of them")
    if args.camera_timeout is not None and not 0.5 <= args.camera_timeout <= 3600:
        raise UsageError(f"--camera-timeout must be 0.5 to 3600 seconds, not {args.camera_timeout:g}")


def _check_kind(args: argparse.Namespace) -> None:
    from runtime.sources.kinds import camera_kind

    kind = camera_kind(args.camera)
    for name, (kinds, where) in _ONLY.items():
        if getattr(args, name) and kind not in kinds:
            raise UsageError(f"{_option(name)} does nothing with --camera {args.camera}; it is for {where}")


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,5})[xX\u00d7]([0-9]{1,5})", text)
    if not found or not all(16 <= int(number) <= 16_384 for number in found.groups()):
        raise UsageError(f"--size must be width x height in pixels, as 640x480, 16 to 16384 each; got {text!r}")
    return int(found[1]), int(found[2])


def _pixel_format(text: str | None) -> str | None:
    if text is None:
        return None
    letters = "MJPG" if text.upper() == "MJPEG" else text.upper()
    if not re.fullmatch(r"[A-Z0-9]{3,4}", letters):
        raise UsageError(f"--pixel-format must be four letters, as MJPG or YUYV; got {text!r}")
    return letters.ljust(4)


def _roi(text: str | None) -> Roi | None:
    if text is None:
        return None
    problem = UsageError(
        f"--roi must be left,top,width,height in pixels, as 100,50,320,240, or in fractions, as 0.25,0.25,0.5,0.5; "
        f"got {text!r}"
    )
    try:
        left, top, width, height = (float(part) for part in text.split(","))
    except ValueError:
        raise problem from None
    fractions = "." in text
    if not fractions and max(left, top, width, height) <= 1:
        raise UsageError(
            f"--roi {text}: pixels or fractions? Fractions have decimal points (0.0,0.0,1.0,1.0 is all of it); one "
            "pixel shows nothing"
        )
    whole = 1.0 if fractions else 100_000.0
    if not (
        0 <= left < whole and 0 <= top < whole and 0 < width <= whole - left + 1e-9 and 0 < height <= whole - top + 1e-9
    ):
        raise problem
    from runtime.sources.view import Roi

    return Roi(left, top, width, height, fractions)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
