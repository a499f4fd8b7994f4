"""``toolkit train --from``: a picture of the earlier training, saved anew, goes where the original is."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.toolkit.earlier_bundles import NEW, OLD, forget_signatures, pick, stored
from toolkit.options import Mode, TrainOptions
from toolkit.prepare import prepare
from toolkit.train import train


def save_anew(first: Path, shapes: Path, folder: Path) -> dict[str, str]:
    """Each test picture of the bundle at three quarters of its size; digest of the copy -> of the original."""
    before = stored(first)
    originals = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in shapes.rglob("*.jpg")}
    copies = {}
    for image, share in zip(before.images, before.shares, strict=True):
        if share != "test":
            continue
        path = folder / originals[image.digest].parent.name / f"copy_of_{image.path.name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(originals[image.digest]) as picture:
            picture.resize((picture.width * 3 // 4, picture.height * 3 // 4)).save(path, quality=60)
        copies[hashlib.sha256(path.read_bytes()).hexdigest()] = image.digest
    assert len(copies) >= 4
    return copies


def test_a_near_copy_of_an_old_test_picture_stays_a_test_picture(
    first: Path, shapes: Path, cache_dir: Path, tmp_path: Path
) -> None:
    copies = save_anew(first, shapes, tmp_path / "more")
    more = pick(shapes, tmp_path / "more", "circle")
    said: list[str] = []
    result = train(more, TrainOptions(tmp_path / "model", earlier=first, cache_dir=cache_dir), said.append)
    after = stored(result.folder)
    shares = dict(zip((image.digest for image in after.images), after.shares, strict=True))
    assert {shares[digest] for digest in copies} == {"test"}
    assert {shares[digest] for digest in copies.values()} == {"test"}
    assert set(after.signatures) == set(shares)
    assert not any("are not found" in line for line in said)


@pytest.mark.parametrize("mode", ["bottleneck", "finetune"])
def test_also_where_the_original_is_not_learned_again(
    mode: Mode, first: Path, shapes: Path, cache_dir: Path, tmp_path: Path
) -> None:
    copies = save_anew(first, shapes, tmp_path / "more")
    for label in (*OLD, *NEW):  # some of each, for a network that is trained needs pictures
        (tmp_path / "more" / label).mkdir(exist_ok=True)
        for path in sorted((shapes / label).iterdir()):
            if hashlib.sha256(path.read_bytes()).hexdigest() not in copies.values():
                shutil.copy(path, tmp_path / "more" / label)
    options = TrainOptions(tmp_path / "model", mode=mode, earlier=first, cache_dir=cache_dir)
    prepared = prepare(tmp_path / "more", options, lambda _line: None)
    assert set(copies) <= {image.digest for image in prepared.images("test")}


def test_an_older_bundle_says_that_it_cannot_tell(first: Path, shapes: Path, cache_dir: Path, tmp_path: Path) -> None:
    old = Path(shutil.copytree(first, tmp_path / "old"))
    forget_signatures(old)
    more = pick(shapes, tmp_path / "more", "circle")
    said: list[str] = []
    options = TrainOptions(tmp_path / "model", earlier=old, cache_dir=cache_dir)
    train(more, options, said.append)
    (line,) = [line for line in said if "are not found" in line]
    assert line == (
        f"near copies of 80 pictures of {old} are not found: it does not say what they look like (an older version "
        "wrote it, or --no-near-duplicates)"
    )
