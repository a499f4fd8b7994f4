"""Pictures that belong together: `_nohash_` names, near duplicates, and a split that keeps them together."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

from PIL import Image

from tests.toolkit.pictures import make_classes, png
from toolkit.dataset import index_folder
from toolkit.grouping import group_images, groups_of, join
from toolkit.records import DatasetIndex, ImageRecord
from toolkit.sample_data import draw_shapes
from toolkit.signatures import Signature, SignatureCache
from toolkit.split import SplitOptions, split_images


def grouped(root: Path, cache_dir: Path) -> DatasetIndex:
    signatures: dict[str, Signature] = {}
    with SignatureCache(cache_dir) as cache:

        def look(digest: str, image: Image.Image, path: Path) -> None:
            signatures[digest] = cache.signature(digest, image, path)

        index = index_folder(root, look=look)
    return group_images(index, groups_of(index, signatures))


def groups(index: DatasetIndex) -> set[frozenset[str]]:
    found: dict[str, set[str]] = {}
    for image in index.images:
        found.setdefault(image.group, set()).add(image.path.relative_to(index.root).as_posix())
    return {frozenset(names) for names in found.values() if len(names) > 1}


def test_join_finds_the_smallest_of_all_that_is_connected() -> None:
    pairs = [("d", "c"), ("b", "a"), ("c", "b"), ("y", "z"), ("q", "q")]
    assert join(pairs) == {"a": "a", "b": "a", "c": "a", "d": "a", "y": "y", "z": "y", "q": "q"}


def test_nohash_names_belong_together_within_a_class(tmp_path: Path) -> None:
    root = make_classes(tmp_path / "photos", {"a": 4, "b": 4})
    for number, name in enumerate(("cat_nohash_0.png", "cat_nohash_1.png", "dog_nohash_1.png")):
        (root / "a" / name).write_bytes(png(100 + number, 64))
    (root / "b" / "cat_nohash_7.png").write_bytes(png(200, 64))
    index = grouped(root, tmp_path / "cache")
    assert groups(index) == {frozenset({"a/cat_nohash_0.png", "a/cat_nohash_1.png"})}
    moved = tmp_path / "elsewhere" / "deep"
    shutil.copytree(root, moved)
    assert {i.digest: i.group for i in grouped(moved, tmp_path / "cache").images} == {
        i.digest: i.group for i in index.images
    }


def test_a_recompressed_copy_stays_in_the_share_of_its_original(tmp_path: Path) -> None:
    root = draw_shapes(tmp_path / "shapes", 25).folder
    names = sorted((root / "circle").iterdir())[:12]
    for path in names:
        stream = io.BytesIO()
        Image.open(path).convert("RGB").save(stream, "JPEG", quality=60)
        (root / "circle" / f"copy-{path.stem}.jpg").write_bytes(stream.getvalue())
    index = grouped(root, tmp_path / "cache")
    copies = {frozenset({f"circle/{path.name}", f"circle/copy-{path.stem}.jpg"}) for path in names}
    assert groups(index) == copies
    share_of = {}
    for share, positions in split_images(index.images, SplitOptions(30, 30)).items():
        share_of |= {index.images[p].path.relative_to(root).as_posix(): share for p in positions}
    assert all(len({share_of[name] for name in pair}) == 1 for pair in copies)
    assert len({share_of[name] for pair in copies for name in pair}) == 3, "the groups themselves are split"


def test_groups_fill_shares_whole() -> None:
    # Three groups of five pictures of each of two classes, at percentages that would leave shares empty.
    images = [
        ImageRecord(Path(f"{c}/{g}-{n}.png"), (c,), f"{c}{g}{n}".ljust(64, "0"), f"{c}{g}".ljust(64, "f"))
        for c in range(2)
        for g in range(3)
        for n in range(5)
    ]
    split = split_images(images, SplitOptions(1, 1))
    for positions in split.values():
        assert {images[p].class_id for p in positions} == {0, 1}
        assert len(positions) % 5 == 0
