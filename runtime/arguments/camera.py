"""Which camera is watched, and how its frames are taken."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from runtime.command import name_argument
from runtime.errors import UsageError

if TYPE_CHECKING:
    from runtime.sources.open import CameraOptions


def add_camera(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Add ``--camera`` and what belongs to it: the fields of ``CameraOptions``."""
    group = parser.add_argument_group("camera")
    group.add_argument(
        "--camera",
        metavar="N|FILE|URL",
        type=name_argument,
        required=required,
        help="frames of a camera, video file or stream",
    )
    group.add_argument(
        "--realtime",
        action="store_true",
        help="play a video file at its own speed, as a camera would (default: every frame, as fast as the model goes)",
    )
    group.add_argument("--fps", metavar="N", type=float, help="frames classified a second at most")


def camera_options(args: argparse.Namespace) -> CameraOptions | None:
    """What ``add_camera`` asked for; None where no camera was named.

    Raises:
        UsageError: a value that cannot be, or an option that needs a camera.
    """
    from runtime.sources.open import CameraOptions

    if args.fps is not None and not 0 < args.fps <= 1000:
        raise UsageError(f"--fps must be above 0 and at most 1000, not {args.fps:g}")
    if args.camera is None:
        for name in ("realtime", "fps"):
            if getattr(args, name):
                raise UsageError(f"--{name} needs --camera")
        return None
    return CameraOptions(args.camera, args.realtime, args.fps)
