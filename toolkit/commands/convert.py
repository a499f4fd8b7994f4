"""``toolkit convert``: a model to checked ``.tflite`` files and other formats."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converters.kinds import FORMATS, IN_OUT, KINDS
from runtime.command import HelpFormatter
from runtime.file_kind import shown
from toolkit.commands.model_arguments import add_calibration_dir, add_model_options, read_hints
from toolkit.typed import typed

if TYPE_CHECKING:
    from converters.convert import Conversion
    from converters.options import ConvertOptions

DEFAULT_MODEL = Path("model")
_DESCRIPTION = """\
Make .tflite files of a model. Each file is run in its own process, compared with the model as it came and measured
on the test pictures before it is handed over.

MODEL is a bundle of `toolkit train`, a .keras or .h5 file, a SavedModel folder, a frozen graph (.pb) as retrain.py
and TF for Poets wrote it, or a float .tflite that is to be quantised. What stands in a model file is not run.

  NAME_float32.tflite   always: the model as it was trained
  NAME_int8.tflite      with --quantize: a quarter of the size, integers only, takes raw RGB bytes

Labels and preprocessing travel inside the files, as standard TFLite Metadata and as spec.json.
"""
_EPILOG = (
    """\
examples:
  toolkit convert --quantize                  ./model -> ./model/export
  toolkit convert flowers --quantize all --output-dir for-the-pi
  toolkit convert output_graph.pb --labels output_labels.txt --quantize --calibration-dir photos/
  toolkit convert flowers --formats c-array,onnx

kinds of --quantize:
"""
    + "".join(f"  {kind:9} {text}\n" for kind, text in list(KINDS.items())[1:])
    + "\nformats of --formats:\n"
    + "".join(f"  {name:12} {text}\n" for name, text in FORMATS.items())
    + """
export.json holds the table, export.html shows it with the pictures whose answer changed. Files that are there and up
to date are not made again. `toolkit verify` repeats every proof later.
Which file for which device: int8 for Raspberry Pi, phones and microcontrollers; float32 for a desktop processor
and wherever the last tenth of a point counts.
"""
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``convert`` with the subparsers of ``toolkit``."""
    parser = subparsers.add_parser(
        "convert",
        help="make .tflite files of a model and check them",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        type=Path,
        default=DEFAULT_MODEL,
        help="what to convert (default: ./model, the bundle of `toolkit train`)",
    )
    parser.add_argument(
        "--quantize",
        action="append",
        nargs="?",
        const="int8",
        metavar="KIND",
        help="also write a file of this kind: int8 (if none is named), float16, dynamic, int16x8, a list, or all",
    )
    parser.add_argument("--formats", action="append", metavar="LIST", help="also write these formats (below)")
    parser.add_argument("--io", choices=IN_OUT, default="uint8", help="what an int8 file takes and gives")
    parser.add_argument("--output-dir", metavar="DIR", type=Path, help="for the files (default: export in the bundle)")
    _add_quality(parser)
    parser.add_argument("--force", action="store_true", help="convert again although the files are up to date")
    parser.add_argument("--json", action="store_true", help="the report as one JSON object on standard output")
    _add_metadata(parser.add_argument_group("texts that go into the files"))
    foreign = parser.add_argument_group("models that are no bundle; what is not said is found or guessed, and printed")
    add_calibration_dir(foreign)
    add_model_options(foreign)
    parser.set_defaults(run=run)


def _add_quality(parser: argparse.ArgumentParser) -> None:
    """What a file may lose, where it must load, and how hard int8 is tried."""
    parser.add_argument(
        "--max-accuracy-drop",
        metavar="POINTS",
        type=float,
        default=2.0,
        help="a file that loses more on the test pictures is refused, unless that may be chance; for int8 other ways "
        "are tried first (default: 2)",
    )
    parser.add_argument(
        "--calibration-images",
        metavar="N",
        type=int,
        help="how many pictures to quantise with (default: all of the bundle's, 200 as a rule)",
    )
    parser.add_argument(
        "--min-runtime",
        metavar="VERSION",
        default="2.14",
        help="the oldest interpreter that must load the files: a TensorFlow release, or litert (default: 2.14)",
    )
    parser.add_argument(
        "--floor-python", metavar="PATH", type=Path, help="a Python that has tflite-runtime (`toolkit verify --help`)"
    )
    parser.add_argument(
        "--qat",
        metavar="EPOCHS",
        nargs="?",
        const=5,
        default=0,
        type=int,
        help="when int8 loses too much, finetune it for so many epochs as a last resort (5 if no number is given)",
    )
    parser.add_argument(
        "--onnx-opset", metavar="N", type=int, help="of an ONNX file: 9 to 18 (default: 14, which MobileNet v3 needs)"
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="also show what each layer of int8 and int16x8 loses (NAME_int8_layers.svg)",
    )


def _add_metadata(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--name", metavar="TEXT", help="of the model, for people")
    group.add_argument("--description", metavar="TEXT", help="what it is for")
    group.add_argument("--author", metavar="TEXT", help="who made it")
    group.add_argument("--model-version", metavar="TEXT", help="of the model")
    group.add_argument("--license", metavar="TEXT", help="name or text")
    group.add_argument(
        "--labels-locale",
        metavar="LOCALE=FILE",
        action="append",
        default=[],
        help="the labels in another language, one a line in the same order: de=labels-de.txt",
    )


def run(args: argparse.Namespace) -> int:
    """Convert as ``args`` asks and print the table; returns the exit code."""
    options = _read_options(args)

    from converters.convert import ConversionError, convert

    try:
        conversion = convert(args.model, options, notify=lambda line: print(line, file=sys.stderr))
    except ConversionError as error:
        _print(error.conversion, args.json)
        raise
    _print(conversion, args.json)
    if not args.json:
        print_next(conversion)
    return 0


def _read_options(args: argparse.Namespace) -> ConvertOptions:
    from converters.metadata_text import MetadataText, parse_locales
    from converters.min_runtime import MinRuntime
    from converters.options import ConvertOptions, parse_formats, parse_kinds

    _give_back_the_model(args)
    return ConvertOptions(
        quantize=parse_kinds(args.quantize or ()),
        formats=parse_formats(args.formats or ()),
        in_out=args.io,
        output_dir=args.output_dir,
        max_accuracy_drop=args.max_accuracy_drop,
        calibration_images=args.calibration_images,
        calibration_dir=args.calibration_dir,
        hints=read_hints(args),
        min_runtime=MinRuntime.parse(args.min_runtime),
        floor_python=args.floor_python,
        text=MetadataText(args.name, args.description, args.author, args.model_version, args.license),
        translations=parse_locales(args.labels_locale),
        qat=args.qat,
        onnx_opset=args.onnx_opset,
        explain=args.explain,
        force=args.force,
    )


def _give_back_the_model(args: argparse.Namespace) -> None:
    """``convert --quantize flowers`` means the model: a word behind --quantize that is no kind, but a path."""
    words = [word for word in args.quantize or () if not set(word.split(",")) & {*KINDS, "all"}]
    if len(words) == 1 and args.model == DEFAULT_MODEL and Path(words[0]).exists():
        args.model = Path(words[0])
        args.quantize[args.quantize.index(words[0])] = "int8"


def _print(conversion: Conversion, as_json: bool) -> None:
    if as_json:
        report = {key: value for key, value in conversion.report.items() if key != "test_scores"}
        print(json.dumps({"folder": str(conversion.folder), "fresh": conversion.fresh} | report, ensure_ascii=False))
        return
    if not conversion.fresh:
        print("the files are there and up to date; nothing was converted (--force converts again)")
    print(export_table(conversion.report))
    if choice := conversion.report.get("int8_choice"):
        print(f"int8, {len(conversion.report['int8_attempts'])} ways tried: {choice}")
    for note in conversion.report.get("notes", ()):
        print(f"note: {shown(note)}")
    for entry in conversion.report["formats"]:
        names = ", ".join(shown(part["file"]) for part in entry["files"]) or "no file"
        print("; ".join(filter(None, (f"{entry['format']}: {names}", entry.get("message")))))


def export_table(report: dict[str, Any]) -> str:
    """The report as a table: a row for the trained model, then one for each file and interpreter."""
    from toolkit.proof_table import costs, figures
    from toolkit.tables import render_table

    threads = report["files"][0]["threads"] if report["files"] else 1
    header = ["file", "size", "test accuracy", "95 % interval", "drop", "better/worse", "agreement", "score diff"]
    header += [f"{threads} threads", "1 thread", "memory", "unknown"]
    trained = report["trained"]
    rows = [["(trained model)", "", *_accuracy(trained["accuracy"]), *[""] * 7, str(trained["unknown"])]]
    for entry in report["files"]:
        name = shown(entry["file"]) + ("" if entry["accepted"] else " (refused)")
        changed = f", {entry['unknown_changed']} changed" * bool(entry["unknown_changed"])
        size = f"{entry['bytes'] / 1e6:.2f} MB"
        rows.append([name, size, *figures(entry), *costs(entry), f"{entry['unknown']}{changed}"])
        if entry.get("floor"):
            rows.append(
                [f"  on {entry['floor']['interpreter']}", "", *figures(entry["floor"]), *costs(entry["floor"]), ""]
            )
    for entry in report["formats"]:
        if proof := entry.get("proof"):
            name, size = shown(entry["files"][-1]["file"]), f"{proof['bytes'] / 1e6:.2f} MB"
            rows.append([name, size, *figures(proof), *costs(proof), str(proof["unknown"])])
            if micro := entry.get("micro"):
                rows.append([f"  on {micro['interpreter']}", "", *figures(micro), "", "", "", str(micro["unknown"])])
    return render_table(header, rows)


def _accuracy(accuracy: dict[str, Any]) -> list[str]:
    if not accuracy["images"]:
        return ["no test pictures", ""]
    low, high = accuracy["interval_95"]
    return [f"{accuracy['accuracy']:.1%} (N={accuracy['images']})", f"{low:.1%} - {high:.1%}"]


def print_next(conversion: Conversion) -> None:
    """Where the files are, and what to do with them."""
    files = [entry for entry in conversion.report["files"] if entry["accepted"]]
    if not files:
        return
    # The quick ones first: 16-bit activations, which stand last, take tens of times as long.
    quick = [entry for kind in ("int8", "mixed") for entry in files if entry["kind"] == kind]
    facts = quick[0] if quick else files[-1]
    print(f"latency: one picture, {facts['interpreter']}, on this machine")
    changed = any(entry["changed"][what] for entry in files for what in ("better", "worse", "other"))
    more = "; export.html shows the pictures whose answer changed" if changed else "; export.html shows the same"
    print(f"files in {shown(conversion.folder)}{more}")
    print(f"next: runtime classify --model {typed(conversion.folder / facts['file'])} PICTURE")
