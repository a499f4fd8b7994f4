"""Seconds an epoch of finetuning: ours, all blocks and the default ones, against Keras's own loop; prints the ratios.

The Keras way is the same backbone as a Keras model, BatchNormalization in inference mode, ``model.fit`` with AdamW on
cached ``tf.data`` with random flips and crops, batches of the same size. Decoding is not counted for either, nor is
the first epoch, which traces the graph. Rounds alternate, and each figure is the best of its rounds: other programs
only make it worse.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np

from converters.tensorflow import import_tensorflow
from runtime.processors import processors
from runtime.spec import Preprocessing
from toolkit.backbones.catalog import find_architecture
from toolkit.backbones.registry import Backbone, load_backbone
from toolkit.dataset import index_folder
from toolkit.finetune import auto_blocks, net_of, zero_head
from toolkit.folders import default_cache_dir
from toolkit.prepare import preprocessing_of
from toolkit.tables import render_table
from toolkit.training.model import TrainedModel
from toolkit.training.net import Precision
from toolkit.training.options import FinetuneOptions
from toolkit.training.pictures import Batches, PictureStore

FLOWERS = Path(__file__).resolve().parents[3] / "shared" / "data" / "flowers"
BATCH = FinetuneOptions().batch_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=FLOWERS, help="a folder per class")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=160, help="pictures of the folder that are used")
    parser.add_argument("--architecture", nargs="+", default=["mobilenet_1.00_224", "efficientnet_lite0"])
    args = parser.parse_args()
    records = list(index_folder(args.folder).images)[:: max(1, len(index_folder(args.folder).images) // args.images)]
    rows = []
    for name in args.architecture:
        backbone = load_backbone(find_architecture(name), cache_dir=default_cache_dir())
        rows += measure(records, backbone, preprocessing_of(backbone.architecture), args.rounds)
    print(f"\n{len(records)} pictures, {processors()} cores, images/s in an epoch, best of {args.rounds} rounds")
    print(render_table(["backbone", "way", "images/s", "times Keras"], rows))


def measure(records: list[Any], backbone: Backbone, preprocessing: Preprocessing, rounds: int) -> list[list[str]]:
    ways = {"Keras": keras_epoch(records, backbone, preprocessing)}
    for precision in get_args(Precision):
        for unfreeze in ("all", auto_blocks(backbone.architecture)):
            label = f"ours, {unfreeze}, {precision}"
            ways[label] = our_epoch(records, backbone, preprocessing, precision, unfreeze)
    speeds: dict[str, float] = dict.fromkeys(ways, 0.0)
    for _ in range(rounds):
        for label, epoch in ways.items():
            started = time.perf_counter()
            epoch()
            speeds[label] = max(speeds[label], len(records) / (time.perf_counter() - started))
    return [
        [backbone.architecture.name, label, f"{speed:.1f}", f"{speed / speeds['Keras']:.2f}"]
        for label, speed in speeds.items()
    ]


def our_epoch(
    records: list[Any], backbone: Backbone, preprocessing: Preprocessing, precision: Precision, unfreeze: str
) -> Callable[[], None]:
    import_tensorflow()
    options = FinetuneOptions()
    head = zero_head(backbone.architecture.feature_count, 5)
    model = TrainedModel(net_of(backbone, precision), head, "single-label", options, unfreeze)
    batches = Batches(records, preprocessing, PictureStore())
    order = np.split(np.arange(len(records) // BATCH * BATCH), len(records) // BATCH)
    targets = np.eye(5, dtype=np.float32)[[record.class_id for record in records]]
    weights = np.ones(BATCH, np.float32)

    def epoch() -> None:
        for batch in batches.run(order, options.augmentation):
            float(model.step(batch.images, targets[batch.positions], weights, 1, 1e-5, 1.0))

    epoch()
    return epoch


def keras_epoch(records: list[Any], backbone: Backbone, preprocessing: Preprocessing) -> Callable[[], object]:
    tf = import_tensorflow()
    import keras

    size = preprocessing.height
    plain = Batches(records, preprocessing, PictureStore()).run([np.arange(len(records))], None)
    images = next(iter(plain)).images
    body = backbone.keras_model()
    pixels = keras.Input(body.input_shape[1:])
    model = keras.Model(pixels, keras.layers.Dense(5)(body(pixels, training=False)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(1e-5), loss)

    def distort(image: Any, label: Any) -> Any:
        image = tf.image.random_flip_left_right(image)
        image = tf.image.random_crop(image, [size * 9 // 10, size * 9 // 10, 3])
        return tf.image.resize(image, [size, size]), label

    dataset = tf.data.Dataset.from_tensor_slices((images, [record.class_id for record in records]))
    dataset = dataset.map(distort, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH).prefetch(2)
    model.fit(dataset, epochs=1, verbose=0)
    return lambda: model.fit(dataset, epochs=1, verbose=0)


if __name__ == "__main__":
    main()
