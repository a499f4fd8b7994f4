"""Opens somebody else's model, of whatever kind, to convert it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from converters.inputs import frozen_graph, keras_file, saved_model, tflite_source
from converters.inputs.detect import kind_of
from converters.inputs.foreign import foreign_spec
from converters.inputs.hints import Hints
from converters.inputs.labels import IMAGENET
from converters.inputs.pictures import CALIBRATE, generated_pictures, read_pictures
from converters.inputs.predictor import Notify
from converters.inputs.tensorflow_source import TensorFlowSource
from converters.inputs.tflite_source import TfliteSource
from runtime.errors import UsageError
from runtime.file_kind import shown

# Height and width of a model that takes any: those of most classifiers, and of ImageNet's.
_USUAL_SIZE = 224


def open_source(
    path: Path,
    hints: Hints | None = None,
    calibration_dir: Path | None = None,
    notify: Notify = lambda _line: None,
    *,
    quantized: bool = False,
    calibration_images: int = CALIBRATE,
) -> TfliteSource | TensorFlowSource:
    """Open a ``.keras``, ``.h5``, SavedModel, frozen graph or float ``.tflite``; what is in it is not run on trust.

    Args:
        path: of the file or folder; not of a bundle.
        hints: what the user says of the model.
        calibration_dir: a folder of pictures: some set the ranges of an integer model, others check all files.
        notify: is told in one line what was found and guessed.
        quantized: whether files are wanted whose ranges pictures must set (int8, int16x8).
        calibration_images: pictures that set ranges, at most.

    Raises:
        UsageError: no such model or folder, hints that do not fit, or no pictures where they are needed.
        ModelError: a file that is damaged, no picture classifier, quantised already, or not to be trusted.
        DataError: too few pictures that can be used.
        MissingPackageError: TensorFlow is not installed.
    """
    hints = replace(hints or Hints(), usual_size=_USUAL_SIZE)
    kind = kind_of(path)
    if kind == "bundle":
        raise UsageError(f"{shown(path)} is a bundle, which is converted as it is")
    if quantized and calibration_dir is None:
        raise UsageError(
            f"{shown(path)} carries no pictures, and an integer model's ranges come from pictures: name a folder of "
            "some hundred like those it will see, --calibration-dir DIR"
        )
    path = _meant(path, kind)
    content = b""
    if kind in ("tflite", "tflite folder"):
        predictor, content = tflite_source.load(path, hints, notify)
    else:
        loaders = {"keras": keras_file.load, "saved model": saved_model.load, "graph": frozen_graph.load}
        predictor = loaders[kind](path, hints, notify)
    labels = foreign_spec(path, predictor).labels.names
    pictures = generated_pictures(predictor.preprocessing, len(labels))
    if calibration_dir is not None:
        pictures = read_pictures(calibration_dir, predictor.preprocessing, labels, notify, calibration_images)
    else:
        notify(
            "no --calibration-dir: files are compared with the model on generated pictures, accuracy is not measured"
        )
    if content:
        return TfliteSource(path, predictor, pictures, _label_files(hints), content)
    return TensorFlowSource(path, predictor, pictures, _label_files(hints), notify)


def _meant(path: Path, kind: str) -> Path:
    if kind == "tflite folder":
        return tflite_source.only_file(path)
    is_graph_of_folder = kind == "saved model" and not path.is_dir()
    return path.parent if is_graph_of_folder else path


def _label_files(hints: Hints) -> list[Path]:
    if hints.labels is None or (hints.labels == IMAGENET and not Path(hints.labels).exists()):
        return []
    return [Path(hints.labels)]
