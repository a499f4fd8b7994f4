"""The model in the C++ source is run and held to the limit by itself: it is not the int8 file's."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.flatbuffer_model import pack_model, unpack_model
from converters.formats.dense_per_tensor import per_channel_dense_layers, per_tensor_dense
from converters.formats.lean_model import lean_model
from converters.options import ConvertOptions
from converters.other_formats import format_entry
from converters.prove_c_array import write_proved
from converters.reference import Reference
from converters.report import read_report, report_bytes
from converters.up_to_date import up_to_date
from runtime.errors import ModelError
from runtime.spec import LabelList, ModelSpec
from tests.converters import reports, small_nets
from tests.converters.small_nets import Net
from tests.environments import make_environment
from toolkit.commands.convert import export_table

LABELS = LabelList(("a", "b", "c", "d", "e"))


@pytest.fixture(scope="module")
def net() -> Net:
    pytest.importorskip("tensorflow")
    return small_nets.make("residual")


@pytest.fixture
def spec(net: Net) -> ModelSpec:
    return ModelSpec("flowers", "small", "single-label", net.preprocessing, LABELS)


@pytest.fixture
def reference(net: Net, tmp_path: Path) -> Reference:
    """The Keras model, of which one can always tell what it holds for right."""
    return judged_by(net.real_scores(), net, tmp_path)


def judged_by(scores: Any, net: Net, tmp_path: Path) -> Reference:
    np.savez(tmp_path / "pictures.npz", images=net.pictures)
    truth = np.eye(len(LABELS), dtype=np.bool_)[scores.argmax(axis=1)]
    return Reference(tmp_path / "pictures.npz", scores, truth, least_scores=(0.0,) * len(LABELS))


def test_its_own_bytes_are_run(net: Net, spec: ModelSpec, reference: Reference, tmp_path: Path) -> None:
    files, told = write_proved(net.int8, spec, tmp_path / "out", reference, ConvertOptions())
    proof = told["proof"]
    lean = lean_model(per_tensor_dense(net.int8))
    assert (proof["bytes"], proof["sha256"]) == (len(lean), hashlib.sha256(lean).hexdigest())
    assert proof["sha256"] in files[0].read_text()
    expected = small_nets.scores(lean, net.pictures, net.preprocessing)
    assert proof["largest_score_difference"] == pytest.approx(np.abs(expected - reference.scores).max(), abs=1e-6)
    same = expected.argmax(axis=1) == reference.scores.argmax(axis=1)
    assert proof["top1_agreement"] == pytest.approx(same.mean())
    assert proof["accuracy"]["correct"] == same.sum()
    other = small_nets.scores(net.int8, net.pictures, net.preprocessing)
    assert np.abs(other - expected).max() > 0, "the int8 file's figures would not do"
    assert told["micro"] is None


@pytest.fixture(scope="module")
def hurt(net: Net) -> bytes:
    """An int8 file with an output of the dense layer that is never the greatest, but has 300 times as large weights.

    Those of the others are nothing but zeros where all outputs share a scale.
    """
    network = small_nets.build("residual")
    kernel, _ = network.layers[-1].get_weights()
    network.layers[-1].set_weights([kernel, np.linspace(-0.2, 0.2, len(LABELS))])
    model = unpack_model(small_nets.convert_int8(network, net.pictures, net.preprocessing))
    (layer,) = per_channel_dense_layers(model)
    graph = model.subgraphs[0]
    for tensor in (graph.tensors[index] for index in layer.inputs[1:3]):
        scales = np.array(tensor.quantization.scale)
        scales[0] *= 300
        tensor.quantization.scale = scales
    bias = model.buffers[graph.tensors[layer.inputs[2]].buffer]
    values = np.array(bias.data, np.uint8).view(np.int32)
    values[0] = -(2**24)
    bias.data = values.view(np.uint8)
    return pack_model(model)


def test_what_loses_too_much_is_refused(hurt: bytes, net: Net, spec: ModelSpec, tmp_path: Path) -> None:
    own = judged_by(small_nets.scores(hurt, net.pictures, net.preprocessing), net, tmp_path)
    with pytest.raises(ModelError, match=r"loses \d+\.\d points on the 60 test pictures, more than the 2 allowed"):
        write_proved(hurt, spec, tmp_path / "out", own, ConvertOptions())
    assert not (tmp_path / "out").exists()
    allowed = ConvertOptions(max_accuracy_drop=100)
    files, told = write_proved(hurt, spec, tmp_path / "out", own, allowed)
    assert told["proof"]["accuracy_drop"] > 2
    assert re.search(r"gives the model's own answer to \d+% of the pictures only", told["message"])
    assert all(path.exists() for path in files)


def test_it_runs_on_micro_too(net: Net, spec: ModelSpec, reference: Reference, tmp_path: Path) -> None:
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        pytest.skip("tflite-micro has wheels for x86-64 Linux only")
    python = make_environment("micro", dependencies=["tflite-micro", "numpy", "pillow"])
    _, told = write_proved(net.int8, spec, tmp_path / "out", reference, ConvertOptions(), str(python))
    micro = told["micro"]
    assert micro["interpreter"].startswith("tflite-micro ")
    assert micro["images"] == 50
    chosen = np.sort(np.random.default_rng(0).permutation(60)[:50])
    expected = small_nets.scores(lean_model(per_tensor_dense(net.int8)), net.pictures, net.preprocessing)[chosen]
    difference = np.abs(expected - reference.scores[chosen]).max()
    assert micro["largest_score_difference"] == pytest.approx(difference, abs=1.01 / 256)
    assert micro["accuracy"]["images"] == 50
    changed = micro["changed"]
    assert set(changed["better"] + changed["worse"] + changed["other"]) <= set(chosen.tolist())


@pytest.fixture
def told(hurt: bytes, net: Net, spec: ModelSpec, tmp_path: Path) -> tuple[dict[str, Any], ConvertOptions]:
    """A report with a source that loses more than 2 points, which was allowed."""
    options = ConvertOptions(formats=("c-array",), max_accuracy_drop=100)
    own = judged_by(small_nets.scores(hurt, net.pictures, net.preprocessing), net, tmp_path)
    files, facts = write_proved(hurt, spec, tmp_path, own, options)
    drawn = reports.judged([0, 1, 2])
    results = []
    for kind in ("float32", "int8"):
        (tmp_path / f"flowers_{kind}.tflite").write_bytes(b"x")
        digest = hashlib.sha256(b"x").hexdigest()
        results.append(reports.result(kind, drawn, drawn.scores, sha256=digest))
    report = reports.report(drawn, results, options=options)
    facts["micro"] = facts["proof"] | {"interpreter": "tflite-micro 1", "images": 3}
    report["formats"] = [format_entry("c-array", files, facts, options)]
    (tmp_path / "export.json").write_bytes(report_bytes(report))
    return report, options


def test_a_stricter_limit_makes_it_anew(told: tuple[dict[str, Any], ConvertOptions], tmp_path: Path) -> None:
    report, options = told
    assert up_to_date(tmp_path, report["made_from"], options) is not None
    assert up_to_date(tmp_path, report["made_from"], replace(options, max_accuracy_drop=2)) is None


def test_a_proof_edited_by_hand(told: tuple[dict[str, Any], ConvertOptions], tmp_path: Path) -> None:
    report, _ = told
    for broken in ("x", {}, {"changed": {"better": 1}}):
        report["formats"][0]["proof"] = broken
        (tmp_path / "export.json").write_text(json.dumps(report))
        assert read_report(tmp_path) is None


def test_it_stands_in_the_table_and_on_the_page(told: tuple[dict[str, Any], ConvertOptions]) -> None:
    from converters.export_page import render_page

    report, _ = told
    proof = report["formats"][0]["proof"]
    rows = export_table(report).splitlines()
    (row,) = [line for line in rows if line.startswith("flowers_int8_model.cc")]
    assert f"{proof['accuracy_drop']:.1f} points" in row
    assert f"{proof['top1_agreement']:.1%}" in row
    assert rows[rows.index(row) + 1].startswith("  on tflite-micro 1")
    page = render_page(report, reports.pictures(3)).decode()
    assert "<th>c-array<span>ai-edge-litert" in page
    assert "tflite-micro 1, 3 pictures" in page
    assert f"<td>{proof['accuracy_drop']:+.1f}</td>" in page
    assert "of the pictures only" in page
