"""``runtime classify``: name what pictures or camera frames show."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from runtime.arguments.answers import add_answers, answer_rules
from runtime.arguments.camera import add_camera, camera_options
from runtime.arguments.model import add_model, model_options
from runtime.arguments.outputs import add_outputs, output_options
from runtime.command import name_argument
from runtime.errors import UsageError
from runtime.small_numpy import load_numpy

if TYPE_CHECKING:
    from runtime.options import ClassifyOptions

DESCRIPTION = "Name what pictures, folders of pictures, or camera frames show."
EPILOG = """\
examples:
  runtime classify photo.jpg
  runtime classify --top-k 1 --threshold 0.6 photos/ more.png
  runtime classify 'photos/**/*.jpg' - https://host/picture.jpg < photo.png
  runtime classify --camera 0                     a camera, by its number; Ctrl-C ends it
  runtime classify --camera pi --size 640x480 --rotate 180 --fps 5
  runtime classify --camera clip.mp4              frames of a video file, or a stream's address
  runtime classify --model other.tflite --labels labels.txt --mean 127.5 --std 127.5 photo.jpg

Labels and preprocessing come from the model file: our own spec, else its standard TFLite Metadata. For files
that carry neither, --labels, --mean and --std say them. Many models that others quantised were made with
TensorFlow's resize, which does not smooth: --resample tf-bilinear gives their published results.

Of a multi-label model every label that holds is shown, each from its own least score on; the others, in brackets, are
guesses below it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything that the command can be told."""
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        type=name_argument,
        help="pictures, folders of pictures, patterns (*.jpg), http(s) addresses, and - for standard input",
    )
    add_model(parser)
    add_camera(parser)
    add_answers(parser)
    add_outputs(parser)


def options_of(args: argparse.Namespace) -> ClassifyOptions:
    """What was asked for.

    Raises:
        UsageError: it is asked for wrongly.
    """
    rules, camera = answer_rules(args), camera_options(args)
    if bool(args.paths) == (camera is not None):
        raise UsageError("name pictures or folders to classify, or --camera (one of the two)")
    from runtime.options import ClassifyOptions

    return ClassifyOptions(tuple(args.paths), camera, model_options(args), rules, output_options(args))


def run(args: argparse.Namespace) -> int:
    """Classify; returns the exit code."""
    options = options_of(args)
    if options.camera is not None:
        load_numpy()
        from runtime.watch import classify_camera

        return classify_camera(options, sys.stdout, sys.stderr)
    from runtime.ahead import decode_ahead

    ahead = decode_ahead(options)  # before numpy is loaded: it needs none
    try:
        load_numpy()
        from runtime.classify import classify_pictures

        return classify_pictures(options, sys.stdout, sys.stderr, ahead)
    finally:
        if ahead is not None:
            ahead.close()
