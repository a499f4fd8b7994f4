from __future__ import annotations

from pathlib import Path

import pytest

from runtime.actions.options import CommandRule, MqttTarget, SaveOptions
from runtime.arguments.answers import add_answers, answer_rules
from runtime.arguments.camera import add_camera
from runtime.arguments.outputs import add_outputs, output_options
from runtime.cli import main
from runtime.command import CommandParser
from runtime.errors import UsageError
from runtime.options import OutputOptions

Capture = pytest.CaptureFixture[str]


def parsed(*words: str) -> OutputOptions:
    parser = CommandParser("try")
    add_camera(parser)
    add_outputs(parser)
    return output_options(parser.parse_args(words))


def test_nothing_asked_for() -> None:
    assert parsed() == parsed("--camera", "0") == OutputOptions()


def test_everything_at_once() -> None:
    words = ["--camera", "0", "--json", "--csv", "a.csv", "--save", "kept", "--save-uncertain", "0.8", "--window"]
    words += ["--save-limit", "2.5 GB", "--save-pause", "5", "--on", "cat", "echo '{label} a' b", "--on", "a b", "true"]
    words += ["--on-pause", "0", "--on-timeout", "2", "--mqtt", "mqtt://h/t", "--gpio", "cat=17", "--gpio", "a=b=GPIO4"]
    assert parsed(*words) == OutputOptions(
        json=True,
        csv=Path("a.csv"),
        save=SaveOptions(Path("kept"), 0.8, 2_500_000_000, 5.0),
        window=True,
        on=(CommandRule("cat", ("echo", "{label} a", "b"), 0.0, 2.0), CommandRule("a b", ("true",), 0.0, 2.0)),
        mqtt=MqttTarget("h", 1883, "t"),
        gpio=(("cat", "17"), ("a=b", "GPIO4")),
    )


def test_what_differs_between_a_camera_and_pictures() -> None:
    words = ["--save", "kept", "--on", "cat", "true"]
    camera, pictures = parsed("--camera", "0", *words), parsed(*words)
    assert (camera.save, camera.on[0].pause) == (SaveOptions(Path("kept"), None, 1_000_000_000, 1.0), 1.0)
    assert (pictures.save, pictures.on[0].pause) == (SaveOptions(Path("kept")), 0.0)
    unlimited = parsed("--camera", "0", "--save", "kept", "--save-limit", "none").save
    assert unlimited == SaveOptions(Path("kept"), None, None, 1.0)


@pytest.mark.parametrize(
    ("text", "size"), [("500MB", 500_000_000), ("1kb", 1000), ("7", 7), ("9B", 9), ("1.5TB", 15 * 10**11)]
)
def test_sizes(text: str, size: int) -> None:
    save = parsed("--save", "kept", "--save-limit", text).save
    assert save is not None
    assert save.limit == size


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--save-limit", "1GB"], "--save-limit needs --save"),
        (["--save-uncertain", "0.5"], "--save-uncertain needs --save"),
        (["--save", "a", "--save-pause", "1"], "--save-pause needs --camera"),
        (["--on-timeout", "1"], "--on-timeout needs --on"),
        (["--on-pause", "1"], "--on-pause needs --on"),
        (["--save", "a", "--save-limit", "much"], "--save-limit must be a size as 500MB or 4GB, or none; got 'much'"),
        (["--save", "a", "--save-limit", "0"], "--save-limit must be a size"),
        (["--save", "a", "--save-limit", "-1GB"], "--save-limit must be a size|needs a value"),
        (["--save", "a", "--save-limit", "1PB"], "--save-limit must be a size"),
        (["--save", "a", "--save-uncertain", "0"], "--save-uncertain must be above 0 and at most 1, not 0"),
        (["--save", "a", "--save-uncertain", "nan"], "--save-uncertain must be above 0"),
        (["--camera", "0", "--save", "a", "--save-pause", "-1"], "--save-pause must be 0 to 86400 seconds, not -1"),
        (["--save", ""], "--save: is empty"),
        (["--csv", ""], "--csv: is empty"),
        (["--on", "cat"], "--on: expected 2 arguments"),
        (["--on", "cat", ""], "--on 'cat': the command is empty"),
        (["--on", "cat", "echo 'a"], "is no command line: No closing quotation"),
        (["--on", "cat", "echo {lable}"], "--on 'cat': {lable} is not known; is {label} meant?"),
        (["--on", "cat", "echo {Score}"], "{Score} is not known; is {score} meant?"),
        (["--on", "cat", "true", "--on-timeout", "0"], "--on-timeout must be above 0"),
        (["--on", "cat", "true", "--on-pause", "nan"], "--on-pause must be 0 to 86400 seconds, not nan"),
        (["--window"], "--window needs --camera"),
        (["--mqtt", "mqtt://h/t"], "--mqtt needs --camera"),
        (["--gpio", "cat=17"], "--gpio needs --camera"),
        (["--camera", "0", "--gpio", "cat"], "--gpio must be LABEL=PIN, as cat=17; got 'cat'"),
        (["--camera", "0", "--gpio", "cat="], "--gpio must be LABEL=PIN"),
        (["--camera", "0", "--mqtt", "host"], "--mqtt: mqtt://host/topic"),
    ],
)
def test_values_that_cannot_be(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(*words)
    assert any(part in str(caught.value) for part in message.split("|"))


def test_braces_that_are_meant() -> None:
    assert parsed("--on", "cat", "awk '{print}' {label}").on[0].words == ("awk", "{print}", "{label}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--smooth", "1"], "--smooth needs --camera"),
        (["--camera", "0", "--smooth", "-1"], "--smooth must be 0 to 3600 seconds, not -1"),
        (["--camera", "0", "--smooth", "nan"], "--smooth must be 0 to 3600 seconds, not nan"),
    ],
)
def test_smoothing_that_cannot_be(words: list[str], message: str) -> None:
    parser = CommandParser("try")
    add_camera(parser)
    add_answers(parser)
    with pytest.raises(UsageError, match=message):
        answer_rules(parser.parse_args(words))
    assert answer_rules(parser.parse_args(["--camera", "0", "--smooth", "0.5"])).smooth == 0.5


@pytest.mark.parametrize("option", [["--on", "rde", "true"], ["--gpio", "rde=17"]])
def test_labels_that_the_model_does_not_have(option: list[str], clip: Path, colours: Path, capsys: Capture) -> None:
    assert main(["classify", "--camera", str(clip), "--model", str(colours), *option]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert f"{option[0]} rde: the model has no such label; is red meant?" in said.err


def test_one_that_fails_closes_those_before_it(clip: Path, colours: Path, tmp_path: Path, capsys: Capture) -> None:
    """Else its open file would be an error here."""
    (tmp_path / "file").touch()
    outputs = ["--csv", str(tmp_path / "a.csv"), "--save", str(tmp_path / "file")]
    assert main(["classify", "--camera", str(clip), "--model", str(colours), *outputs]) == 2
    assert capsys.readouterr().err.startswith("runtime: error: --save ")


@pytest.mark.parametrize(
    ("option", "extra"), [(["--mqtt", "mqtt://127.0.0.1:9/a"], "mqtt"), (["--gpio", "red=17"], "gpio")]
)
def test_packages_that_are_not_there(
    option: list[str], extra: str, clip: Path, colours: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    for name in ("paho", "paho.mqtt", "gpiozero"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["classify", "--camera", str(clip), "--model", str(colours), *option]) == 1
    assert f"pip install 'edge-export-toolkit[{extra}]'" in capsys.readouterr().err
