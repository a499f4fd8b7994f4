from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as schema

from converters.flatbuffer_model import pack_model
from runtime import interpreter
from runtime.classifier import Classifier
from runtime.errors import ModelError
from runtime.interpreter import LoadedModel
from runtime.model_file import ModelFile, OperatorUse
from runtime.op_support import require_operators, require_versions, who_has
from tests.runtime.conftest import spec_of
from tests.runtime.tiny_models import mean_colour_model

DENSE, RELU = OperatorUse("FULLY_CONNECTED", 12, 1), OperatorUse("RELU", 1, 4)
NEW, FUTURE = OperatorUse("CAST", 8, 1), OperatorUse("CONV_2D", 99, 1)


def model(*operators: OperatorUse) -> ModelFile:
    return ModelFile(Path("m.tflite"), 0, 3, "", (), (), operators, None)


def test_what_tflite_runtime_lacks() -> None:
    require_versions(model(RELU), "tflite-runtime", "2.14.0")
    with pytest.raises(ModelError) as caught:
        require_versions(model(DENSE, RELU), "tflite-runtime", "2.14.0")
    assert str(caught.value) == (
        "m.tflite needs FULLY_CONNECTED version 12, which tflite-runtime 2.14.0 does not have; TensorFlow Lite 2.17 or "
        "ai-edge-litert 1.2 has it: pip install ai-edge-litert, or convert the model again for this one "
        "(toolkit convert does)"
    )
    with pytest.raises(ModelError, match="CONV_2D version 99 and 2 more, which .*; no release known here has it"):
        require_versions(model(DENSE, NEW, FUTURE), "tflite-runtime", "2.14.0")


def test_what_older_litert_lacks() -> None:
    for version, lacks in (("1.0.1", True), ("1.2.0", True), ("1.4.0", True), ("2.0.3", False), ("2.3.0", False)):
        if lacks:
            with pytest.raises(
                ModelError, match=f"CAST version 8, which ai-edge-litert {version} does not have; .*2.2"
            ):
                require_versions(model(NEW), "ai-edge-litert", version)
        else:
            require_versions(model(NEW), "ai-edge-litert", version)
    require_versions(model(DENSE), "ai-edge-litert", "1.2.0")
    require_versions(model(FUTURE), "ai-edge-litert", "1.2.0")  # only the interpreter can tell
    require_versions(model(NEW), "ai-edge-litert", None)


def test_who_has_it() -> None:
    assert who_has(DENSE) == "TensorFlow Lite 2.17 or ai-edge-litert 1.2 has it"
    assert who_has(NEW) == "TensorFlow Lite 2.21 or ai-edge-litert 2.2 has it"
    assert who_has(FUTURE) == "no release known here has it; try the newest"


def test_custom_operators() -> None:
    flex = OperatorUse("FlexErf", 1, 1, custom=True)
    with pytest.raises(ModelError, match="needs FlexErf, an operator of TensorFlow itself.*without SELECT_TF_OPS"):
        require_operators(model(flex))
    require_operators(model(flex), delegate=True)
    require_operators(model(OperatorUse("Nonsense", 1, 1, custom=True)))  # some interpreters know some


def test_the_interpreter_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "interpreter_version", lambda: ("tflite-runtime", "2.14.0"))
    require_operators(model(RELU))
    with pytest.raises(ModelError, match="FULLY_CONNECTED version 12"):
        require_operators(model(DENSE))
    monkeypatch.setattr(interpreter, "interpreter_version", lambda: ("ai-edge-litert", "2.3.0"))
    require_operators(model(DENSE, NEW))


def test_it_is_told_before_the_model_is_loaded(
    save_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_model(mean_colour_model(then="custom", custom="FlexMean"), spec_of("a", "b", "c"))
    monkeypatch.setattr(LoadedModel, "__init__", None)  # it would be called
    with pytest.raises(ModelError, match="made.tflite needs FlexMean"):
        Classifier.load(path)


def test_what_the_interpreter_says_names_the_runtime_too(save_model: Callable[..., Path]) -> None:
    content = schema.ModelT.InitFromObj(schema.Model.GetRootAs(mean_colour_model()))
    content.operatorCodes[0].version = 17
    with pytest.raises(ModelError, match=r"MEAN version 17, which [a-z-]+ 2\..* does not have; no release known"):
        LoadedModel(save_model(pack_model(content)))


def test_the_floor_is_told_before_loading(
    save_model: Callable[..., Path],
    photos: Path,
    floor_python: Path,
    run_module: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    content = schema.ModelT.InitFromObj(schema.Model.GetRootAs(mean_colour_model(then="SOFTMAX")))
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 12
    content.operatorCodes.append(code)
    path = save_model(pack_model(content), spec_of("a", "b", "c"))
    assert Classifier.load(path).classify(photos / "red.png").labels == ("a",)  # LiteRT has it
    done = run_module("classify", "--model", str(path), str(photos), python=floor_python)
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"runtime: error: {path} needs FULLY_CONNECTED version 12, which tflite-runtime 2.14.0 "
    )
    assert done.stderr.count("\n") == 1
