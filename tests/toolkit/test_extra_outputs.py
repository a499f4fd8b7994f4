"""Files beside a bundle, from a real one."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from converters.bundle import ModelBundle
from runtime.errors import DataError, UsageError
from runtime.preprocess import normalize
from tests.toolkit.conftest import Trained
from toolkit.commands.train_retrain_options import add_retrain_arguments, extra_outputs
from toolkit.extra_outputs import ExtraOutputs, write_extra_outputs, write_intermediate_graph
from toolkit.tensorboard import Board

ROOT = Path(__file__).parents[2]


def parse(*words: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_retrain_arguments(parser)
    return parser.parse_args([str(word) for word in words])


@pytest.fixture(scope="module")
def written(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of it, from the session's bundle."""
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    folder = tmp_path_factory.mktemp("extra")
    words = {"--output-graph": "deep/g.pb", "--output-labels": "l.txt", "--saved-model-dir": "sm", "--tensorboard": "s"}
    args = parse(*(word for option, name in words.items() for word in (option, folder / name)))
    labels = list(trained.result.spec.labels)
    board = Board([], labels, [0, 1, 2], [0, 1, 1])
    paths = write_extra_outputs(trained.result.folder, extra_outputs(args), board)
    assert paths == tuple(folder / name for name in words.values())
    return folder


def test_the_graph_and_the_bundle_agree(trained: Trained, written: Path, tmp_path: Path) -> None:
    bundle = ModelBundle.load(trained.result.folder)
    pixels = normalize(bundle.test_pictures().images[:8], bundle.spec.preprocessing)
    np.save(tmp_path / "in.npy", pixels)
    script = ROOT / "tests" / "converters" / "label_image.py"
    words = [written / "deep" / "g.pb", "input", "final_result", tmp_path / "in.npy", tmp_path / "out.npy"]
    subprocess.run([sys.executable, str(script), *map(str, words)], check=True, capture_output=True)
    expected = np.asarray(bundle.keras_model()([pixels], training=False))
    assert np.abs(np.load(tmp_path / "out.npy") - expected).max() < 1e-5


def test_labels_and_the_other_outputs(trained: Trained, written: Path) -> None:
    assert (written / "l.txt").read_text(encoding="utf-8").splitlines() == list(trained.result.spec.labels)
    assert (written / "sm" / "saved_model.pb").is_file()
    assert {path.name for path in (written / "s").iterdir()} == {"train", "test"}
    for name in ("deep/g.pb", "l.txt"):
        mode = (written / name).stat().st_mode
        (written / "plain").write_text("x")
        assert mode == (written / "plain").stat().st_mode, "readable to whom every new file is"
    assert sorted(path.name for path in (written / "deep").iterdir()) == ["g.pb"]


def test_intermediate_graphs(trained: Trained, tmp_path: Path) -> None:
    outputs = ExtraOutputs(intermediate_graphs_dir=tmp_path / "i", intermediate_store_frequency=100)
    assert [step for step in range(0, 301, 50) if outputs.store_intermediate(step)] == [100, 200, 300]
    assert not ExtraOutputs().store_intermediate(100)
    path = write_intermediate_graph(outputs, 200, ModelBundle.load(trained.result.folder).keras_model())
    assert path == tmp_path / "i" / "intermediate_200.pb"
    assert path.stat().st_size > 1_000_000


def test_nothing_asked_for_nothing_written(trained: Trained) -> None:
    assert write_extra_outputs(trained.result.folder, extra_outputs(parse())) == ()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--output-graph", "{model}/g.pb"], "lies in .*, which is replaced as a whole"),
        (["--tensorboard", "{model}"], "lies in .*, which is replaced as a whole"),
        (["--output-graph", "{folder}"], "is a folder; name a file"),
        (["--output-labels", "{folder}"], "is a folder; name a file"),
        pytest.param(
            ["--output-labels", "/dev/null"],
            "--output-labels /dev/null is a device or a pipe; name a file",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX files"),
        ),
        (["--saved-model-dir", "{folder}"], "is no part of a SavedModel"),
        (["--tensorboard", "{folder}/mine.txt"], "is a file; name a folder"),
        (["--output-graph", "{folder}/mine.txt/g.pb"], "mine.txt is no folder that can be written to"),
        (["--final-tensor-name", "two words"], "cannot name a node"),
        (["--output-graph", "x", "--output-labels", "x"], "are both x"),
    ],
)
def test_places_and_names_are_checked_first(tmp_path: Path, words: list[str], text: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "mine.txt").write_text("x")
    places = {"model": tmp_path / "model", "folder": folder}
    args = parse(*(word.format(**places) for word in words))
    with pytest.raises(UsageError, match=text):
        extra_outputs(args).check(tmp_path / "model")


def test_a_place_that_cannot_be_written(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="cannot write"):
        write_extra_outputs(trained.result.folder, ExtraOutputs(output_labels=tmp_path / "file" / "l.txt"))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--steps", "0"], "--steps: must be a whole number, 1 or more; got '0'"),
        (["--batch-size", "x"], "--batch-size: must be a whole number, 1 or more; got 'x'"),
        (["--validation-batch-size=-2"], "1 or more, or -1 for all; got '-2'"),
        (["--learning-rate", "nan"], "must be a number above 0; got 'nan'"),
        (["--intermediate-store-frequency=-1"], "0 or more; got '-1'"),
    ],
)
def test_numbers_out_of_range(words: list[str], text: str) -> None:
    with pytest.raises(argparse.ArgumentError, match=text):
        parse(*words)


def test_defaults_are_those_of_retrain() -> None:
    args = parse()
    assert (args.validation_batch_size, args.test_batch_size, args.final_tensor_name) == (100, -1, "final_result")
    assert args.intermediate_store_frequency == 0
    assert {args.steps, args.learning_rate, args.batch_size, args.eval_interval, args.output_graph} == {None}
    assert parse("--validation-batch-size=-1", "--test-batch-size", "5").validation_batch_size == -1
