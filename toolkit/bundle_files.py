"""What goes into a bundle, and the files it becomes."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converters import bundle
from converters.atomic import write_bytes
from converters.tensorflow import import_tensorflow
from runtime.errors import EdgeExportError
from runtime.quiet import quiet_stderr
from runtime.spec import SPEC_FILE_NAME, ModelSpec
from toolkit.backbones.registry import Backbone
from toolkit.head import Floats, Head
from toolkit.keras_file import head_names, write_keras_file
from toolkit.records import DatasetIndex, ImageRecord
from toolkit.report.content import ReportContent
from toolkit.report.metrics import metrics_bytes
from toolkit.report.page import render_report
from toolkit.stored_features import StoredFeatures
from toolkit.stored_pictures import StoredPictures


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
            return (
                old.spec == self.spec
                and _lasting(metrics) == _lasting(self.metrics)
                and old.is_sound()
                and StoredFeatures.are_current(folder)
            )
        except (EdgeExportError, OSError, ValueError):  # no bundle there yet, or one that is to be replaced
            return False


def _lasting(metrics: dict[str, Any]) -> dict[str, Any]:
    """Metrics less what says nothing of the model: how the command was typed, and where."""
    return {key: value for key, value in json.loads(json.dumps(metrics)).items() if key not in {"command", "versions"}}


def fill_bundle(
    content: BundleContent,
    folder: Path,
    cache_dir: Path,
    illustrate: Callable[[ReportContent], ReportContent] = lambda report: report,
) -> None:
    """Write all files of a bundle into a folder.

    Args:
        content: of the bundle.
        folder: is there, and empty.
        cache_dir: of the toolkit; what only Keras can write is kept in it.
        illustrate: adds to the report what takes long; runs beside the writing of the other files.
    """
    with ThreadPoolExecutor(1) as aside:
        # Only rendered aside: a signal may take the folder away while a thread that was just started goes on.
        page = aside.submit(lambda: render_report(illustrate(content.report)).encode("utf-8"))
        _write_files(content, folder, cache_dir)
        write_bytes(folder / bundle.REPORT_PAGE, page.result())


def _write_files(content: BundleContent, folder: Path, cache_dir: Path) -> None:
    """All of them but the report."""
    spec = content.spec
    with quiet_stderr():
        layers = [(layer.kernel, layer.bias) for layer in content.head.layers]
        write_keras_file(folder / bundle.MODEL_FILE, content.backbone, layers, content.head.activation, cache_dir)
    (folder / SPEC_FILE_NAME).write_text(spec.to_json(), encoding="utf-8")
    (folder / bundle.LABELS_FILE).write_bytes(spec.labels.as_lines().encode())
    digests = np.frombuffer(bytes.fromhex("".join(content.pictures.calibration_digests)), np.uint8).reshape(-1, 32)
    np.savez(folder / bundle.CALIBRATION_FILE, images=content.pictures.calibration, digests=digests)
    np.savez(folder / bundle.TEST_IMAGES_FILE, images=content.pictures.test)
    content.features.write(folder / bundle.FEATURES_FILE)
    _write_json(folder / bundle.TEST_SPLIT_FILE, _test_split(content))
    (folder / bundle.METRICS_FILE).write_bytes(metrics_bytes(content.metrics))


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
