"""What several tests of the toolkit share; made once a session."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from toolkit.sample_data import draw_shapes
from toolkit.train import TrainOptions, TrainResult, train


class Trained(NamedTuple):
    """A bundle and how it came about."""

    result: TrainResult
    options: TrainOptions
    pictures: Path
    messages: list[str]


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 drawn pictures of each of four classes."""
    return draw_shapes(tmp_path_factory.mktemp("drawn") / "shapes", 40).folder


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that all tests share which do not test the cache."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def trained(shapes: Path, cache_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The bundled backbone, trained on ``shapes``. Tests read it and change nothing."""
    options = TrainOptions(output_dir=tmp_path_factory.mktemp("trained") / "model", cache_dir=cache_dir)
    messages: list[str] = []
    result = train(shapes, options, notify=messages.append)
    return Trained(result, options, shapes, messages)
