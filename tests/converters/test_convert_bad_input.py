"""Bundles that cannot be trusted and folders that cannot be written: one clear line, nothing half written."""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

from converters.bundle import CALIBRATION_FILE, MODEL_FILE, TEST_IMAGES_FILE, TEST_SPLIT_FILE
from converters.convert import convert
from converters.options import ConvertOptions
from runtime.errors import DataError, EdgeExportError, ModelError
from runtime.spec import SPEC_FILE_NAME
from tests.converters.conversions import ANY_DROP

pytest.importorskip("tensorflow")


def refusal(bundle: Path, kind: type[EdgeExportError], output_dir: Path | None = None) -> str:
    options = ConvertOptions(output_dir=output_dir, max_accuracy_drop=ANY_DROP)
    with pytest.raises(kind) as caught:
        convert(bundle, options)
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_output_folder_is_a_file(bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("mine", encoding="utf-8")
    assert refusal(bundle, DataError, target) == f"cannot write to {target}: it is a file, not a folder"
    assert target.read_text(encoding="utf-8") == "mine"
    assert str(target) in refusal(bundle, DataError, target / "below")


def test_a_read_only_disk(bundle: Path, mounted: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", mounted], check=True)
    assert refusal(bundle, DataError, mounted / "export") == (
        f"cannot write to {mounted / 'export'}: Read-only file system; name another --output-dir"
    )


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc")
def test_a_file_system_without_new_folders(bundle: Path) -> None:
    message = refusal(bundle, DataError, Path("/proc/foo/export"))
    assert message == "cannot write to /proc/foo/export: no folder can be made in /proc; name another --output-dir"


def test_a_full_disk(bundle: Path, mounted: Path) -> None:
    target = mounted / "export"
    (mounted / "full").write_bytes(bytes(430_000))  # there is room for the test pictures, not for the model too
    assert refusal(bundle, DataError, target) == f"cannot write to {target}: No space left on device"
    assert [path.name for path in mounted.iterdir()] == ["full"]


@pytest.mark.parametrize(
    "name", [MODEL_FILE, SPEC_FILE_NAME, CALIBRATION_FILE, TEST_IMAGES_FILE, TEST_SPLIT_FILE, "labels.txt"]
)
def test_a_file_is_missing(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    assert name in refusal(bundle, ModelError)
    assert not (bundle / "export").exists()


@pytest.mark.parametrize("name", [MODEL_FILE, SPEC_FILE_NAME, TEST_IMAGES_FILE, TEST_SPLIT_FILE])
@pytest.mark.parametrize("keep", [0, 100])
def test_a_file_is_cut_short(bundle: Path, name: str, keep: int) -> None:
    content = (bundle / name).read_bytes()
    (bundle / name).write_bytes(content[: len(content) * keep // 200])
    assert name in refusal(bundle, ModelError)
    assert list((bundle / "export").glob("*")) == []


def test_code_in_a_model_is_not_run(bundle: Path, tmp_path: Path) -> None:
    import keras

    trap = tmp_path / "executed"
    source = keras.Input((24, 24, 3))

    def harm(x: object) -> object:
        __import__("pathlib").Path(str(trap)).touch()
        return x

    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Lambda(harm, output_shape=(24, 24, 3))(source))
    model = keras.Model([source], keras.layers.Dense(4, activation="softmax")(x))
    model.save(bundle / MODEL_FILE)
    trap.unlink(missing_ok=True)
    assert MODEL_FILE in refusal(bundle, ModelError)
    assert not trap.exists()


def test_a_function_named_in_a_model_is_not_called(bundle: Path, tmp_path: Path) -> None:
    """Keras refuses to build what is no layer."""
    trap = tmp_path / "executed"
    trap.mkdir()
    hostile = {"module": "shutil", "class_name": "rmtree", "config": {"path": str(trap)}, "registered_name": "rmtree"}
    call = {"module": "os", "class_name": "function", "config": "rmdir", "registered_name": "function"}
    for config in (hostile, call):
        with zipfile.ZipFile(bundle / MODEL_FILE, "w") as archive:
            archive.writestr("metadata.json", json.dumps({"keras_version": "3.0.0"}))
            archive.writestr("config.json", json.dumps(config))
            archive.writestr("model.weights.h5", b"")
        assert MODEL_FILE in refusal(bundle, ModelError)
    assert trap.is_dir()


def test_a_model_that_does_not_fit_the_specification(bundle: Path) -> None:
    import keras

    source = keras.Input((64, 64, 3))
    x = keras.layers.GlobalAveragePooling2D()(source)
    keras.Model([source], keras.layers.Dense(7)(x)).save(bundle / MODEL_FILE)
    message = refusal(bundle, ModelError)
    assert "(64, 64, 3)" in message
    assert "4 scores" in message


def test_no_pictures_at_all(bundle: Path) -> None:
    for name in (CALIBRATION_FILE, TEST_IMAGES_FILE):
        np.savez(bundle / name, images=np.zeros((0, 24, 24, 3), np.uint8))
    (bundle / TEST_SPLIT_FILE).write_text('{"images": []}', encoding="utf-8")
    assert "holds no pictures to check the files with" in refusal(bundle, ModelError)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("Blümen 花 🌷", "Blümen 花 🌷_float32.tflite"),
        ("two\nlines", "two_lines_float32.tflite"),
        ("../../outside", "_.._outside_float32.tflite"),
        ("花" * 100, "花" * 66 + "_float32.tflite"),
        ("..", "model_float32.tflite"),
    ],
)
def test_any_name_is_a_file_in_the_output_folder(bundle: Path, tmp_path: Path, name: str, file: str) -> None:
    spec = json.loads((bundle / SPEC_FILE_NAME).read_bytes())
    (bundle / SPEC_FILE_NAME).write_text(json.dumps(spec | {"name": name}), encoding="utf-8")
    target = tmp_path / "two\nlines and 花"
    convert(bundle, ConvertOptions(output_dir=target))
    assert {path.name for path in target.iterdir()} == {"export.html", "export.json", file}
    assert json.loads((target / "export.json").read_bytes())["name"] == name
