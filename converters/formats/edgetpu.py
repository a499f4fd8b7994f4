"""An int8 ``.tflite`` file for the Edge TPU of Coral: through ``edgetpu_compiler`` where it is installed.

The compiler is a program of Google's for x86-64 Linux, its last release is 16.0 of 2021:
https://coral.ai/docs/edgetpu/compiler/
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.atomic import write_bytes
from converters.flatbuffer_model import unpack_model
from converters.formats.beside import write_beside
from converters.formats.dense_per_tensor import per_tensor_dense
from converters.formats.edgetpu_rules import Operators, predict
from converters.formats.lean_model import lean_model
from runtime.errors import ModelError, one_line
from runtime.spec import ModelSpec

COMPILER = "edgetpu_compiler"
# Seconds; the compiler itself gives up after 180.
_TIMEOUT = 900
_VERSION = re.compile(r"Edge TPU Compiler version (\S+)")
_OPERATORS = re.compile(r"^([A-Za-z][A-Za-z0-9_]*)[ \t]+(\d+)[ \t]+(\S.*?)[ \t]*$", re.MULTILINE)
_MEMORY = re.compile(r"^(On-chip memory used|On-chip memory remaining|Off-chip memory used)[^:]*: (\S+)", re.MULTILINE)
_TROUBLE = re.compile(r"not quantized|error|failed|abort|unsupported|invalid", re.IGNORECASE)
_ADVICE = (
    f"{COMPILER} is not installed: it is a program for x86-64 Linux, which Google's package source of Coral has "
    "(https://coral.ai/docs/edgetpu/compiler/)"
)


@dataclass(frozen=True)
class EdgeTpu:
    """What came of a file for the Edge TPU.

    Attributes:
        files: that were written: the compiled model, the compiler's log, labels and specification; or, without the
            compiler, the model to be compiled where the int8 file itself would be refused.
        compiler: version of the compiler, or None where there is none.
        operators: what it says of each operator; without the compiler, what it would say by its published rules.
        memory: what the compiler says of memory, such as ``{"Off-chip memory used": "0.00B"}``.
        message: all of it in one line for people.
    """

    files: tuple[Path, ...]
    compiler: str | None
    operators: tuple[Operators, ...]
    memory: dict[str, str]
    message: str

    def to_json(self) -> dict[str, Any]:
        """For export.json."""
        return {
            "files": [path.name for path in self.files],
            "compiler": self.compiler,
            "operators": [vars(operators) for operators in self.operators],
            "memory": self.memory,
            "message": self.message,
        }


def write(content: bytes, spec: ModelSpec, folder: Path, stem: str, compiler: str | None = None) -> EdgeTpu:
    """Compile an int8 file to ``STEM_edgetpu.tflite``, or say what would become of it.

    Dense layers get one scale for their weights, which the compiler wants.

    Args:
        content: of an int8 ``.tflite`` file.
        spec: of the model; labels and specification go beside the compiled model, which has none in it.
        folder: for the files.
        stem: of their names, which the file system takes.
        compiler: path of the compiler; None looks for it.

    Raises:
        ModelError: not a TFLite model; one of which nothing would run on the Edge TPU; one that the compiler refuses.
        DataError: the files cannot be written.
    """
    ready = per_tensor_dense(content)
    changed = ready != content
    # The metadata speak of files that are appended to the int8 file alone.
    ready = lean_model(ready, keep_names=True)
    expected = predict(unpack_model(ready))
    if not any(operators.mapped for operators in expected):
        raise ModelError(
            f"nothing of {stem} would run on the Edge TPU ({_listed(expected)}): it takes full-integer files, "
            "give it the int8 one"
        )
    compiler = compiler or shutil.which(COMPILER)
    if compiler is None:
        return _uncompiled(ready, changed, folder, stem, expected)
    compiled, log = _compile(compiler, ready, stem)
    files: tuple[Path, ...] = (folder / f"{stem}_edgetpu.tflite", folder / f"{stem}_edgetpu.log")
    write_bytes(files[0], compiled)
    write_bytes(files[1], log.encode())
    files += tuple(write_beside(spec, folder, f"{stem}_edgetpu"))
    version = _VERSION.search(log)
    operators = read_operators(log) or expected
    memory = dict(_MEMORY.findall(log))
    return EdgeTpu(
        files,
        version[1] if version else "unknown",
        tuple(operators),
        memory,
        _mapping(operators, "run") + "".join(f"; {name.lower()}: {amount}" for name, amount in memory.items()),
    )


def read_operators(log: str) -> list[Operators]:
    """The table of operators in what the compiler prints or logs."""
    _, _, table = log.partition("Operator ")
    return [Operators(name, int(count), status) for name, count, status in _OPERATORS.findall(table)]


def _uncompiled(ready: bytes, changed: bool, folder: Path, stem: str, expected: list[Operators]) -> EdgeTpu:
    files: tuple[Path, ...] = ()
    name = f"{stem}.tflite"
    if changed:
        files = (folder / f"{stem}_for_edgetpu.tflite",)
        name = files[0].name
        write_bytes(files[0], ready)
    message = f"{_ADVICE}; by its rules {_mapping(expected, 'would run')}; compile it with: {COMPILER} {name}"
    return EdgeTpu(files, None, tuple(expected), {}, message)


def _mapping(operators: list[Operators], verb: str) -> str:
    total = sum(entry.count for entry in operators)
    there = sum(entry.count for entry in operators if entry.mapped)
    others = [entry for entry in operators if not entry.mapped]
    text = f"{there} of {total} operators {verb} on the Edge TPU"
    return text + (f", on the processor: {_listed(others)}" if others else "")


def _listed(operators: list[Operators]) -> str:
    return ", ".join(f"{entry.count} {entry.name} ({entry.status})" for entry in operators)


def _compile(compiler: str, content: bytes, stem: str) -> tuple[bytes, str]:
    """The compiled model, and what the compiler said."""
    with tempfile.TemporaryDirectory() as scratch:
        # A plain name: it goes into the log, and the compiler is not ours to trust with any other.
        path = Path(scratch) / "model.tflite"
        path.write_bytes(content)
        command = [compiler, "-s", "-o", scratch, str(path)]
        try:
            done = subprocess.run(  # noqa: S603 - the user's own compiler, with paths as arguments
                command, cwd=scratch, capture_output=True, timeout=_TIMEOUT, check=False, env=dict(os.environ)
            )
        except subprocess.TimeoutExpired:
            raise ModelError(f"{COMPILER} does not end within {_TIMEOUT} seconds") from None
        except OSError as error:
            raise ModelError(f"{compiler} cannot be run: {error.strerror or error}") from error
        said = (done.stdout + b"\n" + done.stderr).decode(errors="replace").replace(scratch + os.sep, "")
        compiled = Path(scratch) / "model_edgetpu.tflite"
        if done.returncode != 0 or not compiled.is_file():
            raise ModelError(f"{COMPILER} refuses {stem}: {_trouble(said, done.returncode)}")
        return compiled.read_bytes(), said.strip() + "\n"


def _trouble(said: str, code: int) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = [line for line in lines if _TROUBLE.search(line)] or lines[-1:]
    return one_line("; ".join(told)) or f"exit code {code}"
