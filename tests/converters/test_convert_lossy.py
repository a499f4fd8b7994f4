"""Integer files that lose too much: refused, or made another way."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import convert as convert_module
from converters import make, rescue, verify
from converters.bundle import TEST_SPLIT_FILE
from converters.convert import ConversionError, convert
from converters.flatbuffer_model import pack_model, unpack_model
from converters.loss import Loss
from converters.quantization.choice import Attempt, Choice
from runtime.errors import ModelError
from tests.converters.conversions import both, content, edit_json

pytest.importorskip("tensorflow")


def destroy(model: bytes, answer: int) -> bytes:
    """Let the biases of the last layer decide."""
    contents = unpack_model(model)
    graph = contents.subgraphs[0]
    dense = next(o for o in reversed(graph.operators) if len(o.inputs) == 3 and o.inputs[2] >= 0)
    values = np.zeros(4, "<i4")
    values[answer] = 2**30
    contents.buffers[graph.tensors[int(dense.inputs[2])].buffer].data = np.frombuffer(values.tobytes(), np.uint8)
    return pack_model(contents)


def spoil_int8(converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trained model is right throughout; the first int8 file gives one answer to all pictures."""
    rows = json.loads((converted / "export" / "export.json").read_bytes())["test_scores"]
    answers = [int(np.argmax(row["trained"])) for row in rows]

    def let_the_trained_model_be_right(split: Any) -> None:
        for image, answer in zip(split["images"], answers, strict=True):
            image["class_ids"] = [answer]

    edit_json(converted / TEST_SPLIT_FILE, let_the_trained_model_be_right)
    real, wrong = make.correct_biases, min(range(4), key=answers.count)
    monkeypatch.setattr(make, "correct_biases", lambda *arguments: destroy(real(*arguments), wrong))


def test_a_file_that_loses_too_much_is_refused(converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil_int8(converted, monkeypatch)
    # Nothing else that is tried is any better.
    monkeypatch.setattr(
        rescue, "best_int8", lambda *_: Choice(b"", b"", Attempt("int8", "int8", 0, None), (), "no way")
    )
    with pytest.raises(ConversionError) as caught:
        convert(converted, both(max_accuracy_drop=2.0))
    message = str(caught.value)
    assert caught.value.exit_code == 1
    assert message.startswith("shapes_int8.tflite loses ")
    for advice in ("--calibration-images", "architecture", "float32", "--max-accuracy-drop", "no way"):
        assert advice in message
    assert set(content(converted / "export")) == {"export.html", "export.json", "shapes_float32.tflite"}
    report = json.loads((converted / "export" / "export.json").read_bytes())
    assert report == caught.value.conversion.report
    assert [(entry["kind"], entry["accepted"]) for entry in report["files"]] == [("float32", True), ("int8", False)]
    assert report["files"][1]["accuracy_drop"] > 2
    # Nor is it spoken of when the float file alone is asked for.
    assert [entry["kind"] for entry in convert(converted).report["files"]] == ["float32"]


class SteppedInError(Exception):
    """A conversion came as far as it was to come."""


def test_what_loses_too_much_is_made_another_way(converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the layers are those of the file that was taken, not of the first, whose last bias decides everything."""
    spoil_int8(converted, monkeypatch)
    explained: list[bytes] = []
    real = convert_module.layer_errors
    monkeypatch.setattr(convert_module, "layer_errors", lambda c, *a: explained.append(c) or real(c, *a))
    told: list[str] = []
    conversion = convert(converted, both(max_accuracy_drop=2.0, explain=True), told.append)
    report = conversion.report
    assert [attempt["accepted"] for attempt in report["int8_attempts"]][0] is False
    assert any(attempt["accepted"] for attempt in report["int8_attempts"])
    kind = report["int8_stand_in"]
    taken = next(entry for entry in report["files"] if entry["kind"] == kind)
    assert taken["accepted"]
    assert taken["accuracy_drop"] < report["int8_attempts"][0]["accuracy_drop"]
    file = (conversion.folder / taken["file"]).read_bytes()
    (content_explained,) = explained
    model = unpack_model(content_explained)
    buffers = [model.buffers[tensor.buffer].data for tensor in model.subgraphs[0].tensors]
    assert all(np.asarray(data).tobytes() in file for data in buffers if data is not None)
    assert f"shapes_{kind}_layers.svg" in content(converted / "export")
    steps = [line.split()[0] for line in told]
    assert steps.count("What") == 1
    assert steps.index("Took") < steps.index("What"), "once it is chosen"

    monkeypatch.undo()
    assert not convert(converted, both(max_accuracy_drop=2.0)).fresh

    def step_in(line: str) -> None:
        if line == "Converting to int8":
            raise SteppedInError

    with pytest.raises(SteppedInError):  # what it was made from is not kept
        convert(converted, both(max_accuracy_drop=2.0, explain=True), step_in)


def test_a_way_that_fails_its_proof_takes_nothing_away(converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """int8 that chance excuses is kept where no other file passes, however well it answers."""
    real, first_scores, first_content = Loss.of, list[Any](), list[bytes]()

    def of(compared: Any) -> Loss:
        found = real(compared)
        if compared.largest_score_difference < 1e-4:
            return found
        if not first_scores:
            first_scores.append(compared.scores)
        is_first = np.array_equal(compared.scores, first_scores[0])
        return replace(found, drop=3.0, may_be_chance=True, agreement=0.98) if is_first else Loss(0.0)

    def require_first(_name: str, content: bytes, kind: str, _io: str | None) -> None:
        if kind == "float32":
            return
        if first_content and content != first_content[0]:
            raise ModelError("not what it is called")
        first_content[:] = [content]

    monkeypatch.setattr(Loss, "of", of)
    monkeypatch.setattr(verify, "require_true", require_first)
    report = convert(converted, both(max_accuracy_drop=2.0, force=True)).report
    assert [(entry["kind"], entry["accepted"]) for entry in report["files"]] == [("float32", True), ("int8", True)]
    assert {attempt["error"] for attempt in report["int8_attempts"]} == {None, "not what it is called"}
    assert (converted / "export" / "shapes_int8.tflite").read_bytes() == first_content[0]
