"""Accuracy of the int8 file on photographs that no part of its training has seen, fold by fold.

    python -m tests.benchmarks.accuracy [FOLDER] [--folds 5] [--save FILE] [--against FILE] [-- OPTIONS OF TRAIN]

A folder of photographs is parted into folds; pictures that look alike stay in one. Each fold is left out once:
``toolkit train`` with the options learns from the others (and parts them into its own training, validation and test
shares), ``toolkit convert --quantize`` writes the int8 file, ``runtime classify`` answers the fold that was left out.
So each photograph is answered once, by a model of four fifths of the others. ``--save`` keeps the answers and
``--against`` compares with those of another run, picture by picture.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from converters.accuracy import Accuracy
from runtime.errors import EdgeExportError
from tests.benchmarks.folds import arguments, link_fold, paired_change, read_pictures
from toolkit.records import DatasetIndex
from toolkit.reliability import reliability

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    parser, given, options = arguments(__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    parser.add_argument("--save", type=Path, help="where the answers go, as JSON")
    parser.add_argument("--against", type=Path, help="answers of another run")
    args = parser.parse_args(given, argparse.Namespace(options=options))
    index = read_pictures(args.folder, args.cache_dir)
    answers: dict[str, list[float]] = {}
    for fold in range(args.folds):
        with tempfile.TemporaryDirectory() as name:
            answers |= answer_fold(index, fold, Path(name), args)
        print(f"fold {fold + 1}: {summary(index, answers)}", flush=True)
    print(f"\n{' '.join(args.options) or 'defaults'}, seed {args.seed}: {summary(index, answers)}")
    if args.save:
        args.save.write_text(json.dumps(answers))
    if args.against:
        print(comparison(index, answers, json.loads(args.against.read_text())))


def answer_fold(index: DatasetIndex, fold: int, work: Path, args: argparse.Namespace) -> dict[str, list[float]]:
    """Train without a fold, convert, answer it: digest -> int8 scores by class."""
    names = link_fold(index, args.folds, fold, work)
    model = work / "model"
    options = ["--cache-dir", str(args.cache_dir), "--seed", str(args.seed), *args.options]
    run("toolkit", "train", str(work / "photographs"), "--output-dir", str(model), *options)
    run("toolkit", "convert", str(model), "--quantize", "--max-accuracy-drop", "100")
    file = model / "export" / "photographs_int8.tflite"
    every = str(len(index.labels))
    lines = run("runtime", "classify", "--model", str(file), "--json", "--top-k", every, str(work / "left_out"))
    answers: dict[str, list[float]] = {}
    for line in map(json.loads, lines.splitlines()):
        answers[names[line["source"]]] = scores = [0.0] * len(index.labels)
        for prediction in line["predictions"]:
            scores[index.labels.index(prediction["label"])] = prediction["score"]
    return answers


def run(*arguments: str) -> str:
    """Standard output of a module of ours in a process of its own."""
    result = subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{result.stderr[-3000:]}")
    return result.stdout


def table(index: DatasetIndex, answers: dict[str, list[float]]) -> tuple[Any, Any]:
    """Scores and truth of the pictures that were answered, in the order of the index."""
    images = [image for image in index.images if image.digest in answers]
    scores = np.array([answers[image.digest] for image in images], np.float32)
    return scores, np.eye(len(index.labels), dtype=np.bool_)[[image.class_id for image in images]]


def summary(index: DatasetIndex, answers: dict[str, list[float]]) -> str:
    scores, truth = table(index, answers)
    answered = np.eye(len(index.labels), dtype=np.bool_)[scores.argmax(axis=1)]
    return f"accuracy {Accuracy.of(answered, truth)}, calibration error {reliability(scores, truth)}"


def comparison(index: DatasetIndex, ours: dict[str, list[float]], theirs: dict[str, list[float]]) -> str:
    """Difference in points with its standard error, over the pictures that both answered."""
    both = ours.keys() & theirs.keys()
    right = []
    for answers in (ours, theirs):
        scores, truth = table(index, {digest: answers[digest] for digest in both})
        right.append(truth[np.arange(len(truth)), scores.argmax(axis=1)])
    change, error = paired_change(*right)
    return f"{change:+.2f} ± {error:.2f} points to the other run (N={len(both)})"


if __name__ == "__main__":
    try:
        main()
    except EdgeExportError as error:
        raise SystemExit(str(error)) from None
