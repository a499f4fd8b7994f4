"""Bundles that several tests convert and classify with, trained once for a test run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FLOWER_ARCHITECTURES = ("mobilenet_1.00_224", "efficientnet_lite0")


@dataclass(frozen=True)
class Trained:
    """A bundle, and what training and converting it gave."""

    folder: Path
    cache: Path
    train: Any
    conversion: Any

    def file(self, kind: str) -> Path:
        """The exported file of a kind."""
        names = {entry["kind"]: entry["file"] for entry in self.conversion.report["files"]}
        return Path(self.conversion.folder / names[kind])


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 20 drawn pictures of each of the four shapes."""
    from toolkit.sample_data import draw_shapes

    folder = tmp_path_factory.mktemp("pictures") / "shapes"
    draw_shapes(folder, count=20, seed=0)
    return folder


@pytest.fixture(scope="session")
def small_bundle(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest network, with random weights, trained on the shapes: quick to convert, not good. Copy it."""
    pytest.importorskip("tensorflow")
    from toolkit.options import TrainOptions
    from toolkit.train import train

    scratch = tmp_path_factory.mktemp("small-bundle")
    options = TrainOptions(
        output_dir=scratch / "model", architecture="mobilenet_0.25_128", weights="none", cache_dir=scratch / "cache"
    )
    return train(shapes, options).folder


@pytest.fixture(scope="session", params=FLOWER_ARCHITECTURES)
def flower_model(request: pytest.FixtureRequest, flowers: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Trained on the 800 flowers and converted to both kinds; of each bundled architecture."""
    pytest.importorskip("tensorflow")
    from converters.convert import convert
    from converters.options import ConvertOptions
    from toolkit.options import TrainOptions
    from toolkit.train import train

    scratch = tmp_path_factory.mktemp(request.param)
    options = TrainOptions(scratch / "model", request.param, name="flowers", cache_dir=scratch / "cache")
    trained = train(flowers, options)
    return Trained(
        trained.folder, scratch / "cache", trained, convert(trained.folder, ConvertOptions(quantize=("int8",)))
    )
