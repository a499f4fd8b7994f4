"""Somebody else's float ``.tflite`` file as a source of conversions."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from converters.flatbuffer_model import pack_model, unpack_model
from converters.inputs import tflite_file
from converters.inputs.foreign import ForeignSource, foreign_spec
from converters.inputs.hints import Hints
from converters.inputs.pictures import Pictures
from converters.inputs.predictor import Network, Notify, Predictor, look_like_probabilities
from converters.inputs.tflite_edit import ScoresBehind, check_float, widen_float16
from runtime.classifier import Classifier
from runtime.contract import ModelContract, read_contract
from runtime.errors import EdgeExportError, ModelError, UsageError
from runtime.file_kind import contents, shown
from runtime.interpreter import LoadedModel
from runtime.model_file import ModelFile
from runtime.quiet import quiet_stderr

# Pictures whose raw scores are looked at where nothing else tells whether they are probabilities.
_PROBES = 20


class TfliteSource(ForeignSource):
    """A float file, with fixed height and width.

    Args:
        path: of the file.
        predictor: the opened file.
        pictures: to convert it with.
        extra: label files that the result depends on.
        content: the file with fixed height and width.
    """

    def __init__(
        self, path: Path, predictor: Predictor, pictures: Pictures, extra: Sequence[Path], content: bytes
    ) -> None:
        super().__init__(path, predictor, pictures, extra, foreign_spec(path, predictor))
        if predictor.network is None:
            raise ModelError(f"{self.name} cannot be converted")
        self._content, self._network = content, predictor.network

    def float32(self) -> bytes:
        """The file, its weights float32, without its metadata; what it lacks of scores is added behind it.

        Raises:
            ModelError: the file is damaged.
        """
        model = unpack_model(self._content)
        widen_float16(model)
        scores = ScoresBehind(model)
        scores.flat()
        if not self._is_probability(self._network):
            scores.softmax()
        if self._network.outputs != len(self.spec.labels):
            scores.both()
        model.metadata, model.metadataBuffer = [], None
        return pack_model(model)

    def _is_probability(self, network: Network) -> bool:
        if network.probability is not None:
            return network.probability
        images = np.concatenate([self._pictures.check.images[:_PROBES], self._pictures.calibration[:_PROBES]])
        return look_like_probabilities(np.stack([network.raw(image) for image in images]))


def load(path: Path, hints: Hints, notify: Notify) -> tuple[Predictor, bytes]:
    """Open a file.

    Args:
        path: of it.
        hints: what the user says; height and width only where the file leaves them open.
        notify: is told what was found and guessed.

    Returns:
        The predictor, and the file with fixed height and width.

    Raises:
        ModelError: damaged, quantised already, no picture classifier, or labels that do not fit.
        UsageError: nobody says how to normalise pixels; hints that have no place.
    """
    name = shown(path)
    file = ModelFile.read(path)  # looks through what the interpreter takes on trust
    with contents(path) as data:
        content = bytes(data[:])
    check_float(unpack_model(content), name)
    taken = tflite_file.TAKEN
    signature = file.inputs[0].shape_signature
    if len(file.inputs) == 1 and len(signature) == 4 and min(signature[1:3]) < 0:
        taken = taken | {"height", "width"}
        height, width = hints.height or hints.width, hints.width or hints.height
        sides = (height or hints.usual_size, width or hints.usual_size)
        notify(f"{name} takes pictures of any size; made for {sides[1]} x {sides[0]} (--input-height, --input-width)")
        content = _of_size(content, sides, path)
    hints.refuse(taken, "a .tflite file, which says it itself")
    contract = _contract_of(content, path, hints)
    if contract.file.inputs[0].dtype != "float32" or contract.file.outputs[0].dtype != "float32":
        raise ModelError(
            f"{name} takes {contract.file.inputs[0].dtype} and gives {contract.file.outputs[0].dtype}: a float model "
            "takes and gives float32"
        )
    with quiet_stderr():
        classifier = Classifier(contract, LoadedModel(content))
    notify(f"model: {name}")
    return tflite_file.predictor(classifier, path, hints, notify), content


def _contract_of(content: bytes, path: Path, hints: Hints) -> ModelContract:
    """What the file with fixed height and width asks for; errors name the user's own."""
    with tempfile.TemporaryDirectory() as folder:
        fixed = Path(folder) / (path.name if path.suffix == ".tflite" else "model.tflite")
        fixed.write_bytes(content)
        try:
            contract = read_contract(fixed, tflite_file.overrides(hints))
        except EdgeExportError as error:
            raise type(error)(str(error).replace(shown(fixed), shown(path))) from error
    return replace(contract, file=replace(contract.file, path=path))


def _of_size(content: bytes, sides: tuple[int, int], path: Path) -> bytes:
    """The model with all shapes as they are for pictures of this height and width, and what is appended to it."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    model = unpack_model(content)
    graph = model.subgraphs[0]
    try:
        with quiet_stderr():
            # Every tensor has a place of its own only where no delegate takes several operators in one.
            interpreter = Interpreter(
                model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            )
            interpreter.resize_tensor_input(int(graph.inputs[0]), [1, *sides, 3])
            interpreter.allocate_tensors()
            details: list[dict[str, Any]] = interpreter.get_tensor_details()
    except Exception as error:
        raise ModelError(f"{shown(path)} does not take pictures of {sides[1]} x {sides[0]}: {error}") from error
    for detail in details:
        if detail["index"] < len(graph.tensors):
            graph.tensors[detail["index"]].shape = np.array(detail["shape"], np.int32)
    for tensor in graph.tensors:
        tensor.shapeSignature = None
    return pack_model(model) + _archive(path, content)


def _archive(path: Path, content: bytes) -> bytes:
    """The zip archive of labels and the like at the end of a file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return content[min(info.header_offset for info in archive.infolist()) :]
    except (zipfile.BadZipFile, ValueError, OSError):
        return b""


def only_file(folder: Path) -> Path:
    """The one file of a folder.

    Raises:
        UsageError: there are several.
    """
    found = sorted(folder.glob("*.tflite"))
    if len(found) != 1:
        names = ", ".join(shown(path.name) for path in found[:5])
        raise UsageError(f"{shown(folder)} holds {len(found)} .tflite files ({names}); name the one to convert")
    return found[0]
