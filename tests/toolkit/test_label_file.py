"""labels.csv: what it may look like, and what is said of one that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.errors import DataError
from tests.toolkit.pictures import make_classes, png, reasons
from toolkit.dataset import index_folder


def pictures(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png(number))
    return root


def labels_of(root: Path) -> dict[str, list[str]]:
    index = index_folder(root, "multi-label")
    return {
        image.path.relative_to(root).as_posix(): [index.labels[i] for i in image.class_ids] for image in index.images
    }


def test_several_labels_one_and_none(tmp_path: Path) -> None:
    pictures(tmp_path, "1.png", "deep/2.png", "3, odd.png", "花.png")
    text = '\ufefffile,labels\r\n1.png,sea;sky\r\ndeep\\2.png, sky \r\n"3, odd.png",\r\n花.png,"sea;猫"\r\n\r\n'
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8", newline="")
    assert labels_of(tmp_path) == {
        "1.png": ["sea", "sky"],
        "deep/2.png": ["sky"],
        "3, odd.png": [],
        "花.png": ["sea", "猫"],
    }
    index = index_folder(tmp_path, "multi-label")
    assert (index.labels, index.counts(), index.negatives, index.task) == (
        ("sea", "sky", "猫"),
        [2, 2, 1],
        1,
        "multi-label",
    )


def test_lines_of_one_file_add_up_and_so_do_copies(tmp_path: Path) -> None:
    pictures(tmp_path, "1.png", "2.png")
    (tmp_path / "copy.png").write_bytes((tmp_path / "2.png").read_bytes())
    (tmp_path / "labels.csv").write_text("1.png,a\n1.png,b\n2.png,a\ncopy.png,c\n")
    assert labels_of(tmp_path) == {"1.png": ["a", "b"], "2.png": ["a", "c"]}


def test_what_is_not_there_and_what_has_no_line_is_listed(tmp_path: Path) -> None:
    pictures(tmp_path, "1.png", "2.png", "unlisted.png")
    (tmp_path / "labels.csv").write_text(f"1.png,a\n2.png,b\ngone.png,a\n{'x' * 300}.png,b\n")
    (tmp_path / "notes.txt").write_text("x")
    found = reasons(index_folder(tmp_path, "multi-label").skipped)
    assert found["unlisted.png"] == "has no line in labels.csv"
    assert found["gone.png"] == "stands in labels.csv but is not there"
    assert "notes.txt" in found
    assert "labels.csv" not in found
    assert len(found) == 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1.png,a\n2.png,a\n", "has 1 label; a classifier needs two or more"),
        (b"", "has 0 labels"),
        (b"file,label\n", "has 0 labels"),
        (b"../1.png,a\n2.png,b\n", "line 1: '../1.png' is no path below the folder"),
        (b"1.png,a\n/etc/passwd,b\n", "line 2: '/etc/passwd' is no path below the folder"),
        (b"1.png,a,b\n2.png,b\n", "line 1: 3 columns; write file,label;label"),
        (b"1.png,\xff\xfe\n", "is not UTF-8 (byte 6)"),
        (b'1.png,"' + b"a" * 200_000 + b"\n", "field larger than field limit"),
    ],
)
def test_unusable(tmp_path: Path, content: bytes, message: str) -> None:
    pictures(tmp_path, "1.png", "2.png")
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        index_folder(tmp_path, "multi-label")
    assert message in str(caught.value)


def test_without_multi_label_it_is_pointed_to(tmp_path: Path) -> None:
    pictures(tmp_path, "1.png", "2.png")
    (tmp_path / "labels.csv").write_text("1.png,a\n2.png,b\n")
    with pytest.raises(DataError, match=r"has 2 pictures but no class folders: .*; labels.csv is read with --multi-l"):
        index_folder(tmp_path)


def test_folders_with_repeated_content(tmp_path: Path) -> None:
    make_classes(tmp_path, {"a": 3, "b": 3})
    (tmp_path / "b" / "shared.png").write_bytes((tmp_path / "a" / "001.png").read_bytes())
    found = labels_of(tmp_path)
    assert found["a/001.png"] == ["a", "b"]
    assert len(found) == 6
    assert index_folder(tmp_path, "multi-label").counts() == [3, 4]


def test_a_background_folder_is_no_class(tmp_path: Path) -> None:
    make_classes(tmp_path, {"a": 3, "b": 3, "_background_": 2})
    for task in ("single-label", "multi-label"):
        index = index_folder(tmp_path, task)  # type: ignore[arg-type]
        assert (index.labels, index.counts(), index.negatives) == (("a", "b"), [3, 3], 2)
    (tmp_path / "_background_" / "x.png").write_bytes((tmp_path / "a" / "000.png").read_bytes())
    found = reasons(index_folder(tmp_path).skipped)
    assert found["x.png"] == found["000.png"] == "the same picture stands in '_background_' and 'a'"
