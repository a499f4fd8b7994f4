from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from runtime.cli import main
from tests.runtime.conftest import spec_of
from tests.runtime.tiny_models import mean_colour_model

Capture = pytest.CaptureFixture[str]
SaveModel = Callable[..., Path]


def failure(capsys: Capture, code: int, *arguments: str | Path) -> str:
    """The one line that a command ends in, which must end with this code and answer nothing."""
    assert main([str(argument) for argument in arguments]) == code
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    return line


def test_json_lines(photos: Path, colours: Path, capsys: Capture) -> None:
    red, deeper = photos / "red.png", photos / "deeper"
    assert main(["classify", "--model", str(colours), "--json", str(red), str(deeper)]) == 0
    said = capsys.readouterr()
    answers = [json.loads(line) for line in said.out.splitlines()]
    assert [answer["source"] for answer in answers] == [str(red), str(deeper / "blue.png")]
    for answer, label, class_id in zip(answers, ("red", "two\nlines"), (0, 2), strict=True):
        assert list(answer) == ["time", "source", "frame", "predictions", "labels", "unknown", "milliseconds"]
        assert list(answer["milliseconds"]) == ["decode", "preprocess", "invoke", "postprocess"]
        assert all(value >= 0 for value in answer["milliseconds"].values())
        assert len(answer["predictions"]) == 3
        assert list(answer["predictions"][0]) == ["class_id", "label", "score"]
        assert (answer["predictions"][0]["class_id"], answer["predictions"][0]["label"]) == (class_id, label)
    assert said.err.startswith("2 pictures; on average decode ")


def test_text(photos: Path, colours: Path, capsys: Capture) -> None:
    path = photos / "green.png"
    assert main(["classify", "--model", str(colours), "--top-k", "2", "--threshold", "0.2", str(path)]) == 0
    said = capsys.readouterr()
    assert said.out == f"{path}\n   78.7%  緑 grün\n"
    assert said.err == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--top-k", "0"], "--top-k must be 1 or more, not 0"),
        (["--top-k", "x"], "--top-k: must be a whole number; got 'x'; see runtime classify --help"),
        (["--threshold", "1.01"], "--threshold must be 0 to 1, not 1.01"),
        (["--threshold", "-0.1"], "--threshold must be 0 to 1"),
        (["--threshold", "nan"], "--threshold must be 0 to 1"),
        (["--threads", "0"], "--threads must be 1 to 256, not 0"),
        (["--mean", "1,2"], "one number or three separated by commas, not '1,2'"),
        (["--mean", "x"], "one number or three separated by commas, not 'x'"),
        (["--mean", "1"], "--mean and --std belong together"),
        (["--mean", "1", "--std", "0"], "std must be positive"),
        (
            ["--resample", "area"],
            "must be one of bilinear, tf-bilinear, nearest, bicubic, lanczos; got 'area'",
        ),
        (["--camera", "0"], "name pictures or folders to classify, or --camera (one of the two)"),
        (["--labels", "none.txt"], "--labels none.txt: no such file"),
        (["--model", "none.tflite"], "--model none.tflite: no such file or folder"),
        (["--wrong"], "unrecognized arguments: --wrong"),
    ],
)
def test_wrong_usage(options: list[str], message: str, photos: Path, colours: Path, capsys: Capture) -> None:
    line = failure(capsys, 2, "classify", "--model", colours, *options, photos)
    assert message in line


def test_no_command_and_nothing_to_classify(capsys: Capture, colours: Path) -> None:
    assert "missing: COMMAND; see runtime --help" in failure(capsys, 2)
    assert "name pictures or folders" in failure(capsys, 2, "classify", "--model", colours)


def test_help(capsys: Capture) -> None:
    for arguments in (["--help"], ["classify", "--help"], ["info", "--help"]):
        assert main(arguments) == 0
        assert capsys.readouterr().out.startswith("usage: runtime")


def test_version(capsys: Capture) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"runtime \S+ \(Python 3\.[0-9.]+\)\n", capsys.readouterr().out)


def test_paths_that_hold_no_pictures(tmp_path: Path, colours: Path, capsys: Capture) -> None:
    (tmp_path / "empty\nfolder").mkdir()
    for name, message in (
        ("none.jpg", "no such file or folder"),
        ("empty\nfolder", "no pictures in the folder '"),
        ("x" * 300, "File name too long"),
    ):
        assert message in failure(capsys, 2, "classify", "--model", colours, tmp_path / name)


def test_bad_pictures_in_a_folder_are_skipped_counted_and_listed(photos: Path, colours: Path, capsys: Capture) -> None:
    (photos / "a\nb.jpg").write_bytes(b"text")
    (photos / "empty.png").touch()
    (photos / "loop.gif").symlink_to("loop.gif")
    assert main(["classify", "--model", str(colours), "--json", str(photos)]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 3
    lines = said.err.splitlines()
    assert [line.startswith("skipped: ") for line in lines] == [True] * 3 + [False] * 2
    assert "'" in lines[0]
    assert lines[-1] == "3 skipped, listed above"


@pytest.mark.parametrize("prefix", ["", "./", "../photos/"])
def test_a_bad_picture_named_by_itself(
    prefix: str, photos: Path, colours: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    (photos / "bad.jpg").write_bytes(b"text")
    assert main(["classify", "--model", str(colours), "red.png", f"{prefix}bad.jpg"]) == 1
    said = capsys.readouterr()
    assert "red.png\n" in said.out
    assert said.err.splitlines()[0].startswith(f"skipped: {prefix}bad.jpg: not a picture")


def test_a_single_bad_picture_is_one_error(photos: Path, colours: Path, capsys: Capture) -> None:
    (photos / "bad.jpg").write_bytes((photos / "red.png").read_bytes()[:10] + b"?")
    assert main(["classify", "--model", str(colours), str(photos / "bad.jpg")]) == 1
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert said.err.startswith("runtime: error: ")
    assert "damaged or truncated" in said.err


def test_a_folder_of_bad_pictures_only(tmp_path: Path, colours: Path, capsys: Capture) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"text")
    assert main(["classify", "--model", str(colours), str(tmp_path)]) == 1
    assert capsys.readouterr().err.endswith("1 skipped, listed above\n")


def test_the_model_is_found(
    photos: Path, save_model: SaveModel, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    export = tmp_path / "model" / "export"
    classify = ["classify", "--top-k", "1", str(photos / "red.png")]
    assert "no model: model has no exported .tflite files; name a .tflite file with --model" in failure(
        capsys, 2, *classify
    )
    export.mkdir(parents=True)
    assert "toolkit convert --quantize makes them" in failure(capsys, 2, *classify)
    for ending in ("float32", "int8"):  # each is preferred to the one before it
        path = save_model(mean_colour_model(), spec_of(ending, "b", "c"), f"model/export/my_{ending}.tflite")
        name = path.relative_to(tmp_path)
        for options in ([], ["--model", "model"], ["--model", "model/export"]):
            assert main([*classify, *options]) == 0
            said = capsys.readouterr()
            assert said.err == f"model: {name}\n"
            assert said.out.endswith(f"  {ending}\n")
    assert main([*classify, "--model", str(path)]) == 0
    assert capsys.readouterr().err == ""
    assert main(["info", "model"]) == 0
    assert "my_int8.tflite" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["classify", "info"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty (0 bytes)"),
        (b"\xff\xd8\xff\xe0" + bytes(90), "is not a TensorFlow Lite model"),
        (b"PK\3\4" + bytes(90), "it looks like a zip archive"),
        (mean_colour_model("uint8")[:300], "is cut short or damaged"),
    ],
)
def test_files_that_are_no_model(
    command: str, content: bytes, message: str, photos: Path, save_model: SaveModel, capsys: Capture
) -> None:
    path = save_model(content, name="two\nlines.tflite")
    options = ["--model", path, photos] if command == "classify" else [path]
    assert message in failure(capsys, 1, command, *options)


def test_a_model_no_interpreter_can_run(photos: Path, save_model: SaveModel, thirdparty: Path, capsys: Capture) -> None:
    classify = ["classify", photos, "--mean", "0", "--std", "1", "--model"]
    path = save_model(mean_colour_model(then="custom"))
    assert "cannot load this model: Encountered unresolved custom op: Nonsense" in failure(capsys, 1, *classify, path)
    path = thirdparty / "model_invoking_error.tflite"
    assert "is no picture classifier" in failure(capsys, 1, *classify, path)


def test_a_float_model_asks_for_its_normalisation(photos: Path, save_model: SaveModel, capsys: Capture) -> None:
    path = save_model(mean_colour_model())
    assert "give --mean and --std" in failure(capsys, 2, "classify", "--model", path, photos)
    arguments = ["classify", "--model", str(path), "--mean", "0,0,0", "--std", "255", str(photos / "red.png")]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert "57.6%  0" in said.out  # exp(1) / (exp(1) + 2)
    assert said.err.startswith("warning: ")
    assert said.err.endswith("classes are shown by number, --labels FILE names them\n")


def test_info(colours: Path, capsys: Capture) -> None:
    assert main(["info", str(colours)]) == 0
    assert capsys.readouterr().out.startswith("file        ")
    assert main(["info", "--json", str(colours)]) == 0
    assert json.loads(capsys.readouterr().out)["labels"][0] == "red"
    assert "error: none: no such file" in failure(capsys, 2, "info", "none")


@pytest.mark.parametrize("environment", ["device_python", "floor_python"])
def test_installed_on_a_device(
    environment: str, photos: Path, colours: Path, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The installed package, not the working tree, on a folder of pictures, text and JSON."""
    command = [str(request.getfixturevalue(environment)), "-I", "-m", "runtime.cli", "classify", "--model"]
    for options in ([], ["--json"]):
        command_line = [*command, str(colours), "--top-k", "1", *options, str(photos)]
        done = subprocess.run(command_line, capture_output=True, encoding="utf-8", cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == 3 * (1 if options else 2)
        assert "緑 grün" in done.stdout


def test_a_picture_like_a_bomb_among_others(photos: Path, colours: Path, capsys: Capture) -> None:
    Image.new("1", (9500, 9500)).save(photos / "wide.png")
    assert main(["classify", "--model", str(colours), str(photos)]) == 0
    assert "9500 x 9500 is 90 megapixels, the limit is 89; refused" in capsys.readouterr().err
