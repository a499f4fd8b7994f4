"""The plain Keras script that ``train.py`` beside this compares with: what somebody who knows Keras would write.

    python tests/benchmarks/keras_script.py SHARES BACKBONE.keras OUTPUT.keras --mean M --std S --target ACCURACY

``SHARES`` holds training/, validation/ and test/, each with a folder per class. Pictures come through a ``tf.data``
pipeline that decodes in parallel, caches and prefetches. The frozen backbone sees every picture once; a dense softmax
layer is trained on its features with Adam until the validation accuracy is ``ACCURACY`` or rises no more, the test
share is evaluated, and the whole model is saved. The last line is what came out, as JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# Epochs without a better validation accuracy after which training ends; and the most it may take.
PATIENCE = 15
EPOCHS = 150


class StopAt(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends training where the validation accuracy is reached."""

    def __init__(self, target: float) -> None:
        super().__init__()
        self.target = target

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if logs and logs["val_accuracy"] >= self.target - 1e-6:
            self.model.stop_training = True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shares", type=Path)
    parser.add_argument("backbone", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--mean", type=float, required=True)
    parser.add_argument("--std", type=float, required=True)
    parser.add_argument("--target", type=float, required=True)
    args = parser.parse_args()
    keras.utils.set_random_seed(0)
    backbone = keras.saving.load_model(args.backbone, compile=False)
    backbone.trainable = False
    data = {}
    for share in ("training", "validation", "test"):
        data[share] = features(backbone, args.shares / share, args.mean, args.std)
    classes = len([path for path in (args.shares / "training").iterdir() if path.is_dir()])
    head = keras.Sequential([keras.Input(backbone.output_shape[1:]), keras.layers.Dense(classes, activation="softmax")])
    head.compile(keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy", metrics=["accuracy"])
    stop = keras.callbacks.EarlyStopping("val_accuracy", patience=PATIENCE, restore_best_weights=True)
    training = tf.data.Dataset.from_tensor_slices(data["training"]).cache().shuffle(10_000).batch(64).prefetch(1)
    validation = tf.data.Dataset.from_tensor_slices(data["validation"]).batch(1024).cache()
    history = head.fit(
        training, validation_data=validation, epochs=EPOCHS, callbacks=[stop, StopAt(args.target)], verbose=0
    )
    _, test = head.evaluate(*data["test"], batch_size=1024, verbose=0)
    keras.Model(backbone.inputs, head(backbone.outputs[0])).save(args.output)
    accuracy = history.history["val_accuracy"]
    print(json.dumps({"validation": max(accuracy), "test": test, "epochs": len(accuracy)}))


def features(backbone: Any, folder: Path, mean: float, std: float) -> tuple[Any, Any]:
    """The backbone's output and the class of each picture; every picture is decoded and seen once."""
    pictures = keras.utils.image_dataset_from_directory(
        folder, image_size=backbone.input_shape[1:3], batch_size=32, shuffle=False, verbose=False
    )
    pictures = pictures.map(lambda x, y: ((x - mean) / std, y), num_parallel_calls=tf.data.AUTOTUNE)
    pictures = pictures.cache().prefetch(tf.data.AUTOTUNE)
    found = backbone.predict(pictures, verbose=0)
    return found, np.concatenate([y for _, y in pictures])


if __name__ == "__main__":
    main()
