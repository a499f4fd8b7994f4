from __future__ import annotations

from converters.inputs.label_match import match_labels


def test_verbatim_goes_before_anything_else() -> None:
    match = match_labels(("cat", "Cat"), ("Cat", "cat", "dog"))
    assert match.class_ids == {"cat": 1, "Cat": 0}
    assert not match.loosely
    assert not match.unmatched


def test_case_and_accents() -> None:
    match = match_labels(("ROSES", "cafe\u0301", "STRASSE"), ("roses", "caf\u00e9", "straße"))
    assert match.class_ids == {"ROSES": 0, "cafe\u0301": 1, "STRASSE": 2}
    assert match.loosely == {"ROSES": "roses", "cafe\u0301": "caf\u00e9", "STRASSE": "straße"}


def test_what_could_be_two_classes_is_none() -> None:
    match = match_labels(("CAT", "bird"), ("Cat", "cat"))
    assert match.class_ids == {}
    assert match.unmatched == ("CAT", "bird")


def test_two_folders_may_mean_one_class() -> None:
    assert match_labels(("rose", "Rose"), ("rose",)).class_ids == {"rose": 0, "Rose": 0}
