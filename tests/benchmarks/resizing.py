"""What another resize filter or picture decoder on the device does to the accuracy, measured fold by fold.

    python -m tests.benchmarks.resizing [FOLDER] [--folds 5] [--rounds 1] [-- OPTIONS OF TRAIN]

A folder of photographs is parted into folds as in ``accuracy.py``, and each fold is left out once: the two halves of
``toolkit train``, ``prepare`` and ``fit``, learn from the others with the options. The float network answers the fold
that was left out from pixels made in each way: with the recorded filter, with others of Pillow, TensorFlow and OpenCV,
with the decoders of OpenCV and TensorFlow, and by a canvas of headless Chromium, where there is one. Changes are to
the first row, picture by picture, with their standard error. Few pictures lie where a filter decides, and which do
depends on the head: more ``--rounds``, each of which parts the folder anew, make the error smaller. Features are kept
in the cache, so rounds after the first take seconds.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from converters.tensorflow import import_tensorflow
from runtime.errors import EdgeExportError, ImageError
from runtime.preprocess import resize
from runtime.spec import Preprocessing
from runtime.versions import package_version
from tests.benchmarks import canvas
from tests.benchmarks.folds import arguments, fold_number, link_fold, paired_change, read_pictures
from toolkit.commands import train
from toolkit.commands.train_arguments import train_options
from toolkit.feature_cache import FeatureCache
from toolkit.features import compute, feature_space
from toolkit.fit import Fitted, fit
from toolkit.options import TrainOptions
from toolkit.prepare import Prepared, prepare
from toolkit.records import DatasetIndex
from toolkit.retrain_reports import StepReports
from toolkit.tables import render_table

BASELINE = "the recorded filter"


@dataclass(frozen=True)
class Picture:
    """A picture as ways to resize get it: decoded by Pillow, its content's digest, its file."""

    image: Any
    digest: str
    path: Path


# Pixels of a picture, (height, width, 3), 0..255, RGB.
Way = Callable[[Picture, Preprocessing], Any]


def main() -> None:
    parser, given, options = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args(given, argparse.Namespace(options=options))
    browser = canvas.find_browser()
    index = read_pictures(args.folder, args.cache_dir)
    answers: list[dict[str, Any]] = []
    for parting in range(args.rounds):
        answers.append({})
        for fold in range(args.folds):
            with tempfile.TemporaryDirectory() as name:
                answers[-1] |= answer_fold(index, fold, parting, Path(name), args, browser)
        print(f"round {parting + 1}: {len(answers[-1])} pictures answered", flush=True)
    print(f"\n{' '.join(args.options) or 'defaults'}; {browser[1] if browser else 'no Chromium here: no canvas'}")
    print(comparison(index, answers, list(all_ways(Path(), browser is not None))))


def all_ways(drawn: Path, with_canvas: bool) -> dict[str, Way]:
    """Name -> way; the first is the model's own.

    Args:
        drawn: folder with what the canvas drew.
        with_canvas: whether there is a browser.
    """
    ways: dict[str, Way] = {
        BASELINE: lambda picture, own: resize(picture.image, own),
        "Pillow bicubic": partial(by_filter, resample="bicubic"),
        "TensorFlow bilinear, half-pixel": partial(by_filter, resample="tf-bilinear"),
        "OpenCV area": partial(by_opencv, interpolation="INTER_AREA"),
        "OpenCV linear": partial(by_opencv, interpolation="INTER_LINEAR"),
        "OpenCV's decoder, the recorded filter": decoded_by_opencv,
        "TensorFlow's decoder, the recorded filter": decoded_by_tensorflow,
    }
    for source, quality in canvas.WAYS if with_canvas else ():
        ways[f"canvas, {source}, {quality}"] = partial(by_canvas, drawn=drawn, source=source, quality=quality)
    return ways


def by_filter(picture: Picture, own: Preprocessing, resample: Any) -> Any:
    return resize(picture.image, replace(own, resample=resample))


def by_opencv(picture: Picture, own: Preprocessing, interpolation: str) -> Any:
    import cv2

    method = getattr(cv2, interpolation)
    return cv2.resize(np.asarray(picture.image), (own.width, own.height), interpolation=method)


def decoded_by_opencv(picture: Picture, own: Preprocessing) -> Any:
    import cv2

    pixels = cv2.imdecode(np.frombuffer(picture.path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ImageError(f"{picture.path}: OpenCV cannot open it")
    return resize(Image.fromarray(np.ascontiguousarray(pixels[:, :, ::-1])), own)


def decoded_by_tensorflow(picture: Picture, own: Preprocessing) -> Any:
    """Its JPEG decoder takes a quicker, rougher cosine transform than the others, and heeds no EXIF orientation."""
    tensorflow = import_tensorflow()
    try:
        pixels = tensorflow.io.decode_image(picture.path.read_bytes(), channels=3, expand_animations=False)
    except tensorflow.errors.InvalidArgumentError:
        raise ImageError(f"{picture.path}: TensorFlow cannot open it") from None
    return resize(Image.fromarray(pixels.numpy()), own)


def by_canvas(picture: Picture, _own: Preprocessing, drawn: Path, source: str, quality: str) -> Any:
    file = canvas.pixels_file(drawn, picture.digest, source, quality)
    if not file.exists():
        raise ImageError(f"{picture.path}: the browser cannot open it")
    return np.load(file)


def answer_fold(
    index: DatasetIndex,
    fold: int,
    parting: int,
    work: Path,
    args: argparse.Namespace,
    browser: tuple[str, str] | None,
) -> dict[str, Any]:
    """Train without a fold, answer it: digest -> class ids, a way each."""
    link_fold(index, args.folds, fold, work, parting)
    options = options_of(work, args)
    prepared = prepare(work / "photographs", options, lambda _line: None)
    reports = StepReports(prepared.backbone, options.head, options.reports, options.outputs, options.seed, print)
    fitted = fit(prepared, options, reports, lambda _line: None)
    left_out = {i.digest: i.path for i in index.images if fold_number(i.group, args.folds, parting) == fold}
    features = features_of(left_out, fitted, prepared, work / "drawn", args.cache_dir, browser)
    return {digest: fitted.head.logits(rows).argmax(axis=1) for digest, rows in features.items()}


def options_of(work: Path, args: argparse.Namespace) -> TrainOptions:
    """As ``toolkit train`` reads its command line."""
    parser = argparse.ArgumentParser()
    train.add_parser(parser.add_subparsers())
    places = ["--output-dir", str(work / "model"), "--cache-dir", str(args.cache_dir)]
    return train_options(parser.parse_args(["train", str(work / "photographs"), *places, *args.options]))


def features_of(
    paths: dict[str, Path],
    fitted: Fitted,
    prepared: Prepared,
    drawn: Path,
    cache_dir: Path,
    browser: tuple[str, str] | None,
) -> dict[str, Any]:
    """Digest -> float32 (ways, features) of each picture that every way can open."""
    own, backbone = prepared.preprocessing, fitted.backbone
    ways = all_ways(drawn, browser is not None)
    about = f"{feature_space(backbone, own)} {tool_versions()} {browser}"
    spaces = [hashlib.sha256(f"{about} {name}".encode()).hexdigest() for name in ways]
    with FeatureCache(cache_dir / "resized.sqlite") as cache:
        found = [cache.get(space, paths) for space in spaces]
        missing = {d: [n for n, rows in enumerate(found) if d not in rows] for d in paths}
        pictures = [(digest, paths[digest]) for digest, numbers in missing.items() if numbers]
        if browser and pictures:
            drawn.mkdir()
            canvas.draw(browser[0], pictures, own.width, own.height, drawn)

        def views(image: Any, digest: str) -> list[Any]:
            made = [way(Picture(image, digest, paths[digest]), own) for way in ways.values()]
            return [made[number] for number in missing[digest]]

        for digest, rows in compute(backbone.tflite(cache_dir), own, pictures, views=views):
            if isinstance(rows, ImageError):
                print(f"left out: {rows}")
                continue
            for number, vector in zip(missing[digest], rows, strict=True):
                found[number][digest] = vector
        for space, vectors in zip(spaces, found, strict=True):
            cache.put(space, vectors)
    return {
        digest: np.stack([vectors[digest] for vectors in found])
        for digest in paths
        if all(digest in vectors for vectors in found)
    }


def tool_versions() -> str:
    import cv2

    tensorflow = package_version("tensorflow") or package_version("tensorflow-cpu")
    return f"{package_version('pillow')} {cv2.__version__} {tensorflow}"


def comparison(index: DatasetIndex, answers: list[dict[str, Any]], names: list[str]) -> str:
    """The table: accuracy, change with its standard error, and share of changed answers by way; rounds averaged."""
    images = [image for image in index.images if image.digest in answers[0]]
    table = np.array([[one[image.digest] for image in images] for one in answers])
    right = (table == np.array([image.class_id for image in images])[None, :, None]).mean(axis=0)
    changed = (table != table[:, :, :1]).mean(axis=(0, 1))
    rows = []
    for number, name in enumerate(names):
        change, error = paired_change(right[:, number], right[:, 0])
        figures = [f"{change:+.2f} ± {error:.2f}", f"{changed[number]:.1%}"] if number else ["", ""]
        rows.append([name, f"{right[:, number].mean():.1%}", *figures])
    return render_table([f"pixels (N={len(images)})", "accuracy", "change, points", "changed answers"], rows)


if __name__ == "__main__":
    try:
        main()
    except EdgeExportError as error:
        raise SystemExit(str(error)) from None
