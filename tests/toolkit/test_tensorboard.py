"""A real TensorBoard opens what we write; it is asked over HTTP what it sees."""

from __future__ import annotations

import builtins
import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from PIL import Image

from runtime.errors import DataError, MissingPackageError, UsageError
from toolkit.projector import Embeddings
from toolkit.retrain_progress import RetrainProgress
from toolkit.tensorboard import Board, check_tensorboard, write_tensorboard

pytest.importorskip("tensorboard", reason="tensorboard is not installed")
LABELS = ["plain", "<script>alert(1)</script>", "猫\t\n", "a label that is longer than there is room for"]
CLASSES = [0, 0, 1, 1, 2, 2, 3, 3]
ANSWERS = [0, 1, 1, 1, 2, 2, 3, 0]


def features(count: int = 8) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(1).normal(size=(count, 5)).astype(np.float32)


def board() -> Board:
    progress = RetrainProgress(lambda _line: None)
    progress(0, 0.5, 1.25, 0.25, 4, 1.5)
    progress(10, 0.75, 0.5, 0.5, 4, 0.625)
    thumbnails = np.full((8, 12, 16, 3), 200, np.uint8)
    paths = [Path(f"photos/{number}.jpg") for number in range(7)] + [Path("odd\t\n\udcff.jpg")]
    texts = [[LABELS[number] for number in numbers] for numbers in (CLASSES, ANSWERS)]
    embeddings = Embeddings(features(), paths, texts[0], texts[1], thumbnails)
    return Board(progress.points, LABELS, CLASSES, ANSWERS, embeddings)


def graph() -> bytes:
    from tensorboard.compat.proto import graph_pb2

    definition = graph_pb2.GraphDef()
    definition.node.add(name="input", op="Placeholder")
    weights = definition.node.add(name="layer/kernel", op="Const")
    weights.attr["value"].tensor.tensor_content = bytes(50_000)
    definition.node.add(name="final_result", op="Softmax", input=["input", "layer/kernel"])
    return bytes(definition.SerializeToString())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written twice over, with files of somebody else's between ours."""
    folder = tmp_path_factory.mktemp("tensorboard") / "logs 名"
    write_tensorboard(folder, board(), graph())
    (folder / "mine.txt").write_text("x")
    write_tensorboard(folder, board(), graph())
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Of a TensorBoard on a free loopback port that has read the folder."""
    code = (  # without TensorFlow, which it would load and does not need
        "import sys; sys.modules['tensorflow'] = None; from tensorboard.main import run_main; run_main()"
    )
    words = ["--logdir", str(folder), "--host", "127.0.0.1", "--port", "0", "--load_fast=false"]
    command = [sys.executable, "-c", code, *words, "--reload_interval=1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stderr is not None
            found = (re.search(r"http://127\.0\.0\.1:\d+/", line) for line in process.stderr)
            url = next((match[0] for match in found if match), "")
            assert url, "TensorBoard ended without an address"
            for _ in range(300):
                if len(fetch_json(url, "data/runs")) == 3:
                    break
                time.sleep(0.1)
            yield url
        finally:
            process.kill()


def fetch(address: str, path: str, **query: str | int) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{address}{path}?{urlencode(query)}", timeout=60) as answer:
        return bytes(answer.read())


def fetch_json(address: str, path: str, **query: str | int) -> Any:
    return json.loads(fetch(address, path, **query))


def test_curves(address: str) -> None:
    tags = fetch_json(address, "data/plugin/scalars/tags")
    assert {run: sorted(found) for run, found in tags.items()} == {
        "train": ["accuracy", "cross_entropy"],
        "validation": ["accuracy", "cross_entropy"],
        "test": ["accuracy"],
    }

    def values(run: str, tag: str) -> list[list[float]]:
        points = fetch_json(address, "data/plugin/scalars/scalars", run=run, tag=tag)
        return [[step, value] for _, step, value in points]

    assert values("train", "accuracy") == [[0, 0.5], [10, 0.75]]
    assert values("train", "cross_entropy") == [[0, 1.25], [10, 0.5]]
    assert values("validation", "cross_entropy") == [[0, 1.5], [10, 0.625]]
    assert values("test", "accuracy") == [[10, 0.75]]


def test_the_confusion_matrix(address: str, tmp_path: Path) -> None:
    assert list(fetch_json(address, "data/plugin/images/tags")) == ["test"]
    (entry,) = fetch_json(address, "data/plugin/images/images", run="test", tag="confusion_matrix", sample=0)
    (tmp_path / "x.png").write_bytes(fetch(address, f"data/plugin/images/individualImage?{entry['query']}&ts=0"))
    with Image.open(tmp_path / "x.png") as image:
        cells = np.asarray(image.convert("RGB")).astype(int)
    blue = cells[-20, -40], cells[-20, -9 - 48 * 4 + 4]  # last row: right answer, and the first class's column
    assert cells.shape[0] == cells.shape[1]
    assert blue[0].tolist() == blue[1].tolist() == [131, 168, 205], "half of the class each"
    assert cells[-20, -9 - 48 * 2].tolist() == [255, 255, 255], "no picture"


def test_the_graph(address: str) -> None:
    assert fetch_json(address, "data/plugin/graphs/info")["train"]["run_graph"] is True
    text = fetch(address, "data/plugin/graphs/graph", run="train").decode()
    for name in ("input", "layer/kernel", "final_result"):
        assert f'name: "{name}"' in text
    assert len(text) < 5_000, "weights are left out"


def test_the_projector(address: str) -> None:
    assert fetch_json(address, "data/plugin/projector/runs") == ["."]
    (info,) = fetch_json(address, "data/plugin/projector/info", run=".")["embeddings"]
    assert info["tensorShape"] == [8, 5]
    tensor = fetch(address, "data/plugin/projector/tensor", run=".", name="features")
    assert np.array_equal(np.frombuffer(tensor, "<f4").reshape(8, 5), features())
    rows = fetch(address, "data/plugin/projector/metadata", run=".", name="features").decode().splitlines()
    assert rows[0] == "label\tanswer\tfile"
    assert rows[1] == "plain\tplain\tphotos/0.jpg"
    assert rows[5].split("\t")[0] == "猫"
    assert [row.count("\t") for row in rows] == [2] * 9
    sprite = fetch(address, "data/plugin/projector/sprite_image", run=".", name="features")
    assert sprite.startswith(b"\x89PNG")
    assert info["sprite"]["singleImageDim"] == [16, 12]


def test_one_file_a_run_and_nothing_of_others_is_lost(folder: Path) -> None:
    for run in ("train", "validation", "test"):
        assert len(list((folder / run).iterdir())) == 1
    assert (folder / "mine.txt").read_text() == "x"


def test_without_curves_graph_and_test_pictures(tmp_path: Path) -> None:
    write_tensorboard(tmp_path, Board([], LABELS, [], []))
    assert [path.name for path in tmp_path.rglob("*")] == []


def test_many_classes_and_one(tmp_path: Path) -> None:
    for classes in (1, 300):
        write_tensorboard(tmp_path / str(classes), Board([], ["猫"] * classes, range(classes), range(classes)))
        assert list((tmp_path / str(classes) / "test").iterdir())


def test_it_needs_no_tensorflow(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from tests.toolkit.test_tensorboard import *\n"
        f"write_tensorboard(Path({str(tmp_path)!r}), board(), graph())\n"
        "assert not any(name.startswith('keras') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
    assert (tmp_path / "train").is_dir()


def test_where_it_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("tensorboard"):
            raise ModuleNotFoundError("No module named 'tensorboard'", name="tensorboard")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingPackageError, match="tensorboard, which is not installed: pip install "):
        check_tensorboard(tmp_path)


def test_places_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is a file; name a folder"):
        check_tensorboard(tmp_path / "file")
    with pytest.raises(DataError, match="cannot write"):
        write_tensorboard(tmp_path / "file", board(), graph())
