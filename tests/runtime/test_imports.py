"""What may be loaded: proved in processes of their own, where nothing is loaded yet."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import ROOT

TRAINING = {"tensorflow", "keras", "cv2"}
NUMPY = {"numpy", "PIL", "ai_edge_litert", "tflite_runtime"}
ALL_OF_RUNTIME = """
import importlib, pkgutil, runtime
names = {found.name for found in pkgutil.walk_packages(runtime.__path__, "runtime.")} - {"runtime.__main__"}
assert "runtime.sources.opencv" in names
for name in names:
    importlib.import_module(name)
"""
COMMANDS = [
    ("runtime.cli", "--help"),
    ("runtime.cli", "classify", "--help"),
    ("runtime.cli", "serve", "--help"),
    ("runtime.cli", "info", "--help"),
    ("runtime.cli", "benchmark", "--help"),
    ("toolkit.cli", "--help"),
    ("toolkit.cli", "train", "--help"),
    ("toolkit.cli", "convert", "--help"),
    ("toolkit.cli", "verify", "--help"),
    ("toolkit.cli", "evaluate", "--help"),
    ("toolkit.cli", "architectures", "--help"),
    ("toolkit.cli", "sample-data", "--help"),
    ("toolkit.cli", "sample-data", "shapes", "--help"),
    ("toolkit.cli", "sample-data", "flowers", "--help"),
]


def loaded_by(code: str) -> set[str]:
    """Top-level modules that are loaded after some code ran."""
    code += "\nimport sys; sys.stderr.write(repr({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return set(ast.literal_eval(done.stderr))


def test_the_package_alone_loads_nothing() -> None:
    assert not loaded_by("import runtime") & (TRAINING | NUMPY)


def test_no_module_of_the_runtime_loads_a_training_framework() -> None:
    assert not loaded_by(ALL_OF_RUNTIME) & TRAINING


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_loads_nothing_heavy(command: tuple[str, ...]) -> None:
    module, *arguments = command
    code = f"import runpy, sys\nsys.argv = {[module, *arguments]!r}\n"
    code += f"try: runpy.run_module({module!r}, run_name='__main__')\n"
    code += "except SystemExit as stop: assert stop.code == 0"
    loaded = loaded_by(code)
    assert not loaded & TRAINING
    if module == "runtime.cli":
        assert not loaded & NUMPY


# What costs a start of the command milliseconds, and one picture does not need.
NOT_FOR_ONE_PICTURE = {
    "asyncio",
    "ctypes.util",
    "decimal",
    "difflib",
    "email",
    "hashlib",
    "http.client",
    "importlib.metadata",
    "logging",
    "multiprocessing",
    "pickle",
    "random",
    "socket",
    "ssl",
    "subprocess",
    "tempfile",
    "urllib.request",
    "PIL.GifImagePlugin",
    "PIL.PngImagePlugin",
    "PIL.TiffImagePlugin",
    "runtime.sources.opencv",
    "runtime.watch",
    "runtime.trial",
}
BARE = """
import numpy, PIL.JpegImagePlugin
try:
    import ai_edge_litert.interpreter
except ImportError:
    import tflite_runtime.interpreter
"""


def test_one_picture_loads_little_more_than_a_bare_script(colours: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    Image.new("RGB", (20, 10)).save(photo)
    said = "\nimport sys; sys.stderr.write(repr(set(sys.modules)))"
    words = ["classify", "--model", str(colours), str(photo)]
    command = f"from runtime.cli import main; assert main({words!r}) == 0"
    found = []
    for code in (BARE, command):
        done = subprocess.run([sys.executable, "-c", code + said], capture_output=True, text=True, check=True, cwd=ROOT)
        found.append(ast.literal_eval(done.stderr))
    bare, ours = found
    assert (ours - bare) & NOT_FOR_ONE_PICTURE == set()
