"""What several tests of the toolkit share; made once a session."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.toolkit.earlier_bundles import OLD, pick
from toolkit.options import TrainOptions
from toolkit.sample_data import draw_shapes
from toolkit.train import TrainResult, train


class Trained(NamedTuple):
    """A bundle and how it came about."""

    result: TrainResult
    options: TrainOptions
    pictures: Path
    messages: list[str]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users reach; pytest's own are closed to them."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


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


@pytest.fixture(scope="session")
def first(shapes: Path, cache_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that knows two of the four shapes, whose pictures are gone."""
    root = tmp_path_factory.mktemp("first")
    pictures = pick(shapes, root / "half", *OLD)
    train(pictures, TrainOptions(output_dir=root / "model", cache_dir=cache_dir))
    shutil.rmtree(pictures)
    return root / "model"


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder and the address under which it is served."""
    monkeypatch.setenv("no_proxy", "*")
    folder = tmp_path / "site"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder))) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{httpd.server_address[1]}"
        httpd.shutdown()
        thread.join()
