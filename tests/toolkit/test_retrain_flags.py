"""Old command lines, translated word by word."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from toolkit import cli, retrain_flags
from toolkit.backbones.catalog import find_architecture
from toolkit.commands.train_retrain_options import add_retrain_arguments
from toolkit.retrain_flags import translate, with_new_names

STEPS, NETWORK, INTERVAL = "--how_many_training_steps=7", "--architecture=mobilenet_1.0_224", "--eval_step_interval=5"
#: An old flag and its value -> the new words.
FLAGS = [
    ("image_dir", "photos", ["photos"]),
    ("image_dir", "-odd", ["./-odd"]),
    ("image_dir", "名/a b", ["名/a b"]),
    ("output_graph", "tf_files/g.pb", ["--output-graph=tf_files/g.pb"]),
    ("output_labels", "l.txt", ["--output-labels=l.txt"]),
    ("intermediate_output_graphs_dir", "i/", ["--intermediate-graphs-dir=i/"]),
    ("intermediate_store_frequency", "100", ["--intermediate-store-frequency=100"]),
    ("summaries_dir", "s", ["--tensorboard=s"]),
    ("how_many_training_steps", "500", ["--steps=500"]),
    ("learning_rate", "0.005", ["--learning-rate=0.005"]),
    ("testing_percentage", "20", ["--testing-percentage=20"]),
    ("validation_percentage", "15", ["--validation-percentage=15"]),
    ("eval_step_interval", "100", ["--eval-interval=100"]),
    ("train_batch_size", "32", ["--batch-size=32"]),
    ("test_batch_size", "-1", ["--test-batch-size=-1"]),
    ("validation_batch_size", "-1", ["--validation-batch-size=-1"]),
    ("bottleneck_dir", "b", ["--cache-dir=b"]),
    ("final_tensor_name", "out", ["--final-tensor-name=out"]),
    ("random_crop", "10", ["--random-crop=10"]),
    ("random_scale", "20", ["--random-scale=20"]),
    ("random_brightness", "30", ["--random-brightness=30"]),
    ("saved_model_dir", "sm", ["--saved-model-dir=sm"]),
    ("model_dir", "weights", ["--model-dir=weights"]),
]


def rest(words: list[str]) -> list[str]:
    """Without what is there to keep the defaults quiet."""
    return [w for w in words if w not in ("--steps=7", NETWORK, "--eval-interval=5", "--eval-interval=10")]


def quiet(*words: str) -> tuple[list[str], tuple[str, ...]]:
    """A translation with folders that exist and nothing left to default."""
    translated, notices = translate([*words, STEPS, NETWORK, INTERVAL], lambda _path: True)
    return rest(translated), notices


@pytest.mark.parametrize(("name", "value", "expected"), FLAGS)
def test_each_flag_in_each_spelling(name: str, value: str, expected: list[str]) -> None:
    hyphens = name.replace("_", "-")
    spellings = ([f"--{name}={value}"], [f"--{name}", value], [f"--{hyphens}={value}"], [f"--{hyphens}", value])
    for words in spellings:
        assert quiet(*words)[0] == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--flip_left_right"], ["--flip-left-right"]),
        (["--flip-left-right"], ["--flip-left-right"]),
        (["--flip_left_right=True"], ["--flip-left-right"]),
        (["--flip_left_right=true"], ["--flip-left-right"]),
        (["--flip_left_right", "True"], ["--flip-left-right"]),
        (["--flip_left_right=False"], []),
        (["--flip_left_right", "False", "x"], ["x"]),
        (["--noflip_left_right"], []),
        (["--flip_left_right", "x"], ["--flip-left-right", "x"]),
        (["--flip_left_right", "--image_dir", "x"], ["--flip-left-right", "x"]),
        (["--print_misclassified_test_images"], ["--print-misclassified"]),
        (["--print-misclassified-test-images=False"], []),
        (["--flip_left_right=perhaps"], ["--flip-left-right=perhaps"]),
    ],
)
def test_switches(words: list[str], expected: list[str]) -> None:
    assert quiet(*words)[0] == expected


@pytest.mark.parametrize("old", ["--output_label=l", "--how_many_training_step=3", "--bottleneck_d=b"])
def test_beginnings_that_fit_one_flag(old: str) -> None:
    name = old.partition("=")[0]
    _, notices = translate([old])
    assert any(notice.startswith(f"{name} is now --") for notice in notices)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["photos", "--steps", "5", "--cache-dir", "c"],
        ["photos", "--learning-rate=0.1", "--model-dir=nowhere", "--flip-left-right", "--random-crop=5"],
        ["photos", "--nonsense", "--odd_name=3", "--output_=x", "-h"],
        ["--", "--image_dir=photos"],
    ],
)
def test_new_command_lines_stay_as_they_are(words: list[str]) -> None:
    assert translate(words, lambda _path: False) == (words, ())


def test_the_new_name_is_said_once() -> None:
    words = ["--learning_rate=1", "--learning_rate=2", "--image-dir", "x", STEPS, NETWORK, INTERVAL]
    assert translate(words)[1] == (
        "--learning_rate is now --learning-rate",
        "--image-dir is now IMAGE_DIR",
        "--how_many_training_steps is now --steps",
        "--eval_step_interval is now --eval-interval",
    )


def test_what_an_old_command_left_out() -> None:
    words, notices = translate(["--image_dir=x"])
    assert words == ["--eval-interval=10", "x"]
    assert any(n.startswith("no --architecture: mobilenet_1.00_224 is trained") for n in notices)
    assert any(n.startswith("no --how_many_training_steps: ") for n in notices)
    words, notices = translate(["--image_dir=x", "--eval-interval", "3", "--steps=9", "--architecture", "inception_v3"])
    assert words == ["x", "--eval-interval", "3", "--steps=9", "--architecture=inception_v3"]
    assert notices == ("--image_dir is now IMAGE_DIR",)


@pytest.mark.parametrize("word", ["--from=model", "--from", "--fr", "--arch"])
def test_the_network_of_an_earlier_model_is_not_said_to_be_the_default(word: str) -> None:
    words, notices = translate(["--image_dir=x", STEPS, word, "model"])
    assert words[0] == "--eval-interval=10"
    assert not any("--architecture" in notice for notice in notices)


@pytest.mark.parametrize("name", ["mobilenet_0.50_224_quantized", "mobilenet_1.0_224_quant"])
def test_quantized_is_explained(name: str) -> None:
    words, notices = translate([f"--architecture={name}"])
    assert words == [f"--architecture={name}"]
    assert find_architecture(name).family == "mobilenet"
    assert any("toolkit convert --quantize" in notice for notice in notices)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://tfhub.dev/google/imagenet/mobilenet_v1_100_224/feature_vector/1", "mobilenet_1.00_224"),
        ("https://tfhub.dev/google/imagenet/mobilenet_v2_035_96/feature_vector/3", "mobilenet_v2_0.35_96"),
        ("https://tfhub.dev/google/imagenet/inception_v3/feature_vector/1", "inception_v3"),
        ("https://tfhub.dev/tensorflow/efficientnet/lite0/feature-vector/2", "efficientnet_lite0"),
        (
            "https://tfhub.dev/google/imagenet/mobilenet_v1_050_160/quantops/feature_vector/1",
            "mobilenet_0.50_160_quantized",
        ),
        ("https://tfhub.dev/google/imagenet/nasnet_large/feature_vector/1", None),
    ],
)
def test_modules_of_the_hub(url: str, expected: str | None) -> None:
    words, notices = translate([f"--tfhub_module={url}", STEPS, INTERVAL])
    assert words[0] == f"--architecture={expected or url}"
    assert "--tfhub_module is now --architecture" in notices
    assert not any("retrain.py's default" in notice for notice in notices)


def test_model_dir_need_not_be_there() -> None:
    """retrain.py made the folder and downloaded into it."""
    words, notices = translate([f"--model_dir={Path('not', 'there')}", STEPS, NETWORK, INTERVAL], lambda _path: False)
    assert rest(words) == []
    assert any("is not there" in notice for notice in notices)
    assert translate(["--model-dir=nowhere"], lambda _path: False) == (["--model-dir=nowhere"], ())


def test_empty_names_and_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("USERPROFILE", "/home/someone")
    assert quiet("--image_dir=~/photos")[0] == [str(Path("/home/someone/photos"))]
    assert quiet("--image_dir=", "--output_graph=", "--summaries_dir=")[0] == []
    assert quiet("--bottleneck_dir=", "--model_dir=", "--intermediate_output_graphs_dir=", "--output-graph=")[0] == []
    assert quiet("--model-dir=")[0] == ["--model-dir="]
    assert quiet("--logging_verbosity=INFO", "--checkpoint_path", "/tmp/x")[0] == []


@pytest.mark.parametrize("words", [["--learning_rate"], ["--learning_rate", "--output_graph=g"]])
def test_a_missing_value_is_left_to_argparse(words: list[str]) -> None:
    translated, _ = translate(words)
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_retrain_arguments(parser)
    with pytest.raises(argparse.ArgumentError, match="--learning-rate: expected one argument"):
        parser.parse_args(translated)


def test_every_new_name_is_an_option() -> None:
    parser = argparse.ArgumentParser()
    add_retrain_arguments(parser)
    known = {option for action in parser._actions for option in action.option_strings}
    elsewhere = {"--testing-percentage", "--validation-percentage", "--cache-dir", "--model-dir", "--architecture"}
    distortions = {"--flip-left-right", "--random-crop", "--random-scale", "--random-brightness"}
    names = {name for name in retrain_flags._OLD.values() if name.startswith("--")}
    assert names - elsewhere - distortions <= known
    assert {"--steps", "--tensorboard", "--output-graph", "--print-misclassified"} <= names


def test_other_commands_are_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["convert", "--output_graph=x"]
    assert with_new_names(words) == words
    assert with_new_names([]) == []
    assert capsys.readouterr().err == ""


def test_the_command_says_them_on_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["toolkit", "train", "--image_dir", str(tmp_path / "x"), "--architecture=a\nb"])
    assert with_new_names(None) == ["train", "--eval-interval=10", str(tmp_path / "x"), "--architecture=a\nb"]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[0] == "--image_dir is now IMAGE_DIR"
    assert cli.main(["train", "--train_batch_size"]) == 2
