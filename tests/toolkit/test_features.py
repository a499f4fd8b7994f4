"""toolkit.features: right, cached by content, and sound beside other runs."""

from __future__ import annotations

import hashlib
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.errors import ImageError
from runtime.images import decode_image, read_image_bytes
from runtime.interpreter import LoadedModel
from runtime.preprocess import normalize, resize
from tests.toolkit.pictures import make_classes, picture, png
from toolkit import features
from toolkit.backbones.catalog import find_architecture
from toolkit.backbones.registry import Backbone, load_backbone
from toolkit.dataset import index_folder
from toolkit.features import FeatureTable, compute, extract_features, feature_space
from toolkit.prepare import preprocessing_of

SMALL = find_architecture("mobilenet_0.25_128")
PIXELS = preprocessing_of(SMALL)


def backbone(cache_dir: Path, seed: int = 0) -> Backbone:
    return load_backbone(SMALL, weights="none", cache_dir=cache_dir, seed=seed)


def extract(root: Path, cache_dir: Path) -> FeatureTable:
    return extract_features(backbone(cache_dir), PIXELS, index_folder(root).images, cache_dir)


def test_features_are_the_interpreters(tmp_path: Path) -> None:
    root = make_classes(tmp_path / "photos", {"a": 9, "b": 9})
    table = extract(root, tmp_path / "cache")
    assert (len(table.vectors), table.from_cache, table.failures) == (18, 0, {})
    model = LoadedModel(backbone(tmp_path).tflite(tmp_path), threads=1)
    for image in index_folder(root).images:
        pixels = resize(decode_image(read_image_bytes(image.path)), PIXELS)
        expected = np.asarray(model.run(normalize(pixels, PIXELS)[None])).reshape(-1)
        assert table.vectors[image.digest].shape == (SMALL.feature_count,)
        assert table.vectors[image.digest] == pytest.approx(expected, abs=1e-6)


def test_second_time_all_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_classes(tmp_path / "photos", {"a": 5, "b": 5})
    first = extract(root, tmp_path / "cache")
    root = root.rename(tmp_path / "moved")
    (root / "a" / "000.png").rename(root / "a" / "other name.png")
    monkeypatch.setattr(features, "compute", None)  # must not be needed
    second = extract(root, tmp_path / "cache")
    assert second.from_cache == 10
    assert all((second.vectors[key] == vector).all() for key, vector in first.vectors.items())


def test_a_changed_picture_is_computed_again(tmp_path: Path) -> None:
    root = make_classes(tmp_path / "photos", {"a": 5, "b": 5})
    extract(root, tmp_path / "cache")
    (root / "a" / "000.png").write_bytes(png(999))
    assert extract(root, tmp_path / "cache").from_cache == 9


def test_the_space_depends_on_all_that_decides_a_vector(tmp_path: Path) -> None:
    first = backbone(tmp_path)
    spaces = {
        feature_space(first, PIXELS),
        feature_space(backbone(tmp_path, seed=1), PIXELS),
        feature_space(first, preprocessing_of(find_architecture("mobilenet_0.25_160"))),
        feature_space(load_backbone(find_architecture("mobilenet_1.00_224"), cache_dir=tmp_path), PIXELS),
    }
    assert len(spaces) == 4
    assert feature_space(backbone(tmp_path), PIXELS) == feature_space(first, PIXELS)


def test_pictures_that_cannot_be_decoded(tmp_path: Path) -> None:
    root = make_classes(tmp_path / "photos", {"a": 3, "b": 3})
    picture(77, 200).save(root / "a" / "cut.jpg")
    whole = (root / "a" / "cut.jpg").read_bytes()
    (root / "a" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    index = index_folder(root)
    assert len(index.images) == 7, "the header is whole"
    for computed in (6, 0):
        table = extract(root, tmp_path / "cache")
        assert (len(table.vectors), table.from_cache) == (6, 6 - computed)
        ((reason,),) = [tuple(table.failures.values())]
        assert "truncated" in reason
        assert str(root) not in reason
    assert index.without(table.failures).counts() == [3, 3]


def job(path: Path) -> tuple[str, Path]:
    return hashlib.sha256(path.read_bytes()).hexdigest(), path


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("L", "x.png"),
        ("P", "x.gif"),
        ("CMYK", "x.jpg"),
        ("I;16", "x.png"),
        ("RGBA", "x.png"),
        ("LA", "x.png"),
        ("1", "x.png"),
    ],
)
def test_every_kind_of_picture(tmp_path: Path, mode: str, name: str) -> None:
    image = picture(5, 40)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L"), np.uint16) * 257)
    path = tmp_path / name
    (image if mode == "I;16" else image.convert(mode)).save(path)
    model = backbone(tmp_path).tflite(tmp_path)
    ((key, vector),) = compute(model, PIXELS, [job(path)], workers=1)
    assert key == job(path)[0]
    assert not isinstance(vector, ImageError)
    assert np.isfinite(vector).all()


def test_the_first_frame_of_an_animation(tmp_path: Path) -> None:
    still, moving = tmp_path / "still.png", tmp_path / "moving.png"
    picture(1).save(still)
    picture(1).save(moving, save_all=True, append_images=[picture(2), picture(3)])
    model = backbone(tmp_path).tflite(tmp_path)
    (_, first), (_, second) = compute(model, PIXELS, [job(still), job(moving)])
    assert not isinstance(first, ImageError)
    assert (first == second).all()


def test_a_picture_replaced_during_the_run_does_not_get_into_the_cache(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    picture(1).save(path)
    before = job(path)
    picture(2).save(path)
    model = backbone(tmp_path).tflite(tmp_path)
    ((_, result),) = compute(model, PIXELS, [before])
    assert isinstance(result, ImageError)
    assert "was changed while" in str(result)


def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    root = make_classes(tmp_path / "photos", {"a": 20, "b": 20})
    jobs = [(image.digest, image.path) for image in index_folder(root).images]
    model = backbone(tmp_path).tflite(tmp_path)
    one, three = (list(compute(model, PIXELS, jobs, workers=n)) for n in (1, 3))
    assert [key for key, _ in one] == [key for key, _ in three] == [key for key, _ in jobs]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(one, three, strict=True))


def test_an_interruption_keeps_what_was_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_classes(tmp_path / "photos", {"a": 10, "b": 10})
    real = features.compute

    def interrupted(*args: object, **options: object) -> object:
        for number, result in enumerate(real(*args, **options)):  # type: ignore[arg-type]
            if number == 7:
                raise KeyboardInterrupt
            yield result

    monkeypatch.setattr(features, "compute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extract(root, tmp_path / "cache")
    monkeypatch.setattr(features, "compute", real)
    assert extract(root, tmp_path / "cache").from_cache == 7


def _run(root: Path, cache_dir: Path) -> None:
    raise SystemExit(0 if len(extract(root, cache_dir).vectors) == 80 else 1)


def test_two_runs_on_one_cache_both_finish(tmp_path: Path) -> None:
    root = make_classes(tmp_path / "photos", {"a": 40, "b": 40})
    context = multiprocessing.get_context("spawn")
    runs = [context.Process(target=_run, args=(root, tmp_path / "cache")) for _ in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(60)
    assert [run.exitcode for run in runs] == [0, 0]
    assert extract(root, tmp_path / "cache").from_cache == 80


def test_what_shares_a_batch_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit: the cache holds features that were computed beside other pictures, or alone."""
    root = make_classes(tmp_path / "photos", {"a": 6, "b": 5})
    picture(77, 200).save(root / "a" / "cut.jpg")
    cut = root / "a" / "cut.jpg"
    cut.write_bytes(cut.read_bytes()[:2000])
    jobs = [job(path) for path in sorted(root.rglob("*.*"))]
    model = backbone(tmp_path).tflite(tmp_path)
    found = []
    for batch in (1, 4):
        monkeypatch.setattr(features, "_BATCH", batch)
        found.append(list(compute(model, PIXELS, jobs, workers=2)))
    for (key, alone), (other_key, together) in zip(*found, strict=True):
        assert key == other_key
        if isinstance(alone, ImageError):
            assert str(together) == str(alone)
        else:
            assert alone.shape == (1, SMALL.feature_count)
            np.testing.assert_array_equal(alone, together)
    assert sum(isinstance(result, ImageError) for _, result in found[1]) == 1


def test_many_views_of_a_picture_that_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_classes(tmp_path / "photos", {"a": 5, "b": 5})
    jobs = [job(path) for path in sorted(root.rglob("*.*"))]
    model = backbone(tmp_path).tflite(tmp_path)
    decoded = []

    def counted(data: bytes, name: object) -> Image.Image:
        decoded.append(name)
        return decode_image(data, name)

    monkeypatch.setattr(features, "decode_image", counted)
    (_, plain), *_ = compute(model, PIXELS, jobs)

    def views(image: Image.Image, digest: str) -> list[np.ndarray]:
        """As many as the last digit of the digest says: none, one or more."""
        whole = resize(image, PIXELS)
        return [np.roll(whole, shift, axis=1) for shift in range(int(digest[-1], 16) % 6)]

    decoded.clear()
    single = LoadedModel(model, threads=1)
    for digest, result in compute(model, PIXELS, jobs, workers=2, views=views):
        assert not isinstance(result, ImageError)
        assert result.shape == (int(digest[-1], 16) % 6, SMALL.feature_count)
        pixels = resize(decode_image(dict(jobs)[digest].read_bytes()), PIXELS)
        for shift, row in enumerate(result):
            expected = single.run(normalize(np.roll(pixels, shift, axis=1), PIXELS)[None])
            np.testing.assert_array_equal(row, expected)
    assert sorted(map(str, decoded)) == sorted(str(path) for _, path in jobs)
    assert not isinstance(plain, ImageError)
    np.testing.assert_array_equal(
        plain[0], single.run(normalize(resize(decode_image(jobs[0][1].read_bytes()), PIXELS), PIXELS)[None])
    )
