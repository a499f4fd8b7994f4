"""A conversion that ends early leaves the earlier export as it was; what cannot be had is told before it begins."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from converters import convert as module
from converters import other_formats
from converters.convert import ConversionError, convert
from converters.min_runtime import MinRuntime
from converters.options import ConvertOptions
from runtime.errors import DataError, MissingPackageError, ModelError, UsageError
from tests.converters.conversions import content
from tests.converters.test_hand_over import environment

pytest.importorskip("tensorflow")
ALL = ("pb", "saved_model", "keras", "c-array", "edgetpu")


def options(**more: Any) -> ConvertOptions:
    return ConvertOptions(**{"max_accuracy_drop": 100.0} | more)


@pytest.fixture(scope="module")
def converted_once(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("staged") / "model"))
    convert(folder, options(formats=ALL, explain=True))
    return folder


@pytest.fixture
def converted(converted_once: Path, tmp_path: Path) -> Path:
    """A bundle with all formats."""
    return Path(shutil.copytree(converted_once, tmp_path / "model"))


@pytest.fixture
def changed(converted: Path) -> Path:
    """The model is another one of the same name: each of its files would be another one."""
    import keras

    network = keras.saving.load_model(converted / "model.keras", compile=False)
    network.set_weights([weights * 0.9 for weights in network.get_weights()])
    network.save(converted / "model.keras")
    return converted


def test_all_formats_are_there(converted: Path) -> None:
    names = {name.split("/")[0] for name in content(converted / "export")}
    assert names == {
        *("export.html", "export.json", "shapes_float32.tflite", "shapes_int8.tflite", "shapes_int8_layers.svg"),
        *("shapes.pb", "shapes.keras", "shapes_labels.txt", "shapes_spec.json", "shapes_saved_model"),
        *("shapes_int8_model.h", "shapes_int8_model.cc", "shapes_int8_for_edgetpu.tflite"),
    } - ({"shapes_int8_for_edgetpu.tflite"} - names)


def test_interrupted_behind_the_formats(changed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = content(changed / "export")

    def interrupt(*_: Any) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "render_page", interrupt)
    with pytest.raises(KeyboardInterrupt):
        convert(changed, options(formats=ALL, explain=True))
    assert content(changed / "export") == before


KILLED = """\
import os, signal, sys
from pathlib import Path
from converters import convert as module
from converters.min_runtime import MinRuntime
from converters.options import ConvertOptions
module.render_page = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
module.convert(Path(sys.argv[1]), ConvertOptions(formats=("pb", "saved_model"), max_accuracy_drop=100.0))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_killed_behind_the_formats(changed: Path) -> None:
    export = changed / "export"
    before = content(export)
    done = subprocess.run([sys.executable, "-c", KILLED, str(changed)], check=False, env=environment())
    assert done.returncode == -signal.SIGKILL
    after = content(export)
    assert {name: data for name, data in after.items() if not name.startswith(".convert-")} == before
    convert(changed, options(formats=("pb",)))
    renewed = content(export)
    assert renewed["shapes.pb"] != before["shapes.pb"]
    assert "shapes.keras" not in renewed, "of the earlier model"
    assert not any(name.startswith(".") for name in renewed)


def test_a_disk_that_is_full_when_a_format_is_written(changed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = content(changed / "export")

    def full(*_: Any) -> Any:
        raise DataError("cannot write shapes.pb: No space left on device")

    monkeypatch.setitem(other_formats._OF_TENSORFLOW, "pb", full)
    with pytest.raises(DataError, match="No space left") as caught:
        convert(changed, options(formats=("pb",)))
    assert not isinstance(caught.value, ConversionError)
    assert content(changed / "export") == before


@pytest.mark.parametrize(
    "name", ["shapes_int8_model.h", "shapes_int8_layers.svg", "shapes_float32.tflite", "export.json"]
)
def test_files_of_the_user_in_another_folder(tiny_bundle: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / "mine"
    target.mkdir()
    (target / name).write_bytes(b"of the user")
    told: list[str] = []
    with pytest.raises(UsageError, match=f"{name} is there, and no conversion has put it there"):
        convert(tiny_bundle, options(formats=("c-array",), explain=True, output_dir=target), told.append)
    assert told == []
    assert content(target) == {name: b"of the user"}


def test_a_file_that_the_user_puts_there_meanwhile(tiny_bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine"

    def meddle(line: str) -> None:
        if line == "Converting to pb":
            (target / "shapes.pb").write_bytes(b"of the user")

    with pytest.raises(UsageError, match=r"shapes\.pb is there"):
        convert(tiny_bundle, options(formats=("pb",), output_dir=target), meddle)
    assert content(target) == {"shapes.pb": b"of the user"}


def test_a_saved_model_that_holds_more(converted: Path) -> None:
    (converted / "export" / "shapes_saved_model" / "notes.txt").write_bytes(b"of the user")
    before = content(converted / "export")
    told: list[str] = []
    with pytest.raises(UsageError, match=r"holds notes\.txt, which is no part of a SavedModel"):
        convert(converted, options(formats=("saved_model",), force=True), told.append)
    assert told == []
    assert content(converted / "export") == before


@pytest.mark.parametrize(
    ("source", "formats", "message"),
    [
        ("shapes_float32.tflite", ("pb", "onnx", "coreml"), "--formats pb,coreml cannot be made of .*a .tflite file: "),
        ("shapes_float32.tflite", ("keras",), "ask for others .c-array, edgetpu, onnx.$"),
        ("shapes.pb", ("keras",), "which is a frozen graph: .*pb, saved_model, c-array, edgetpu, onnx, coreml.$"),
        ("shapes_saved_model", ("keras",), "which is a SavedModel: "),
    ],
)
def test_formats_that_a_source_does_not_give(
    converted: Path, source: str, formats: tuple[str, ...], message: str
) -> None:
    told: list[str] = []
    with pytest.raises(UsageError, match=message) as caught:
        convert(converted / "export" / source, options(formats=formats), told.append)
    assert (told, caught.value.exit_code, "\n" in str(caught.value)) == ([], 2, False)


@pytest.mark.parametrize(
    ("formats", "absent", "message"),
    [
        (("onnx",), ("tf2onnx",), r"^--formats onnx needs tf2onnx: pip install 'edge-export-toolkit\[train,onnx\]'$"),
        (("coreml",), ("coremltools",), r"^--formats coreml needs coremltools: pip install .*\[train,coreml\]'$"),
        (
            ("onnx", "coreml"),
            ("tf2onnx", "onnx", "coremltools"),
            r"onnx needs tf2onnx and onnx and --formats coreml needs coremltools: .*\[train,onnx,coreml\]'$",
        ),
    ],
)
def test_packages_that_are_not_here(
    converted: Path, monkeypatch: pytest.MonkeyPatch, formats: tuple[str, ...], absent: tuple[str, ...], message: str
) -> None:
    monkeypatch.setattr(other_formats, "find_spec", lambda name: None if name in absent else object())
    before, told = content(converted / "export"), list[str]()
    with pytest.raises(MissingPackageError, match=message):
        convert(converted, options(formats=formats), told.append)
    assert told == []
    assert content(converted / "export") == before


def test_a_page_that_was_removed_is_written_again(converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = converted / "export" / "export.html"
    before = page.read_bytes()
    page.unlink()

    def fail(*_: Any, **__: Any) -> Callable[..., Any]:
        raise AssertionError("nothing is to be converted")

    monkeypatch.setattr(module, "_Run", fail)
    assert not convert(converted, options()).fresh
    assert page.read_bytes() == before


def test_nothing_is_left_where_nothing_came_of_it(tiny_bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "files"
    with pytest.raises(ModelError, match="which TensorFlow Lite 1.5.0 does not have"):
        convert(tiny_bundle, options(output_dir=target, min_runtime=MinRuntime.parse("1.5")))
    assert not target.parent.exists()
