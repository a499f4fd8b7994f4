"""toolkit.dataset: what a folder holds, and what is said about what it should not hold."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from runtime.errors import DataError, ImageError, UsageError
from tests.toolkit.pictures import make_classes, picture, png, reasons
from tests.toolkit.users import without_rights
from toolkit import dataset
from toolkit.dataset import check_counts, index_folder

posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX files")


def test_a_folder_per_class(tmp_path: Path) -> None:
    make_classes(tmp_path, {"dog": 3, "cat": 4})
    index = index_folder(tmp_path)
    assert index.labels == ("cat", "dog")
    assert index.counts() == [4, 3]
    assert index.skipped == ()
    assert len({image.digest for image in index.images}) == 7
    check_counts(index, 3, "why")


def test_nested_folders_belong_to_their_class(tmp_path: Path) -> None:
    make_classes(tmp_path, {"a": 2, "b": 2})
    make_classes(tmp_path / "a", {"more/deep": 3}, start=50)
    assert index_folder(tmp_path).counts() == [5, 2]


@pytest.mark.parametrize("group_bytes", [1, 8 << 20])
def test_pictures_are_expected_before_they_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group_bytes: int
) -> None:
    monkeypatch.setattr(dataset, "_GROUP_BYTES", group_bytes)
    make_classes(tmp_path, {"a": 25, "b": 25})
    (tmp_path / "a" / "00_broken.jpg").write_bytes(b"no picture")
    expected: set[str] = set()
    groups: list[int] = []
    seen: dict[str, Path] = {}

    def expect(digests: Sequence[str]) -> None:
        groups.append(len(digests))
        expected.update(digests)

    def look(digest: str, image: Image.Image, path: Path) -> None:
        assert digest in expected
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
        if path.parent.name == "b" and len(seen) % 5 == 0:
            seen[digest] = path
            raise ImageError(f"{path}: not to be liked")
        seen[digest] = path

    index = index_folder(tmp_path, look=look, expect=expect)
    assert len(seen) == len(expected) == sum(groups) == 50
    assert max(groups) == (1 if group_bytes == 1 else 16)
    assert [image.path for image in index.images] == sorted(image.path for image in index.images)
    assert all(seen[image.digest] == image.path for image in index.images)
    disliked = [file for file in index.skipped if file.reason == "not to be liked"]
    assert disliked
    assert len(index.images) == 50 - len(disliked)
    assert len(index.skipped) == 1 + len(disliked)


def test_upper_case_endings(tmp_path: Path) -> None:
    make_classes(tmp_path, {"a": 1, "b": 1})
    picture(9).save(tmp_path / "a" / "X.JPEG")
    assert index_folder(tmp_path).counts() == [2, 1]


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda root: None, UsageError, "no such folder"),
        (lambda root: root.write_bytes(b"x"), UsageError, "is a file; name a folder"),
        (lambda root: root.mkdir(), DataError, "has no class folders: put the pictures of each class"),
        (lambda root: (root.mkdir(), picture(1).save(root / "x.png")), DataError, "has one picture but no class"),
        (lambda root: make_classes(root.parent, {"photos": 2}), DataError, "has 2 pictures but no class folders: put"),
        (lambda root: make_classes(root, {"one": 3}), DataError, "has one class folder, 'one'; a classifier needs two"),
        (lambda root: make_classes(root, {"a": 0, "b": 0}), DataError, "has class folders but no pictures"),
    ],
)
def test_folders_that_cannot_be_trained_on(
    tmp_path: Path, make: Callable[[Path], object], kind: type[Exception], message: str
) -> None:
    root = tmp_path / "photos"
    make(root)
    with pytest.raises(kind, match=message) as caught:
        index_folder(root)
    assert str(root) in str(caught.value)


def test_one_class_beside_something_that_is_no_class(tmp_path: Path) -> None:
    make_classes(tmp_path, {"one": 3, "_background_": 3})
    with pytest.raises(DataError, match=r"give _background_, which is no class, another name\)$"):
        index_folder(tmp_path)
    (tmp_path / "labels.csv").write_text("file,label\n", "utf-8")
    with pytest.raises(DataError, match="; labels.csv is read with --multi-label$"):
        index_folder(tmp_path)


def test_too_few_says_how_many_are_needed_and_there(tmp_path: Path) -> None:
    make_classes(tmp_path, {"full": 5, "empty": 0, "two": 2})
    (tmp_path / "two" / "bad.jpg").write_bytes(b"")
    index = index_folder(tmp_path)
    with pytest.raises(DataError) as caught:
        check_counts(index, 3, "one each for training, validation, test")
    text = str(caught.value)
    assert "at least 3 usable pictures (one each for training, validation, test)" in text
    assert "'empty' has 0, 'two' has 2 (1 file was skipped)" in text
    assert "'full'" not in text


def test_files_that_are_no_pictures_are_skipped_and_listed(tmp_path: Path) -> None:
    make_classes(tmp_path, {"a": 3, "b": 3})
    files = {
        "empty.jpg": (b"", "empty"),
        "text.jpg": (b"not a picture\n", "not a picture in a known format"),
        "page.png": (b"<!DOCTYPE html><html>", "not a picture in a known format"),
        "archive.gif": (b"PK\x03\x04....", "not a picture in a known format"),
        "noise.jpg": (bytes(range(128, 256)), "not a picture in a known format"),
        "stub.png": (png(1)[:20], ""),
        "notes.txt": (b"hello", "not a picture by its name (.txt)"),
        "picture": (png(2), "not a picture by its name (no ending)"),
    }
    for name, (content, _) in files.items():
        (tmp_path / "a" / name).write_bytes(content)
    (tmp_path / "beside.jpg").write_bytes(png(3))
    index = index_folder(tmp_path)
    assert index.counts() == [3, 3]
    found = reasons(index.skipped)
    assert set(found) == {*files, "beside.jpg"}
    for name, (_, reason) in files.items():
        assert reason in found[name]
        assert str(tmp_path) not in found[name]
    assert found["beside.jpg"] == "lies beside the class folders, not in one"


def test_a_picture_with_another_formats_ending_is_used(tmp_path: Path) -> None:
    make_classes(tmp_path, {"a": 1, "b": 1})
    (tmp_path / "a" / "really-png.jpg").write_bytes(png(40))
    assert index_folder(tmp_path).counts() == [2, 1]


def test_what_systems_leave_behind_is_not_mentioned(tmp_path: Path) -> None:
    make_classes(tmp_path, {"a": 2, "b": 2, ".git": 2})
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "a/Thumbs.db", "a/.hidden.jpg", "b/.DS_Store"):
        (tmp_path / name).write_bytes(b"x")
    index = index_folder(tmp_path)
    assert (index.labels, index.counts(), index.skipped) == (("a", "b"), [2, 2], ())


def test_copies_count_once(tmp_path: Path) -> None:
    make_classes(tmp_path, {"a": 2, "b": 2})
    shutil.copy(tmp_path / "a" / "000.png", tmp_path / "a" / "copy.png")
    index = index_folder(tmp_path)
    assert index.counts() == [2, 2]
    assert reasons(index.skipped) == {"copy.png": "a copy of 000.png"}


def test_a_picture_in_two_classes_is_in_none(tmp_path: Path) -> None:
    make_classes(tmp_path, {"a": 2, "b": 2})
    shutil.copy(tmp_path / "a" / "000.png", tmp_path / "b" / "same.png")
    index = index_folder(tmp_path)
    assert index.counts() == [1, 2]
    expected = "the same picture stands in 'a' and 'b'; --multi-label gives it all these labels"
    assert reasons(index.skipped) == {"000.png": expected, "same.png": expected}


@posix
def test_links(tmp_path: Path) -> None:
    outside = make_classes(tmp_path / "outside", {"more": 2}, start=70)
    root = make_classes(tmp_path / "photos", {"a": 2, "b": 2})
    (root / "linked").symlink_to(outside / "more")  # a class folder that lies elsewhere is one
    (root / "around").symlink_to(root)
    (root / "above").symlink_to(tmp_path)
    (root / "self").symlink_to("self")
    (root / "a" / "back").symlink_to(root)
    (root / "a" / "loop.png").symlink_to("loop.png")
    (root / "a" / "gone.png").symlink_to("nowhere.png")
    (root / "a" / "file.png").symlink_to(outside / "more" / "000.png")
    (outside / "more" / "000.png").rename(outside / "moved.png")
    (root / "a" / "file.png").unlink()
    (root / "a" / "file.png").symlink_to(outside / "moved.png")
    index = index_folder(root)
    assert index.labels == ("a", "b", "linked")
    assert index.counts() == [3, 2, 1]
    found = reasons(index.skipped)
    assert set(found) == {"around", "above", "self", "back", "loop.png", "gone.png"}
    assert found["around"] == "a link to a folder above it; not followed"
    assert found["back"] == "a link to a folder; not followed"
    assert found["gone.png"] == "no such file"


@posix
def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    make_classes(tmp_path, {"a": 2, "b": 2})
    os.mkfifo(tmp_path / "a" / "pipe.jpg")
    os.mkfifo(tmp_path / "beside")
    assert reasons(index_folder(tmp_path).skipped)["pipe.jpg"] == "not a regular file"


@pytest.mark.skipif(sys.platform == "win32" or not hasattr(os, "seteuid"), reason="needs POSIX permissions")
@pytest.mark.parametrize("closed", [".", "b", "b/deep"])
def test_a_closed_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: str) -> None:
    make_classes(tmp_path / "photos", {"a": 2, "b/deep": 2})
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    folder = Path("photos", closed)
    folder.chmod(0)
    refused = pytest.raises((UsageError, DataError), match=f"cannot read the folder {folder}: Permission denied")
    try:
        with without_rights(), refused:
            index_folder(Path("photos"))
    finally:
        folder.chmod(0o755)


def test_labels_are_verbatim_and_in_natural_order(tmp_path: Path) -> None:
    names = ["class10", "class2", "Class1", "class02", "猫", "with space", "'quoted'", "-dash", " lead", "{x}"]
    if os.name != "nt":
        names += ["two\nlines", 'a "b"', "a\\b", "tab\there"]
    make_classes(tmp_path, dict.fromkeys(names, 1))
    labels = index_folder(tmp_path).labels
    assert sorted(labels) == sorted(names)
    order = [label for label in labels if label.lower().startswith("class")]
    assert order == ["Class1", "class02", "class2", "class10"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    make_classes(tmp_path, {"a": 2, "b": 2})
    odd = os.fsencode(tmp_path / "a") + b"/\xff.png"
    Path(os.fsdecode(odd)).write_bytes(png(60))
    assert index_folder(tmp_path).counts() == [3, 2]
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")).mkdir()
    with pytest.raises(DataError, match=r"the name of the class folder '.*caf\\udce9' is not UTF-8; rename"):
        index_folder(tmp_path)


def test_very_long_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the folder|no such folder"):
        index_folder(tmp_path / ("x" * 5000))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_refused(tmp_path: Path) -> None:
    make_classes(tmp_path, {"a": 2, "b": 2})
    Image.new("1", (20_000, 10_000)).save(tmp_path / "a" / "bomb.png")
    reason = reasons(index_folder(tmp_path).skipped)["bomb.png"]
    assert "megapixels" in reason
    assert "refused" in reason


def test_digest_depends_on_content_and_labels_alone(tmp_path: Path) -> None:
    first = make_classes(tmp_path / "one", {"a": 3, "b": 3})
    second = tmp_path / "elsewhere"
    shutil.copytree(first, second)
    (second / "a" / "000.png").rename(second / "a" / "renamed.png")
    digest = index_folder(first).digest()
    assert index_folder(second).digest() == digest
    (second / "b").rename(second / "c")
    assert index_folder(second).digest() != digest


def test_without_moves_pictures_to_the_skipped(tmp_path: Path) -> None:
    index = index_folder(make_classes(tmp_path, {"a": 2, "b": 2}))
    bad = index.images[1]
    rest = index.without({bad.digest: "cut short"})
    assert rest.counts() == [1, 2]
    assert [(file.path, file.reason) for file in rest.skipped] == [(bad.path, "cut short")]


@pytest.mark.parametrize(
    ("classes", "line"),
    [
        ({"a": 1}, "1 picture in 1 class, 1 file skipped"),
        ({"a": 1, "b": 1, "_background_": 2}, "2 pictures in 2 classes and 2 of no class, 1 file skipped"),
    ],
)
def test_the_counts_in_one_line(tmp_path: Path, classes: dict[str, int], line: str) -> None:
    make_classes(tmp_path, classes)
    (tmp_path / "a" / "notes.txt").write_text("none", "utf-8")
    assert index_folder(tmp_path, least=1).summary() == line
