"""toolkit.split: by content, stable, and no share empty while there are pictures for it."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections import defaultdict
from pathlib import Path

import pytest

from runtime.errors import UsageError
from tests.toolkit.pictures import make_classes
from toolkit.dataset import index_folder
from toolkit.records import ImageRecord
from toolkit.split import Share, SplitOptions, split_images


def records(seed: int, counts: list[int]) -> list[ImageRecord]:
    return [
        ImageRecord(Path(f"{class_id}/{number}.jpg"), (class_id,), hashlib.sha256(b"%d %d %d" % key).hexdigest())
        for class_id, count in enumerate(counts)
        for number in range(count)
        for key in [(seed, class_id, number)]
    ]


def share_of(images: list[ImageRecord], options: SplitOptions | None = None) -> dict[str, Share]:
    split = split_images(images, options or SplitOptions())
    return {images[position].digest: share for share, positions in split.items() for position in positions}


@pytest.mark.parametrize(
    "percentages", [(10, 10), (0, 10), (10, 0), (0, 0), (50, 49), (0.1, 99.8), (99, 0.5), (33, 33)]
)
def test_no_share_of_a_small_class_is_empty(percentages: tuple[float, float]) -> None:
    options = SplitOptions(*percentages)
    random.seed(1)
    for seed in range(150):
        counts = [random.randint(3, 12) for _ in range(3)]
        images = records(seed, counts)
        split = split_images(images, options)
        assert sorted(p for positions in split.values() for p in positions) == list(range(len(images)))
        for share, positions in split.items():
            assert positions == sorted(positions)
            found = {images[p].class_id for p in positions}
            assert found == ({0, 1, 2} if share in options.shares() else set()), (seed, counts, share)


@pytest.mark.parametrize("percentages", [(10.0, 10.0), (20.0, 5.0), (50.0, 49.0), (0.0, 30.0)])
def test_percentages_are_about_right_on_many(percentages: tuple[float, float]) -> None:
    images = records(0, [2500, 2500])
    split = split_images(images, SplitOptions(*percentages))
    wanted = dict(zip(("validation", "test"), percentages, strict=True))
    wanted["training"] = 100 - sum(percentages)
    for share, positions in split.items():
        assert 100 * len(positions) / len(images) == pytest.approx(wanted[share], abs=2)


def test_moving_and_renaming_changes_nothing(tmp_path: Path) -> None:
    first = make_classes(tmp_path / "one", {"a": 30, "b": 30})
    second = tmp_path / "deep" / "two"
    shutil.copytree(first, second)
    for path in sorted((second / "a").iterdir()):
        path.rename(path.with_name(f"x{path.name}"))
    assert share_of(list(index_folder(first).images)) == share_of(list(index_folder(second).images))


def test_added_pictures_move_none() -> None:
    before = share_of(records(0, [200, 200]))
    after = share_of(records(0, [260, 300]))
    assert len(after) == 560
    assert all(after[digest] == share for digest, share in before.items())


def test_how_often_a_class_of_20_lacks_a_share_and_what_that_moves() -> None:
    """The figure that README, ``train --help`` and ``split_images`` name."""
    lacking = 0
    for seed in range(500):
        large = records(seed, [300])  # each share has some of these by their hashes
        before, after = share_of(large[:20]), share_of(large)
        lacks = {after[image.digest] for image in large[:20]} < {"training", "validation", "test"}
        moved = sum(after[digest] != share for digest, share in before.items())
        assert lacks == (moved > 0) and moved <= 2
        lacking += lacks
    assert lacking / 500 == pytest.approx(2 * 0.9**20 - 0.8**20, abs=0.06)


def test_the_order_of_the_pictures_does_not_matter() -> None:
    images = records(4, [5, 7, 12])
    shuffled = images.copy()
    random.Random(0).shuffle(shuffled)
    assert share_of(images) == share_of(shuffled)


def test_a_larger_test_share_takes_pictures_and_gives_none() -> None:
    images = records(0, [500])
    small = split_images(images, SplitOptions(10, 10))["test"]
    large = split_images(images, SplitOptions(10, 20))["test"]
    assert set(small) < set(large)


def test_a_share_of_almost_nothing_is_quick_on_many() -> None:
    split = split_images(records(0, [20_000]), SplitOptions(0.0001, 0.0001))
    assert len(split["test"]) >= 1
    assert len(split["validation"]) >= 1


@pytest.mark.parametrize(
    "percentages", [(-1, 10), (10, -0.1), (100, 0), (0, 120), (50, 50), (60, 60), (float("nan"), 1), (1, float("inf"))]
)
def test_impossible_percentages(percentages: tuple[float, float]) -> None:
    with pytest.raises(UsageError) as caught:
        SplitOptions(*percentages)
    assert caught.value.exit_code == 2


def test_shares() -> None:
    assert SplitOptions().shares() == ("training", "validation", "test")
    assert SplitOptions(0, 10).shares() == ("training", "test")
    assert SplitOptions(0, 0).shares() == ("training",)


def test_shares_of_an_earlier_training_stay() -> None:
    images = records(3, [40, 40])
    free = share_of(images)
    fixed: dict[str, Share] = {image.group: "test" for image in images[:20]}
    split = split_images(images, SplitOptions(10, 10), fixed)
    now = {images[position].digest: share for share, positions in split.items() for position in positions}
    assert {now[image.digest] for image in images[:20]} == {"test"}
    assert all(now[image.digest] == free[image.digest] for image in images[20:])


def test_they_leave_it_only_for_a_share_that_would_be_empty() -> None:
    images = records(4, [5])
    fixed: dict[str, Share] = {image.group: "training" for image in images}
    sizes = {share: len(positions) for share, positions in split_images(images, SplitOptions(), fixed).items()}
    assert sizes == {"training": 3, "validation": 1, "test": 1}
    free, *known = images
    split = split_images(images, SplitOptions(0, 10), {image.group: "training" for image in known})
    assert split["test"] == [images.index(free)]


def grouped(seed: int, several: bool) -> list[ImageRecord]:
    """Pictures of up to five classes in groups of one to four; with ``several`` a group has none to three labels."""
    draw = random.Random(seed)
    classes = draw.randint(2, 5)
    images = []
    for group in range(draw.randint(3 * classes, 8 * classes)):
        labels = sorted(draw.sample(range(classes), draw.randint(0, min(3, classes)))) if several else [group % classes]
        key = hashlib.sha256(b"%d group %d" % (seed, group)).hexdigest()
        for number in range(draw.randint(1, 4)):
            digest = hashlib.sha256(b"%d %d %d" % (seed, group, number)).hexdigest()
            images.append(ImageRecord(Path(f"{group}-{number}.png"), tuple(labels), digest, key))
    return images


@pytest.mark.parametrize("percentages", [(10, 10), (1, 1), (33, 33)])
@pytest.mark.parametrize(("several", "most_short"), [(False, 0), (True, 4)])
def test_groups_stay_whole_and_no_share_lacks_a_class(
    percentages: tuple[float, float], several: bool, most_short: int
) -> None:
    """Every class has three groups. Labels that share all of theirs with others cannot always be parted."""
    short = tried = 0
    for seed in range(600):
        images = grouped(seed, several)
        groups: dict[int, set[str]] = defaultdict(set)
        for image in images:
            for class_id in image.class_ids:
                groups[class_id].add(image.group)
        if min(map(len, groups.values())) < 3:
            continue
        tried += 1
        split = split_images(images, SplitOptions(*percentages))
        assert sorted(p for positions in split.values() for p in positions) == list(range(len(images)))
        places = {image.group: set[Share]() for image in images}
        for share, positions in split.items():
            for position in positions:
                places[images[position].group].add(share)
        assert all(len(shares) == 1 for shares in places.values())
        found = [{c for p in positions for c in images[p].class_ids} for positions in split.values()]
        short += any(have != set(groups) for have in found)
    assert tried > 400
    assert short <= most_short


def test_pictures_of_no_class_are_split_by_their_content_alone() -> None:
    negatives = [ImageRecord(image.path, (), image.digest) for image in records(9, [400])]
    images = [*records(0, [30, 30]), *negatives]
    split = split_images(images, SplitOptions(10, 20))
    counts = {share: sum(not images[p].class_ids for p in positions) for share, positions in split.items()}
    assert sum(counts.values()) == 400
    assert counts["test"] / 400 == pytest.approx(0.2, abs=0.05)
    assert counts["validation"] / 400 == pytest.approx(0.1, abs=0.05)
    without = share_of(images[:60], SplitOptions(10, 20))
    assert {d: s for d, s in share_of(images, SplitOptions(10, 20)).items() if d in without} == without
