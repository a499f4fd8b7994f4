"""Float32 ``.tflite`` to ONNX, through tf2onnx (the extra ``onnx``).

The model takes ``image``, float32 (batch, height, width, 3), normalised as the specification says, a batch of any
size, and gives ``scores``, float32 (batch, labels). Specification and labels lie in its metadata properties.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.formats.onnx_graph import free_batch, put_in_order
from converters.metadata import INPUT_NAME, OUTPUT_NAME, add_metadata
from converters.tensorflow import import_tensorflow
from runtime.errors import MissingPackageError, ModelError, UsageError, first_line
from runtime.preprocess import normalize
from runtime.quiet import quiet_stderr
from runtime.spec import SPEC_FILE_NAME, ModelSpec

#: The first with HardSwish, which MobileNet v3 is made of; read by ONNX Runtime 1.7 (2021) and later.
DEFAULT_OPSET = 14
#: What tf2onnx 1.17 writes from a ``.tflite`` file of ours.
LEAST_OPSET, LARGEST_OPSET = 9, 18
#: Scores may differ by so much, from another order of additions (measured: 3e-6 to 5e-5).
TOLERANCE = 1e-3

_INSTALL = "pip install 'edge-export-toolkit[train,onnx]'"
# Pictures that are run at a time; more need more memory than they save time.
_AT_ONCE = 8
# Names of https://github.com/onnx/onnx/blob/main/docs/MetadataProps.md
_BITMAP = {"RGB": "Rgb8", "BGR": "Bgr8"}


@dataclass(frozen=True)
class OnnxFile:
    """A file and what is known of it.

    Attributes:
        path: of the file.
        opset: of its operators.
        largest_score_difference: from the original model's scores; None where ONNX Runtime is not installed.
        top1_agreement: share of the pictures with the same best class; None as above.
        images: how many were compared.
    """

    path: Path
    opset: int
    largest_score_difference: float | None = None
    top1_agreement: float | None = None
    images: int = 0


def check_opset(opset: int) -> None:
    """Make sure that tf2onnx can write an opset.

    Raises:
        UsageError: it cannot.
    """
    if not LEAST_OPSET <= opset <= LARGEST_OPSET:
        raise UsageError(
            f"--onnx-opset must be {LEAST_OPSET} to {LARGEST_OPSET}, not {opset} (default: {DEFAULT_OPSET})"
        )


def write_onnx(
    path: Path,
    float32: bytes,
    spec: ModelSpec,
    images: NDArray[Any],
    scores: NDArray[np.float32],
    opset: int = DEFAULT_OPSET,
) -> OnnxFile:
    """Convert, compare with the original model where ONNX Runtime is installed, and write.

    Args:
        path: to write; whoever calls moves it to its place.
        float32: a ``.tflite`` file, float32 in and out.
        spec: of the model.
        images: to compare with, (count, height, width, 3), 0..255, resized; may be empty.
        scores: of the original model on them, (count, classes).
        opset: of the operators.

    Raises:
        MissingPackageError: tf2onnx is not installed.
        UsageError: no such opset.
        ModelError: the model cannot be converted, or gives other scores.
        OSError: the file cannot be written.
    """
    content = convert_onnx(float32, spec, opset)
    result = OnnxFile(path, opset)
    if len(images) and onnxruntime_is_here():
        ours = onnx_scores(content, images, spec)
        difference = float(np.abs(ours - scores).max())
        if not difference <= TOLERANCE:
            raise ModelError(
                f"{path.name}: the scores of the ONNX model differ by {difference:.2g} from the model's own "
                f"(allowed: {TOLERANCE:g}); it was not kept"
            )
        agreement = float((ours.argmax(axis=1) == scores.argmax(axis=1)).mean())
        result = OnnxFile(path, opset, difference, agreement, len(images))
    path.write_bytes(content)
    return result


def convert_onnx(float32: bytes, spec: ModelSpec, opset: int = DEFAULT_OPSET) -> bytes:
    """Convert.

    Args:
        float32: a ``.tflite`` file, float32 in and out.
        spec: of the model.
        opset: of the operators.

    Returns:
        An ONNX file; the same arguments and versions always give the same bytes.

    Raises:
        MissingPackageError: tf2onnx is not installed.
        UsageError: no such opset.
        ModelError: not a model that tf2onnx and ONNX's checker take.
    """
    check_opset(opset)
    named = add_metadata(float32, spec)  # names the tensors, and checks that model and specification fit
    with _quiet(), tempfile.TemporaryDirectory() as scratch:
        tf2onnx, onnx = _import_tf2onnx()
        source = Path(scratch, "model.tflite")
        source.write_bytes(named)
        try:
            model, _ = tf2onnx.convert.from_tflite(str(source), opset=opset)
            free_batch(model.graph)
            put_in_order(model.graph)
            _describe(model, spec, onnx)
            onnx.checker.check_model(model, full_check=True)
        except Exception as error:  # of tf2onnx, of ONNX's checker, and whatever else comes up in them
            advice = f"; --onnx-opset {LARGEST_OPSET} knows more operators" if opset < LARGEST_OPSET else ""
            raise ModelError(
                f"tf2onnx cannot convert the model to ONNX opset {opset}: {first_line(error)}{advice}"
            ) from error
    return bytes(model.SerializeToString(deterministic=True))


def onnxruntime_is_here() -> bool:
    """Whether ONNX Runtime is installed."""
    from importlib.util import find_spec

    return find_spec("onnxruntime") is not None


def onnx_scores(content: bytes, images: NDArray[Any], spec: ModelSpec) -> NDArray[np.float32]:
    """Scores that ONNX Runtime gives, several pictures at a time.

    Args:
        content: an ONNX file of ``convert_onnx``.
        images: (count, height, width, 3), 0..255, resized; at least one.
        spec: of the model.

    Raises:
        ModelError: ONNX Runtime refuses the file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        batches = [
            session.run([OUTPUT_NAME], {INPUT_NAME: normalize(images[start : start + _AT_ONCE], spec.preprocessing)})[0]
            for start in range(0, len(images), _AT_ONCE)
        ]
    except Exception as error:  # its own exceptions have no common class but this
        raise ModelError(f"ONNX Runtime does not run the model: {first_line(error)}") from error
    return np.concatenate(batches)


def _import_tf2onnx() -> tuple[Any, Any]:
    import_tensorflow()
    try:
        import onnx
        import tf2onnx
    except ImportError as error:
        raise MissingPackageError(f"--formats onnx needs {error.name or 'tf2onnx'}: {_INSTALL}") from error
    return tf2onnx, onnx


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the log of tf2onnx and the warnings of what it calls."""
    import logging

    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with quiet_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tf2onnx reads shapes with TensorFlow's deprecated interpreter
            yield
    finally:
        logging.disable(before)


def _describe(model: Any, spec: ModelSpec, onnx: Any) -> None:
    pixels = spec.preprocessing
    model.graph.name = spec.name
    model.graph.doc_string = ""  # tf2onnx writes where it found the file
    model.doc_string = f"Image classifier, {spec.backbone}, {len(spec.labels)} classes, {spec.task}"
    model.producer_name, model.producer_version = "edge-export-toolkit", str(spec.provenance.get("toolkit", ""))
    said = {
        "labels": spec.labels.as_lines(),
        SPEC_FILE_NAME: spec.to_json(),
        "Image.BitmapPixelFormat": _BITMAP[pixels.channel_order],
        "Image.ColorSpaceGamma": "SRGB",
    }
    if set(pixels.mean) == set(pixels.std) == {127.5}:
        said["Image.NominalPixelRange"] = "Normalized_1_1"
    elif set(pixels.mean) == {0.0} and set(pixels.std) == {255.0}:
        said["Image.NominalPixelRange"] = "Normalized_0_1"
    onnx.helper.set_model_props(model, said)
