"""What goes into a bundle, and the files it becomes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters import bundle
from converters.tensorflow import import_tensorflow
from runtime.errors import DataError, EdgeExportError, ImageError
from runtime.file_kind import shown
from runtime.images import decode_image, read_image_bytes
from runtime.interpreter import processors
from runtime.preprocess import resize
from runtime.quiet import quiet_stderr
from runtime.spec import SPEC_FILE_NAME, ModelSpec, Preprocessing
from toolkit.backbones.registry import Backbone
from toolkit.even_choice import even_choice
from toolkit.head import Floats, Head
from toolkit.keras_file import head_names, write_keras_file
from toolkit.records import DatasetIndex, ImageRecord
from toolkit.report.content import ReportContent
from toolkit.report.metrics import metrics_bytes
from toolkit.report.page import write_report
from toolkit.stored_features import StoredFeatures


@dataclass(frozen=True)
class StoredPictures:
    """Resized pictures that a bundle keeps: (count, height, width, 3), 0..255 each.

    Attributes:
        test: for checking an export.
        calibration: for quantisation.
        calibration_digests: hex sha256 of the files of the latter ...
        test_digests: ... and of the former.
    """

    test: NDArray[Any]
    calibration: NDArray[Any]
    calibration_digests: tuple[str, ...] = ()
    test_digests: tuple[str, ...] = ()


@dataclass(frozen=True)
class BundleContent:
    """All that ``fill_bundle`` writes.

    Attributes:
        spec: of the model.
        backbone: with its weights.
        head: trained.
        index: the data set.
        test: the test pictures.
        test_scores: of the trained model, (test pictures, classes).
        pictures: stored ones.
        metrics: for metrics.json.
        report: for report.html.
        features: of all pictures.
    """

    spec: ModelSpec
    backbone: Backbone
    head: Head
    index: DatasetIndex
    test: list[ImageRecord]
    test_scores: Floats
    pictures: StoredPictures
    metrics: dict[str, Any]
    report: ReportContent
    features: StoredFeatures

    def stands_in(self, folder: Path) -> bool:
        """Whether the folder holds this very model, whole."""
        try:
            old = bundle.ModelBundle.load(folder)
            metrics = json.loads((folder / bundle.METRICS_FILE).read_bytes())
            has_features = (folder / bundle.FEATURES_FILE).is_file()
            return (
                old.spec == self.spec
                and _lasting(metrics) == _lasting(self.metrics)
                and old.is_sound()
                and has_features
            )
        except (EdgeExportError, OSError, ValueError):  # no bundle there yet, or one that is to be replaced
            return False


def _lasting(metrics: dict[str, Any]) -> dict[str, Any]:
    """Metrics less what says nothing of the model: how the command was typed, and where."""
    return {key: value for key, value in json.loads(json.dumps(metrics)).items() if key not in {"command", "versions"}}


def choose_calibration(index: DatasetIndex, training: Sequence[int], count: int, seed: int) -> list[int]:
    """Positions of training pictures for quantisation, as many of each class as there are, up to ``count``."""
    known = [position for position in training if index.images[position].class_ids]
    return even_choice(index.images, known, count, seed)


def choose_test(index: DatasetIndex, test: Sequence[int], count: int, seed: int) -> list[int]:
    """Positions of test pictures for checking an export, in order; up to ``count``, evenly of all classes."""
    return sorted(even_choice(index.images, test, count, seed))


def stored_pictures(
    index: DatasetIndex,
    test: Sequence[int],
    calibration: Sequence[int],
    preprocessing: Preprocessing,
    resized: Mapping[str, NDArray[Any] | None] | None = None,
) -> StoredPictures:
    """Decode and resize the pictures that the bundle keeps; those that were changed or removed are left out.

    Args:
        index: the data set.
        test: positions in it.
        calibration: positions in it.
        preprocessing: of the model.
        resized: content digest -> picture that is resized already; its file is not looked for.

    Raises:
        DataError: none is left.
    """

    def load(position: int) -> NDArray[Any] | None:
        image = index.images[position]
        ready = (resized or {}).get(image.digest)
        if ready is not None:
            return ready
        try:
            data = read_image_bytes(image.path)
            if hashlib.sha256(data).hexdigest() != image.digest:
                return None
            return resize(decode_image(data, image.path), preprocessing)
        except ImageError:
            return None

    def stack(positions: Sequence[int]) -> tuple[NDArray[Any], tuple[str, ...]]:
        # Filled picture by picture: a thousand of them take 150 to 270 MB, and a list as well would double that.
        dtype = np.float32 if preprocessing.resample == "tf-bilinear" else np.uint8
        pictures = np.empty((len(positions), preprocessing.height, preprocessing.width, 3), dtype)
        digests: list[str] = []
        for position, picture in zip(positions, pool.map(load, positions), strict=True):
            if picture is not None:
                pictures[len(digests)] = picture
                digests.append(index.images[position].digest)
        if positions and not digests:
            raise DataError(
                f"the pictures in {shown(index.root)} were changed or removed while the training ran; run it again"
            )
        return pictures[: len(digests)], tuple(digests)

    with ThreadPoolExecutor(processors()) as pool:
        stored, test_digests = stack(test)
        learned, digests = stack(calibration)
        return StoredPictures(stored, learned, digests, test_digests)


def fill_bundle(content: BundleContent, folder: Path, cache_dir: Path) -> None:
    """Write all files of a bundle into a folder; what only Keras can write is kept in the cache."""
    spec = content.spec
    with quiet_stderr():
        layers = [(layer.kernel, layer.bias) for layer in content.head.layers]
        write_keras_file(folder / bundle.MODEL_FILE, content.backbone, layers, content.head.activation, cache_dir)
    (folder / SPEC_FILE_NAME).write_text(spec.to_json(), encoding="utf-8")
    lines = "".join(f"{_one_line(label)}\n" for label in spec.labels)
    (folder / bundle.LABELS_FILE).write_text(lines, encoding="utf-8")
    digests = np.frombuffer(bytes.fromhex("".join(content.pictures.calibration_digests)), np.uint8).reshape(-1, 32)
    np.savez(folder / bundle.CALIBRATION_FILE, images=content.pictures.calibration, digests=digests)
    np.savez(folder / bundle.TEST_IMAGES_FILE, images=content.pictures.test)
    content.features.write(folder / bundle.FEATURES_FILE)
    _write_json(folder / bundle.TEST_SPLIT_FILE, _test_split(content))
    (folder / bundle.METRICS_FILE).write_bytes(metrics_bytes(content.metrics))
    write_report(content.report, folder / bundle.REPORT_PAGE)


def grafted_model(backbone: Backbone, head: Head) -> Any:
    """The Keras model: normalised pictures, float32 (batch, size, size, 3) -> scores (batch, classes)."""
    import_tensorflow()
    import keras

    body = backbone.keras_model()
    names = head_names(len(head.layers))
    activations = ["relu"] * (len(names) - 1) + [head.activation]
    tensor = body.outputs[0]
    stack = []
    for name, layer, activation in zip(names, head.layers, activations, strict=True):
        stack.append(keras.layers.Dense(len(layer.bias), activation=activation, name=name))
        tensor = stack[-1](tensor)
    model = keras.Model(body.inputs, tensor, name="classifier")
    for dense, layer in zip(stack, head.layers, strict=True):
        dense.set_weights([layer.kernel, layer.bias])
    return model


def _test_split(content: BundleContent) -> dict[str, Any]:
    root = content.index.root
    entries = [
        {
            # One that is there as features only has the full path that it had in an earlier training.
            "path": (image.path.relative_to(root) if image.path.is_relative_to(root) else image.path).as_posix(),
            "labels": [content.spec.labels[class_id] for class_id in image.class_ids],
            "class_ids": list(image.class_ids),
            "sha256": image.digest,
            "scores": [round(float(score), 6) for score in scores],
        }
        for image, scores in zip(content.test, content.test_scores, strict=True)
    ]
    return {"schema_version": 2, "image_dir": str(root.resolve()), "images": entries}


def _write_json(path: Path, value: Any) -> None:
    # File names that are not UTF-8 come as lone surrogates, whose backslash form is JSON too.
    text = json.dumps(value, ensure_ascii=False, indent=1) + "\n"
    path.write_bytes(text.encode("utf-8", "backslashreplace"))


def _one_line(label: str) -> str:
    """A label for a file that has one a line; spec.json keeps it verbatim."""
    return " ".join(label.splitlines())
