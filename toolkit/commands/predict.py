"""``toolkit predict``: name what pictures show."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from runtime.command import HelpFormatter, name_argument
from toolkit.commands.model_arguments import add_model_options, add_option, read_hints

_DESCRIPTION = """\
Name what pictures show, with any kind of model that a training leaves:

  a bundle of `toolkit train` (default: ./model), a .keras or .h5 file, a SavedModel folder,
  a frozen graph (.pb) as retrain.py and TF for Poets wrote it, a .tflite file,
  or, with --architecture, a network that knows the 1000 classes of ImageNet: no training needed

What stands in a model file is not run: no Python code, no file access.
"""
_EPILOG = """\
examples:
  toolkit predict --architecture efficientnet_lite0 photo.jpg
  toolkit predict photo.jpg photos/                     the bundle in ./model
  toolkit predict --model flowers photos/ --html answers.html
  toolkit predict --model flower.keras --labels labels.txt --input-mean 127.5 --input-std 127.5 photo.jpg
  toolkit predict --model exported_saved_model/ --labels labels.txt --json photos/

from label_image.py:
  python label_image.py --graph=output_graph.pb --labels=output_labels.txt --input_layer=Placeholder \\
      --output_layer=final_result --image=daisy.jpg
  toolkit predict      --graph=output_graph.pb --labels=output_labels.txt --input_layer=Placeholder \\
      --output_layer=final_result --image=daisy.jpg

from classify_image.py (--num_top_predictions and --image_file are taken too):
  toolkit predict --architecture inception_v3 --model-dir weights/ --image_file=panda.jpg

Of a multi-label model every label that holds is shown, each from its own least score on; the others, in brackets, are
guesses below it.

Both ends of a graph, its input's size and how it wants its pixels are found where they are not said, and what was
taken is printed. Where nothing tells, label_image.py's defaults hold: 299 x 299 pixels, (x - 0) / 255. Names may be
written with or without :0, options with underscores or hyphens.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``predict`` with the subparsers of ``toolkit``."""
    parser = subparsers.add_parser(
        "predict",
        help="name what pictures show, with any kind of model",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", type=name_argument, help="pictures, and folders of pictures"
    )
    add_option(parser, "--image", "--image-file", metavar="FILE", action="append", default=[], help="the same as PATH")
    add_option(parser, "--model", "--model-file", metavar="M", type=Path, help="a model of any kind (default: ./model)")
    parser.add_argument("--graph", metavar="FILE", type=Path, help="a frozen graph")
    parser.add_argument(
        "--architecture", metavar="NAME", help="an ImageNet network (`toolkit architectures` lists them)"
    )
    parser.add_argument(
        "--model-dir", metavar="DIR", type=Path, help="folder with Keras's file of the whole network of --architecture"
    )
    parser.add_argument("--cache-dir", metavar="DIR", type=Path, help="of the toolkit (default: the user's cache)")
    add_model_options(parser)
    add_option(
        parser,
        "--top-k",
        "--num-top-predictions",
        metavar="N",
        type=int,
        default=5,
        help="answers a picture (default: 5)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line on standard output")
    parser.add_argument("--html", metavar="FILE", type=Path, help="also write a page that shows pictures and answers")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Predict as ``args`` asks; returns the exit code."""
    from toolkit.predict.options import PredictOptions
    from toolkit.predict.run import predict

    options = PredictOptions(
        paths=(*args.image, *args.paths),
        model=args.model,
        graph=args.graph,
        architecture=args.architecture,
        model_dir=args.model_dir,
        cache_dir=args.cache_dir,
        hints=read_hints(args),
        top_k=args.top_k,
        json=args.json,
        html=args.html,
    )
    return predict(options, sys.stdout, sys.stderr)
