from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import convert as convert_module
from converters import make, rescue, source, verify
from converters.bundle import CALIBRATION_FILE, MODEL_FILE, TEST_IMAGES_FILE, TEST_SPLIT_FILE
from converters.convert import Conversion, ConversionError, convert
from converters.flatbuffer_model import pack_model, unpack_model
from converters.loss import Loss
from converters.options import ConvertOptions
from converters.quantization.choice import Attempt, Choice
from converters.up_to_date import standing
from runtime.classifier import Classifier
from runtime.errors import ModelError, UsageError
from runtime.spec import SPEC_FILE_NAME

pytest.importorskip("tensorflow")
ANY_DROP = 100.0


@pytest.fixture
def bundle(small_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_bundle, tmp_path / "model"))


@pytest.fixture(scope="module")
def converted_once(small_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Conversion:
    folder = shutil.copytree(small_bundle, tmp_path_factory.mktemp("converted") / "model")
    return convert(folder, ConvertOptions(quantize=("int8",), max_accuracy_drop=ANY_DROP))


@pytest.fixture
def converted(converted_once: Conversion, tmp_path: Path) -> Path:
    """A bundle with both files."""
    return Path(shutil.copytree(converted_once.folder.parent, tmp_path / "converted"))


def both(**options: Any) -> ConvertOptions:
    return ConvertOptions(**{"quantize": ("int8",), "max_accuracy_drop": ANY_DROP} | options)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}


def edit_json(path: Path, change: Callable[[Any], None]) -> None:
    value = json.loads(path.read_bytes())
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")


def count_conversions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []
    for module, name in ((source, "convert_float32"), (make, "quantize_int8")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, real=real, name=name: made.append(name) or real(*a))
    return made


def test_float_alone(bundle: Path) -> None:
    told: list[str] = []
    conversion = convert(bundle, notify=told.append)
    assert conversion.fresh
    assert set(content(bundle / "export")) == {"export.html", "export.json", "shapes_float32.tflite"}
    assert told == ["Loading the trained model", "Converting to float32", told[-1]]
    assert told[-1].startswith("Checking shapes_float32.tflite on ")
    (entry,) = conversion.report["files"]
    assert (entry["kind"], entry["accepted"], entry["accuracy_drop"]) == ("float32", True, 0.0)
    assert entry["largest_score_difference"] < 1e-4
    assert entry["top1_agreement"] == 1.0
    assert conversion.report["check_pictures"] == len(conversion.report["test_scores"]) > 0
    assert conversion.report["trained"]["unknown"] == entry["unknown"] == entry["unknown_changed"] == 0


def test_both_kinds(converted_once: Conversion) -> None:
    folder, report = converted_once.folder, converted_once.report
    names = [entry["file"] for entry in report["files"]]
    assert names == ["shapes_float32.tflite", "shapes_int8.tflite"]
    assert set(content(folder)) == {"export.html", "export.json", *names}
    assert json.loads((folder / "export.json").read_bytes()) == report
    split = json.loads((folder.parent / TEST_SPLIT_FILE).read_bytes())["images"]
    assert [row["sha256"] for row in report["test_scores"]] == [image["sha256"] for image in split]
    for row, image in zip(report["test_scores"], split, strict=True):
        np.testing.assert_allclose(row["trained"], image["scores"], atol=1e-3)
        np.testing.assert_allclose(row["float32"], image["scores"], atol=1e-3)
        assert max(row["int8"]) <= 1.0
    spec = Classifier.load(folder / names[1]).contract
    assert tuple(spec.labels) == ("circle", "plus", "square", "triangle")
    sizes = [entry["bytes"] for entry in report["files"]]
    assert sizes == [len(content(folder)[name]) for name in names]
    assert sizes[1] < sizes[0] / 2


def test_the_same_files_each_time(converted: Path) -> None:
    before = content(converted / "export")
    assert convert(converted, both(force=True)).fresh
    after = content(converted / "export")
    for name in ("shapes_float32.tflite", "shapes_int8.tflite"):
        assert after[name] == before[name]


def test_up_to_date_files_are_not_made_again(converted: Path) -> None:
    """Nor is TensorFlow loaded: the second call is quick."""
    before = content(converted / "export")
    code = (
        "import sys; from pathlib import Path; from converters.convert import convert\n"
        "from converters.options import ConvertOptions\n"
        f"conversion = convert(Path({str(converted)!r}), ConvertOptions(('int8',), max_accuracy_drop=100.0))\n"
        "print(conversion.fresh, *({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "False", done.stderr
    assert content(converted / "export") == before
    assert not convert(converted, ConvertOptions(max_accuracy_drop=ANY_DROP)).fresh, "float32 alone is there too"


@pytest.mark.parametrize(
    "damage",
    [
        lambda export: (export / "shapes_int8.tflite").write_bytes(b"short"),
        lambda export: (export / "shapes_float32.tflite").unlink(),
        lambda export: (export / "export.json").write_text("{", encoding="utf-8"),
        lambda export: (export / "export.json").write_text('{"schema_version": 1}', encoding="utf-8"),
        lambda export: edit_json(export / "export.json", lambda r: r["files"].append("x")),
        lambda export: edit_json(export / "export.json", lambda r: r["files"][0].update(file="../model.keras")),
    ],
)
def test_damaged_exports_are_made_again(converted: Path, damage: Callable[[Path], None]) -> None:
    export, model = converted / "export", (converted / MODEL_FILE).read_bytes()
    before = content(export)
    damage(export)
    assert convert(converted, both()).fresh
    after = content(export)
    assert set(after) == set(before)
    assert after["shapes_int8.tflite"] == before["shapes_int8.tflite"]
    assert (converted / MODEL_FILE).read_bytes() == model


def test_a_changed_bundle_is_converted_anew_and_stale_files_go(converted: Path) -> None:
    edit_json(converted / SPEC_FILE_NAME, lambda spec: spec.update(name="renamed"))
    (converted / "export" / "mine.txt").write_text("of the user", encoding="utf-8")
    assert convert(converted, ConvertOptions()).fresh
    assert set(content(converted / "export")) == {"export.html", "export.json", "renamed_float32.tflite", "mine.txt"}


@pytest.mark.parametrize("name", [MODEL_FILE, CALIBRATION_FILE, TEST_IMAGES_FILE])
def test_every_file_of_the_bundle_counts(converted: Path, name: str) -> None:
    """Up to date means: made from this very model and checked with these very pictures."""
    path = converted / name
    path.write_bytes(path.read_bytes()[:1000])
    before = content(converted / "export")
    with pytest.raises(ModelError, match=name):
        convert(converted, both())
    assert content(converted / "export") == before


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


def test_what_loses_too_much_is_made_another_way(converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil_int8(converted, monkeypatch)
    told: list[str] = []
    conversion = convert(converted, both(max_accuracy_drop=2.0), told.append)
    report = conversion.report
    assert [attempt["accepted"] for attempt in report["int8_attempts"]][0] is False
    assert any(attempt["accepted"] for attempt in report["int8_attempts"])
    taken = next(entry for entry in report["files"] if entry["kind"] == report["int8_stand_in"])
    assert taken["accepted"]
    assert taken["accuracy_drop"] < report["int8_attempts"][0]["accuracy_drop"]
    assert (conversion.folder / taken["file"]).is_file()
    assert any(line.startswith("Took ") for line in told)
    monkeypatch.undo()
    assert not convert(converted, both(max_accuracy_drop=2.0)).fresh


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


def test_more_epochs_are_tried_where_16_bits_stand_for_int8(converted: Path) -> None:
    path = converted / "export" / "export.json"

    def let_16_bits_stand_in(report: Any) -> None:
        report["files"][1] |= {"kind": "int16x8", "made_with": both().made_with("int16x8")}
        report |= {"int8_stand_in": "int16x8", "int8_made_with": both().made_with("int8")}

    edit_json(path, let_16_bits_stand_in)
    key = json.loads(path.read_bytes())["made_from"]
    assert standing(path.parent, key, both()).is_whole
    assert standing(path.parent, key, both(qat=3)).kinds == ("int8",)


@pytest.mark.parametrize("more", [{}, {"formats": ("pb",)}])
def test_a_file_that_was_removed_is_not_spoken_of(converted: Path, more: dict[str, Any]) -> None:
    (converted / "export" / "shapes_int8.tflite").unlink()
    report = convert(converted, ConvertOptions(max_accuracy_drop=ANY_DROP, **more)).report
    assert [(entry["kind"], entry["max_accuracy_drop"]) for entry in report["files"]] == [("float32", ANY_DROP)]
    assert json.loads((converted / "export" / "export.json").read_bytes()) == report


def test_what_another_conversion_made_meanwhile_stays(converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = convert_module.make_report

    def meanwhile(*arguments: Any) -> dict[str, Any]:
        monkeypatch.undo()
        convert(converted, both(formats=("pb",)))
        return real(*arguments)

    monkeypatch.setattr(convert_module, "make_report", meanwhile)
    report = convert(converted, both(formats=("c-array",))).report
    assert sorted(entry["format"] for entry in report["formats"]) == ["c-array", "pb"]
    assert {"shapes.pb", "shapes_int8_model.cc"} <= set(content(converted / "export"))


def test_a_stricter_limit_is_tried_again(converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was accepted with a wide limit is no longer up to date under a narrow one."""
    export = converted / "export" / "export.json"
    edit_json(export, lambda report: report["files"][1].update(accuracy_drop=3.0, label_agreement=1.0))
    made = count_conversions(monkeypatch)
    conversion = convert(converted, both(max_accuracy_drop=3.0))
    assert not conversion.fresh
    assert made == []
    report = json.loads(export.read_bytes())
    assert report == conversion.report
    assert [report["max_accuracy_drop"], *(e["max_accuracy_drop"] for e in report["files"])] == [3.0] * 3
    edit_json(export, lambda report: report["files"][0].update(accuracy_drop=3.0))
    convert(converted, ConvertOptions())
    assert made == ["convert_float32"]


def test_a_loss_that_may_be_chance_is_tried_again_under_another_limit(
    converted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was within a wide limit; a narrow one asks for the other ways, once."""
    worse = {"better": [], "worse": [0], "other": [], "chance": 0.5}
    lossy = {"accuracy_drop": 3.0, "label_agreement": 0.98, "changed": worse}
    edit_json(converted / "export" / "export.json", lambda report: report["files"][1].update(lossy))
    assert not convert(converted, both(max_accuracy_drop=5.0)).fresh
    monkeypatch.setattr(make, "quantize_int8", lambda *_: (_ for _ in ()).throw(ModelError("made anew")))
    with pytest.raises(ConversionError, match="made anew"):
        convert(converted, both(max_accuracy_drop=2.0))


def test_only_what_is_missing_is_made(converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit_json(converted / "export" / "export.json", lambda report: report.update(int8_attempts=[], int8_choice="why"))
    before, files = json.loads((converted / "export" / "export.json").read_bytes()), content(converted / "export")
    made, told = count_conversions(monkeypatch), list[str]()
    conversion = convert(converted, both(formats=("pb", "c-array")), told.append)
    assert conversion.fresh
    assert made == []
    assert told == ["Loading the trained model", "Converting to pb", "Converting to c-array"]
    assert conversion.report["files"] == before["files"], "their proofs too"
    assert conversion.report["test_scores"] == before["test_scores"]
    assert (conversion.report["int8_attempts"], conversion.report["int8_choice"]) == ([], "why")
    after = content(converted / "export")
    assert {"shapes.pb", "shapes_int8_model.cc"} <= after.keys()
    assert {name: after[name] for name in files if name.endswith(".tflite")} == {
        name: data for name, data in files.items() if name.endswith(".tflite")
    }
    report = convert(converted, ConvertOptions(quantize=("float16",), max_accuracy_drop=ANY_DROP), told.append).report
    assert [entry["kind"] for entry in report["files"]] == ["float32", "float16", "int8"]
    assert [entry["format"] for entry in report["formats"]] == ["pb", "c-array"]
    assert report["int8_choice"] == "why", "int8 was not asked for, and lies there"
    assert [line for line in told if "Checking" in line] == [told[-1]]


def test_layers_of_files_that_are_up_to_date(converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, told = count_conversions(monkeypatch), list[str]()
    conversion = convert(converted, both(explain=True), told.append)
    assert made == []
    assert any(line.startswith("What the layers of int8 lose") for line in told)
    assert "shapes_int8_layers.svg" in content(converted / "export")
    assert [entry["kind"] for entry in conversion.report["files"]] == ["float32", "int8"]


def test_layers_of_the_file_that_was_taken(converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of the one that was discarded, whose last layer decides everything by its bias."""
    spoil_int8(converted, monkeypatch)
    explained: list[bytes] = []
    real = convert_module.layer_errors
    monkeypatch.setattr(convert_module, "layer_errors", lambda c, *a: explained.append(c) or real(c, *a))
    told: list[str] = []
    report = convert(converted, both(max_accuracy_drop=2.0, explain=True), told.append).report
    kind = report["int8_stand_in"]
    taken = (converted / "export" / f"shapes_{kind}.tflite").read_bytes()
    (content_explained,) = explained
    model = unpack_model(content_explained)
    buffers = [model.buffers[tensor.buffer].data for tensor in model.subgraphs[0].tensors]
    assert all(np.asarray(data).tobytes() in taken for data in buffers if data is not None)
    assert f"shapes_{kind}_layers.svg" in content(converted / "export")
    steps = [line.split()[0] for line in told]
    assert steps.count("What") == 1
    assert steps.index("Took") < steps.index("What"), "once it is chosen"
    monkeypatch.undo()
    told.clear()
    convert(converted, both(max_accuracy_drop=2.0, explain=True), told.append)
    assert any(line.startswith("Converting to int8") for line in told), "what it was made from is not kept"


def test_float32_where_int8_fails(converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow may fail at one kind; the other is made all the same."""

    def fail(*_arguments: Any) -> bytes:
        raise module_error("no such operator\nand a page of MLIR")

    module_error = type("ConverterError", (Exception,), {})
    monkeypatch.setattr(make, "quantize_int8", fail)
    with pytest.raises(ConversionError) as caught:
        convert(converted, both(force=True))
    assert str(caught.value) == "TensorFlow cannot convert the model to int8: no such operator"
    assert set(content(converted / "export")) == {"export.html", "export.json", "shapes_float32.tflite"}
    monkeypatch.setattr(source, "convert_float32", fail)
    with pytest.raises(ModelError, match="^TensorFlow cannot convert the model to float32: no such operator$"):
        convert(converted, both(force=True))


def test_no_test_pictures(shapes: Path, small_bundle: Path, tmp_path: Path) -> None:
    from toolkit.options import TrainOptions
    from toolkit.split import SplitOptions
    from toolkit.train import train

    options = TrainOptions(
        output_dir=tmp_path / "model",
        architecture="mobilenet_0.25_128",
        weights="none",
        cache_dir=small_bundle.parent / "cache",
        split=SplitOptions(validation_percentage=10, testing_percentage=0),
        calibration_images=12,
    )
    report = convert(train(shapes, options).folder, ConvertOptions(quantize=("int8",))).report
    assert report["trained"]["accuracy"]["accuracy"] is None
    assert [(entry["accuracy_drop"], entry["accepted"]) for entry in report["files"]] == [(None, True)] * 2
    assert report["files"][0]["top1_agreement"] == 1.0
    assert report["test_scores"] == []


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        convert(tmp_path / "nothing")


def test_a_file_that_was_not_asked_for_now_stays(converted: Path) -> None:
    int8 = next((converted / "export").glob("*_int8.tflite"))
    before = int8.read_bytes()
    report = convert(converted, ConvertOptions(force=True)).report
    assert int8.read_bytes() == before
    assert [entry["kind"] for entry in report["files"]] == ["float32", "int8"]
    assert {"trained", "float32", "int8"} <= report["test_scores"][0].keys()


def test_the_users_own_files_stay(bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.mkdir()
    (target / "shapes.pb").write_bytes(b"of the user")
    options = ConvertOptions(formats=("pb",), output_dir=target, max_accuracy_drop=ANY_DROP)
    with pytest.raises(UsageError, match="shapes.pb is there, and no conversion has put it there"):
        convert(bundle, options)
    assert content(target) == {"shapes.pb": b"of the user"}
    with pytest.raises(UsageError, match="is the model itself"):
        convert(bundle, ConvertOptions(output_dir=bundle))
    with pytest.raises(UsageError, match="--calibration-dir has no place with a bundle"):
        convert(bundle, ConvertOptions(calibration_dir=tmp_path))
    (target / "shapes.pb").unlink()
    convert(bundle, options)
    model = target / "shapes.pb"
    before = model.read_bytes()
    with pytest.raises(UsageError, match="--formats pb would write over .*shapes.pb itself"):
        convert(model, ConvertOptions(formats=("pb",), output_dir=target))
    assert model.read_bytes() == before
