"""How a model is to be loaded, in a form that a child process can be told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runtime.classifier import Classifier
from runtime.contract import Overrides, read_contract
from runtime.delegates import Delegate
from runtime.interpreter import LoadedModel
from runtime.op_support import require_operators
from runtime.xnnpack import Xnnpack


@dataclass(frozen=True)
class LoadRequest:
    """The arguments of ``Classifier.load``.

    Attributes:
        path: of a ``.tflite`` file.
        overrides: what goes before the file's own word.
        threads: of the interpreter; None leaves it to it.
        xnnpack: see ``Xnnpack``.
        delegate: a library that takes operators over.
    """

    path: Path
    overrides: Overrides | None = None
    threads: int | None = None
    xnnpack: Xnnpack = "auto"
    delegate: Delegate | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON values; paths are absolute, for the child may look from elsewhere."""
        said, delegate = self.overrides or Overrides(), self.delegate
        return {
            "path": str(self.path.absolute()),
            "labels": None if said.labels is None else str(said.labels.absolute()),
            "mean": said.mean,
            "std": said.std,
            "resample": said.resample,
            "threads": self.threads,
            "xnnpack": self.xnnpack,
            "delegate": None if delegate is None else [delegate.name, delegate.library, delegate.options],
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> LoadRequest:
        """What ``to_json`` gave."""
        labels, mean, std = values["labels"], values["mean"], values["std"]
        overrides = Overrides(
            None if labels is None else Path(labels),
            None if mean is None else tuple(mean),
            None if std is None else tuple(std),
            values["resample"],
        )
        delegate = None
        if values["delegate"] is not None:
            name, library, options = values["delegate"]
            delegate = Delegate(name, library, tuple((key, value) for key, value in options))
        return cls(Path(values["path"]), overrides, values["threads"], values["xnnpack"], delegate)

    def load(self, threads: int | None = None, xnnpack: Xnnpack | None = None) -> Classifier:
        """Load it in this process, a delegate without trying it elsewhere first.

        Args:
            threads: in place of the request's.
            xnnpack: the same.

        Raises:
            EdgeExportError: as of ``Classifier.load``.
        """
        order = replace(self, threads=threads or self.threads, xnnpack=xnnpack or self.xnnpack)
        contract = read_contract(order.path, order.overrides)
        require_operators(contract.file, delegate=order.delegate is not None)
        model = LoadedModel(order.path, order.threads, xnnpack=order.xnnpack, delegate=order.delegate)
        return Classifier(contract, model)
