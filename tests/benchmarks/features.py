"""Feature extraction beside the obvious Keras way and beside the bound of this machine, in one run.

    python tests/benchmarks/features.py [FOLDER] [--rounds 3] [--architecture NAME ...] [--views K] [--pictures N]

The bound is what the processors could do if nothing but reading and decoding a picture, and resizing and the forward
pass of each of its 1 + K views, one at a time on one thread, cost time: cores / (decode + (1 + K) x (resize +
forward)), all measured here on the same pictures. Ours runs several views at once, which is how it may come out above.
The Keras way is ``image_dataset_from_directory`` and ``model.predict`` with batches of 32, the whole picture only; it
is left out with ``--no-keras``, and where K is not 0. Nothing comes from a cache. Weights that are not on this machine
are drawn at random, which changes no time. Rounds alternate between all of them, and each figure is the best of its
rounds: other programs only make it worse.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from converters.tensorflow import import_tensorflow
from runtime.images import decode_image, read_image_bytes
from runtime.interpreter import LoadedModel
from runtime.preprocess import normalize, resize
from runtime.processors import processors
from runtime.quiet import quiet_stderr
from runtime.spec import Preprocessing
from toolkit.backbones.catalog import find_architecture
from toolkit.backbones.registry import Backbone, load_backbone
from toolkit.backbones.weights import locate_weights
from toolkit.dataset import index_folder
from toolkit.features import compute
from toolkit.folders import default_cache_dir
from toolkit.prepare import preprocessing_of
from toolkit.tables import render_table

FLOWERS = Path(__file__).resolve().parents[3] / "shared" / "data" / "flowers"
ARCHITECTURES = ("mobilenet_1.00_224", "efficientnet_lite0", "inception_v3")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=FLOWERS, help="a folder per class")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--architecture", nargs="+", default=list(ARCHITECTURES))
    parser.add_argument("--views", metavar="K", type=int, default=0, help="views beside the whole picture (default: 0)")
    parser.add_argument("--pictures", metavar="N", type=int, help="only so many, evenly from all classes")
    parser.add_argument("--no-keras", action="store_true", help="leave the Keras way out")
    args = parser.parse_args()
    images = index_folder(args.folder).images
    step = max(1, len(images) // (args.pictures or len(images)))
    pictures = [(image.digest, image.path) for image in images[::step]]
    rows = []
    for name in args.architecture:
        backbone = backbone_of(name)
        preprocessing = preprocessing_of(backbone.architecture)
        predict = None
        if not args.no_keras and not args.views:
            predict = keras_predictor(args.folder, backbone, preprocessing, len(pictures))
        rows.append(measure(pictures, backbone, preprocessing, args.views, args.rounds, predict))
    print(f"\n{len(pictures)} pictures, 1 + {args.views} views, {processors()} cores, best of {args.rounds} rounds")
    header = ["backbone", "ours/s", "Keras/s", "bound/s", "ours / bound", "ours / Keras", "decode", "resize", "forward"]
    print(render_table(header, rows))


def backbone_of(name: str) -> Backbone:
    architecture, cache_dir = find_architecture(name), default_cache_dir()
    here = locate_weights(architecture, None, cache_dir).where not in ("download", "install")
    return load_backbone(architecture, weights="imagenet" if here else "none", cache_dir=cache_dir)


def measure(
    pictures: list[tuple[str, Path]],
    backbone: Backbone,
    preprocessing: Preprocessing,
    views: int,
    rounds: int,
    predict: Callable[[], object] | None,
) -> list[str]:
    model = backbone.tflite(default_cache_dir())
    with quiet_stderr():
        single = LoadedModel(model, threads=1)
    images = [decode(path) for _, path in pictures[:: max(1, len(pictures) // 100)]]
    tensor = normalize(resize(images[0], preprocessing), preprocessing)[None]
    runs = max(10, round(1 / seconds(lambda: single.run(tensor))))  # about a second
    ours, keras, decoding, resizing, forward = [], [], [], [], []
    for _ in range(rounds):
        decoding.append(seconds(lambda: [decode(path) for _, path in pictures]) / len(pictures))
        resizing.append(seconds(lambda: [resize(image, preprocessing) for image in images]) / len(images))
        forward.append(seconds(lambda: [single.run(tensor) for _ in range(runs)]) / runs)
        ours.append(len(pictures) / seconds(lambda: extract(model, preprocessing, pictures, views)))
        if predict is not None:
            keras.append(len(pictures) / seconds(predict))
    bound = processors() / (min(decoding) + (1 + views) * (min(resizing) + min(forward)))
    return [
        backbone.architecture.name,
        f"{max(ours):.1f}",
        f"{max(keras):.1f}" if keras else "-",
        f"{bound:.1f}",
        f"{max(ours) / bound:.1%}",
        f"{max(ours) / max(keras):.1f}" if keras else "-",
        *(f"{min(times) * 1000:.2f} ms" for times in (decoding, resizing, forward)),
    ]


def decode(path: Path) -> Image:
    return decode_image(read_image_bytes(path), path)


def extract(model: bytes, preprocessing: Preprocessing, pictures: list[tuple[str, Path]], views: int) -> None:
    def render(image: Image, _digest: str) -> list[NDArray[Any]]:
        return [resize(image, preprocessing) for _ in range(1 + views)]

    for _, result in compute(model, preprocessing, pictures, views=render):
        assert isinstance(result, np.ndarray), result
        assert len(result) == 1 + views


def keras_predictor(folder: Path, backbone: Backbone, preprocessing: Preprocessing, count: int) -> Callable[[], object]:
    import_tensorflow()
    import keras

    body = backbone.keras_model()
    pixels = keras.Input(body.input_shape[1:])
    model = keras.Model(pixels, body((pixels - preprocessing.mean[0]) / preprocessing.std[0]))
    dataset = keras.utils.image_dataset_from_directory(
        folder, image_size=(preprocessing.height, preprocessing.width), batch_size=32, shuffle=False, verbose=False
    )
    dataset = dataset.unbatch().take(count).batch(32) if count < dataset.cardinality() * 32 - 31 else dataset
    model.predict(dataset.take(1), verbose=0)  # tracing is not what is measured
    return lambda: model.predict(dataset, verbose=0)


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
