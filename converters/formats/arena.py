"""How much working memory TensorFlow Lite Micro needs for a model: measured, or estimated from tensor lifetimes."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import converters
from converters.formats.arena_probe import NOT_INSTALLED
from converters.formats.micro_operators import code_name
from converters.processes import signal_name
from runtime.errors import ModelError, one_line
from runtime.op_names import TENSOR_TYPES

# MicroArenaBufferAlignment() in tensorflow/lite/micro/micro_arena_constants.h, bytes.
_ALIGNMENT = 16
# Of what lives as long as the interpreter, bytes, as a RecordingMicroAllocator of tflite-micro 0.dev20261023 counts it
# where pointers have 8 bytes: TfLiteEvalTensor, NodeAndRegistration, a multiplier and a shift for each channel, and
# the data of a kernel. Those of the interpreter itself are rounded up.
_TENSOR, _NODE, _CHANNEL, _KERNEL, _INTERPRETER = 24, 64, 8, 96, 2048
_WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
# An estimate is raised by this share: kernels may ask for scratch memory that the model does not show.
_MARGIN = 0.1
_TIMEOUT = 300


@dataclass(frozen=True)
class Arena:
    """Working memory.

    Attributes:
        size: bytes to set aside; a multiple of 16.
        measured: by tflite-micro on this machine, or else estimated.
        how: one line for people.
    """

    size: int
    measured: bool
    how: str


def arena_for(content: bytes, model: Any, python: str = sys.executable) -> Arena:
    """Measured where tflite-micro is installed, estimated where it is not.

    Args:
        content: of a ``.tflite`` file.
        model: the same as a ``ModelT``.
        python: the interpreter whose packages are used.

    Raises:
        ModelError: see ``measure_arena``.
    """
    measured = measure_arena(content, python)
    if measured is not None:
        size, version = measured
        return Arena(
            size, True, f"measured with tflite-micro {version} and 64-bit pointers; a 32-bit device needs less"
        )
    size = math.ceil(estimate_arena(model) * (1 + _MARGIN) / 1024) * 1024
    return Arena(size, False, "estimated from tensor lifetimes, not measured (pip install tflite-micro measures it)")


def measure_arena(content: bytes, python: str = sys.executable) -> tuple[int, str] | None:
    """Bytes that the interpreter of tflite-micro allocates, and its version; None where it is not installed.

    Raises:
        ModelError: it is installed and does not take the model.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        printed = run_micro(python, "converters.formats.arena_probe", [path], _TIMEOUT)
    if printed is None:
        return None
    size, version = printed.split()
    return int(size), version


def run_micro(python: str, module: str, arguments: Sequence[Path], seconds: float) -> str | None:
    """Run a module of ours that uses tflite-micro, which may end the process, in one of its own.

    Args:
        python: the interpreter whose packages are used.
        module: its name.
        arguments: absolute paths.
        seconds: that it may take.

    Returns:
        What it prints; None where there is no tflite-micro.

    Raises:
        ModelError: the process fails, crashes or hangs.
    """
    environment = dict(os.environ)
    # The child runs these very modules, wherever they were imported from.
    root = str(Path(converters.__path__[0]).resolve().parent)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH")]))
    command = [python, "-m", module, *map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder:  # `-m` looks for modules in the current one first
        try:
            done = subprocess.run(  # noqa: S603 - our own module, with paths as arguments
                command, cwd=folder, capture_output=True, env=environment, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            raise ModelError(f"tflite-micro does not end within {seconds:g} seconds") from None
    if done.returncode == NOT_INSTALLED:
        return None
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = f"ends with {signal_name(-done.returncode)}" if done.returncode < 0 else "refuses the model"
        raise ModelError(f"tflite-micro {reason}: {one_line(lines[-1]) if lines else 'it does not say why'}")
    return done.stdout.decode()


def estimate_arena(model: Any) -> int:
    """Bytes for tensors that live at the same time, placed as the GreedyMemoryPlanner does, and for bookkeeping.

    Args:
        model: a ``ModelT``; its first subgraph counts.
    """
    graph = model.subgraphs[0]
    names = [code_name(code) for code in model.operatorCodes]
    persistent = _INTERPRETER + _TENSOR * len(graph.tensors)
    for operator in graph.operators:
        persistent += _NODE + _KERNEL
        if names[operator.opcodeIndex] in _WEIGHTED:
            persistent += _CHANNEL * int(graph.tensors[operator.outputs[0]].shape[-1])
    return _aligned(persistent) + _planned(_lifetimes(model, graph))


def _lifetimes(model: Any, graph: Any) -> list[tuple[int, int, int]]:
    """(bytes, first operator, last operator) of each tensor that is computed, in the order of the tensors."""
    constant = {index for index, buffer in enumerate(model.buffers) if buffer.data is not None and len(buffer.data)}
    first = {int(index): 0 for index in graph.inputs}
    last: dict[int, int] = {}
    for number, operator in enumerate(graph.operators):
        for index in map(int, operator.inputs):
            last[index] = number
        for index in map(int, operator.outputs):
            first.setdefault(index, number)
            last.setdefault(index, number)
    last.update({int(index): len(graph.operators) for index in graph.outputs})
    return [
        (_size(graph.tensors[index]), begin, last.get(index, begin))
        for index, begin in sorted(first.items())
        if graph.tensors[index].buffer not in constant
    ]


def _size(tensor: Any) -> int:
    shape = [] if tensor.shape is None else tensor.shape
    return _aligned(math.prod(map(int, shape)) * TENSOR_TYPES[tensor.type][1] // 8)


def _planned(buffers: list[tuple[int, int, int]]) -> int:
    """Height of the stack of buffers: largest first, each in the lowest gap between those that live with it.

    Of two of one size the later goes first, as in greedy_memory_planner.cc: another order, another height.
    """
    placed: list[tuple[int, int, int, int]] = []
    for size, begin, end in sorted(buffers, key=lambda buffer: buffer[0])[::-1]:
        offset = 0
        for start, length, other_begin, other_end in sorted(placed):
            if other_end < begin or end < other_begin:
                continue
            if start - offset >= size:
                break
            offset = max(offset, start + length)
        placed.append((offset, size, begin, end))
    return max((start + length for start, length, _, _ in placed), default=0)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
