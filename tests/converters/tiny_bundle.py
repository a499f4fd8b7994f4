"""A bundle as training writes one, of a network of four layers: converted in a second, where an architecture takes six.

For tests of what a conversion does with files. What it does with the networks that one trains is shown elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters import bundle
from runtime.preprocess import normalize
from runtime.spec import SPEC_FILE_NAME, LabelList, ModelSpec
from tests.converters import small_nets

LABELS = ("circle", "plus", "square", "triangle")
PREPROCESSING = small_nets.pixels(127.5, 127.5)
CALIBRATION, TEST = 40, 20


def network() -> Any:
    """A convolution, a depthwise one, and two that hold nearly all the weights; its answers differ."""
    import keras

    layers = keras.layers
    source = keras.Input((small_nets.SIZE, small_nets.SIZE, 3))
    x = layers.Conv2D(16, 3, 2, padding="same", use_bias=False)(source)
    x = layers.ReLU(6)(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, 2, padding="same", activation="relu6")(x)
    x = layers.Conv2D(64, 1, activation="relu6")(x)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(192, 1, activation="relu6")(x))
    model = keras.Model([source], layers.Dense(len(LABELS), activation="softmax")(x))
    # Drawn here: what Keras made before in a process changes which weights it draws, in spite of the seed.
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if layer.get_weights() and not isinstance(layer, layers.BatchNormalization):
            kernel, *biases = layer.get_weights()
            spread = np.sqrt(2 * kernel.shape[-1] / kernel.size)
            layer.set_weights([rng.normal(0, spread, kernel.shape), *(rng.normal(0, 0.3, b.shape) for b in biases)])
    return model


def scaled(model: Any, pixels: NDArray[np.float32]) -> Any:
    """The same with a last layer under which each class is the answer to some pictures, as it is after training."""
    import keras

    features = np.asarray(keras.Model(model.inputs, model.layers[-2].output)([pixels]))
    kernel, _ = model.layers[-1].get_weights()
    raw = features @ kernel
    kernel *= 2 / raw.std(axis=0)
    model.layers[-1].set_weights([kernel, -(features @ kernel).mean(axis=0)])
    return model


def write(folder: Path, test: int = TEST) -> Path:
    """Write it.

    Args:
        folder: to make.
        test: how many test pictures it has.
    """
    folder.mkdir(parents=True)
    pictures = small_nets.pictures(CALIBRATION + TEST)
    calibration, tested = pictures[:CALIBRATION], pictures[CALIBRATION:][:test]
    model = scaled(network(), normalize(calibration, PREPROCESSING))
    scores = np.asarray(model([normalize(pictures[CALIBRATION:], PREPROCESSING)]))[:test]
    model.save(folder / bundle.MODEL_FILE)
    spec = ModelSpec("shapes", "tiny", "single-label", PREPROCESSING, LabelList(LABELS))
    (folder / SPEC_FILE_NAME).write_text(spec.to_json(), encoding="utf-8")
    (folder / bundle.LABELS_FILE).write_text(spec.labels.as_lines(), encoding="utf-8")
    np.savez(folder / bundle.CALIBRATION_FILE, images=calibration)
    np.savez(folder / bundle.TEST_IMAGES_FILE, images=tested)
    split = {"schema_version": 2, "image_dir": "pictures", "images": list(map(_entry, tested, scores))}
    (folder / bundle.TEST_SPLIT_FILE).write_text(json.dumps(split), encoding="utf-8")
    (folder / bundle.METRICS_FILE).write_text('{"accuracy": {}}', encoding="utf-8")
    return folder


def _entry(picture: NDArray[np.uint8], scores: NDArray[np.float32]) -> dict[str, Any]:
    """A test picture, of the class that is the network's second choice once in five times."""
    digest = hashlib.sha256(picture.tobytes()).hexdigest()
    answer = int(np.argsort(scores)[-2 if digest[0] in "012" else -1])
    given = [round(float(score), 6) for score in scores]
    return {"path": f"{digest}.png", "class_ids": [answer], "labels": [LABELS[answer]], "sha256": digest} | {
        "scores": given
    }
