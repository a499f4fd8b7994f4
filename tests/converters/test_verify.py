from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters import processes
from converters.accuracy import Accuracy
from converters.answers import answers
from converters.metadata import add_metadata
from converters.min_runtime import MinRuntime
from converters.verify import Reference, run_in_process, verify_file
from runtime.errors import ModelError
from runtime.spec import LabelList, ModelSpec
from tests.converters import small_nets
from tests.converters.small_nets import Net

pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def net() -> Net:
    return small_nets.make("residual")


@pytest.fixture
def exported(net: Net, tmp_path: Path) -> Path:
    spec = ModelSpec("small", "small", "single-label", net.preprocessing, LabelList(tuple("abcde")))
    path = tmp_path / "small_int8.tflite"
    path.write_bytes(add_metadata(net.int8, spec))
    return path


@pytest.fixture
def reference(net: Net, tmp_path: Path) -> Reference:
    path = tmp_path / "images.npz"
    np.savez(path, images=net.pictures)
    scores = net.real_scores()
    return Reference(path, scores, answers(scores, "single-label", ()))


def test_a_good_file(net: Net, exported: Path, reference: Reference) -> None:
    result = verify_file(exported, "int8", reference)
    here = small_nets.scores(net.int8, net.pictures, net.preprocessing)
    np.testing.assert_allclose(result.scores, here, atol=1e-6)
    assert result.largest_score_difference == pytest.approx(np.abs(here - reference.scores).max())
    agreement = float((here.argmax(axis=1) == reference.truth.argmax(axis=1)).mean())
    assert result.top1_agreement == agreement
    assert result.accuracy.value == agreement
    assert result.accuracy_drop == pytest.approx((1 - agreement) * 100)
    assert (result.size, result.sha256) == (
        exported.stat().st_size,
        hashlib.sha256(exported.read_bytes()).hexdigest(),
    )
    assert result.interpreter.startswith("ai-edge-litert ")
    assert result.latency_ms > 0
    assert any(name.startswith("DEPTHWISE_CONV_2D ") for name in result.operators)
    assert result.needs_runtime is not None


def test_unknown_is_counted_apart(exported: Path, reference: Reference) -> None:
    """The limit of each class lies between the two models' scores of one picture that the file is less sure of."""
    here = verify_file(exported, "int8", reference).scores
    best = reference.scores.argmax(axis=1)
    rows = np.arange(len(best))
    trained, int8 = reference.scores[rows, best], here[rows, best]
    row = int(np.argmax(np.where(here.argmax(axis=1) == best, trained - int8, -1)))
    limit = float(trained[row] + int8[row]) / 2
    assert int8[row] < limit < trained[row]
    limited = replace(reference, least_scores=(limit,) * 5)
    result = verify_file(exported, "int8", limited)
    assert limited.unknown == int((trained < limit).sum())
    assert result.unknown == int((here.max(axis=1) < limit).sum())
    assert result.unknown_changed == int(((here.max(axis=1) < limit) != (trained < limit)).sum()) >= 1
    before = verify_file(exported, "int8", reference)
    assert (result.top1_agreement, result.accuracy) == (before.top1_agreement, before.accuracy)
    assert (before.unknown, before.unknown_changed, reference.unknown) == (0, 0, 0)
    written = result.to_json()
    assert (written["unknown"], written["unknown_changed"]) == (result.unknown, result.unknown_changed)


def test_without_test_pictures_there_is_no_drop(exported: Path, reference: Reference) -> None:
    unlabelled = Reference(reference.images, reference.scores, np.zeros((0, 5), np.bool_))
    result = verify_file(exported, "int8", unlabelled)
    assert (result.accuracy, result.accuracy_drop) == (Accuracy(0, 0), None)
    assert result.top1_agreement > 0.8


def test_the_current_folder_is_not_looked_into(
    exported: Path, reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json.py", "numpy.py", "runtime.py"):
        (tmp_path / name).write_text("raise SystemExit('a file of the user was run')")
    monkeypatch.chdir(tmp_path)
    relative = Path(exported.name), Path(reference.images.name)
    assert len(run_in_process(*relative)[0]) == len(reference.scores)


def test_a_model_that_fails_when_it_runs(thirdparty: Path, reference: Reference) -> None:
    with pytest.raises(ModelError) as caught:
        run_in_process(thirdparty / "model_invoking_error.tflite", reference.images)
    message = str(caught.value)
    assert message.startswith("model_invoking_error.tflite does not run: ")
    assert "\n" not in message
    assert "Traceback" not in message


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.7])
def test_a_file_cut_short(exported: Path, reference: Reference, keep: float) -> None:
    content = exported.read_bytes()
    exported.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(ModelError) as caught:
        verify_file(exported, "int8", reference)
    assert exported.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_crash_is_named(exported: Path, reference: Reference, tmp_path: Path) -> None:
    crashing = tmp_path / "python"
    crashing.write_text("#!/bin/sh\nkill -SEGV $$\n")
    crashing.chmod(0o755)
    with pytest.raises(ModelError, match=r"^small_int8.tflite does not run: the interpreter crashed \(SIGSEGV\)$"):
        run_in_process(exported, reference.images, python=str(crashing))


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 3", "exit code 3"),
        ("echo error: the reason >&2; echo INFO: goodbye of a delegate >&2; exit 1", "the reason"),
        ("kill -35 $$", "the interpreter crashed (signal 35)"),  # for real time: it has no name
        ("echo first >&2; echo last >&2; exit 1", "last"),
    ],
)
def test_how_it_failed(exported: Path, reference: Reference, tmp_path: Path, script: str, reason: str) -> None:
    failing = tmp_path / "python"
    failing.write_text(f"#!/bin/sh\n{script}\n")
    failing.chmod(0o755)
    with pytest.raises(ModelError) as caught:
        run_in_process(exported, reference.images, python=str(failing))
    assert str(caught.value) == f"small_int8.tflite does not run: {reason}"


def test_a_model_that_does_not_end(exported: Path, reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_TIMEOUT", 0.01)
    with pytest.raises(ModelError, match=r"does not end within 0.01 seconds"):
        run_in_process(exported, reference.images)


def test_scores_that_are_no_numbers(exported: Path, reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = np.full_like(reference.scores, np.nan)
    monkeypatch.setattr("converters.verify.run_in_process", lambda *_: (broken, {}))
    with pytest.raises(ModelError, match="gives scores that are not numbers"):
        verify_file(exported, "int8", reference)


def test_what_else_is_known_of_a_file(net: Net, exported: Path, reference: Reference) -> None:
    result = verify_file(exported, "int8", reference, io="uint8", minimum=MinRuntime.parse("2.14"))
    assert (result.input, result.output, result.floor) == ("uint8", "uint8", None)
    assert result.latency_one_thread_ms > 0
    here = small_nets.scores(net.int8, net.pictures, net.preprocessing)
    changed = np.flatnonzero(here.argmax(axis=1) != reference.scores.argmax(axis=1))
    assert result.paired.worse == tuple(changed), "the trained model is always right here"
    assert (result.paired.better, result.paired.other) == ((), ())
    written = result.to_json()
    assert written["operators"] == [{"name": u.name, "version": u.version, "count": u.count} for u in result.uses]
    assert json.loads(json.dumps(written)) == written


def test_a_file_that_is_not_what_it_is_called(net: Net, exported: Path, reference: Reference) -> None:
    with pytest.raises(
        ModelError, match=r"^small_int8.tflite is no int8 model with int8 input and output: it holds 2 t"
    ):
        verify_file(exported, "int8", reference, io="int8")
    with pytest.raises(ModelError, match="needs .* version .*, which TensorFlow Lite 1.5.0 does not have"):
        verify_file(exported, "int8", reference, minimum=MinRuntime.parse("1.5"))
    spec = ModelSpec("small", "small", "single-label", net.preprocessing, LabelList(tuple("abcde")))
    exported.write_bytes(add_metadata(net.float32, spec))
    with pytest.raises(ModelError, match=r"^small_int8.tflite is no int8 model: it holds \d+ operators: "):
        verify_file(exported, "int8", reference)


def test_scores_of_other_classes(exported: Path, reference: Reference) -> None:
    with pytest.raises(ModelError, match="gives 5 scores for each of 60 pictures; what it is compared with has 4"):
        verify_file(exported, "int8", replace(reference, scores=reference.scores[:, :4], truth=reference.truth[:, :4]))


def test_both_interpreters(exported: Path, reference: Reference, floor_python: Path) -> None:
    result = verify_file(exported, "int8", reference, floor_python=floor_python)
    assert result.interpreter.startswith("ai-edge-litert ")
    assert result.floor is not None
    assert result.floor.interpreter.startswith("tflite-runtime 2.14")
    assert np.abs(result.floor.scores - result.scores).max() <= 4 / 256
    assert result.to_json()["floor"] == result.floor.to_json()


def test_the_interpreter_that_fails_is_named(exported: Path, reference: Reference, tmp_path: Path) -> None:
    crashing = tmp_path / "python"
    crashing.write_text("#!/bin/sh\nkill -SEGV $$\n")
    crashing.chmod(0o755)
    with pytest.raises(ModelError, match=r"does not run on tflite-runtime: the interpreter crashed \(SIGSEGV\)$"):
        verify_file(exported, "int8", reference, floor_python=crashing)


def test_the_floor_interpreter(exported: Path, reference: Reference, floor_python: Path) -> None:
    scores, facts = run_in_process(exported, reference.images, python=str(floor_python))
    assert facts["interpreter"].startswith("tflite-runtime 2.14")
    assert np.abs(scores - run_in_process(exported, reference.images)[0]).max() <= 4 / 256
