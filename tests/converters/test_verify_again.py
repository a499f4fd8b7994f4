from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import verify_again as module
from converters.against import Against, bundle_of
from converters.answers import answers
from converters.metadata import add_metadata
from converters.min_runtime import MinRuntime
from converters.options import ConvertOptions
from converters.reference import Reference
from converters.report import export_key, make_report, report_bytes
from converters.verification import Verification
from converters.verify import verify_file
from converters.verify_again import VerifyOptions, verify_again
from runtime.errors import ModelError
from runtime.spec import LabelList, ModelSpec
from tests.converters import small_nets
from tests.converters.reports import Described
from tests.converters.small_nets import Net

pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def net() -> Net:
    return small_nets.make("residual")


@pytest.fixture
def spec(net: Net) -> ModelSpec:
    return ModelSpec("small", "small", "single-label", net.preprocessing, LabelList(tuple("abcde")))


@pytest.fixture
def against(net: Net, spec: ModelSpec, tmp_path: Path) -> Against:
    path = tmp_path / "images.npz"
    np.savez(path, images=net.pictures)
    scores = net.real_scores()
    digests = tuple(f"{row:064x}" for row in range(len(scores)))
    return Against("the bundle x", path, answers(scores, "single-label", ()), digests, scores, spec)


@pytest.fixture
def model(net: Net, spec: ModelSpec, tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    folder.mkdir()
    path = folder / "small_int8.tflite"
    path.write_bytes(add_metadata(net.int8, spec))
    return path


def write_report(model: Path, against: Against, spec: ModelSpec, **options: Any) -> dict[str, Any]:
    assert against.scores is not None
    reference = Reference(against.images, against.scores, against.truth)
    result = verify_file(model, "int8", reference)
    from converters.bundle import TestPictures

    pictures = TestPictures(np.zeros((0,)), against.truth, against.digests)
    report = make_report(Described(spec), export_key({}), ConvertOptions(**options), reference, pictures, [result])
    (model.parent / "export.json").write_bytes(report_bytes(report))
    return report


def states(verification: Verification) -> dict[str, str]:
    return {check.name: check.state for check in verification.checks}


def text(verification: Verification, name: str) -> str:
    return next(check.text for check in verification.checks if check.name == name)


ANY = VerifyOptions(max_accuracy_drop=100.0)


def test_all_proofs_hold(model: Path, against: Against, spec: ModelSpec) -> None:
    report = write_report(model, against, spec, max_accuracy_drop=50.0)
    verification = verify_again(model, against)
    assert states(verification) == {
        "unchanged": "ok",
        "kind": "ok",
        "operators": "ok",
        "belongs": "ok",
        "runs": "ok",
        "runs on tflite-runtime": "not done",
        "accuracy": "ok",
        "as before": "ok",
    }
    assert text(verification, "kind") == "int8; nothing in it is float"
    assert verification.failed == ()
    content = json.loads(json.dumps(verification.to_json()))
    assert (content["passed"], content["kind"], content["compared"]) == (True, "int8", True)
    (entry,) = report["files"]
    for name in ("top1_agreement", "accuracy_drop", "changed", "largest_score_difference"):
        assert content["runs"][0][name] == entry[name]


def test_on_both_interpreters(model: Path, against: Against, floor_python: Path) -> None:
    verification = verify_again(model, against, replace(ANY, floor_python=floor_python))
    assert states(verification)["runs on tflite-runtime"] == states(verification)["accuracy on tflite-runtime"] == "ok"
    assert [run.interpreter.split()[0] for run in verification.runs] == ["ai-edge-litert", "tflite-runtime"]
    newer = replace(ANY, floor_python=floor_python, minimum=MinRuntime.parse("litert"))
    assert states(verify_again(model, against, newer))["runs on tflite-runtime"] == "not done"


def test_a_file_that_was_changed(model: Path, against: Against, spec: ModelSpec) -> None:
    write_report(model, against, spec, max_accuracy_drop=50.0)
    with model.open("ab") as file:
        file.write(b"\0")
    verification = verify_again(model, against)
    assert [check.name for check in verification.failed] == ["unchanged"]
    assert "in export.json" in text(verification, "unchanged")


@pytest.mark.parametrize("kept", [0, 50, -1])
def test_a_file_without_its_archive(model: Path, against: Against, kept: int) -> None:
    content = model.read_bytes()
    with zipfile.ZipFile(model) as archive:
        start = min(info.header_offset for info in archive.infolist())
    model.write_bytes(content[: start + kept] if kept >= 0 else content[:kept])
    verification = verify_again(model, against, ANY)
    assert states(verification)["whole"] == "failed"
    assert text(verification, "whole").startswith("the archive with spec.json, labels.txt behind the model is missing")


def test_a_float_file_that_is_called_int8(net: Net, model: Path, against: Against, spec: ModelSpec) -> None:
    model.write_bytes(add_metadata(net.float32, spec))
    verification = verify_again(model, against, ANY)
    assert [check.name for check in verification.failed] == ["kind"]
    assert "small_int8.tflite is no int8 model: it holds " in text(verification, "kind")
    assert verification.runs[0].top1_agreement == 1.0, "the other proofs were tried"


def test_a_name_that_says_nothing(model: Path, against: Against) -> None:
    assert verify_again(model.rename(model.with_name("model.tflite")), against, ANY).kind == "int8"


def test_an_operator_that_is_too_new(model: Path, against: Against) -> None:
    verification = verify_again(model, against, replace(ANY, minimum=MinRuntime.parse("1.6")))
    assert [check.name for check in verification.failed] == ["operators"]
    assert "which TensorFlow Lite 1.6.0 does not have" in text(verification, "operators")


def test_a_loss(model: Path, against: Against) -> None:
    """Pictures whose truth is what the file does not say, though the trained model does."""
    assert against.scores is not None
    here = verify_again(model, against, ANY).runs[0].scores
    shifted = np.roll(here, 1, axis=1)  # another class for each picture
    wrong = replace(against, scores=shifted, truth=answers(shifted, "single-label", ()))
    verification = verify_again(model, wrong, VerifyOptions())
    assert [check.name for check in verification.failed] == ["accuracy"]
    assert "drop 100.0 points; answers better 0, worse 60; more than the 2 allowed" in text(verification, "accuracy")
    few = replace(against, scores=shifted[:1], truth=answers(shifted[:1], "single-label", ()), digests=())
    np.savez(few.images, images=np.load(against.images)["images"][:1])
    verification = verify_again(model, few, VerifyOptions())
    assert states(verification)["accuracy"] == "ok"
    assert text(verification, "accuracy").endswith("but so few pictures may be chance")


def test_other_answers_where_nobody_knows_the_truth(model: Path, against: Against) -> None:
    here = verify_again(model, against, ANY).runs[0].scores
    silent = replace(against, truth=against.truth[:0], digests=())
    assert states(verify_again(model, replace(silent, scores=here), ANY))["accuracy"] == "not done"
    verification = verify_again(model, replace(silent, scores=np.roll(here, 1, axis=1)), ANY)
    assert [check.name for check in verification.failed] == ["accuracy"]
    assert "only 0.0% of them get the trained model's answer" in text(verification, "accuracy")


def test_the_limit_is_that_of_the_conversion(model: Path, against: Against, spec: ModelSpec) -> None:
    write_report(model, against, spec, max_accuracy_drop=100.0)
    assert against.scores is not None
    shifted = np.roll(against.scores, 1, axis=1)
    wrong = replace(against, scores=shifted, truth=answers(shifted, "single-label", ()))
    assert states(verify_again(model, wrong))["accuracy"] == "ok"
    assert states(verify_again(model, wrong, VerifyOptions(max_accuracy_drop=1.0)))["accuracy"] == "failed"


def test_other_scores_than_before(model: Path, against: Against, spec: ModelSpec) -> None:
    report = write_report(model, against, spec, max_accuracy_drop=100.0)
    report["test_scores"][0]["int8"] = [0.0, 0.0, 0.0, 0.0, 1.0]
    (model.parent / "export.json").write_bytes(report_bytes(report))
    assert [check.name for check in verify_again(model, against).failed] == ["as before"]


def test_pictures_alone(model: Path, against: Against) -> None:
    """Nothing is said of a comparison that was not made."""
    alone = replace(against, scores=None, spec=None, digests=())
    verification = verify_again(model, alone, VerifyOptions())
    assert verification.failed == ()
    assert not verification.compared
    assert text(verification, "accuracy").endswith("; no trained model to compare with")
    assert "same answer" not in text(verification, "runs")
    unlabelled = replace(alone, truth=np.zeros((0, 5), np.bool_))
    assert states(verify_again(model, unlabelled))["accuracy"] == "not done"


def test_a_model_of_another_bundle(model: Path, against: Against, spec: ModelSpec) -> None:
    other = replace(against, spec=replace(spec, labels=LabelList(tuple("vwxyz"))))
    assert [check.name for check in verify_again(model, other, ANY).failed] == ["belongs"]
    pixels = replace(spec.preprocessing, resample="nearest")
    assert "preprocessing" in text(verify_again(model, replace(against, spec=replace(spec, preprocessing=pixels)), ANY),
                                   "belongs")  # fmt: skip
    small = replace(against, spec=replace(spec, labels=LabelList(("a", "b"))))
    verification = verify_again(model, small, ANY)
    assert [check.name for check in verification.failed] == ["belongs"]
    assert verification.runs == ()
    assert (
        text(verification, "belongs")
        == "takes 24 x 24 pixels and gives 5 scores; 24 x 24 and 2 are those of the bundle x"
    )


def test_a_file_that_does_not_run(model: Path, against: Against, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: Any) -> Any:
        raise ModelError("small_int8.tflite does not run: the interpreter crashed (SIGSEGV)")

    monkeypatch.setattr(module, "run_file", crash)
    verification = verify_again(model, against)
    assert [check.name for check in verification.failed] == ["runs"]
    assert verification.runs == ()


def test_no_model_at_all(tmp_path: Path, against: Against) -> None:
    (tmp_path / "x_int8.tflite").write_bytes(b"not a model")
    with pytest.raises(ModelError, match="is not a TensorFlow Lite model"):
        verify_again(tmp_path / "x_int8.tflite", against)


def test_which_folder_is_a_bundle(tmp_path: Path) -> None:
    bundle = tmp_path / "model"
    (bundle / "export").mkdir(parents=True)
    assert bundle_of(bundle) is None
    (bundle / "spec.json").write_text("{}")
    assert bundle_of(bundle) == bundle
    assert bundle_of(bundle / "export") == bundle
    assert bundle_of(tmp_path) is None


def test_a_report_that_is_damaged(model: Path, against: Against, spec: ModelSpec) -> None:
    report = write_report(model, against, spec, max_accuracy_drop=100.0)
    report["files"][0]["max_accuracy_drop"] = "x"
    (model.parent / "export.json").write_bytes(report_bytes(report))
    verification = verify_again(model, against, ANY)
    assert states(verification)["unchanged"] == "not done"
    assert text(verification, "unchanged").startswith("the export.json beside it is damaged")
    assert not verification.failed


def test_a_collapse_is_a_failure_whatever_the_accuracy(model: Path, against: Against) -> None:
    """The trained model has other answers, and is right as often: it guesses."""
    here = verify_again(model, against, ANY).runs[0].scores
    other = np.roll(here, 1, axis=1)
    truth = answers(np.roll(here, 2, axis=1), "single-label", ())
    verification = verify_again(model, replace(against, scores=other, truth=truth), VerifyOptions())
    assert [check.name for check in verification.failed] == ["accuracy"]
    assert "drop 1.7 points" in text(verification, "accuracy"), "within the limit of 2"
    assert text(verification, "accuracy").endswith("get the trained model's answer: it has collapsed")
