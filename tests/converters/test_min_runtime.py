from __future__ import annotations

import re
from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as schema

from converters.flatbuffer_model import pack_model, unpack_model
from converters.min_runtime import DEFAULT_MIN_RUNTIME, MinRuntime, require_runtime
from runtime.errors import ModelError, UsageError
from runtime.model_file import ModelFile
from tests.runtime.tiny_models import mean_colour_model


def file(tmp_path: Path, builtin: int | None = None, version: int = 1, then: str = "SOFTMAX") -> ModelFile:
    contents = unpack_model(mean_colour_model(then=then))
    if builtin is not None:
        code = contents.operatorCodes[1]
        code.builtinCode = code.deprecatedBuiltinCode = builtin
        code.version = version
        operator = contents.subgraphs[0].operators[1]
        if builtin == schema.BuiltinOperator.FULLY_CONNECTED:  # it is read only where it has weights and options
            operator.inputs = [2, 2]
            operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
            operator.builtinOptions = schema.FullyConnectedOptionsT()
    path = tmp_path / "x_dynamic.tflite"
    path.write_bytes(pack_model(contents))
    return ModelFile.read(path)


@pytest.mark.parametrize(
    ("text", "version", "floor"),
    [
        ("litert", None, False),
        (" LiteRT ", None, False),
        ("2.14", "2.14.0", True),
        ("2.14.0", "2.14.0", True),
        ("2.5", "2.5.0", True),
        ("2.17", "2.17.0", False),
        ("1.13.1", "1.13.1", True),
        ("2", "2.0.0", True),
    ],
)
def test_what_can_be_asked_for(text: str, version: str | None, floor: bool) -> None:
    minimum = MinRuntime.parse(text)
    assert (minimum.version, minimum.includes_floor) == (version, floor)


@pytest.mark.parametrize("text", ["", "tflite", "2.14rc1", "2.14.0.1", "-2", "2,14", "2.14\nx"])
def test_what_cannot(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        MinRuntime.parse(text)
    assert str(caught.value).startswith("--min-runtime must be litert or a TensorFlow release such as 2.14, not ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["99", "1.0", "3", "1.16", "2.99.1", "0.5"])
def test_a_release_that_there_is_not(text: str) -> None:
    """Found out before anything is made: 99 would allow any operator, 1.0 none."""
    with pytest.raises(UsageError, match="no such release of TensorFlow Lite is known here") as caught:
        MinRuntime.parse(text)
    assert re.search(r"; known are litert, 1\.5 to 1\.15 and 2\.0 to 2\.\d\d$", str(caught.value))


def test_the_default_is_the_floor() -> None:
    assert (DEFAULT_MIN_RUNTIME.version, str(DEFAULT_MIN_RUNTIME)) == ("2.14.0", "TensorFlow Lite 2.14.0")


def test_an_operator_that_is_too_new(tmp_path: Path) -> None:
    """The most reported failure of the field: a dense layer quantised channel by channel."""
    new = file(tmp_path, builtin=9, version=12)
    with pytest.raises(ModelError) as caught:
        require_runtime(new, "dynamic")
    assert str(caught.value) == (
        "x_dynamic.tflite needs FULLY_CONNECTED version 12, which TensorFlow Lite 2.14.0 does not have; the first that "
        "has it is 2.17.0; say --min-runtime 2.17 if your devices have that (or litert), or avoid it with --quantize "
        "int8 or --quantize float16: it comes from dense layers quantised channel by channel"
    )
    require_runtime(new, "dynamic", MinRuntime.parse("2.17"))
    require_runtime(new, "dynamic", MinRuntime.parse("litert"))


def test_the_newest_of_several_is_named(tmp_path: Path) -> None:
    found = file(tmp_path, builtin=9, version=9)  # 2.3; MEAN 1 is 1.6
    with pytest.raises(
        ModelError, match=r"needs FULLY_CONNECTED version 9 \(and 1 more\), which TensorFlow Lite 1.5.0"
    ):
        require_runtime(found, "float32", MinRuntime.parse("1.5"))
    require_runtime(found, "float32", MinRuntime.parse("2.3"))


def test_the_advice_fits_the_kind(tmp_path: Path) -> None:
    new = file(tmp_path, builtin=19, version=4)  # RELU 4 does not exist yet
    with pytest.raises(ModelError) as caught:
        require_runtime(new, "float32")
    assert str(caught.value).endswith(
        "no release known here has it; say --min-runtime litert if your devices have that"
    )
    with pytest.raises(ModelError, match="or avoid it with --quantize int8$"):
        require_runtime(new, "int16x8")


def test_a_custom_operator(tmp_path: Path) -> None:
    for minimum in ("2.14", "litert"):
        with pytest.raises(ModelError, match="needs the custom operator Nonsense, which no release"):
            require_runtime(file(tmp_path, then="custom"), "float32", MinRuntime.parse(minimum))
