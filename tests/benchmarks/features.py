"""Feature extraction beside the obvious Keras way and beside the bound of this machine, in one run.

    python tests/benchmarks/features.py [FOLDER] [--rounds 3] [--architecture NAME ...]

The bound is what the processors could do if nothing but reading, decoding and resizing a picture, and the forward
pass on one thread, cost time: cores / (decode + forward), both measured here, one at a time, on the same pictures.
The Keras way is ``image_dataset_from_directory`` and ``model.predict`` with batches of 32. Nothing comes from a cache.
Rounds alternate between the three, and each figure is the best of its rounds: other programs only make it worse.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from converters.tensorflow import import_tensorflow
from runtime.images import decode_image, read_image_bytes
from runtime.interpreter import LoadedModel, processors
from runtime.preprocess import normalize, resize
from runtime.quiet import quiet_stderr
from runtime.spec import Preprocessing
from toolkit.backbones.catalog import find_architecture
from toolkit.backbones.registry import Backbone, load_backbone
from toolkit.dataset import index_folder
from toolkit.features import compute
from toolkit.folders import default_cache_dir
from toolkit.prepare import preprocessing_of
from toolkit.tables import render_table

FLOWERS = Path(__file__).resolve().parents[3] / "shared" / "data" / "flowers"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=FLOWERS, help="a folder per class")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--architecture", nargs="+", default=["mobilenet_1.00_224", "efficientnet_lite0"])
    args = parser.parse_args()
    pictures = [(image.digest, image.path) for image in index_folder(args.folder).images]
    rows = []
    for name in args.architecture:
        architecture = find_architecture(name)
        backbone = load_backbone(architecture, cache_dir=default_cache_dir())
        rows.append(measure(args.folder, pictures, backbone, preprocessing_of(architecture), args.rounds))
    print(f"\n{len(pictures)} pictures, {processors()} cores, images/s, best of {args.rounds} rounds")
    header = ["backbone", "ours", "Keras", "bound", "ours / bound", "ours / Keras", "decode", "forward"]
    print(render_table(header, rows))


def measure(
    folder: Path, pictures: list[tuple[str, Path]], backbone: Backbone, preprocessing: Preprocessing, rounds: int
) -> list[str]:
    model = backbone.tflite(default_cache_dir())
    with quiet_stderr():
        single = LoadedModel(model, threads=1)
    keras_way = keras_predictor(folder, backbone, preprocessing)
    tensor = normalize(load(pictures[0][1], preprocessing), preprocessing)[None]
    ours, keras, decode, forward = [], [], [], []
    for _ in range(rounds):
        decode.append(seconds(lambda: [load(path, preprocessing) for _, path in pictures]) / len(pictures))
        forward.append(seconds(lambda: [single.run(tensor) for _ in range(200)]) / 200)
        ours.append(len(pictures) / seconds(lambda: extract(model, preprocessing, pictures)))
        keras.append(len(pictures) / seconds(keras_way))
    bound = processors() / (min(decode) + min(forward))
    return [
        backbone.architecture.name,
        f"{max(ours):.0f}",
        f"{max(keras):.0f}",
        f"{bound:.0f}",
        f"{max(ours) / bound:.1%}",
        f"{max(ours) / max(keras):.1f}",
        f"{min(decode) * 1000:.2f} ms",
        f"{min(forward) * 1000:.2f} ms",
    ]


def load(path: Path, preprocessing: Preprocessing) -> Any:
    return resize(decode_image(read_image_bytes(path), path), preprocessing)


def extract(model: bytes, preprocessing: Preprocessing, pictures: list[tuple[str, Path]]) -> None:
    for _, result in compute(model, preprocessing, pictures):
        assert isinstance(result, np.ndarray), result


def keras_predictor(folder: Path, backbone: Backbone, preprocessing: Preprocessing) -> Callable[[], object]:
    import_tensorflow()
    import keras

    body = backbone.keras_model()
    pixels = keras.Input(body.input_shape[1:])
    model = keras.Model(pixels, body((pixels - preprocessing.mean[0]) / preprocessing.std[0]))
    dataset = keras.utils.image_dataset_from_directory(
        folder, image_size=(preprocessing.height, preprocessing.width), batch_size=32, shuffle=False, verbose=False
    )
    model.predict(dataset.take(1), verbose=0)  # tracing is not what is measured
    return lambda: model.predict(dataset, verbose=0)


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
