"""``toolkit convert``: a bundle to files for the device, each one checked."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converters.kinds import IN_OUT, KINDS
from runtime.command import HelpFormatter
from runtime.file_kind import shown

if TYPE_CHECKING:
    from converters.convert import Conversion

DEFAULT_MODEL = Path("model")
_DESCRIPTION = """\
Convert a trained bundle to TensorFlow Lite files and check each one before it is handed over: it is run in a
process of its own, compared with the trained model picture by picture, and measured on the test pictures.

  NAME_float32.tflite   the model as it was trained
  NAME_int8.tflite      with --quantize: a quarter of the size, integers only, takes raw RGB bytes

Labels and preprocessing travel inside the files, as standard TFLite Metadata and as spec.json.
"""
_EPILOG = """\
examples:
  toolkit convert --quantize                  ./model -> ./model/export
  toolkit convert flowers --quantize --output-dir for-the-pi

The table is saved as export.json beside the files. Files that are there and up to date are not made again.
Which file for which device: int8 for Raspberry Pi, phones and microcontrollers; float32 for a desktop processor
and wherever the last tenth of a point counts.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``convert`` with the subparsers of ``toolkit``."""
    parser = subparsers.add_parser(
        "convert",
        help="make .tflite files of a trained model and check them",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "model_dir",
        nargs="?",
        metavar="MODEL_DIR",
        type=Path,
        default=DEFAULT_MODEL,
        help="bundle of `toolkit train` (default: model)",
    )
    parser.add_argument(
        "--quantize",
        action="append",
        nargs="?",
        const="int8",
        metavar="KIND",
        help="also write a file of this kind: int8 (if none is named), float16, dynamic, int16x8, a list, or all",
    )
    parser.add_argument(
        "--io", choices=IN_OUT, default="uint8", help="what the int8 file takes and gives (default: uint8)"
    )
    parser.add_argument(
        "--calibration-images",
        metavar="N",
        type=int,
        help="how many of the bundle's calibration pictures to quantise with (default: all, 200 as a rule)",
    )
    parser.add_argument("--output-dir", metavar="DIR", type=Path, help="for the files (default: export in the bundle)")
    parser.add_argument(
        "--max-accuracy-drop",
        metavar="POINTS",
        type=float,
        default=2.0,
        help="a file that loses more on the test pictures is refused (default: 2)",
    )
    parser.add_argument("--force", action="store_true", help="convert again although the files are up to date")
    parser.add_argument("--json", action="store_true", help="the report as one JSON object on standard output")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Convert as ``args`` asks and print the table; returns the exit code."""
    from converters.options import ConvertOptions, parse_kinds

    _give_back_the_model(args)
    options = ConvertOptions(
        parse_kinds(args.quantize or ()),
        args.io,
        args.output_dir,
        args.max_accuracy_drop,
        args.calibration_images,
        args.force,
    )

    from converters.convert import ConversionError, convert

    try:
        conversion = convert(args.model_dir, options, notify=lambda line: print(line, file=sys.stderr))
    except ConversionError as error:
        _print(error.conversion, args.json)
        raise
    _print(conversion, args.json)
    if not args.json:
        _print_next(conversion)
    return 0


def _give_back_the_model(args: argparse.Namespace) -> None:
    """``convert --quantize flowers`` means the model: a word behind --quantize that is no kind, but a path."""
    words = [word for word in args.quantize or () if not set(word.split(",")) & {*KINDS, "all"}]
    if len(words) == 1 and args.model_dir == DEFAULT_MODEL and Path(words[0]).exists():
        args.model_dir = Path(words[0])
        args.quantize[args.quantize.index(words[0])] = "int8"


def _print(conversion: Conversion, as_json: bool) -> None:
    if as_json:
        report = {key: value for key, value in conversion.report.items() if key != "test_scores"}
        print(json.dumps({"folder": str(conversion.folder), "fresh": conversion.fresh} | report, ensure_ascii=False))
        return
    if not conversion.fresh:
        print("the files are there and up to date; nothing was converted (--force converts again)")
    print(export_table(conversion.report))


def export_table(report: dict[str, Any]) -> str:
    """The report as a table: a row for the trained model, then one for each file."""
    from toolkit.tables import render_table

    header = ["file", "size", "test accuracy", "95 % interval", "drop", "agreement", "unknown", "score diff", "latency"]
    trained = report["trained"]
    rows = [["(trained model)", "", *_accuracy(trained["accuracy"]), "", "", str(trained["unknown"]), "", ""]]
    for entry in report["files"]:
        drop = entry["accuracy_drop"]
        rows.append(
            [
                entry["file"] + ("" if entry["accepted"] else " (refused)"),
                f"{entry['bytes'] / 1e6:.2f} MB",
                *_accuracy(entry["accuracy"]),
                "" if drop is None else f"{drop:.1f} points",
                f"{entry['top1_agreement']:.1%}",
                f"{entry['unknown']}" + f", {entry['unknown_changed']} changed" * bool(entry["unknown_changed"]),
                f"{entry['largest_score_difference']:.2g}",
                f"{entry['latency_ms']:.1f} ms",
            ]
        )
    return render_table(header, rows)


def _accuracy(accuracy: dict[str, Any]) -> list[str]:
    if not accuracy["images"]:
        return ["no test pictures", ""]
    low, high = accuracy["interval_95"]
    return [f"{accuracy['accuracy']:.1%} (N={accuracy['images']})", f"{low:.1%} - {high:.1%}"]


def _print_next(conversion: Conversion) -> None:
    files = [entry for entry in conversion.report["files"] if entry["accepted"]]
    if not files:
        return
    facts = files[-1]
    print(f"latency: one picture, {facts['threads']} threads, {facts['interpreter']}, on this machine")
    print(f"files in {shown(conversion.folder)}")
    print(f"next: runtime classify --model {shlex.quote(str(conversion.folder / facts['file']))} PICTURE")
