"""How often training decodes a picture: once in a cold run, a large one twice; in a warm one not at all."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from converters.bundle import ModelBundle
from runtime import images
from runtime.errors import DataError
from runtime.images import decode_image
from runtime.preprocess import resize
from runtime.spec import Preprocessing
from tests.toolkit.conftest import Trained
from tests.toolkit.pictures import make_classes, picture
from toolkit.dataset import index_folder
from toolkit.head import HeadOptions
from toolkit.options import TrainOptions
from toolkit.ready_pixels import ReadyPixels
from toolkit.split import SplitOptions, split_images
from toolkit.stored_pictures import StoredPictures, choose_pictures, load_pictures
from toolkit.train import TrainResult, train

PIXELS = Preprocessing(32, 32)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, TrainOptions], tuple[TrainResult, int]]:
    """Trains, and counts what is decoded before the report is drawn."""
    decoded: Counter[str] = Counter()
    upright = images._upright

    def counted(image: Image.Image) -> Image.Image:
        decoded["pictures"] += 1
        return upright(image)

    monkeypatch.setattr(images, "_upright", counted)

    def trained_with(pictures: Path, options: TrainOptions) -> tuple[TrainResult, int]:
        decoded.clear()
        before: list[int] = []

        def notify(line: str) -> None:
            if line.startswith("calibration: "):
                before.append(decoded["pictures"])

        return train(pictures, options, notify), before[0]

    return trained_with


def test_each_picture_once_and_then_none(
    trained: Trained, tmp_path: Path, run: Callable[[Path, TrainOptions], tuple[TrainResult, int]]
) -> None:
    options = replace(trained.options, output_dir=tmp_path / "model", cache_dir=tmp_path / "cache")
    cold, decoded = run(trained.pictures, options)
    sizes = [decode_image(path.read_bytes()).size for path in trained.pictures.glob("*/*.jpg")]
    large = sum(min(size) >= 256 for size in sizes)  # looked at in half their size first
    assert 0 < large < 40
    assert decoded - large == cold.images == 160
    assert cold.spec == trained.result.spec
    stored = {name: (tmp_path / "model" / name).read_bytes() for name in ("calibration.npz", "test_images.npz")}

    smoothed = replace(options, head=HeadOptions(label_smoothing=0.01))
    warm, decoded = run(trained.pictures, smoothed)
    assert (warm.from_cache, warm.written, decoded) == (160, True, 0)
    assert {name: (tmp_path / "model" / name).read_bytes() for name in stored} == stored

    elsewhere, decoded = run(trained.pictures, replace(smoothed, output_dir=tmp_path / "other"))
    assert decoded == sum(elsewhere.accuracy[share].images for share in ("training", "test")), "those of the bundle"
    assert {name: (tmp_path / "other" / name).read_bytes() for name in stored} == stored
    assert elsewhere.spec == warm.spec


def test_views_too_cost_one_decoding(
    tmp_path: Path, run: Callable[[Path, TrainOptions], tuple[TrainResult, int]]
) -> None:
    pictures = make_classes(tmp_path / "photos", {"a": 8, "b": 8})
    options = TrainOptions(tmp_path / "model", cache_dir=tmp_path / "cache", near_duplicates=False, views=2)
    assert run(pictures, options)[1] == 16


def test_pictures_of_the_bundle_are_those_of_the_files(trained: Trained, tmp_path: Path) -> None:
    """Whether they were seen on the way or are decoded for it."""
    options = replace(trained.options, output_dir=tmp_path / "model", cache_dir=tmp_path / "cache")
    bundle = ModelBundle.load(train(trained.pictures, options).folder)
    tests = bundle.test_pictures()
    digests = (*tests.digests, *bundle.calibration_digests())
    files = {image.digest: image.path for image in index_folder(trained.pictures).images}
    for digest, pixels in zip(digests, (*tests.images, *bundle.calibration_images()), strict=True):
        whole = decode_image(files[digest].read_bytes())
        np.testing.assert_array_equal(pixels, resize(whole, bundle.spec.preprocessing))


def test_a_picture_that_is_changed_before_it_is_stored(tmp_path: Path) -> None:
    index = index_folder(make_classes(tmp_path, {"a": 4, "b": 4}))
    choice = choose_pictures(index, split_images(index.images, SplitOptions(20, 20)), 3, 0)
    assert len(choice.calibration) == 3
    changed = index.images[choice.calibration[0]]
    whole = resize(decode_image(changed.path.read_bytes()), PIXELS)
    picture(999).save(changed.path)
    left = load_pictures(index, choice, PIXELS, lambda _digest: None)
    assert left.calibration_digests == tuple(index.images[p].digest for p in choice.calibration[1:])
    assert (len(left.calibration), len(left.test)) == (2, len(choice.test))
    fewer = left.of({left.calibration_digests[1], *left.test_digests[:1]})
    assert (len(fewer.calibration), len(fewer.test)) == (1, 1)
    np.testing.assert_array_equal(fewer.calibration[0], left.calibration[1])
    for position in choice.calibration[1:]:
        index.images[position].path.unlink()
    with pytest.raises(DataError, match="were changed or removed while the training ran; run it again"):
        load_pictures(index, choice, PIXELS, lambda _digest: None)
    choice = replace(choice, calibration=choice.calibration[:1])
    pictures = load_pictures(index, choice, PIXELS, {changed.digest: whole}.get)
    np.testing.assert_array_equal(pictures.calibration[0], whole)


def test_pictures_of_an_old_bundle(trained: Trained, tmp_path: Path) -> None:
    spec = trained.result.spec
    toolkit = spec.provenance["toolkit"]
    found = StoredPictures.of_bundle(trained.result.folder, spec.preprocessing, toolkit)
    assert found is not None
    assert len(found.by_digest) == len(found.test) + len(found.calibration)
    np.testing.assert_array_equal(found.by_digest[found.test_digests[1]], found.test[1])
    np.testing.assert_array_equal(found.by_digest[found.calibration_digests[0]], found.calibration[0])
    cropped = replace(spec.preprocessing, resize="center-crop")
    assert StoredPictures.of_bundle(trained.result.folder, cropped, toolkit) is None
    assert StoredPictures.of_bundle(trained.result.folder, spec.preprocessing, "another version") is None
    assert StoredPictures.of_bundle(tmp_path / "none", spec.preprocessing, toolkit) is None


def test_a_damaged_old_bundle_is_not_taken_from(trained: Trained, tmp_path: Path) -> None:
    folder = train(trained.pictures, replace(trained.options, output_dir=tmp_path / "model")).folder
    sound = (folder / "calibration.npz").read_bytes()
    damaged = bytearray(sound)
    damaged[len(damaged) // 2] ^= 0xFF
    (folder / "calibration.npz").write_bytes(damaged)
    result = train(trained.pictures, replace(trained.options, output_dir=folder))
    assert result.written
    assert (folder / "calibration.npz").read_bytes() == sound


def test_room_is_kept_to() -> None:
    size = 32 * 32 * 3
    ready = ReadyPixels(PIXELS, most_bytes=2 * size)
    for number in range(4):
        ready.offer(f"{number}", picture(number))
    expected: list[Any] = [resize(picture(number), PIXELS) for number in range(2)]
    assert ready.take("2") is None
    ready.keep(["1", "3", "x"])
    np.testing.assert_array_equal(ready.kept()["1"], expected[1])
    for number in range(2):
        np.testing.assert_array_equal(ready.take(f"{number}"), expected[number])
        assert ready.take(f"{number}") is None, "handed out once"
    ready.offer("5", picture(5))
    assert ready.take("5") is not None, "there is room again"
    ready.give("x", expected[0])
    ready.give("y", expected[0])
    assert set(ready.kept()) == {"1", "x"}


def test_what_training_of_a_head_does_not_load() -> None:
    code = (
        "import sys, toolkit.train\n"
        "heavy = {'http.client', 'toolkit.finetune', 'toolkit.download', 'tensorflow', 'jinja2', 'scipy', 'PIL'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""
