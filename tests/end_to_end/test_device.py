"""Shows 6 and 7: ``runtime`` where nothing but a TFLite interpreter is installed, on both interpreters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.commands import answers, runtime, scores
from tests.end_to_end.conftest import Demo

INTERPRETERS = {"device_python": "ai-edge-litert", "floor_python": "tflite-runtime 2.14"}
KINDS = ("float32", "int8")

# What ../shared/thirdparty/README.md says must hold.
THIRDPARTY = [
    ("mobilenet_v1_0.25_128_quant.tflite", "cat.bmp", 283, 0.25),
    ("mobilenet_v2_1.0_224_quant.tflite", "cat.bmp", 286, 0.70),
]


@pytest.fixture(params=INTERPRETERS)
def python(request: pytest.FixtureRequest) -> Path:
    """Of the device's environment, then of the floor's."""
    return Path(request.getfixturevalue(request.param))


@pytest.fixture
def interpreter(request: pytest.FixtureRequest, python: Path) -> str:
    return INTERPRETERS[request.node.callspec.params["python"]]


def folder_of(demo: Demo, label: str) -> Path:
    return demo.photos / label


@pytest.mark.parametrize("kind", KINDS)
def test_one_photo_as_text(python: Path, demo: Demo, kind: str, tmp_path: Path) -> None:
    photo = sorted(folder_of(demo, "circle").iterdir())[0]
    done = runtime(python, "classify", "--model", demo.file(kind), photo, cwd=tmp_path)
    assert str(photo) in done.stdout
    assert all(label in done.stdout for label in ("circle", "square", "plus", "triangle"))
    assert done.stderr == ""


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_as_json(python: Path, demo: Demo, kind: str, tmp_path: Path) -> None:
    folder = folder_of(demo, "square")
    done = runtime(python, "classify", "--model", demo.file(kind), "--json", folder, cwd=tmp_path)
    given = answers(done.stdout)
    assert sorted(answer["source"] for answer in given) == sorted(map(str, folder.iterdir()))
    for answer in given:
        assert set(answer) == {"time", "source", "frame", "predictions", "labels", "unknown", "milliseconds"}
        assert set(answer["milliseconds"]) == {"decode", "preprocess", "invoke", "postprocess"}
        assert [set(p) for p in answer["predictions"]] == [{"class_id", "label", "score"}] * 4
        assert sum(scores(answer)) == pytest.approx(1, abs=0.02)
    right = sum(answer["predictions"][0]["label"] == "square" for answer in given)
    assert right >= 0.9 * len(given)


def test_the_export_in_the_current_folder_is_found(python: Path, demo: Demo, tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to(demo.bundle, target_is_directory=True)
    photo = sorted(folder_of(demo, "plus").iterdir())[0]
    done = runtime(python, "classify", "--top-k", "1", photo, cwd=tmp_path)
    assert "my-photos_int8.tflite" in done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_info(python: Path, interpreter: str, demo: Demo, kind: str, tmp_path: Path) -> None:
    text = runtime(python, "info", demo.file(kind), cwd=tmp_path).stdout
    for expected in (interpreter, "triangle", "SOFTMAX", "uint8" if kind == "int8" else "float32"):
        assert expected in text
    facts = json.loads(runtime(python, "info", "--json", demo.file(kind), cwd=tmp_path).stdout)
    assert interpreter in json.dumps(facts)


@pytest.mark.parametrize(("model", "picture", "class_id", "least"), THIRDPARTY)
def test_other_peoples_models(
    python: Path, thirdparty: Path, model: str, picture: str, class_id: int, least: float, tmp_path: Path
) -> None:
    labels = ("--labels", thirdparty / "imagenet_labels.txt")
    options = ("--resample", "tf-bilinear", "--top-k", "3", "--json")
    done = runtime(
        python, "classify", "--model", thirdparty / model, *labels, *options, thirdparty / picture, cwd=tmp_path
    )
    (answer,) = answers(done.stdout)
    found: dict[int, Any] = {p["class_id"]: p["score"] for p in answer["predictions"]}
    assert class_id in found
    assert found[class_id] >= least


def test_a_model_that_fails_when_it_runs(python: Path, thirdparty: Path, demo: Demo, tmp_path: Path) -> None:
    photo = sorted(folder_of(demo, "plus").iterdir())[0]
    model = thirdparty / "model_invoking_error.tflite"
    done = runtime(python, "classify", "--model", model, photo, cwd=tmp_path, code=1)
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("runtime: error: ")


def test_the_two_interpreters_give_the_same(
    device_python: Path, floor_python: Path, demo: Demo, tmp_path: Path
) -> None:
    """Same output for float and int8 files, up to the rounding of their int8 kernels; see test_parity.py."""
    for kind, tolerance in (("float32", 1e-3), ("int8", 0.1)):
        command = ("classify", "--model", demo.file(kind), "--json", folder_of(demo, "triangle"))
        outputs = [answers(runtime(p, *command, cwd=tmp_path).stdout) for p in (device_python, floor_python)]
        assert len(outputs[0]) == 30
        for one, other in zip(*outputs, strict=True):
            assert one["source"] == other["source"]
            assert scores(one) == pytest.approx(scores(other), abs=tolerance)
            best, second = sorted(scores(one))[:-3:-1]
            if best - second > 4 / 256:
                assert one["predictions"][0]["label"] == other["predictions"][0]["label"]
