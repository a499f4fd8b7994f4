"""Pictures, models and a way to run the command, for all tests of the runtime."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from converters.metadata import add_metadata
from runtime.model_file import ModelFile
from runtime.spec import LabelList, ModelSpec, Preprocessing
from tests.conftest import ROOT
from tests.runtime.model_parts import pack
from tests.runtime.tiny_models import mean_colour_model

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


@pytest.fixture(scope="session")
def pixels() -> NDArray[np.uint8]:
    """(48, 80, 3), asymmetric and smooth: no two of its eight orientations are alike."""
    rows, columns = np.mgrid[0:48, 0:80]
    return np.stack([columns * 3, rows * 5, 255 - columns - rows], axis=-1).astype(np.uint8)


@pytest.fixture(scope="session")
def encoded() -> Callable[..., bytes]:
    """A function that gives a picture as the bytes of a file."""

    def encode(picture: Image.Image | NDArray[Any], kind: str = "PNG", **options: Any) -> bytes:
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        file = io.BytesIO()
        image.save(file, kind, **options)
        return file.getvalue()

    return encode


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with a red, a green and a blue picture, the last one a folder deeper."""
    folder = tmp_path / "photos"
    (folder / "deeper").mkdir(parents=True)
    for name, colour in COLOURS.items():
        place = folder / "deeper" if name == "blue" else folder
        Image.new("RGB", (20, 10), colour).save(place / f"{name}.png")
    return folder


def spec_of(*labels: str, **preprocessing: Any) -> ModelSpec:
    """A specification for ``mean_colour_model``."""
    pixels = Preprocessing(**{"height": 8, "width": 8} | preprocessing)
    return ModelSpec("tiny", "mean_colour", "single-label", pixels, LabelList(labels))


@pytest.fixture
def save_model(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a model to a file, with our metadata where a specification is given."""

    def save(model: bytes, spec: ModelSpec | None = None, name: str = "made.tflite") -> Path:
        path = tmp_path / name
        path.write_bytes(add_metadata(model, spec) if spec else model)
        return path

    return save


@pytest.fixture
def colours(save_model: Callable[..., Path]) -> Path:
    """A model of ours that tells red from green from blue, with labels in several scripts."""
    model = mean_colour_model(then="SOFTMAX")
    return save_model(model, spec_of("red", "緑 grün", "two\nlines"), "colours.tflite")


@pytest.fixture(scope="session")
def run_module() -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that runs ``python -m module arguments`` on the working tree."""

    def run(*arguments: str, module: str = "runtime.cli", **options: Any) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTHONPATH": str(ROOT)} | options.pop("env", {})
        command = [str(options.pop("python", sys.executable)), "-m", module, *arguments]
        options = {"capture_output": True, "encoding": "utf-8", "timeout": 120} | options
        return subprocess.run(command, env=environment, check=False, **options)

    return run


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video: four red frames, four blue ones, four red ones; a second and more at its own speed."""
    cv2 = pytest.importorskip("cv2")
    path = tmp_path_factory.mktemp("clip") / "clip 花.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    assert writer.isOpened()
    for colour in ("red", "blue", "red"):
        for _ in range(4):
            writer.write(np.full((48, 64, 3), COLOURS[colour][::-1], np.uint8))
    writer.release()
    return path


@pytest.fixture
def read(tmp_path: Path) -> Callable[[Any], ModelFile]:
    """A function that reads a model, packed or made of parts, from a file."""

    def read(model: Any) -> ModelFile:
        path = tmp_path / "model.tflite"
        path.write_bytes(model if isinstance(model, bytes) else pack(model))
        return ModelFile.read(path)

    return read


@pytest.fixture
def board() -> Iterator[Any]:
    """Gpiozero's own stand-in for a Raspberry Pi."""
    gpiozero = pytest.importorskip("gpiozero")
    from gpiozero.pins.mock import MockFactory

    gpiozero.Device.pin_factory = MockFactory()
    yield gpiozero.Device.pin_factory
    gpiozero.Device.pin_factory.reset()
    gpiozero.Device.pin_factory = None
