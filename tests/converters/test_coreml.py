from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.formats.coreml import check_coreml_folder, write_coreml
from converters.formats.tracing import traced_model
from runtime.errors import MissingPackageError, UsageError
from runtime.spec import LabelList, ModelSpec
from tests.converters import small_nets
from tests.converters.other_readers import run_beside_tensorflow

pytest.importorskip("tensorflow")

CASES = ("residual", "concat", "hard_swish", "no_bias", "bgr", "channels", "float32")
LABELS = ("Gänseblümchen", "向日葵", "two\nlines", " spaces ", '"🌷", <b>')
SIZE = small_nets.SIZE


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What came out for each network, in an environment with coremltools."""
    folder = tmp_path_factory.mktemp("coreml")
    return run_beside_tensorflow("coreml", ["coremltools==9.0"], "coreml_export.py", folder)


@pytest.mark.parametrize("case", CASES)
def test_the_package_read_back_gives_the_scores_of_the_keras_model(found: Any, case: str) -> None:
    facts = found[case]
    assert (facts["not_checked"], facts["images"], facts["top1_agreement"]) == ("", 20, 1.0)
    assert facts["precision"] == ("float32" if case == "float32" else "float16")
    assert 0 < facts["largest_score_difference"] < (1e-5 if case == "float32" else 5e-3)


@pytest.mark.parametrize("case", CASES)
def test_it_takes_pictures_and_gives_labels(found: Any, case: str) -> None:
    facts = found[case]
    assert (facts["input"], facts["colours"]) == (["image", SIZE, SIZE], "BGR" if case == "bgr" else "RGB")
    assert facts["outputs"] == ["classLabel", "classLabel_probs"]


@pytest.mark.parametrize("case", CASES)
def test_it_has_the_files_of_a_package(found: Any, case: str) -> None:
    assert found[case]["files"] == [
        "Data/com.apple.CoreML/model.mlmodel",
        "Data/com.apple.CoreML/weights/weight.bin",
        "Manifest.json",
    ]


def test_it_says_what_it_is(found: Any) -> None:
    facts = found["residual"]
    assert facts["texts"] == ["Über Blumen", "Žofie", "2.0", "CC-BY-4.0"]
    assert ModelSpec.from_json(facts["said"]["spec.json"]).labels.names == LABELS
    assert not [key for key in facts["said"] if "date" in key]


def test_same_bytes_every_time(found: Any) -> None:
    assert found["residual"]["again"]


def test_other_scores_are_refused_and_the_old_package_stays(found: Any) -> None:
    assert "its scores differ by " in found["residual"]["refused"]
    assert found["residual"]["kept"]


def test_what_is_there_is_not_lost(tmp_path: Path) -> None:
    package = tmp_path / "m.mlpackage"
    check_coreml_folder(package)
    package.mkdir()
    (package / "Manifest.json").touch()
    check_coreml_folder(package)
    (package / "thesis.doc").touch()
    with pytest.raises(UsageError, match=r"m.mlpackage holds thesis.doc, which is no part of a Core ML package"):
        check_coreml_folder(package)
    with pytest.raises(UsageError, match="cannot be replaced: Not a directory"):
        check_coreml_folder(package / "thesis.doc")


@pytest.mark.skipif(find_spec("coremltools") is not None, reason="coremltools is installed here")
def test_without_coremltools(tmp_path: Path) -> None:
    spec = ModelSpec("m", "small", "single-label", small_nets.pixels(127.5, 127.5), LabelList(LABELS))
    function = traced_model(small_nets.build("residual"), input_name="image", output_name="scores")
    nothing = np.zeros((0, SIZE, SIZE, 3), np.uint8), np.zeros((0, len(LABELS)), np.float32)
    with pytest.raises(MissingPackageError, match=r"--formats coreml needs .*pip install '.*\[train,coreml\]'"):
        write_coreml(tmp_path / "m.mlpackage", function, spec, *nothing)
    assert list(tmp_path.iterdir()) == []
