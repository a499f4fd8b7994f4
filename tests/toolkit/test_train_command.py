"""``toolkit train`` as it is typed: what it prints, and the one line and exit code of each mistake."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from converters.bundle import ModelBundle
from runtime.errors import UsageError
from tests.toolkit.conftest import Trained
from tests.toolkit.pictures import make_classes
from toolkit import cli
from toolkit.backbones import catalog
from toolkit.class_folders import check_outside


def toolkit(*words: object) -> int:
    return cli.main([str(word) for word in words])


def one_error(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = [line for line in captured.err.split("\n") if "error:" in line]
    assert captured.err.rstrip("\n").endswith(line), "the last thing said is what went wrong"
    assert "Traceback" not in captured.err
    return line


def test_the_report(trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = trained.pictures
    cache = trained.options.cache_dir
    assert toolkit("train", root, "--output-dir", tmp_path / "my model", "--cache-dir", cache) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    for line, share in zip(lines, ("training", "validation", "test"), strict=False):
        assert line.startswith(f"{share} accuracy ")
        assert "(N=" in line
        assert "95 % interval" in line
    assert lines[3] == f"model written to {tmp_path / 'my model'}"
    assert lines[4] == f"report: {tmp_path / 'my model' / 'report.html'}"
    assert lines[5] == f"next: toolkit convert '{tmp_path / 'my model'}' --quantize"
    assert "160 of 160 features from the cache" in captured.err
    command = json.loads((tmp_path / "my model" / "metrics.json").read_bytes())["command"]
    assert command == f"toolkit train {root} --output-dir '{tmp_path / 'my model'}' --cache-dir {cache}"
    assert toolkit("train", root, "--output-dir", tmp_path / "my model", "--cache-dir", cache) == 0
    assert "holds this very model already; left as it is" in capsys.readouterr().out


def test_json_and_skipped_files(tmp_path: Path, cache_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_classes(tmp_path / "photos", {"a": 4, "猫": 4})
    (root / "a" / "two\nlines.jpg").write_bytes(b"")
    (root / "a" / "plain.txt").write_bytes(b"x")
    words = ("train", root, "--output-dir", tmp_path / "m", "--cache-dir", cache_dir, "--json", "--name", "pets")
    assert toolkit(*words) == 0
    captured = capsys.readouterr()
    (line,) = captured.out.splitlines()
    report = json.loads(line)
    assert (report["name"], report["labels"], report["images"]) == ("pets", ["a", "猫"], 8)
    assert len(report["skipped"]) == 2
    listed = [text for text in captured.err.splitlines() if text.startswith("skipped: ")]
    assert len(listed) == 2
    assert "two\\nlines.jpg" in captured.err
    assert "2 files skipped, listed above" in captured.err


def test_progress_does_not_flood_a_log(tmp_path: Path, cache_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_classes(tmp_path / "photos", {"a": 60, "b": 60}, start=5000)
    assert toolkit("train", root, "--output-dir", tmp_path / "m", "--cache-dir", cache_dir) == 0
    err = capsys.readouterr().err
    assert len(err.replace("\r", "\n").splitlines()) < 20
    assert "images/s" in err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "name the folder of pictures: toolkit train"),
        (["{nowhere}"], "no such folder: "),
        (["{file}"], "is a file; name a folder"),
        (["{photos}", "--architecture", "nonsense"], "unknown architecture 'nonsense'"),
        (["{photos}", "--seed", "-1"], "--seed must be 0 or more"),
        (["{photos}", "--seed", "x"], "--seed: must be a whole number; got 'x'; see toolkit train --help"),
        (["{photos}", "--model-dir", "{nowhere}"], "no such folder"),
        (
            ["{photos}", "--testing-percentage", "120"],
            "testing_percentage must be 0 or more and less than 100; got 120",
        ),
        (["{photos}", "--validation-percentage", "-5"], "validation_percentage must be"),
        (["{photos}", "--validation-percentage", "60", "--testing-percentage", "60"], "leave nothing to train on"),
        (["{photos}", "--calibration-images", "0"], "calibration images must be 1 or more"),
        (["{photos}", "--weights", "other"], "--weights: must be one of imagenet, none; got 'other'"),
        (["{photos}", "--name", "../up"], "cannot be part of a file name"),
        (["{photos}", "--output-dir", "{file}"], "is a file; name a folder"),
        (["{photos}", "--output-dir", "{foreign}"], "is no part of a model and would be lost"),
        (["{photos}", "--reject", "150%"], "--reject takes auto, off, or a share such as 0.05 or 5%, not '150%'"),
        (["{photos}", "--reject", "often"], "--reject takes auto, off, or a share"),
        (["{photos}", "--hidden", "-1"], "--hidden must be 0"),
        (["{photos}", "--label-smoothing", "1"], "--label-smoothing must be 0 or more and less than 1, not 1"),
        (["{photos}", "--views", "101"], "--views must be 0 to 100, not 101"),
        (["{photos}", "--random-crop", "-1"], "--random-crop must be 0 or more per cent, not -1"),
        (["{photos}", "--class-weights", "some"], "--class-weights: must be one of auto, none; got 'some'"),
        (["{photos}", "--mode", "all"], "--mode: must be one of bottleneck, finetune, scratch; got 'all'"),
        (["{photos}", "--input-size", "8"], "--input-size must be 32 to 1024 pixels, not 8"),
        (["{photos}", "--how_many_training_steps", "0"], "step"),
        (["{photos}", "--nonsense"], "unrecognized arguments: --nonsense"),
        ([""], "IMAGE_DIR: is empty; name a file or a folder"),
        (["{photos}", "--cache-dir", ""], "--cache-dir: is empty"),
        (["{photos}", "--output-dir", ""], "--output-dir: is empty"),
        (["{photos}", "--from", ""], "--from: is empty"),
        (["{photos}", "--output-dir", "{photos}/a/model"], "among the pictures, where the next training would look at"),
        (["{photos}", "--output-dir", "{photos}/model"], "among the pictures"),
    ],
)
def test_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], text: str) -> None:
    places = {"photos": make_classes(tmp_path / "photos", {"a": 3, "b": 3}), "nowhere": tmp_path / "nowhere"}
    places |= {"file": tmp_path / "file", "foreign": tmp_path / "foreign"}
    places["file"].write_text("x")
    places["foreign"].mkdir()
    (places["foreign"] / "mine.txt").write_text("x")
    output = [] if "--output-dir" in words else ["--output-dir", tmp_path / "m"]
    command = ["train", *(word.format(**places) for word in words), *output, "--cache-dir", tmp_path / "c"]
    assert toolkit(*command) == 2
    assert text in one_error(capsys)
    assert not (tmp_path / "m").exists()
    assert (tmp_path / "foreign" / "mine.txt").read_text() == "x"


def test_a_bundle_in_a_linked_class_folder_is_refused_and_a_hidden_one_is_not(tmp_path: Path) -> None:
    root = make_classes(tmp_path / "photos", {"a": 3})
    (root / "b").symlink_to(make_classes(tmp_path / "elsewhere", {"b": 3}) / "b")
    with pytest.raises(UsageError, match="among the pictures"):
        check_outside(tmp_path / "elsewhere" / "b" / "model", root)
    check_outside(tmp_path / "elsewhere" / "model", root)
    check_outside(root / ".models" / "first", root)
    check_outside(tmp_path / "photos2", root)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_full_disk_behind_standard_output(tmp_path: Path, cache_dir: Path, more: list[str]) -> None:
    root = make_classes(tmp_path / "photos", {"a": 3, "b": 3})
    words = ["train", root, "--output-dir", tmp_path / "m", "--cache-dir", cache_dir, *more]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "toolkit", *map(str, words)], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "error" in line]
    assert line == (
        "toolkit: error: standard output cannot be written: No space left on device; "
        f"the model is safe in {tmp_path / 'm'}"
    )
    assert done.stderr.rstrip().endswith(line)
    assert ModelBundle.load(tmp_path / "m").is_sound()


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ({}, "has no class folders: put the pictures of each class"),
        ({"only": 5}, "has one class folder, 'only'"),
        ({"a": 5, "b": 0}, "each class needs at least 3 usable pictures"),
        ({"a": 5, "two\nlines": 2}, r"'two\nlines' has 2; add pictures"),
    ],
)
def test_bad_data(tmp_path: Path, capsys: pytest.CaptureFixture[str], counts: dict[str, int], text: str) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    make_classes(root, counts)
    assert toolkit("train", root, "--output-dir", tmp_path / "m", "--cache-dir", tmp_path / "c") == 1
    assert text in one_error(capsys)
    assert not (tmp_path / "m").exists()


def test_a_block_that_is_not_there_is_told_before_the_pictures_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_classes(tmp_path / "photos", {"a": 3, "b": 3})
    options = ("--mode", "finetune", "--unfreeze", "block_99", "--output-dir", tmp_path / "m")
    assert toolkit("train", root, *options, "--cache-dir", tmp_path / "c") == 2
    captured = capsys.readouterr()
    assert "--unfreeze 'block_99': no such block; use all, a number, or one of conv1, block_1" in captured.err
    assert "pictures in" not in captured.err


def test_labels_of_a_file_have_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_classes(tmp_path / "set", {"photos": 8})
    names = sorted(path.name for path in root.rglob("*.png"))
    lines = [f"photos/{name},{'x' if number % 2 else 'y'}" for number, name in enumerate(names)]
    (root / "labels.csv").write_text("\n".join([*lines, f"photos/{names[0]},rare"]) + "\n")
    options = ("--multi-label", "--output-dir", tmp_path / "m", "--cache-dir", tmp_path / "c")
    assert toolkit("train", root, *options) == 1
    assert one_error(capsys).endswith(
        "each label needs at least 3 usable pictures (one each for training, validation, test): 'rare' has 1; "
        "add pictures or take the label out of labels.csv"
    )


def test_weights_that_cannot_be_had(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "mobilenet_0.50_160"
    with socket.socket() as free:  # bound and not listening: whoever connects is refused
        free.bind(("127.0.0.1", 0))
        architecture = catalog.ARCHITECTURES[name]
        url = f"http://127.0.0.1:{free.getsockname()[1]}/{architecture.weights.file_name}"
        changed = replace(architecture, weights=replace(architecture.weights, url=url))
        monkeypatch.setattr(catalog, "ARCHITECTURES", dict(catalog.ARCHITECTURES) | {name: changed})
        monkeypatch.setenv("no_proxy", "*")
        root = make_classes(tmp_path / "photos", {"a": 3, "b": 3})
        words = ("train", root, "--architecture", name, "--output-dir", tmp_path / "m", "--cache-dir", tmp_path / "c")
        assert toolkit(*words) == 1
    line = one_error(capsys)
    for part in (architecture.weights.file_name, url, str(tmp_path / "c" / "weights"), "--model-dir"):
        assert part in line


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert toolkit("train", "--help") == 0
    text = capsys.readouterr().out
    for part in ("photos/cat/*.jpg", "--model-dir", "--cache-dir", "efficientnet_lite0", "default: mobilenet_1.00_224"):
        assert part in text
