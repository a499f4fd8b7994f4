"""The TFLite interpreter, whichever is installed. Only this module knows their names."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import MissingPackageError, ModelError, UsageError, one_line
from runtime.file_kind import shown
from runtime.files import file_stamp
from runtime.model_file import OperatorUse
from runtime.processors import processors
from runtime.quantization import Quantization
from runtime.versions import how_to_install_interpreter, package_version

if TYPE_CHECKING:
    from runtime.delegates import Delegate
    from runtime.xnnpack import Xnnpack

#: Looked for in this order: distribution name, module that has ``Interpreter``.
_INTERPRETERS = (
    ("ai-edge-litert", "ai_edge_litert.interpreter"),
    ("tflite-runtime", "tflite_runtime.interpreter"),
)
#: Chooses one of them, for whoever has both.
CHOICE_VARIABLE = "EDGE_EXPORT_INTERPRETER"
# How both name an operator version that they lack.
_MISSING_OPERATOR = re.compile(r"Didn't find op for builtin opcode '(\w+)' version '(\d+)'")


def default_threads() -> int:
    """As many as there are processors for this process, at most four: small models gain nothing beyond."""
    return min(4, processors())


def _interpreter_class() -> tuple[str, Any]:
    """(distribution name, Interpreter class) of the first one that is installed."""
    import importlib

    choice = os.environ.get(CHOICE_VARIABLE)
    known = [distribution for distribution, _ in _INTERPRETERS]
    if choice and choice not in known:
        raise UsageError(f"{CHOICE_VARIABLE}={shown(choice)}: must be {' or '.join(known)}, or not set")
    failures = []
    for distribution, module in _INTERPRETERS:
        if choice and choice != distribution:
            continue
        try:
            return distribution, importlib.import_module(module).Interpreter
        except ModuleNotFoundError as error:
            if error.name not in {module, module.split(".")[0]}:
                failures.append(f"{distribution} is installed but needs {error.name}")
        except Exception as error:  # a wheel that does not fit this machine fails in many ways
            failures.append(f"{distribution} does not load: {error}")
    detail = "; ".join(failures) or (
        f"{CHOICE_VARIABLE}={choice}, which is not installed" if choice else "none is installed"
    )
    raise MissingPackageError(f"no TFLite interpreter ({detail}): {how_to_install_interpreter()}")


def interpreter_name() -> str:
    """Distribution and version of the interpreter in use, for example ``ai-edge-litert 2.3.0``.

    Raises:
        MissingPackageError: none can be imported.
    """
    return " ".join(filter(None, interpreter_version()))


def interpreter_version() -> tuple[str, str | None]:
    """The same in two parts; the version is None where nobody knows it.

    Raises:
        MissingPackageError: none can be imported.
    """
    distribution, _ = _interpreter_class()
    return distribution, package_version(distribution)


class LoadedModel:
    """A model with one picture input and a scores output, ready to run; for one thread at a time.

    Args:
        model: path of a ``.tflite`` file, which is mapped, not read; or its bytes.
        threads: of the interpreter; None takes ``default_threads()``.
        batch: pictures a run; more than 1 for models whose first dimension, everywhere, is the batch.
        xnnpack: see ``Xnnpack``.
        delegate: a library that takes operators over.
        step: told what comes next, "load" (of the delegate) and "prepare" (of the model).

    Attributes:
        name: of the model in errors; its path.
        threads: of the interpreter.
        threads_asked: whether that number was given.
        delegated: whether a delegate takes operators over.
        input_shape: of the first input, the batch first.
        input: dtype, scale and zero point of the first input.
        output: the same of the first output.
        classes: number of scores of a picture.

    Raises:
        ModelError: the interpreter or the delegate refuses the model.
        MissingPackageError: no interpreter is installed, or the delegate is not.
    """

    def __init__(
        self,
        model: Path | bytes,
        threads: int | None = None,
        batch: int = 1,
        *,
        xnnpack: Xnnpack = "auto",
        delegate: Delegate | None = None,
        step: Callable[[str], None] = lambda step: None,
    ) -> None:
        distribution, interpreter_class = _interpreter_class()
        self.name = "the model" if isinstance(model, bytes) else shown(model)
        self._model, self._batch, self._xnnpack, self._delegate = model, batch, xnnpack, delegate
        self._stamp = None if isinstance(model, bytes) else file_stamp(model)
        self.threads, self.threads_asked = threads or default_threads(), threads is not None
        self.delegated = delegate is not None
        source: dict[str, Any] = {"model_content": model} if isinstance(model, bytes) else {"model_path": str(model)}
        if xnnpack != "auto" or delegate is not None:
            step("load")
            source |= _acceleration(interpreter_class, xnnpack, delegate, self.threads)
        step("prepare")
        try:
            self._interpreter = interpreter_class(num_threads=self.threads, **source)
            if batch != 1:
                details = self._interpreter.get_input_details()[0]
                self._interpreter.resize_tensor_input(details["index"], [batch, *details["shape"][1:]])
            self._interpreter.allocate_tensors()
        except Exception as error:  # the interpreters raise ValueError, RuntimeError, SystemError, ...
            raise ModelError(_explain(self.name, distribution, error, delegate)) from error
        details = self._interpreter.get_input_details()[0]
        self._input_index = details["index"]
        self.input_shape = tuple(int(n) for n in details["shape"])
        self.input = _quantization(details)
        details = self._interpreter.get_output_details()[0]
        self._output_index = details["index"]
        self.output = _quantization(details)
        self.classes = int(np.prod(details["shape"])) // batch

    def twin(self, threads: int) -> LoadedModel:
        """The same model once more, for another thread.

        Args:
            threads: of its interpreter.

        Raises:
            ModelError: the file is another one by now; or as when it was loaded.
        """
        if not isinstance(self._model, bytes) and file_stamp(self._model) != self._stamp:
            raise ModelError(f"{self.name}: the file was replaced after it was loaded; load it again")
        twin = LoadedModel(self._model, threads, self._batch, xnnpack=self._xnnpack, delegate=self._delegate)
        twin.name = self.name
        return twin

    def input_memory(self) -> NDArray[Any]:
        """The interpreter's own input, to be written to instead of handing ``run`` a tensor, which it must copy.

        Let go of the array before ``run``: the interpreter refuses to run while anyone holds it.
        """
        memory: NDArray[Any] = self._interpreter.tensor(self._input_index)()
        return memory

    def run(self, tensor: NDArray[Any] | None = None) -> NDArray[Any]:
        """One forward pass.

        Args:
            tensor: of the input's shape and dtype; None takes what was written to ``input_memory``.

        Returns:
            The first output, flat, in the model's own dtype (not dequantised).

        Raises:
            ModelError: the interpreter fails.
        """
        try:
            if tensor is not None:
                self._interpreter.set_tensor(self._input_index, tensor)
            self._interpreter.invoke()
        except Exception as error:
            raise ModelError(f"{self.name}: the model fails when it runs: {one_line(error)}") from error
        output: NDArray[Any] = self._interpreter.get_tensor(self._output_index)
        return output.reshape(-1)


class OperatorRunner:
    """A small model with any number of inputs and outputs, for tools that look into a network.

    Args:
        model: bytes of a ``.tflite`` file.
        threads: of the interpreter; None takes ``default_threads``.

    Raises:
        ModelError: the interpreter refuses the model.
        MissingPackageError: no interpreter is installed.
    """

    def __init__(self, model: bytes, threads: int | None = None) -> None:
        distribution, interpreter_class = _interpreter_class()
        try:
            self._interpreter = interpreter_class(model_content=model, num_threads=threads or default_threads())
            self._interpreter.allocate_tensors()
        except Exception as error:
            raise ModelError(_explain("a part of the model", distribution, error)) from error
        self._inputs = [details["index"] for details in self._interpreter.get_input_details()]
        self._outputs = [details["index"] for details in self._interpreter.get_output_details()]

    def run(self, *tensors: NDArray[Any]) -> list[NDArray[Any]]:
        """All outputs for one set of inputs, both in the model's order."""
        for index, tensor in zip(self._inputs, tensors, strict=True):
            self._interpreter.set_tensor(index, tensor)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._outputs]


def _quantization(details: dict[str, Any]) -> Quantization:
    scale, zero_point = details["quantization"]
    return Quantization(np.dtype(details["dtype"]), float(scale), int(zero_point))


def _acceleration(interpreter_class: Any, xnnpack: Xnnpack, delegate: Delegate | None, threads: int) -> dict[str, Any]:
    """Arguments of the interpreter for what does the work in its place."""
    module = sys.modules[interpreter_class.__module__]
    arguments: dict[str, Any] = {}
    if xnnpack == "off":
        arguments["experimental_op_resolver_type"] = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    loaded: list[Any] = []
    if delegate is not None:
        from runtime.delegates import load_library

        loaded.append(load_library(delegate, module.load_delegate))
    if xnnpack == "on":
        from runtime.xnnpack import eight_bit_delegate

        eight_bit = eight_bit_delegate(module, threads)
        loaded += [] if eight_bit is None else [eight_bit]
    return arguments | ({"experimental_delegates": loaded} if loaded else {})


def _explain(name: str, distribution: str, error: Exception, delegate: Delegate | None = None) -> str:
    text = one_line(error)
    if isinstance(error, SystemError) and distribution == "tflite-runtime":
        return f"tflite-runtime does not work with numpy {np.__version__}: pip install 'numpy<2'"
    missing = _MISSING_OPERATOR.search(text)
    if missing is not None:
        from runtime.op_support import who_has

        operator = OperatorUse(missing[1], int(missing[2]), 1)
        return (
            f"{name} needs {operator.name} version {operator.version}, which {interpreter_name()} does not have; "
            f"{who_has(operator)}"
        )
    who = distribution if delegate is None else f"{distribution} with --delegate {shown(delegate.name)}"
    return f"{name}: {who} cannot load this model: {text}"
