"""toolkit.inspection: every fault planted in a folder is found, and nothing that is none."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from runtime.errors import DataError, UsageError
from tests.toolkit.bad_pictures import HOSTILE, HOSTILE_LABEL, make_bad_folder
from tests.toolkit.pictures import make_classes, png
from tests.toolkit.users import without_rights
from toolkit.dataset import index_folder
from toolkit.inspection.look import Inspection, inspect_folder

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the folder has links, pipes and names Windows refuses")


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Inspection:
    folder = tmp_path_factory.mktemp("inspect")
    return inspect_folder(make_bad_folder(folder / "bad"), folder / "cache")


def cases(inspection: Inspection, kind: str) -> dict[tuple[str, ...], str]:
    """Sorted relative paths of each case -> its detail."""
    found = {}
    for finding in inspection.findings:
        if finding.kind == kind:
            for item in finding.items:
                found[tuple(sorted(inspection.relative(path) for path in item.paths))] = item.detail
    return found


def details(inspection: Inspection, kind: str) -> list[str]:
    return [item.detail for finding in inspection.findings if finding.kind == kind for item in finding.items]


def test_unreadable(bad: Inspection) -> None:
    reasons = {
        "circle/bomb.png": "megapixels; refused",
        "circle/cut.jpg": "damaged or truncated picture",
        "circle/cut.png": "damaged or truncated picture",
        "circle/empty.jpg": "the file is empty",
        "circle/phone.jpg": "it looks like an HEIC picture; save it as JPEG",
        "circle/text.jpg": "it looks like a text file",
        "few/pipe.jpg": "is not a regular file",
        "few/self.jpg": "cannot be read",
    }
    found = cases(bad, "unreadable")
    assert set(found) == {(path,) for path in reasons}
    for path, reason in reasons.items():
        assert reason in found[(path,)]


def test_copies(bad: Inspection) -> None:
    assert set(cases(bad, "copies")) == {("square/same class.jpg", "square/square_0001.jpg")}
    assert set(cases(bad, "copies_across_classes")) == {
        ("circle/other class.jpg", "square/square_0002.jpg"),
        (f"{HOSTILE_LABEL}/two\nlines.png", "few/0.png"),
    }


def test_near_duplicates(bad: Inspection) -> None:
    found = cases(bad, "near_duplicates")
    assert set(found) == {
        ("square/recompressed.jpg", "square/square_0003.jpg"),
        ("square/brighter.jpg", "square/square_0005.jpg"),
        ("square/mirrored.jpg", "square/square_0006.jpg"),
    }
    assert found["square/mirrored.jpg", "square/square_0006.jpg"].endswith("of 256 bits differ, mirrored")
    assert set(cases(bad, "near_duplicates_across_classes")) == {("circle/rescaled.jpg", "square/square_0004.jpg")}


def test_odd_pictures(bad: Inspection) -> None:
    not_utf8 = "few/caf\udce9.png"
    assert set(cases(bad, "blank")) == {("square/white.png",), ("square/lens cap.jpg",)}
    assert cases(bad, "odd_shape") == {("square/banner.png",): "900 x 70"}
    assert cases(bad, "wrong_ending") == {("square/really png.jpg",): "is PNG"}
    small = cases(bad, "small")
    assert small[("square/icon.png",)] == "8 x 8"
    assert set(small) - {("square/icon.png",)} == ({(not_utf8,)} if sys.platform == "linux" else set())
    unusual = cases(bad, "unusual")
    assert set(unusual) == {("square/deep.png",), ("square/moving.gif",), ("square/print.jpg",)}
    assert "scaled to 8" in unusual[("square/deep.png",)]
    assert "the first is used" in unusual[("square/moving.gif",)]
    assert "CMYK" in unusual[("square/print.jpg",)]


def test_what_is_not_used(bad: Inspection) -> None:
    found = {path: detail for (path,), detail in cases(bad, "unused").items()}
    assert set(found) == {"loose.jpg", "again", "few/up", "few/notes.txt", "few/no ending", "few/photo.heic"}
    assert "beside the class folders" in found["loose.jpg"]
    assert "a link to a folder above it" in found["again"]
    assert "begins like a PNG picture" in found["few/no ending"]
    assert "an HEIC picture, save it as JPEG" in found["few/photo.heic"]


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_what_training_stops_at(bad: Inspection) -> None:
    assert bad.findings[0].kind == "stops"
    assert cases(bad, "stops") == {("na\udcefve",): "its name is not UTF-8 and cannot be a label; rename it"}
    with pytest.raises(DataError, match="is not UTF-8; rename the folder"):
        index_folder(bad.root)


def test_classes(bad: Inspection) -> None:
    found = "\n".join(details(bad, "class_sizes"))
    few = 4 if sys.platform == "linux" else 3
    assert "'empty' has 0; training needs 3 or more" in found
    assert f"'few' has {few}; under 20 little is learned" in found
    assert "'circle'" not in found
    (imbalance,) = details(bad, "imbalance")
    assert imbalance.startswith("'square' has 18.0 times as many pictures as ")
    by_label = {summary.label: summary for summary in bad.classes}
    assert list(by_label) == [HOSTILE_LABEL, "circle", "empty", "few", "plus", "square", "triangle"]
    assert by_label["empty"].sizes is None
    sizes = by_label["square"].sizes
    assert sizes is not None
    assert sizes[0] == (8, 8)
    assert (by_label["circle"].files, by_label["circle"].pictures) == (32, 26)
    assert bad.total.pictures == sum(summary.pictures for summary in bad.classes)
    assert bad.formats["GIF"] == 1
    assert HOSTILE not in "".join(details(bad, "unreadable"))


def test_no_fault_in_good_pictures(shapes: Path, tmp_path: Path) -> None:
    inspection = inspect_folder(shapes, tmp_path)
    assert inspection.findings == ()
    assert (inspection.total.files, inspection.total.pictures) == (160, 160)
    assert inspection.formats == {"JPEG": 160}


def test_a_second_look_decodes_nothing_and_sees_the_same(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = inspect_folder(shapes, tmp_path)

    def refuse(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr("toolkit.signatures.signature_of", refuse)
    assert inspect_folder(shapes, tmp_path) == first
    with pytest.raises(AssertionError, match="decoded again"):
        inspect_folder(shapes, tmp_path / "new")


def test_background_is_no_class(tmp_path: Path) -> None:
    root = make_classes(tmp_path / "photos", {"a": 25, "b": 25, "_background_": 2})
    inspection = inspect_folder(root, tmp_path / "cache")
    assert details(inspection, "class_sizes") == details(inspection, "imbalance") == []
    assert [summary.label for summary in inspection.classes] == ["_background_", "a", "b"]


def listed(root: Path, text: str, names: int = 6) -> Path:
    """Pictures ``0.png`` to ``5.png``, and a labels.csv."""
    root.mkdir(parents=True)
    for number in range(names):
        (root / f"{number}.png").write_bytes(png(number, 70))
    (root / "labels.csv").write_text(text, encoding="utf-8")
    return root


def test_a_label_file_is_read_as_training_reads_it(tmp_path: Path) -> None:
    text = "file,labels\n0.png,sea;_background_\n1.png,sea\n2.png,\n3.png,<b>\ngone.png,sea\ncopy.png,<b>\n"
    root = listed(tmp_path / "photos", text)
    (root / "copy.png").write_bytes((root / "1.png").read_bytes())
    (root / "notes.txt").write_text("x")
    inspection = inspect_folder(root, tmp_path / "cache", "multi-label")
    counts = {summary.label: summary.pictures for summary in inspection.classes}
    index = index_folder(root, "multi-label")
    assert tuple(counts) == index.labels
    assert counts == {"<b>": 2, "_background_": 1, "sea": 2}
    assert (inspection.total.pictures, inspection.unlabelled) == (5, index.negatives) == (5, 1)
    assert cases(inspection, "missing") == {("gone.png",): ""}
    assert cases(inspection, "unlisted") == {("4.png",): "", ("5.png",): ""}
    assert set(cases(inspection, "unused")) == {("notes.txt",)}
    assert cases(inspection, "copies") == {("1.png", "copy.png"): "with other labels; it has all of them"}
    assert cases(inspection, "copies_across_classes") == {}
    assert "'_background_' has 1; training needs 3 or more" in details(inspection, "class_sizes")
    written = inspection.to_json()
    assert (written["task"], written["without_label"]) == ("multi-label", 1)


def test_one_label_of_a_label_file_is_said(tmp_path: Path) -> None:
    root = listed(tmp_path / "photos", "\n".join(f"{n}.png,only" for n in range(6)))
    found = details(inspect_folder(root, tmp_path / "cache", "multi-label"), "class_sizes")
    assert found[-1] == "only one class; a classifier needs two or more"


def test_label_files_that_cannot_be_used(tmp_path: Path) -> None:
    root = listed(tmp_path / "photos", "../0.png,a\n")
    with pytest.raises(DataError, match="line 1: '../0.png' is no path below the folder"):
        inspect_folder(root, tmp_path / "cache", "multi-label")
    with pytest.raises(DataError, match=r"has 6 pictures but no class folders: .*; labels.csv is read with --multi-la"):
        inspect_folder(root, tmp_path / "cache")


def test_several_class_folders_say_several_labels(tmp_path: Path) -> None:
    root = make_classes(tmp_path / "photos", {"a": 4, "b": 4})
    (root / "b" / "shared.png").write_bytes((root / "a" / "000.png").read_bytes())
    (root / "labels.csv").write_text("")
    single = inspect_folder(root, tmp_path / "cache")
    assert set(cases(single, "copies_across_classes")) == {("a/000.png", "b/shared.png")}
    assert cases(single, "unused") == {("labels.csv",): "is read with --multi-label only"}
    (root / "labels.csv").unlink()
    several = inspect_folder(root, tmp_path / "cache", "multi-label")
    assert {summary.label: summary.pictures for summary in several.classes} == {"a": 4, "b": 5}
    assert cases(several, "copies_across_classes") == cases(several, "copies") == {}


def test_one_class_is_looked_at_and_said(tmp_path: Path) -> None:
    root = make_classes(tmp_path / "photos", {"only": 25})
    inspection = inspect_folder(root, tmp_path / "cache")
    assert details(inspection, "class_sizes") == ["only one class; a classifier needs two or more"]


def test_a_folder_that_cannot_be_read_is_said(open_folder: Path) -> None:
    root = make_classes(open_folder / "photos", {"a": 3, "b": 3})
    locked, cache = root / "a" / "locked", open_folder / "cache"
    locked.mkdir()
    cache.mkdir()
    cache.chmod(0o777)
    inspect_folder(root, open_folder / "other")  # imports what another user may not be able to read
    locked.chmod(0)
    try:
        with without_rights():
            inspection = inspect_folder(root, cache)
    finally:
        locked.chmod(0o755)
    assert "cannot be read: Permission denied" in cases(inspection, "stops")[("a/locked",)]
    assert inspection.total.pictures >= 3


def test_folders_with_nothing_to_look_at(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        inspect_folder(tmp_path / "nowhere", tmp_path)
    (tmp_path / "photo.png").write_bytes(png(1))
    with pytest.raises(UsageError, match="is a file; give a folder"):
        inspect_folder(tmp_path / "photo.png", tmp_path)
    with pytest.raises(DataError, match="has one picture but no class folders"):
        inspect_folder(tmp_path, tmp_path / "cache")
