"""Files beside the bundle, for scripts written for ``retrain.py`` and for TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.atomic import write_bytes
from converters.bundle import LABELS_FILE, ModelBundle
from converters.formats.frozen_graph import OUTPUT_NAME, check_output_name, frozen_graph
from converters.formats.saved_model import check_saved_model_folder, write_saved_model
from runtime.errors import UsageError
from runtime.file_kind import shown
from toolkit.folders import check_writable
from toolkit.tensorboard import Board, check_tensorboard, write_tensorboard


@dataclass(frozen=True)
class ExtraOutputs:
    """What is written beside the bundle; None: nothing.

    Attributes:
        output_graph: file for the frozen GraphDef.
        output_labels: file for the labels, one a line.
        saved_model_dir: folder for the SavedModel.
        final_tensor_name: of the result in the graph.
        intermediate_graphs_dir: folder for graphs of the unfinished model.
        intermediate_store_frequency: steps between two of them; 0 writes none.
        tensorboard: folder for TensorBoard's files.
    """

    output_graph: Path | None = None
    output_labels: Path | None = None
    saved_model_dir: Path | None = None
    final_tensor_name: str = OUTPUT_NAME
    intermediate_graphs_dir: Path = Path("intermediate_graphs")
    intermediate_store_frequency: int = 0
    tensorboard: Path | None = None

    def __post_init__(self) -> None:
        check_output_name(self.final_tensor_name)
        if self.intermediate_store_frequency < 0:
            raise UsageError(
                "--intermediate-store-frequency must be 0 (none) or a number of steps, "
                f"not {self.intermediate_store_frequency}"
            )
        if self.output_graph is not None and self.output_graph == self.output_labels:
            raise UsageError(f"--output-graph and --output-labels are both {shown(self.output_graph)}")

    def check(self, bundle_folder: Path) -> None:
        """Make sure before a training that all of it can be written after it.

        Args:
            bundle_folder: where the bundle will be; it is replaced as a whole, so nothing else may lie in it.

        Raises:
            UsageError: a place that cannot be used.
            MissingPackageError: TensorBoard is asked for and not installed.
        """
        for option, path in self._places():
            if path.resolve().is_relative_to(bundle_folder.resolve()):
                raise UsageError(
                    f"{option} {shown(path)} lies in {shown(bundle_folder)}, which is replaced as a whole; "
                    "name another place"
                )
            if option in ("--output-graph", "--output-labels") and path.is_dir():
                raise UsageError(f"{option} {shown(path)} is a folder; name a file")
            check_writable(option, path)
        if self.saved_model_dir is not None:
            check_saved_model_folder(self.saved_model_dir)
        if self.tensorboard is not None:
            check_tensorboard(self.tensorboard)

    def _places(self) -> Iterator[tuple[str, Path]]:
        places = {
            "--output-graph": self.output_graph,
            "--output-labels": self.output_labels,
            "--saved-model-dir": self.saved_model_dir,
            "--tensorboard": self.tensorboard,
            "--intermediate-graphs-dir": self.intermediate_graphs_dir if self.intermediate_store_frequency else None,
        }
        yield from ((option, path) for option, path in places.items() if path is not None)

    def store_intermediate(self, step: int) -> bool:
        """Whether the graph after this step is to be kept; as in retrain.py, never that of step 0."""
        return self.intermediate_store_frequency > 0 and step > 0 and step % self.intermediate_store_frequency == 0


def write_intermediate_graph(outputs: ExtraOutputs, step: int, model: Any) -> Path:
    """Write the model as it is after a step.

    Args:
        outputs: says where.
        step: number of batches so far.
        model: a ``keras.Model``.

    Returns:
        The file: ``intermediate_STEP.pb``.

    Raises:
        DataError: it cannot be written.
    """
    path = outputs.intermediate_graphs_dir / f"intermediate_{step}.pb"
    write_bytes(path, frozen_graph(model, outputs.final_tensor_name))
    return path


def write_extra_outputs(bundle_folder: Path, outputs: ExtraOutputs, board: Board | None = None) -> tuple[Path, ...]:
    """Write what was asked for, from a finished bundle; each file and folder is whole or absent.

    Args:
        bundle_folder: of the trained model.
        outputs: what and where.
        board: figures for TensorBoard; needed where ``outputs.tensorboard`` is set.

    Returns:
        What was written, in the order of the options.

    Raises:
        ModelError: the bundle is damaged.
        UsageError: a folder holds something else.
        DataError: something cannot be written.
    """
    bundle = ModelBundle.load(bundle_folder)
    written: list[Path] = []
    graph = None
    needs_graph = outputs.output_graph is not None or outputs.tensorboard is not None
    model = bundle.keras_model() if needs_graph or outputs.saved_model_dir is not None else None
    if needs_graph:
        graph = frozen_graph(model, outputs.final_tensor_name)
    if outputs.output_graph is not None and graph is not None:
        write_bytes(outputs.output_graph, graph)
        written.append(outputs.output_graph)
    if outputs.output_labels is not None:
        write_bytes(outputs.output_labels, (bundle.folder / LABELS_FILE).read_bytes())
        written.append(outputs.output_labels)
    if outputs.saved_model_dir is not None:
        write_saved_model(outputs.saved_model_dir, model, bundle.spec)
        written.append(outputs.saved_model_dir)
    if outputs.tensorboard is not None and board is not None:
        write_tensorboard(outputs.tensorboard, board, graph)
        written.append(outputs.tensorboard)
    return tuple(written)
