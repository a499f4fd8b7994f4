"""``runtime serve``: a page that shows what the camera sees and what the model says to it."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from runtime.arguments.answers import add_answers, answer_rules
from runtime.arguments.camera import add_camera, camera_options
from runtime.arguments.model import add_model, model_options
from runtime.arguments.outputs import add_outputs, output_options
from runtime.arguments.page import add_page, page_options
from runtime.errors import UsageError
from runtime.small_numpy import load_numpy

if TYPE_CHECKING:
    from runtime.page.serve import ServeOptions

DESCRIPTION = "Show what a camera sees, and what the model says to it, on a page for any browser."
EPILOG = """\
examples:
  runtime serve --camera 0                        http://127.0.0.1:8080/, for this machine alone
  runtime serve --camera 0 --host 0.0.0.0         for the whole network; prints the address with a token
  runtime serve --camera clip.mp4                 a video file, played at its own speed
  runtime serve                                   no camera: only pictures that are dropped or posted
  curl -F picture=@photo.jpg http://127.0.0.1:8080/classify

From your desk without opening the device to its network: ssh -L 8080:localhost:8080 pi, then
http://localhost:8080/ there.

The page is plain HTTP: who can listen on the network can read pictures and token. The token goes in the address
(?token=...), in a cookie that the page sets itself, or in a header (Authorization: Bearer ...).
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything that the command can be told."""
    add_page(parser)
    add_model(parser)
    add_camera(parser)
    add_answers(parser)
    add_outputs(parser)


def options_of(args: argparse.Namespace) -> ServeOptions:
    """What was asked for.

    Raises:
        UsageError: it is asked for wrongly.
    """
    page, rules, camera = page_options(args), answer_rules(args), camera_options(args)
    from runtime.options import ClassifyOptions, OutputOptions

    outputs = output_options(args)
    if camera is None and outputs != OutputOptions():
        raise UsageError("outputs are for the answers of a camera: name one with --camera, or leave them out")
    from runtime.page.serve import ServeOptions

    return ServeOptions(ClassifyOptions((), camera, model_options(args), rules, outputs), page)


def run(args: argparse.Namespace) -> int:
    """Serve; returns the exit code."""
    load_numpy()
    options = options_of(args)
    from runtime.page.serve import serve

    return serve(options, sys.stdout, sys.stderr)
