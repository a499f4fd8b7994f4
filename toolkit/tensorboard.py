"""A training for TensorBoard: curves, confusion matrix, the model's graph and the features, without TensorFlow."""

from __future__ import annotations

import io
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.atomic import write_bytes
from runtime.errors import MissingPackageError, UsageError
from runtime.file_kind import shown
from toolkit.confusion_picture import confusion_counts, confusion_png
from toolkit.projector import Embeddings, write_embeddings
from toolkit.retrain_progress import CurvePoint

#: Folders, and so names of TensorBoard's runs; retrain.py wrote the first two.
TRAIN_RUN, VALIDATION_RUN, TEST_RUN = "train", "validation", "test"
# End of our event files' names: those of an earlier training into the same folder are replaced, others stay.
_SUFFIX = ".edge-export"
# TensorBoard shows a graph's structure; constants larger than this are left out of it, bytes.
_LARGEST_CONSTANT = 1024


@dataclass(frozen=True)
class Board:
    """What TensorBoard shows of a training.

    Attributes:
        curves: in the order of their steps.
        labels: of the classes.
        class_ids: of the test pictures; empty for a multi-label model, which has no confusion matrix.
        answers: the model's to them.
        embeddings: of the pictures; None leaves the projector empty.
    """

    curves: Sequence[CurvePoint]
    labels: Sequence[str]
    class_ids: Sequence[int]
    answers: Sequence[int]
    embeddings: Embeddings | None = None


def check_tensorboard(folder: Path) -> None:
    """Make sure that TensorBoard's files can be written, before a training begins.

    Raises:
        MissingPackageError: TensorBoard is not installed.
        UsageError: the folder is a file.
    """
    _protos()
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--tensorboard {shown(folder)} is a file; name a folder")


def write_tensorboard(folder: Path, board: Board, graph: bytes | None = None) -> None:
    """Write what ``tensorboard --logdir FOLDER`` shows; files of an earlier training in it are replaced.

    Args:
        folder: gets a folder each for the runs ``train``, ``validation`` and ``test``, and the projector's files.
        board: the figures.
        graph: a serialised GraphDef of the model, with or without its weights.

    Raises:
        MissingPackageError: TensorBoard is not installed.
        DataError: the folder cannot be written.
    """
    last = board.curves[-1].step if board.curves else 0
    train = [_scalars(point, point.train_accuracy, point.cross_entropy) for point in board.curves]
    if graph is not None:
        train.insert(0, _graph_event(graph))
    validation = [
        _scalars(point, point.validation_accuracy, point.validation_cross_entropy)
        for point in board.curves
        if point.validation_accuracy is not None
    ]
    for run, events in ((TRAIN_RUN, train), (VALIDATION_RUN, validation), (TEST_RUN, _test_events(board, last))):
        _write_events(folder / run, events)
    if board.embeddings is not None:
        write_embeddings(folder, board.embeddings)


def _protos() -> Any:
    """TensorBoard's own message types and record format: they need no TensorFlow."""
    try:
        import tensorboard.compat.proto as package
        from tensorboard.compat.proto import event_pb2, graph_pb2, summary_pb2  # noqa: F401 - parts of package
    except ImportError as error:
        raise MissingPackageError(
            "--tensorboard needs tensorboard, which is not installed: pip install 'edge-export-toolkit[train]'"
        ) from error
    return package


def _scalars(point: CurvePoint, accuracy: float | None, cross_entropy: float | None) -> Any:
    values = {"accuracy": accuracy, "cross_entropy": cross_entropy}
    return _event(point.step, point.wall_time, {tag: value for tag, value in values.items() if value is not None})


def _event(step: int, wall_time: float, scalars: dict[str, float]) -> Any:
    protos = _protos()
    values = [protos.summary_pb2.Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
    return protos.event_pb2.Event(step=step, wall_time=wall_time, summary=protos.summary_pb2.Summary(value=values))


def _test_events(board: Board, step: int) -> list[Any]:
    """Accuracy on the test pictures and their confusion matrix as a picture."""
    if not len(board.class_ids):
        return []
    counts = confusion_counts(board.class_ids, board.answers, len(board.labels))
    event = _event(step, time.time(), {"accuracy": float(counts.trace() / counts.sum())})
    png, width, height = confusion_png(counts, board.labels)
    image = _protos().summary_pb2.Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
    event.summary.value.add(tag="confusion_matrix", image=image)
    return [event]


def _graph_event(graph: bytes) -> Any:
    protos = _protos()
    structure = protos.graph_pb2.GraphDef.FromString(graph)
    for node in structure.node:
        if node.op == "Const" and node.attr["value"].ByteSize() > _LARGEST_CONSTANT:
            node.attr["value"].tensor.ClearField("tensor_content")
    return protos.event_pb2.Event(wall_time=time.time(), graph_def=structure.SerializeToString())


def _write_events(folder: Path, events: list[Any]) -> None:
    """Put one whole file with these events in the place of our earlier ones."""
    from tensorboard.summary.writer.record_writer import RecordWriter

    first = _protos().event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2")
    stream = io.BytesIO()
    writer = RecordWriter(stream)
    for event in [first, *events] if events else []:
        writer.write(event.SerializeToString())
    earlier = list(folder.glob(f"events.out.tfevents.*{_SUFFIX}"))
    if events:
        # The time must come first, in digits: TensorBoard reads the files of a run in the order of their names.
        name = f"events.out.tfevents.{time.time_ns() // 1000}.{socket.gethostname()}.{os.getpid()}{_SUFFIX}"
        write_bytes(folder / name, stream.getvalue())
    for path in earlier:
        path.unlink(missing_ok=True)
