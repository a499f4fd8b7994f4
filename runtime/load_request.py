"""How a model is to be loaded, in a form that a child process can be told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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

    def load(self, step: Callable[[str], None] = lambda step: None) -> Classifier:
        """Load it in this process, a delegate without trying it elsewhere first.

        Args:
            step: told what comes next; see ``LoadedModel``.

        Raises:
            EdgeExportError: as of ``Classifier.load``.
        """
        contract = read_contract(self.path, self.overrides)
        require_operators(contract.file, delegate=self.delegate is not None)
        model = LoadedModel(self.path, self.threads, xnnpack=self.xnnpack, delegate=self.delegate, step=step)
        return Classifier(contract, model)

    def load_tried(self) -> Classifier:
        """The same; a delegate is tried in a child process first, where its crash does no harm.

        Raises:
            EdgeExportError: as of ``Classifier.load``.
        """
        if self.delegate is not None:
            from runtime.trial import try_model

            try_model(self)
        return self.load()
