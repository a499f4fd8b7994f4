from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import ModelError
from runtime.spec import RESAMPLE_FILTERS, SCHEMA_VERSION, LabelList, ModelSpec, Preprocessing

PIXELS = Preprocessing(224, 160, "center-crop", 0.875, "tf-bilinear", (1, 2, 3), (4, 5, 6.5), "BGR")
SPEC = ModelSpec(
    name="Blümen",
    backbone="mobilenet_1.00_224",
    task="single-label",
    preprocessing=PIXELS,
    labels=LabelList(("向日葵", " spaces ", "two\nlines", "0")),
    calibration={"temperature": 1.25},
    thresholds={"0": 0.5},
    unknown_below=0.25,
    provenance={"toolkit": "0.1.0", "nested": {"seed": 1}},
)


def changed(**values: Any) -> str:
    return json.dumps(json.loads(SPEC.to_json()) | values)


def test_a_spec_comes_back_whole_and_always_as_the_same_bytes() -> None:
    text = SPEC.to_json()
    assert ModelSpec.from_json(text) == ModelSpec.from_json(text.encode()) == SPEC
    assert ModelSpec.from_json(text).to_json() == text
    assert "向日葵" in text
    assert json.loads(text)["schema_version"] == SCHEMA_VERSION


def test_one_label_a_line_whatever_is_in_it() -> None:
    # A zero-width joiner and a wide space belong to their words.
    labels = ("two\nlines", "a\tb\x1b[31m\x85\x00", "\u2028p", "back\\slash", " 👩\u200d🚀\u3000", "'q'")
    lines = LabelList(labels).as_lines().splitlines()
    assert lines == [r"two\nlines", r"a\tb\x1b[31m\x85\x00", r"\u2028p", "back\\slash", " 👩\u200d🚀\u3000", "'q'"]


def test_unknown_keys_are_left_out() -> None:
    pixels = json.loads(SPEC.to_json())["preprocessing"]
    assert ModelSpec.from_json(changed(new_key=1, preprocessing=pixels | {"gamma": 2.2})) == SPEC


@pytest.mark.parametrize("version", [None, 0, 3, "1", 1.5, []])
def test_other_schema_versions_are_refused(version: Any) -> None:
    with pytest.raises(ModelError, match=r"has schema version .*; this runtime reads 1 to 2: install a newer"):
        ModelSpec.from_json(changed(schema_version=version))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is not a JSON object"),
        ("1", "is not a JSON object"),
        ('{"schema_version": 1}', "is incomplete or damaged: KeyError"),
        (changed(preprocessing={"height": 8}), "is incomplete or damaged: TypeError"),
        (changed(preprocessing=5), "is incomplete or damaged"),
        (changed(labels=5), "is incomplete or damaged"),
        (changed(labels=[]), "must not be empty"),
        (changed(labels=["a", 5]), "non-empty text"),
        (changed(labels=["a", ""]), "non-empty text"),
        (changed(labels=["b", "a", "b"]), "these are not: 'b'"),
        (changed(unknown_below=1.5), "score threshold 'unknown_below' must be 0 to 1; got 1.5"),
        (changed(unknown_below="x"), "score threshold 'unknown_below' must be 0 to 1; got 'x'"),
        (changed(thresholds={"0": -1}), "score threshold '0' must be 0 to 1; got -1"),
        (changed(thresholds={"other": 0.5}), "a score threshold for 'other', which is no label"),
        (changed(task="detection"), "task must be one of single-label, multi-label; got 'detection'"),
    ],
)
def test_damaged_specs(text: str | bytes, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ModelSpec.from_json(text)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"height": 0}, "height must be 1 to 8192 pixels; got 0"),
        ({"width": 8193}, "width must be"),
        ({"width": 8.0}, "width must be"),
        ({"resize": "pad"}, "resize must be one of stretch, center-crop; got 'pad'"),
        ({"resample": "area"}, "resample must be one of bilinear, tf-bilinear, nearest, bicubic, lanczos"),
        ({"channel_order": "GRB"}, "channel_order must be one of RGB, BGR"),
        ({"crop_fraction": 0}, "crop_fraction must be above 0"),
        ({"crop_fraction": float("nan")}, "crop_fraction must be above 0"),
        ({"mean": (1, 2)}, "mean must be one finite number or one for each of three channels"),
        ({"mean": "abc"}, "mean must be one finite"),
        ({"mean": float("inf")}, "mean must be one finite"),
        ({"std": (1, 0, 1)}, "std must be positive"),
        ({"std": -1}, "std must be positive"),
    ],
)
def test_preprocessing_out_of_range(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        replace(PIXELS, **values)


def test_one_number_is_one_for_each_channel() -> None:
    assert replace(PIXELS, mean=5, std=(2,)) == replace(PIXELS, mean=[5.0, 5, 5], std=(2, 2, 2))


def test_the_digest_tells_every_field_apart() -> None:
    others = [
        *(replace(PIXELS, resample=name) for name in RESAMPLE_FILTERS),
        *(replace(PIXELS, **{name: 96}) for name in ("height", "width", "mean", "std")),
        replace(PIXELS, resize="stretch"),
        replace(PIXELS, crop_fraction=1.0),
        replace(PIXELS, channel_order="RGB"),
    ]
    assert len({made.digest() for made in others}) == len(others)
    assert replace(PIXELS, mean=[1.0, 2.0, 3.0]).digest() == PIXELS.digest()


def test_labels_are_a_sequence() -> None:
    labels = LabelList(("a", "b"))
    assert (len(labels), list(labels), labels[1]) == (2, ["a", "b"], "b")
    assert LabelList(["a", "b"]) == labels  # type: ignore[arg-type]


def test_a_million_labels_alike_do_not_hang() -> None:
    with pytest.raises(ModelError, match="unique"):
        LabelList(tuple(map(str, range(200_000))) * 2)


def test_a_file_of_the_first_schema_opens() -> None:
    # As version 0.1.0 wrote it, before `unknown_below`.
    golden = Path(__file__).with_name("data") / "spec_1.json"
    spec = ModelSpec.from_json(golden.read_bytes())
    assert spec.labels.names == ("circle", "向日葵")
    assert (spec.unknown_below, dict(spec.thresholds)) == (0.0, {"向日葵": 0.5})
    assert spec.least_scores() == (0.0, 0.5)


def test_the_least_score_of_each_class() -> None:
    assert SPEC.least_scores() == (0.25, 0.25, 0.25, 0.5)
