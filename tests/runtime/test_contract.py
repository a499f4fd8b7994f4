from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.contract import Overrides, read_contract, read_label_file
from runtime.errors import ModelError, UsageError
from tests.runtime.conftest import spec_of
from tests.runtime.tiny_models import mean_colour_model

SaveModel = Callable[..., Path]
LABELS = "imagenet_labels.txt"
REAL = "mobilenet_v2_1.0_224_quant.tflite"


def test_our_own_spec(save_model: SaveModel) -> None:
    spec = spec_of("a", "b", "c", mean=(1, 2, 3), std=(4, 5, 6), resample="nearest")
    contract = read_contract(save_model(mean_colour_model(), spec))
    assert contract.spec == spec
    assert contract.preprocessing == spec.preprocessing
    assert (contract.labels, contract.labels_from, contract.normalization_from) == (("a", "b", "c"), "spec", "spec")
    assert contract.warnings == ()


def test_a_third_party_file(thirdparty: Path) -> None:
    contract = read_contract(thirdparty / REAL)
    assert contract.spec is None
    assert (contract.preprocessing.height, contract.preprocessing.width) == (224, 224)
    assert contract.normalization_from == "input type"
    assert len(contract.labels) == 1001
    assert contract.labels[286] == "Egyptian cat"
    assert contract.labels == read_label_file(thirdparty / LABELS)
    assert contract.labels_from == f"metadata ({LABELS})"
    assert contract.warnings == ()


def archive_start(path: Path) -> int:
    with zipfile.ZipFile(path) as archive:
        return min(info.header_offset for info in archive.infolist())


@pytest.mark.parametrize("kept", [0, 1, 20, 5000, -1])
def test_an_archive_that_was_cut_short(thirdparty: Path, tmp_path: Path, kept: int) -> None:
    """Its metadata announce the labels, however little is left of the archive."""
    start, content = archive_start(thirdparty / REAL), (thirdparty / REAL).read_bytes()
    path = tmp_path / "m.tflite"
    path.write_bytes(content[: start + kept] if kept >= 0 else content[:kept])
    contract = read_contract(path)
    told = (
        f"{path}: the archive with {LABELS} behind the model is missing or cut short; copy or download the file again"
    )
    assert contract.warnings == (f"{told}; classes are shown by number",)
    assert contract.labels_from == "none"
    names = Overrides(labels=thirdparty / LABELS)
    assert read_contract(path, names).warnings == (told,), "the normalisation went with it"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_cut_archive_that_no_metadata_announce(save_model: SaveModel, method: int) -> None:
    path = save_model(mean_colour_model())
    bare, overrides = path.read_bytes(), Overrides(mean=(127.5,), std=(127.5,))
    with zipfile.ZipFile(path, "a", method) as archive:
        archive.writestr("labels.txt", "a\nb\nc\n" * 100)
        archive.writestr("spec.txt", "x" * 100)
    whole = path.read_bytes()
    assert "missing or cut short" not in read_contract(path, overrides).warnings[0]
    for length in (len(bare) + 8, len(bare) + 40, len(whole) - 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        (warning,) = read_contract(path, overrides).warnings
        assert "the archive behind the model is missing or cut short" in warning
    for behind in (b"", bytes(100), b"signature PK\3\4" + bytes(40), b"PK\3"):
        path.write_bytes(bare + behind)  # nothing of an archive
        assert "missing or cut short" not in read_contract(path, overrides).warnings[0]


def test_the_users_word_goes_first(save_model: SaveModel, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("x\ny\nz\n", encoding="utf-8")
    path = save_model(mean_colour_model(), spec_of("a", "b", "c"))
    contract = read_contract(path, Overrides(names, (1.0,), (2.0, 3.0, 4.0), "lanczos"))
    assert contract.labels == ("x", "y", "z")
    assert contract.labels_from == str(names)
    pixels = contract.preprocessing
    assert (pixels.mean, pixels.std, pixels.resample) == ((1, 1, 1), (2, 3, 4), "lanczos")
    assert contract.normalization_from == "options"


def test_a_float_model_that_does_not_say_how_to_normalise(save_model: SaveModel) -> None:
    path = save_model(mean_colour_model())
    with pytest.raises(UsageError, match="does not say how pixels are normalised .* give --mean and --std"):
        read_contract(path)
    contract = read_contract(path, Overrides(mean=(127.5,), std=(127.5,)))
    assert contract.labels == ("0", "1", "2")
    assert contract.labels_from == "none"
    assert len(contract.warnings) == 1
    assert "carries no labels" in contract.warnings[0]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (Overrides(mean=(1.0,)), "--mean and --std belong together"),
        (Overrides(std=(1.0,)), "--mean and --std belong together"),
        (Overrides(mean=(1.0,), std=(0.0,)), "--mean, --std: std must be positive"),
        (Overrides(mean=(float("nan"),), std=(1.0,)), "--mean, --std: mean must be one finite number"),
        (Overrides(mean=(1.0, 2.0), std=(1.0,)), "--mean, --std: mean must be one finite number"),
    ],
)
def test_normalisation_that_cannot_be(overrides: Overrides, message: str, save_model: SaveModel) -> None:
    with pytest.raises(UsageError, match=message):
        read_contract(save_model(mean_colour_model()), overrides)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (mean_colour_model(inputs=2), "is no picture classifier: it has 2 inputs, not one"),
        (mean_colour_model(channels=1), r"its input has shape \(1, 8, 8, 1\), not \(1, height, width, 3\)"),
        (mean_colour_model(signature=[1, -1, -1, 3]), "its input has no fixed height and width"),
    ],
)
def test_models_that_are_no_picture_classifiers(model: bytes, message: str, save_model: SaveModel) -> None:
    with pytest.raises(ModelError, match=message):
        read_contract(save_model(model), Overrides(mean=(0.0,), std=(1.0,)))


def test_an_open_batch_size_is_one(save_model: SaveModel) -> None:
    for signature in ([-1, 8, 8, 3], [-1], None):
        path = save_model(mean_colour_model("uint8", signature=signature))
        assert read_contract(path).preprocessing.height == 8


def test_the_third_party_file_that_is_no_classifier(thirdparty: Path) -> None:
    with pytest.raises(ModelError, match=r"model_invoking_error.tflite: is no picture classifier: its input"):
        read_contract(thirdparty / "model_invoking_error.tflite")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb\n", r"labels.txt has 2 labels, .*made.tflite gives 3 scores; the label file must have one line for"),
        (b"a\nb\nc\nd", "has 4 labels, .* gives 3 scores"),
        (b"a\n\nb\nc", "has 4 labels"),
        (b"", "has 0 labels"),
        (b"\n\n", "has 0 labels"),
        (b"\xff\xd8\xff\xe0" * 9, "is no label file: not UTF-8 text; it looks like a JPEG picture"),
        ("grün\n".encode("utf-16"), "is no label file: not UTF-8 text"),
    ],
)
def test_label_files_that_do_not_fit(content: bytes, message: str, save_model: SaveModel, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_bytes(content)
    with pytest.raises(ModelError, match=message):
        read_contract(save_model(mean_colour_model("uint8")), Overrides(labels=labels))


def test_label_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--labels .*none.txt: no such file"):
        read_label_file(tmp_path / "none.txt")
    with pytest.raises(ModelError, match="is a folder, not a file"):
        read_label_file(tmp_path)
    with pytest.raises(ModelError, match="is not a regular file"):
        read_label_file(Path("/dev/zero"))
    with (tmp_path / "large.txt").open("wb") as file:
        file.truncate(17 * 1024 * 1024)
    with pytest.raises(ModelError, match="more than the limit of 17 MB"):
        read_label_file(tmp_path / "large.txt")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_as_label_file_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelError, match="is not a regular file"):
        read_label_file(tmp_path / "pipe")


def test_label_files_are_read_verbatim(tmp_path: Path) -> None:
    path = tmp_path / "标签.txt"
    path.write_bytes("\ufeffgrün\r\n 向日葵 \r\n\r\na, b\n\n".encode())
    assert read_label_file(path) == ("grün", " 向日葵 ", "", "a, b")


def test_embedded_labels_of_a_wrong_number_are_left_out(save_model: SaveModel) -> None:
    path = save_model(mean_colour_model("uint8"), spec_of("a", "b", "c"))
    data = path.read_bytes()
    # The spec under another name, so that the standard metadata count; and a label less.
    path.write_bytes(data.replace(b"spec.json", b"Spec.json").replace(b"a\nb\nc\n", b"a b\nc\n"))
    with pytest.raises(ModelError, match="Bad CRC-32"):
        read_contract(path)
    crcs = [zlib.crc32(text).to_bytes(4, "little") for text in (b"a\nb\nc\n", b"a b\nc\n")]
    path.write_bytes(path.read_bytes().replace(*crcs))
    contract = read_contract(path)
    assert contract.labels == ("0", "1", "2")
    assert "its labels.txt has 2 labels for 3 scores; classes are shown by number" in contract.warnings[0]


def test_a_spec_that_does_not_fit_the_file(save_model: SaveModel) -> None:
    path = save_model(mean_colour_model(size=(9, 8)))
    for spec, message in (
        (spec_of("a", "b", "c"), "its spec says 8 x 8 pixels, its input takes 8 x 9"),
        (spec_of("a", "b", height=9), "its spec has 2 labels for 3 scores"),
    ):
        path.write_bytes(mean_colour_model(size=(9, 8)))
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("spec.json", spec.to_json())
        with pytest.raises(ModelError, match=message):
            read_contract(path)


def test_metadata_normalise_a_float_and_an_int8_input(save_model: SaveModel) -> None:
    spec = spec_of("a", "b", "c", mean=(10, 20, 30), std=(2, 4, 8))
    for dtype, origin in (("float32", "metadata"), ("int8", "metadata"), ("uint8", "input type")):
        scale = 0.0 if dtype == "float32" else 0.5
        path = save_model(mean_colour_model(dtype, scale=scale), spec)
        path.write_bytes(path.read_bytes().replace(b"spec.json", b"Spec.json"))
        contract = read_contract(path)
        assert contract.spec is None
        assert contract.normalization_from == origin
        assert contract.labels == ("a", "b", "c")
        if origin == "metadata":
            assert (contract.preprocessing.mean, contract.preprocessing.std) == ((10, 20, 30), (2, 4, 8))
