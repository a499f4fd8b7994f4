from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from converters.flatbuffer_model import BUFFER_ALIGNMENT, pack_model, unpack_model
from converters.formats.tflite import convert_float32
from converters.metadata import add_metadata
from converters.metadata_text import MetadataText
from runtime.associated_files import associated_files, find_spec, read_associated_file
from runtime.errors import ModelError
from runtime.metadata import LabelFile, ModelMetadata, Normalization, read_labels, read_metadata
from runtime.model_file import ModelFile
from runtime.spec import LabelList, ModelSpec, Preprocessing
from tests.converters.small_nets import convert_int8

PIXELS = Preprocessing(height=32, width=48, mean=(127.0,) * 3, std=(128.0,) * 3)
LABELS = ("Gänseblümchen", "向日葵", "two\r\nlines", " spaces ", "🌷")
SPEC = ModelSpec(
    name="Blümen",
    backbone="small",
    task="single-label",
    preprocessing=PIXELS,
    labels=LabelList(LABELS),
    provenance={"toolkit": "1.2.3"},
)


@dataclass(frozen=True)
class Models:
    float32: bytes
    int8: bytes
    pictures: NDArray[np.uint8]

    def __getitem__(self, kind: str) -> bytes:
        return bytes(getattr(self, kind))


@pytest.fixture(scope="session")
def models() -> Models:
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((PIXELS.height, PIXELS.width, 3)),
            layers.Conv2D(7, 3, strides=2, activation="relu6"),
            layers.DepthwiseConv2D(3, activation="relu6"),
            layers.Conv2D(13, 1),
            layers.GlobalAveragePooling2D(),
            layers.Dense(len(LABELS), activation="softmax"),
        ]
    )
    shape = (8, PIXELS.height, PIXELS.width, 3)
    pictures = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return Models(convert_float32(model), convert_int8(model, pictures, PIXELS), pictures)


def run(model: bytes, picture: NDArray[np.uint8]) -> tuple[str, str, bytes]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    pixels = picture if source["dtype"] == np.uint8 else (picture.astype(np.float32) - 127) / 128
    interpreter.set_tensor(source["index"], pixels[None])
    interpreter.invoke()
    return source["name"], target["name"], interpreter.get_tensor(target["index"]).tobytes()


def plain(value: Any) -> Any:
    """Everything a model object holds, comparable."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tobytes()
    return {name: plain(item) for name, item in vars(value).items()} if hasattr(value, "__dict__") else value


def written(path: Path, model: bytes, spec: ModelSpec = SPEC) -> ModelFile:
    path.write_bytes(add_metadata(model, spec))
    return ModelFile.read(path)


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_runs_as_before(models: Models, kind: str) -> None:
    model = add_metadata(models[kind], SPEC)
    for picture in models.pictures[:3]:
        assert run(model, picture)[:2] == ("image", "scores")
        assert run(model, picture)[2] == run(models[kind], picture)[2]


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_nothing_else_is_changed(models: Models, kind: str) -> None:
    before, after = unpack_model(models[kind]), unpack_model(add_metadata(models[kind], SPEC))
    after.buffers.pop()
    entry = after.metadata.pop()
    assert (entry.name, entry.buffer) == (b"TFLITE_METADATA", len(before.buffers))
    main = after.subgraphs[0]
    for index, name in ((main.inputs[0], b"image"), (main.outputs[0], b"scores")):
        assert main.tensors[index].name == name
        main.tensors[index].name = before.subgraphs[0].tensors[index].name
    assert plain(after) == plain(before)


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_constants_are_aligned(models: Models, kind: str) -> None:
    model = add_metadata(models[kind], SPEC)
    start = np.frombuffer(model, np.uint8).ctypes.data
    stored = [buffer.data for buffer in unpack_model(model).buffers if buffer.data is not None]
    assert {(data.ctypes.data - start) % BUFFER_ALIGNMENT for data in stored if len(data)} == {0}
    assert len(stored) > 5


def test_read_by_the_runtime(models: Models, tmp_path: Path) -> None:
    model = written(tmp_path / "m.tflite", models.float32)
    assert read_metadata(model) == ModelMetadata(
        name="Blümen",
        description="Image classifier, small, 5 classes, single-label",
        version="1.2.3",
        min_parser_version="1.0.0",
        normalization=Normalization((127.0,), (128.0,)),
        colour_space="RGB",
        label_files=(LabelFile("labels.txt", ""),),
    )
    found = read_labels(model)
    assert found.labels == ("Gänseblümchen", "向日葵", "two\\r\\nlines", " spaces ", "🌷")
    spec = find_spec(model.path)
    assert spec is not None
    assert ModelSpec.from_json(spec) == SPEC
    assert associated_files(model.path) == ("labels.txt", "spec.json")
    before = tmp_path / "before.tflite"
    before.write_bytes(models.float32)
    assert model.min_runtime_version == ModelFile.read(before).min_runtime_version is not None


def test_other_fields(models: Models, tmp_path: Path) -> None:
    pixels = replace(PIXELS, mean=(1.0, 2.0, 3.0), channel_order="BGR")
    spec = replace(
        SPEC,
        preprocessing=pixels,
        thresholds=dict.fromkeys(LABELS, 0.25),
        provenance={"author": "Someone", "license": "Apache-2.0"},
    )
    metadata = read_metadata(written(tmp_path / "m.tflite", models.int8, spec))
    assert metadata is not None
    assert metadata.normalization == Normalization((1.0, 2.0, 3.0), (128.0, 128.0, 128.0))
    assert (metadata.author, metadata.license, metadata.version) == ("Someone", "Apache-2.0", "")
    assert (metadata.colour_space, metadata.score_threshold) == (None, 0.25)


def test_the_users_word_goes_first(models: Models, tmp_path: Path) -> None:
    spec = replace(SPEC, provenance={"author": "Someone", "license": "Apache-2.0", "toolkit": "1"})
    text = MetadataText("Näme", "two\nlines", "Žofie", "2.0 (beta)", "CC-BY-4.0")
    path = tmp_path / "m.tflite"
    path.write_bytes(add_metadata(models.int8, spec, text))
    found = read_metadata(ModelFile.read(path))
    assert found is not None
    said = (found.name, found.description, found.author, found.version, found.license)
    assert said == ("Näme", "two\nlines", "Žofie", "2.0 (beta)", "CC-BY-4.0")
    path.write_bytes(add_metadata(models.int8, spec, MetadataText(author="Žofie")))
    found = read_metadata(ModelFile.read(path))
    assert found is not None
    assert (found.name, found.author, found.version, found.license) == ("Blümen", "Žofie", "1", "Apache-2.0")


def test_labels_in_two_languages(models: Models, tmp_path: Path) -> None:
    german, french = ("eins", "zwei", "drei", "vier", "fünf"), ("un", "un", "trois", "quatre", "cinq")
    path = tmp_path / "m.tflite"
    path.write_bytes(add_metadata(models.int8, SPEC, translations={"de": german, "fr": french}))
    model = ModelFile.read(path)
    assert [read_labels(model, locale).labels for locale in ("de", "fr")] == [german, french]
    for locale in (None, "it"):
        assert read_labels(model, locale).source == "labels.txt"
    with pytest.raises(ModelError, match="the model has 5 outputs, its labels in de are 4"):
        add_metadata(models.int8, SPEC, translations={"de": german[:4]})


@pytest.mark.parametrize(
    "spec",
    [
        replace(SPEC, thresholds={LABELS[0]: 0.5}),
        replace(SPEC, thresholds=dict(zip(LABELS, (0.1, 0.2, 0.3, 0.4, 0.5), strict=True))),
        replace(SPEC, thresholds=dict.fromkeys(LABELS, 0.5), calibration={"temperature": 2.0}),
    ],
    ids=["one label", "different", "of calibrated scores"],
)
def test_thresholds_that_are_not_global(models: Models, tmp_path: Path, spec: ModelSpec) -> None:
    metadata = read_metadata(written(tmp_path / "m.tflite", models.int8, spec))
    assert metadata is not None
    assert metadata.score_threshold is None
    lines = read_associated_file(tmp_path / "m.tflite", "score_calibration.csv")
    assert metadata.has_score_calibration == (not spec.calibration) == (lines is not None)
    least = [float(line.split(",")[3]) if line.count(",") == 3 else 0.0 for line in (lines or b"").decode().split("\n")]
    assert least == ([spec.thresholds.get(label, 0.0) for label in LABELS] if lines else [0.0])


def test_archive_can_be_read_in_place(models: Models) -> None:
    model = add_metadata(models.int8, SPEC)
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        assert archive.testzip() is None
        assert archive.read("labels.txt").decode() == "Gänseblümchen\n向日葵\ntwo\\r\\nlines\n spaces \n🌷\n"
        for member in archive.infolist():
            assert (member.compress_type, member.date_time) == (zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0))
            # Offsets count from the start of the file, as minizip expects.
            assert model[member.header_offset :].startswith(b"PK\x03\x04")


def test_same_bytes_every_time(models: Models) -> None:
    once = add_metadata(models.int8, SPEC)
    assert once == add_metadata(models.int8, SPEC)
    assert once == add_metadata(once, SPEC)


def test_older_metadata_are_replaced(models: Models, tmp_path: Path) -> None:
    old = replace(SPEC, name="old", labels=LabelList(("a", "b", "c", "d", "e")))
    model = io.BytesIO(add_metadata(models.int8, old))
    with zipfile.ZipFile(model, "a") as archive:
        archive.writestr("old.txt", "old")
    new = written(tmp_path / "m.tflite", model.getvalue())
    assert new.path.read_bytes() == add_metadata(models.int8, SPEC)
    assert read_associated_file(new.path, "old.txt") is None


def test_metadata_that_share_a_buffer_with_weights(models: Models) -> None:
    contents = unpack_model(models.int8)
    tensor = next(t for t in contents.subgraphs[0].tensors if contents.buffers[t.buffer].data is not None)
    for entry in contents.metadata:
        entry.name, entry.buffer = b"TFLITE_METADATA", tensor.buffer
    model = add_metadata(pack_model(contents), SPEC)
    assert run(model, models.pictures[0])[2] == run(models.int8, models.pictures[0])[2]
    assert sorted(entry.name for entry in unpack_model(model).metadata) == [b"TFLITE_METADATA", b"min_runtime_version"]


@pytest.mark.parametrize("signature", [b"PK\x05\x06" + bytes(18), b"PK\x05\x06" + b"\xff" * 18])
def test_weights_that_look_like_an_archive(models: Models, tmp_path: Path, signature: bytes) -> None:
    contents = unpack_model(models.int8)
    contents.description = signature
    assert written(tmp_path / "m.tflite", pack_model(contents)).metadata_blob is not None
    assert associated_files(tmp_path / "m.tflite") == ("labels.txt", "spec.json")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (replace(SPEC, labels=LabelList(LABELS[:4])), "the model has 5 outputs, its specification 4 labels"),
        (
            replace(SPEC, preprocessing=replace(PIXELS, width=32)),
            r"input of shape \(1, 32, 48, 3\), its specification describes \(1, 32, 32, 3\)",
        ),
        (replace(SPEC, labels=LabelList((*LABELS[:4], "\udcff"))), "no Unicode text"),
    ],
)
def test_specification_of_another_model(models: Models, spec: ModelSpec, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        add_metadata(models.float32, spec)
    assert "\n" not in str(caught.value)


def test_more_than_one_output(models: Models) -> None:
    contents = unpack_model(models.int8)
    contents.subgraphs[0].outputs = [*contents.subgraphs[0].outputs] * 2
    with pytest.raises(ModelError, match="one input and one output, this model has 1 and 2"):
        add_metadata(pack_model(contents), SPEC)


def test_weights_behind_the_flatbuffer(models: Models) -> None:
    contents = unpack_model(models.int8)
    contents.buffers[3].offset = 4096
    with pytest.raises(ModelError, match="weights behind its flatbuffer"):
        pack_model(contents)


def test_no_model(models: Models) -> None:
    for data, message in (
        (b"", 'not a TensorFlow Lite model .expected "TFL3"'),
        (b"\x89PNG\r\n" + bytes(100), "looks like a PNG picture"),
        (models.int8[:8], "cut short or damaged"),
        (models.int8[: len(models.int8) // 2], "damaged"),
    ):
        with pytest.raises(ModelError, match=message) as caught:
            add_metadata(data, SPEC)
        assert "\n" not in str(caught.value)


def test_damage_anywhere_is_an_error_or_harmless(models: Models) -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        data = bytearray(models.int8)
        for position in rng.integers(8, len(data), 20):
            data[position] = rng.integers(256)
        try:
            add_metadata(bytes(data), SPEC)
        except ModelError:
            continue
