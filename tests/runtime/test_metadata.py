from __future__ import annotations

import random
import zipfile
from pathlib import Path
from typing import Any

import flatbuffers
import pytest

from runtime.associated_files import find_spec
from runtime.errors import ModelError
from runtime.metadata import (
    LabelFile,
    ModelMetadata,
    Normalization,
    read_labels,
    read_metadata,
)
from runtime.model_file import ModelFile

Fields = dict[int, Any]


def put_table(b: flatbuffers.Builder, fields: Fields) -> int:
    """Writes a table: int → byte, float → float32, str, dict → table, list of dicts or floats → vector."""
    offsets = {slot: put_value(b, value) for slot, value in fields.items() if not isinstance(value, int | float)}
    b.StartObject(max(fields, default=-1) + 1)
    for slot, value in fields.items():
        if slot in offsets:
            b.PrependUOffsetTRelativeSlot(slot, offsets[slot], 0)
        elif isinstance(value, int):
            b.PrependInt8Slot(slot, value, 0)
        else:
            b.PrependFloat32Slot(slot, value, 0)
    return int(b.EndObject())


def put_value(b: flatbuffers.Builder, value: Any) -> int:
    if isinstance(value, str):
        return int(b.CreateString(value))
    if isinstance(value, dict):
        return put_table(b, value)
    items = [put_table(b, item) if isinstance(item, dict) else item for item in value]
    b.StartVector(4, len(items), 4)
    for original, item in reversed(list(zip(value, items, strict=True))):
        (b.PrependUOffsetTRelative if isinstance(original, dict) else b.PrependFloat32)(item)
    return int(b.EndVector())


def blob(fields: Fields, identifier: bytes = b"M001") -> bytes:
    b = flatbuffers.Builder(256)
    b.Finish(put_table(b, fields), identifier)
    return bytes(b.Output())


def label_file(name: str, locale: str = "", kind: int = 2) -> Fields:
    return {0: name, 2: kind, 3: locale} if locale else {0: name, 2: kind}


def full(*label_files: Fields, mean: Any = (127.5,), std: Any = (128.0,)) -> Fields:
    """Metadata that use every field read here."""
    image = {3: {0: 2, 1: {0: 1}}, 4: [{0: 1, 1: {0: list(mean), 1: list(std)}}]}
    scores = {4: [{0: 2, 1: {0: 1}}, {0: 3, 1: {0: 0.25}}], 6: list(label_files)}
    graph = {2: [image], 3: [scores]}
    return {0: "Net", 1: "What it sees", 2: "v2", 3: [graph], 4: "Someone", 5: "Apache-2.0", 7: "1.5.0"}


def model(path: Path, metadata: bytes | None = None) -> ModelFile:
    return ModelFile(path, 0, 3, "", (), (), (), None, metadata_blob=metadata)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of weights to which a test may append an archive."""
    made = tmp_path / "model.tflite"
    made.write_bytes(bytes(range(256)) * 40)
    return made


def append(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)


@pytest.mark.parametrize("name", ["mobilenet_v1_0.25_128_quant.tflite", "mobilenet_v2_1.0_224_quant.tflite"])
def test_real_files(thirdparty: Path, name: str) -> None:
    real = ModelFile.read(thirdparty / name)
    metadata = read_metadata(real)
    assert metadata is not None
    assert metadata.name == "ImageClassifier"
    assert metadata.min_parser_version == "1.0.0"
    assert metadata.normalization == Normalization((127.5,), (127.5,))
    assert metadata.colour_space == "RGB"
    assert metadata.label_files == (LabelFile("imagenet_labels.txt", ""),)
    found = read_labels(real)
    expected = (thirdparty / "imagenet_labels.txt").read_text(encoding="utf-8").split("\n")
    assert found.labels == tuple(expected[:1001])
    assert (found.source, found.reason) == ("imagenet_labels.txt", None)
    assert find_spec(real.path) is None


def test_every_field(path: Path) -> None:
    files = (label_file("en.txt", "en"), label_file("scores.txt", kind=4), label_file("de.txt", "de"))
    assert read_metadata(model(path, blob(full(*files)))) == ModelMetadata(
        name="Net",
        description="What it sees",
        version="v2",
        author="Someone",
        license="Apache-2.0",
        min_parser_version="1.5.0",
        normalization=Normalization((127.5,), (128.0,)),
        colour_space="RGB",
        has_score_calibration=True,
        score_threshold=0.25,
        label_files=(LabelFile("en.txt", "en"), LabelFile("de.txt", "de")),
    )


def test_metadata_that_say_nothing(path: Path) -> None:
    assert read_metadata(model(path)) is None
    assert read_metadata(model(path, blob({}))) == ModelMetadata(problems=("the metadata describe no subgraph",))
    assert read_metadata(model(path, blob({3: [{}]}))) == ModelMetadata()
    assert read_metadata(model(path, blob({3: [{2: [{}], 3: [{}]}]}))) == ModelMetadata()


@pytest.mark.parametrize(
    ("mean", "std"),
    [((), ()), ((0.0,), ()), ((0.0,), (0.0,)), ((float("nan"),), (1.0,)), ((0.0, 0.0), (1.0, 1.0, 1.0))],
)
def test_normalization_that_cannot_be_applied(path: Path, mean: Any, std: Any) -> None:
    metadata = read_metadata(model(path, blob(full(mean=mean, std=std))))
    assert metadata is not None
    assert metadata.normalization is None
    assert "cannot be applied" in metadata.problems[0]


def test_normalization_by_channel(path: Path) -> None:
    metadata = read_metadata(model(path, blob(full(mean=(1.0, 2.0, 3.0), std=(4.0,)))))
    assert metadata is not None
    assert metadata.normalization == Normalization((1.0, 2.0, 3.0), (4.0,))


def test_damaged_metadata(path: Path) -> None:
    with pytest.raises(ModelError, match=r'expected "M001", found \'XXXX\''):
        read_metadata(model(path, blob({}, b"XXXX")))
    with pytest.raises(ModelError, match="unknown kind"):
        read_metadata(model(path, b"abc"))
    with pytest.raises(ModelError, match="damaged metadata"):
        read_metadata(model(path, blob(full())[:-40]))


def test_mutated_metadata_and_archives_raise_nothing_but_model_errors(path: Path) -> None:
    weights = path.read_bytes()
    sound = blob(full(label_file("labels.txt")))
    append(path, {"labels.txt": b"a\nb\n" * 200, "spec.json": b"{}"})
    archive = path.read_bytes()
    rng, refused = random.Random(3), 0
    for _ in range(2000):
        metadata, data = bytearray(sound), bytearray(archive)
        metadata[rng.randrange(len(metadata))] = rng.randrange(256)
        for _ in range(rng.randint(1, 3)):
            data[rng.randrange(len(weights), len(data))] = rng.randrange(256)
        path.write_bytes(data[: rng.choice((len(data), rng.randrange(len(weights), len(data))))])
        for read in (lambda: read_labels(model(path, bytes(metadata))), lambda: find_spec(path)):  # noqa: B023
            try:
                read()
            except ModelError as error:
                refused += 1
                assert "\n" not in str(error)
    assert refused > 200


@pytest.mark.parametrize(
    ("data", "labels"),
    [
        (b"a\nb", ("a", "b")),
        (b"a\nb\n", ("a", "b")),
        (b"a\r\nb\r\n\r\n", ("a", "b")),
        (b"\xef\xbb\xbfa\nb\n", ("a", "b")),
        (b" a \n\nb\tc\n", (" a ", "", "b\tc")),
        ("玫瑰\nx\u2028y\x0bz\n".encode(), ("玫瑰", "x\u2028y\x0bz")),
        (b"{a}\nb\n", ("{a}", "b")),
    ],
)
def test_labels_are_kept_as_they_are(path: Path, data: bytes, labels: tuple[str, ...]) -> None:
    append(path, {"labels.txt": data})
    found = read_labels(model(path, blob(full(label_file("labels.txt")))))
    assert (found.labels, found.source, found.reason) == (labels, "labels.txt", None)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"\n\r\n\n", "it is empty"),
        (b"{0: 'tench',\n 1: 'goldfish'}\n", "it holds a Python or JSON literal"),
        (b'["a", "b"]', "it holds a Python or JSON literal"),
        (b"caf\xe9\n", "it is not UTF-8 text"),
    ],
)
def test_labels_that_cannot_be_used(path: Path, data: bytes, reason: str) -> None:
    append(path, {"labels.txt": data})
    found = read_labels(model(path, blob(full(label_file("labels.txt")))))
    assert (found.labels, found.source) == (None, "labels.txt")
    assert found.reason is not None
    assert reason in found.reason


def test_the_locale_chooses_the_file(path: Path) -> None:
    files = {"de.txt": b"Rose\n", "any.txt": b"rose\n", "fr.txt": b"la rose\n"}
    append(path, files)
    listed = [label_file("de.txt", "de"), label_file("any.txt"), label_file("fr.txt", "fr")]
    described = model(path, blob(full(*listed)))
    assert read_labels(described).source == "any.txt"
    assert read_labels(described, "fr").source == "fr.txt"
    assert read_labels(described, "it").source == "any.txt"
    assert read_labels(model(path, blob(full(listed[0], listed[2])))).source == "de.txt"


def test_metadata_without_a_subgraph_but_one_text_file(path: Path) -> None:
    append(path, {"stuff.TXT": b"a\nb\n", "spec.json": b"{}"})
    assert read_labels(model(path, blob({0: "x"}))).labels == ("a", "b")
    assert read_labels(model(path)).labels == ("a", "b")
    append(path, {"second.txt": b"c\n"})
    found = read_labels(model(path))
    assert (found.labels, found.source) == (None, None)
    assert found.reason == "no label file is named and the model carries 2 .txt files"


def test_a_label_file_that_is_named_but_not_carried(path: Path) -> None:
    described = model(path, blob(full(label_file("data/labels.txt"))))
    found = read_labels(described)
    assert (found.labels, found.source) == (None, "data/labels.txt")
    assert found.reason == "the metadata name it, but the model does not carry it"
    append(path, {"labels.txt": b"a\n"})
    assert read_labels(described).labels == ("a",)
