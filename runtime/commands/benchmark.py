"""``runtime benchmark``: what a model costs on this device."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from runtime.arguments.model import add_interpreter, add_overrides, check_threads, delegate_of, overrides_of
from runtime.errors import UsageError

DESCRIPTION = "Measure loading, decoding, preprocessing, the forward pass and memory of a model on this device."
EPILOG = """\
examples:
  runtime benchmark model.tflite                         with drawn pictures, 1 thread to all
  runtime benchmark model.tflite --images photos/        with pictures of your own
  runtime benchmark flowers_int8.tflite --baseline flowers_float32.tflite
  runtime benchmark model.tflite --delegate edgetpu --threads 1 --json

Each number of threads is measured in a process of its own, and models that are compared take turns, so that a device
that grows warm slows both. Decoding and preprocessing do not depend on the threads.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything that the command can be told."""
    parser.add_argument("model", metavar="MODEL", type=Path, help="a .tflite file, or a folder of exports")
    parser.add_argument(
        "--images",
        metavar="DIR",
        type=Path,
        nargs="+",
        default=[],
        help="pictures and folders of them (default: drawn ones, JPEG 640 x 480)",
    )
    parser.add_argument("--baseline", metavar="M", type=Path, help="another .tflite file, measured in turns with MODEL")
    parser.add_argument(
        "--runs", metavar="N", type=int, default=100, help="answers for each number of threads (default: 100)"
    )
    parser.add_argument(
        "--warm-up", metavar="N", type=int, default=5, help="answers before them that do not count (default: 5)"
    )
    add_overrides(parser)
    add_interpreter(parser, threads="of the interpreter (default: each number from 1 to all processors, at most 8)")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Measure; returns the exit code."""
    check_threads(args)
    if not 3 <= args.runs <= 1_000_000:
        raise UsageError(f"--runs must be 3 to 1000000, not {args.runs}")
    if not 0 <= args.warm_up <= 1_000_000:
        raise UsageError(f"--warm-up must be 0 to 1000000, not {args.warm_up}")
    from runtime.benchmark import BenchmarkOptions, benchmark
    from runtime.benchmark_text import benchmark_json, benchmark_text
    from runtime.find_model import find_model
    from runtime.load_request import LoadRequest

    delegate = delegate_of(args)
    models = [find_model(args.model, option="")]
    if args.baseline is not None:
        models.append(find_model(args.baseline, option="--baseline "))
    orders = [LoadRequest(path, overrides_of(args), args.threads, args.xnnpack, delegate) for path in models]
    options = BenchmarkOptions(
        orders[0], orders[1] if len(orders) > 1 else None, tuple(args.images), args.runs, args.warm_up
    )
    report = benchmark(options)
    sys.stdout.write((benchmark_json(report) if args.json else benchmark_text(report)) + "\n")
    return 0
