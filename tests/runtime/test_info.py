from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.errors import ModelError
from runtime.info import info_json, info_text, model_info
from runtime.interpreter import interpreter_name
from tests.runtime.conftest import spec_of
from tests.runtime.tiny_models import mean_colour_model

SaveModel = Callable[..., Path]


def rows(path: Path) -> dict[str, str]:
    text = info_text(path)
    assert text.replace("\n", "").isprintable()
    return {line[:12].strip(): line[12:] for line in text.split("\n")}


def test_a_third_party_file_as_text(thirdparty: Path) -> None:
    path = thirdparty / "mobilenet_v1_0.25_128_quant.tflite"
    shown = rows(path)
    assert shown["file"] == f"{path}, 0.53 MB"
    assert shown["input"] == "input: uint8 1 x 128 x 128 x 3, real = 0.0078125 * (value - 128)"
    assert shown["output"].endswith("uint8 1 x 1001, real = 0.00390625 * (value - 0)")
    assert "background, tench" in shown["labels"]
    assert shown["labels"].endswith("... (1001 in all); from metadata (imagenet_labels.txt)")
    assert shown["pixels"] == "stretch to 128 x 128, bilinear, RGB, bytes as they are"
    assert "15 x CONV_2D 1" in shown["operators"]
    assert shown["needs"] == "TFLite runtime 1.5.0 or newer"
    assert shown["interpreter"] == interpreter_name()
    assert "problem" not in shown


def test_a_third_party_file_as_json(thirdparty: Path) -> None:
    path = thirdparty / "mobilenet_v2_1.0_224_quant.tflite"
    info = json.loads(info_json(path))
    assert info == model_info(path)
    assert info["bytes"] == path.stat().st_size
    assert info["inputs"][0] == {
        "name": "input",
        "dtype": "uint8",
        "shape": [1, 224, 224, 3],
        "scale": 0.0078125,
        "zero_point": 128,
    }
    assert len(info["labels"]) == 1001
    assert info["preprocessing"]["from"] == "input type"
    assert info["preprocessing"]["mean"] is None
    assert {"name": "SOFTMAX", "version": 1, "count": 1, "custom": False} in info["operators"]
    assert info["metadata"]["name"]


def test_a_file_that_is_no_classifier(thirdparty: Path) -> None:
    shown = rows(thirdparty / "model_invoking_error.tflite")
    assert "is no picture classifier: its input has shape (1, 3)" in shown["problem"]
    assert shown["needs"].endswith("custom operators: fake-op-double")
    assert "labels" not in shown


def test_our_own_file(colours: Path) -> None:
    shown = rows(colours)
    assert shown["model"] == "tiny (mean_colour, single-label)"
    assert shown["labels"] == "red, 緑 grün, 'two\\nlines'; from spec"
    assert shown["pixels"] == "stretch to 8 x 8, bilinear, RGB, (x - 127.5) / 127.5; from spec"
    info = model_info(colours)
    assert info["labels"] == ["red", "緑 grün", "two\nlines"]
    assert info["preprocessing"]["mean"] == [127.5] * 3
    assert (info["backbone"], info["task"], info["warnings"]) == ("mean_colour", "single-label", [])


def test_three_means_and_standard_deviations(save_model: SaveModel) -> None:
    path = save_model(mean_colour_model(), spec_of("a", "b", "c", mean=(1, 2, 3), channel_order="BGR"))
    assert rows(path)["pixels"].endswith("BGR, (x - [1.0, 2.0, 3.0]) / 127.5; from spec")


def test_a_file_that_says_nothing(save_model: SaveModel) -> None:
    shown = rows(save_model(mean_colour_model(), name="two\nlines.tflite"))
    assert "give --mean and --std" in shown["problem"]
    shown = rows(save_model(mean_colour_model("uint8")))
    assert shown["labels"] == "none in the file"
    assert "carries no labels" in shown["warning"]


def test_damaged_metadata_are_a_problem_not_the_end(save_model: SaveModel) -> None:
    path = save_model(mean_colour_model("uint8"), spec_of("a", "b", "c"))
    path.write_bytes(path.read_bytes().replace(b"M001", b"M0O1").replace(b"spec.json", b"Spec.json"))
    assert 'metadata of an unknown kind (expected "M001"' in rows(path)["problem"]


def test_files_that_are_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        info_text(tmp_path / "none.tflite")
