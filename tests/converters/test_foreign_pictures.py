"""``--calibration-dir``: which pictures set ranges, which check, and what is known of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from converters.inputs.pictures import CHECK, Pictures, generated_pictures, read_pictures
from runtime.errors import DataError, UsageError
from runtime.images import decode_image
from runtime.preprocess import resize
from runtime.spec import Preprocessing

PIXELS = Preprocessing(8, 10)
LABELS = ("red daisy", "Tulpe")


def draw(folder: Path, count: int, start: int = 0) -> None:
    """Pictures that all differ."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(start, start + count):
        rng = np.random.default_rng([number, *folder.name.encode()])
        Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8)).save(folder / f"{number}.png")


def read(folder: Path, labels: tuple[str, ...] = LABELS, **more: Any) -> tuple[Pictures, list[str]]:
    lines: list[str] = []
    return read_pictures(folder, PIXELS, labels, lines.append, **more), lines


def rows(images: Any) -> set[bytes]:
    return {image.tobytes() for image in images}


def test_some_calibrate_others_check(tmp_path: Path) -> None:
    draw(tmp_path / "p" / "deep", 30)
    pictures, lines = read(tmp_path / "p")
    calibrate, check = rows(pictures.calibration), rows(pictures.check.images)
    assert (len(calibrate), len(check)) == (20, 10)
    assert not calibrate & check
    found = (resize(decode_image(path.read_bytes()), PIXELS).tobytes() for path in (tmp_path / "p" / "deep").iterdir())
    assert calibrate | check == set(found)
    assert pictures.check.truth.shape == (0, 2)
    assert len(set(pictures.check.digests)) == 10
    assert lines == [
        f"pictures: 20 of the 30 in {tmp_path / 'p'} set ranges; 10 others check the files, "
        "whose true labels are not known"
    ]
    again, _ = read(tmp_path / "p")
    assert again.digest == pictures.digest
    assert again.calibration.tobytes() == pictures.calibration.tobytes()


def test_classes_are_balanced_and_known(tmp_path: Path) -> None:
    """Folders as they are named, in any case, and as retrain.py made labels of them; above others too."""
    draw(tmp_path / "RED_daisy", 60)
    draw(tmp_path / "tulpe" / "2024", 12)
    draw(tmp_path / "who knows", 12)
    pictures, lines = read(tmp_path, calibrate=12)
    assert len(pictures.calibration) == 12
    truth = pictures.check.truth
    assert len(pictures.check.images) == 84 - 12
    assert len(truth) == len(pictures.check.images) - (12 - 4)  # four of the unknown ones calibrate
    assert truth.sum(axis=1).tolist() == [1] * len(truth)
    assert truth.sum(axis=0).tolist() == [60 - 4, 12 - 4]
    assert f"{len(truth)} of them with labels that their folders say" in lines[-1]
    for image, row in zip(pictures.check.images, truth, strict=False):
        folder = tmp_path / ("RED_daisy" if row[0] else "tulpe/2024")
        assert image.tobytes() in rows(resize(decode_image(p.read_bytes()), PIXELS) for p in folder.iterdir())


def test_many_classes_of_one_picture(tmp_path: Path) -> None:
    for number in range(12):
        draw(tmp_path / f"class{number}", 1)
    pictures, _ = read(tmp_path, tuple(f"class{number}" for number in range(12)))
    assert (len(pictures.calibration), len(pictures.check.images), len(pictures.check.truth)) == (8, 4, 4)


def test_no_more_than_are_needed_are_read(tmp_path: Path) -> None:
    draw(tmp_path, 60)
    for number in range(60, 60 + 2 * CHECK):
        (tmp_path / f"{number}.png").hardlink_to(tmp_path / f"{number % 60}.png")
    pictures, lines = read(tmp_path, calibrate=5)
    assert len(pictures.calibration) == 5
    assert len(pictures.check.images) == 55
    assert lines[0] == f"{2 * CHECK} pictures left out: the same file lies there more than once"


def test_those_that_cannot_be_used_are_listed(tmp_path: Path) -> None:
    draw(tmp_path, 15)
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "1.png").read_bytes()[:60])
    (tmp_path / "page.jpg").write_text("<html>404</html>")
    (tmp_path / "a\nb.jpg").write_bytes(b"")
    (tmp_path / os.fsdecode(b"\xff.jpg")).write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no picture by its name")
    pictures, lines = read(tmp_path)
    assert len(pictures.calibration) + len(pictures.check.images) == 15
    assert sum(line.startswith("skipped: ") for line in lines) == 4
    assert all(line.isprintable() for line in lines)
    assert lines[-2] == "4 pictures skipped, listed above"
    assert "of the 19 in" in lines[-1]


@pytest.mark.parametrize("count", [1, 3, 9])
def test_too_few(tmp_path: Path, count: int) -> None:
    draw(tmp_path / "p", count)
    line = rf"--calibration-dir .*/p holds {count} pictures? that can be used; at least 10 are needed, 100 or more are "
    with pytest.raises(DataError, match=line):
        read(tmp_path / "p")


def test_none_that_can_be_used(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number}.jpg").write_bytes(b"junk")
    lines: list[str] = []
    with pytest.raises(DataError, match="holds 0 pictures that can be used"):
        read_pictures(tmp_path, PIXELS, LABELS, lines.append)
    assert lines[-1] == "30 pictures skipped, 10 not listed"


def test_no_folder_of_pictures(tmp_path: Path) -> None:
    (tmp_path / "file.png").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    wrong = {
        tmp_path / "none": "no such folder",
        tmp_path / "file.png": "is a file; name a folder of pictures",
        tmp_path / "empty": "holds no pictures",
        tmp_path / "a\0b": "cannot be read|no such folder",
    }
    for path, text in wrong.items():
        with pytest.raises(UsageError, match=f"--calibration-dir .*({text})"):
            read(path)


def test_generated_ones_are_always_the_same() -> None:
    one, two = (generated_pictures(PIXELS, 3) for _ in range(2))
    assert one.check.images.shape == (8, 8, 10, 3)
    assert one.check.images.dtype == np.uint8
    assert one.check.images.tobytes() == two.check.images.tobytes()
    assert len(set(one.check.digests)) == 8
    assert one.calibration.shape == (0, 8, 10, 3)
    assert one.check.truth.shape == (0, 3)
