"""Views: what is drawn, and the pixels it comes to, measured on real pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.errors import UsageError
from runtime.images import decode_image
from runtime.preprocess import resize
from runtime.spec import Preprocessing
from tests.toolkit.pictures import picture
from toolkit.views import MODERN, Augmentation, View, draw_view, render

SMALL = Preprocessing(height=24, width=32)
DIGEST = "ab" * 32


def views(augmentation: Augmentation, count: int = 400, seed: int = 0) -> list[View]:
    return [draw_view(augmentation, seed, DIGEST, number) for number in range(count)]


@pytest.fixture(scope="module")
def photo(shapes: Path) -> Image.Image:
    path = min(shapes.rglob("*.jpg"))
    return decode_image(path.read_bytes(), path)


def test_the_default_draws_the_picture_as_it_is(photo: Image.Image) -> None:
    assert Augmentation().changes_nothing
    assert not MODERN.changes_nothing
    assert set(views(Augmentation())) == {View()}
    np.testing.assert_array_equal(render(photo, View(), SMALL), resize(photo, SMALL).astype(np.float32))


def test_a_draw_depends_on_seed_picture_and_number_alone() -> None:
    one = draw_view(MODERN, 3, DIGEST, 5)
    assert draw_view(MODERN, 3, DIGEST, 5) == one
    others = {draw_view(MODERN, 4, DIGEST, 5), draw_view(MODERN, 3, "cd" * 32, 5), draw_view(MODERN, 3, DIGEST, 6)}
    assert len(others | {one}) == 4


def test_switching_one_distortion_on_leaves_the_others_as_they_were() -> None:
    for before, after in zip(views(Augmentation(random_crop=20)), views(Augmentation(True, 20)), strict=True):
        assert before == replace(after, mirror=False)


def test_flip_left_right_mirrors_half(photo: Image.Image) -> None:
    drawn = views(Augmentation(flip_left_right=True))
    assert 160 < sum(view.mirror for view in drawn) < 240  # 4 standard deviations of 400 coins
    np.testing.assert_array_equal(render(photo, View(mirror=True), SMALL), render(photo, View(), SMALL)[:, ::-1])


def test_random_crop_is_a_margin_and_the_window_may_lie_anywhere() -> None:
    boxes = np.array([view.box for view in views(Augmentation(random_crop=25))])
    np.testing.assert_allclose(boxes[:, 2:] - boxes[:, :2], 1 / 1.25)
    assert boxes[:, :2].min() < 0.01
    assert boxes[:, :2].max() > 0.19  # of at most 1 - 1 / 1.25 = 0.2
    assert boxes.min() >= 0
    assert boxes.max() <= 1
    assert abs(np.corrcoef(boxes[:, 0], boxes[:, 1])[0, 1]) < 0.2


def test_random_scale_divides_by_one_to_one_plus_its_share_and_multiplies_with_the_margin() -> None:
    boxes = np.array([view.box for view in views(Augmentation(random_crop=10, random_scale=50))])
    scales = 1 / (boxes[:, 2] - boxes[:, 0])
    np.testing.assert_allclose(scales, 1 / (boxes[:, 3] - boxes[:, 1]))
    assert 1.1 <= scales.min() < 1.12
    assert 1.63 < scales.max() <= 1.1 * 1.5
    assert abs(scales.mean() - 1.1 * 1.25) < 0.03


def test_random_brightness_multiplies(photo: Image.Image) -> None:
    factors = np.array([view.brightness for view in views(Augmentation(random_brightness=30))])
    assert 0.7 <= factors.min() < 0.72
    assert 1.28 < factors.max() <= 1.3
    plain = render(photo, View(), SMALL)
    np.testing.assert_allclose(render(photo, View(brightness=0.8), SMALL), plain * 0.8, rtol=1e-5)
    bright = render(photo, View(brightness=1.3), SMALL)
    np.testing.assert_allclose(bright, np.minimum(plain * 1.3, 255), rtol=1e-5)


def test_brightness_of_more_than_all_is_black_never_negative() -> None:
    factors = [view.brightness for view in views(Augmentation(random_brightness=300))]
    assert min(factors) == 0
    assert max(factors) > 3.5


def test_modern_windows_keep_their_area_and_proportions() -> None:
    boxes = np.array([view.box for view in views(MODERN)])
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert (width * height).min() >= 0.5 - 1e-9
    assert (width * height).max() > 0.95
    assert (width / height).min() >= 3 / 4 - 1e-9
    assert (width / height).max() <= 4 / 3 + 1e-9
    assert (width / height).max() > 1.2
    assert boxes.min() >= 0
    assert boxes.max() <= 1 + 1e-9


def test_modern_draws_every_filter_and_changes_light_and_colour_a_little() -> None:
    drawn = views(MODERN)
    assert {view.resample for view in drawn} == {"bilinear", "tf-bilinear", "bicubic"}
    for name in ("brightness", "contrast", "saturation"):
        values = np.array([getattr(view, name) for view in drawn])
        assert 0.8 <= values.min() < 0.83
        assert 1.17 < values.max() <= 1.2


def test_the_window_is_what_is_seen() -> None:
    image = Image.new("RGB", (100, 80))
    image.paste((255, 0, 0), (50, 40, 100, 80))
    right_below = render(image, View(box=(0.5, 0.5, 1.0, 1.0)), SMALL)
    assert right_below.shape == (24, 32, 3)
    assert right_below.dtype == np.float32
    assert (right_below == (255, 0, 0)).all()
    assert not render(image, View(box=(0.0, 0.0, 0.5, 0.5)), SMALL).any()


def test_the_window_lies_within_what_a_centre_crop_leaves() -> None:
    image = Image.new("RGB", (200, 50))
    image.paste((0, 255, 0), (75, 0, 125, 50))
    cropped = Preprocessing(height=16, width=16, resize="center-crop")
    for view in (View(box=(0.0, 0.0, 0.6, 0.6)), View(box=(0.4, 0.0, 1.0, 0.6))):
        assert (render(image, view, cropped) == (0, 255, 0)).all()


def test_saturation_zero_is_pillows_grey_and_contrast_zero_the_mean_grey(photo: Image.Image) -> None:
    plain = render(photo, View(), SMALL)
    grey = plain @ np.array([0.299, 0.587, 0.114], np.float32)
    seen = render(photo, View(saturation=0.0), SMALL)
    np.testing.assert_allclose(seen, np.repeat(grey[:, :, None], 3, 2), atol=0.01)
    np.testing.assert_allclose(render(photo, View(contrast=0.0), SMALL), grey.mean(), atol=0.01)
    both = render(photo, View(contrast=0.9, saturation=0.9, brightness=0.9), SMALL)
    by_hand = grey[:, :, None] + 0.9 * (plain - grey[:, :, None])
    by_hand = (grey.mean() + 0.9 * (by_hand - grey.mean())) * 0.9
    np.testing.assert_allclose(both, by_hand, atol=0.01)


def test_colours_of_a_bgr_model_are_the_same_in_its_order(photo: Image.Image) -> None:
    view = View(saturation=0.3, contrast=0.8)
    reversed_order = replace(SMALL, channel_order="BGR")
    np.testing.assert_allclose(render(photo, view, reversed_order), render(photo, view, SMALL)[:, :, ::-1], atol=0.01)


def test_the_filter_of_the_view_goes_before_the_models(photo: Image.Image) -> None:
    expected = resize(photo, replace(SMALL, resample="tf-bilinear"))
    np.testing.assert_array_equal(render(photo, View(resample="tf-bilinear"), SMALL), expected)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_pictures_of_a_few_pixels_have_views_too(size: int) -> None:
    for view in views(replace(MODERN, random_crop=300), 40):
        pixels = render(picture(1, size), view, SMALL)
        assert pixels.shape == (24, 32, 3)
        assert pixels.min() >= 0
        assert pixels.max() <= 255


def test_digests_tell_augmentations_apart() -> None:
    choices = [Augmentation(), MODERN, replace(MODERN, contrast=0.3), Augmentation(random_crop=1)]
    assert len({choice.digest() for choice in choices}) == 4
    assert Augmentation(random_crop=1).digest() == Augmentation(random_crop=1).digest()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"random_crop": -1}, "--random-crop must be 0 or more per cent, not -1"),
        ({"random_scale": -5}, "--random-scale"),
        ({"random_brightness": -5}, "--random-brightness"),
        ({"least_area": 0.0}, "least area"),
        ({"least_area": 1.5}, "least area"),
        ({"stretch": 0.5}, "stretch"),
        ({"stretch": float("nan")}, "stretch"),
        ({"contrast": 1.5}, "contrast"),
        ({"resample": ("cubic",)}, "cubic"),
    ],
)
def test_nonsense_is_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Augmentation(**options)  # type: ignore[arg-type]
