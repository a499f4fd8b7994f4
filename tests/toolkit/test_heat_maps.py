"""The heat must lie on what makes the class: shapes drawn at known places."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image, ImageDraw

from runtime.classifier import Classifier
from runtime.interpreter import OperatorRunner
from runtime.preprocess import normalize, resize
from runtime.spec import Preprocessing
from toolkit.backbones.catalog import find_architecture
from toolkit.backbones.pooling import MAX_FACTOR
from toolkit.backbones.registry import load_backbone
from toolkit.dataset import index_folder
from toolkit.evaluation import Evaluation, truth_matrix
from toolkit.features import extract_features
from toolkit.head import HeadOptions, Layer
from toolkit.head_fit import HeadData, fit_one
from toolkit.heat_maps import HeatMapper, draw_heat_maps, heat_examples, overlay, share_of_places
from toolkit.model_tail import find_tail
from toolkit.prepare import preprocessing_of
from toolkit.records import targets_of

CIRCLE, SQUARE = 0, 1


class Kit(NamedTuple):
    """A backbone and a head that knows the drawn shapes."""

    backbone: bytes
    layer: Layer
    preprocessing: Preprocessing
    labels: tuple[str, ...]


@pytest.fixture(
    scope="module",
    params=[("mobilenet_1.00_224", "avg"), ("efficientnet_lite0", "avg"), ("mobilenet_1.00_224", "avg-max")],
)
def kit(request: pytest.FixtureRequest, shapes: Path, cache_dir: Path) -> Kit:
    name, pooling = request.param
    architecture = find_architecture(name).pooled(pooling)
    backbone, preprocessing = load_backbone(architecture, cache_dir=cache_dir), preprocessing_of(architecture)
    index = index_folder(shapes)
    table = extract_features(backbone, preprocessing, index.images, cache_dir)
    features = np.stack([table.vectors[image.digest] for image in index.images])
    data = HeadData(features, targets_of(index.images, len(index.labels)))
    (layer,) = fit_one(data, "single-label", 0.1, HeadOptions()).layers
    return Kit(backbone.tflite(cache_dir), layer, preprocessing, index.labels)


def drawn(number: int) -> tuple[Image.Image, int, tuple[int, int, int, int]]:
    """A picture with one shape in one corner, the shape's name as 0 or 1, and its box in pixels."""
    random = np.random.default_rng(number)
    grain = random.integers(90, 130, (240, 320, 3), np.uint8)
    image = Image.fromarray(grain)
    left, top = (10 if number % 2 else 200), (10 if number // 2 % 2 else 120)
    box = (left, top, left + 110, top + 110)
    colour = tuple(int(c) for c in random.choice([20, 240], 3))
    draw = ImageDraw.Draw(image)
    if number % 3:
        draw.ellipse(box, fill=colour)
        return image, CIRCLE, box
    draw.rectangle(box, fill=colour)
    return image, SQUARE, box


def test_the_heat_lies_on_the_shape(kit: Kit) -> None:
    mapper = HeatMapper.of_backbone(kit.backbone, [kit.layer], "single-label")
    assert mapper is not None
    classes = [kit.labels.index("circle"), kit.labels.index("square")]
    inside = []
    for number in range(12):
        image, shape, (left, top, right, bottom) = drawn(number)
        tensor = normalize(resize(image, kit.preprocessing), kit.preprocessing)[None]
        heat = mapper.heat(tensor, classes[shape])
        assert heat.shape == (7, 7)
        assert heat.max() == 1.0
        big = np.asarray(Image.fromarray(heat).resize(image.size, Image.Resampling.BICUBIC)).clip(0)
        inside.append(big[top:bottom, left:right].sum() / big.sum())
    area = 110 * 110 / (240 * 320)
    assert np.mean(inside) > 2 * area, inside


def test_the_map_is_what_the_pools_see(kit: Kit) -> None:
    tail = find_tail(kit.backbone)
    assert tail is not None
    assert tail.layers == ()
    tensor = normalize(resize(drawn(1)[0], kit.preprocessing), kit.preprocessing)[None]
    features, places = OperatorRunner(tail.model).run(tensor)
    pooled = [places.mean(axis=(1, 2))]
    if len(tail.pools) > 1:
        pooled.append(MAX_FACTOR * places.max(axis=(1, 2)))
    np.testing.assert_allclose(np.concatenate(pooled, axis=1), features, atol=1e-5)
    # What the places add is the feature, whatever the pool.
    shares = np.concatenate([share_of_places(places[0], pool).sum(axis=(0, 1)) for pool in tail.pools])
    np.testing.assert_allclose(shares, features[0], atol=1e-4)
    np.testing.assert_allclose(OperatorRunner(kit.backbone).run(tensor)[0], features, atol=1e-6)


def test_hidden_layers_give_the_gradient(kit: Kit) -> None:
    """Against finite differences of the logit; multi-label, where nothing is taken off it."""
    random = np.random.default_rng(0)
    width = len(kit.layer.kernel)
    first = Layer(random.normal(size=(width, 16)).astype(np.float32), random.normal(size=16).astype(np.float32))
    second = Layer(random.normal(size=(16, 3)).astype(np.float32), np.zeros(3, np.float32))
    mapper = HeatMapper.of_backbone(kit.backbone, [first, second], "multi-label")
    tail = find_tail(kit.backbone)
    assert mapper is not None
    assert tail is not None
    tensor = normalize(resize(drawn(2)[0], kit.preprocessing), kit.preprocessing)[None]
    features, places = (array.astype(np.float64) for array in OperatorRunner(tail.model).run(tensor))

    def logit(x: np.ndarray) -> np.ndarray:
        hidden = np.maximum(x @ first.kernel.astype(np.float64) + first.bias, 0)
        return hidden @ second.kernel.astype(np.float64)[:, 1]

    step = 1e-7
    gradient = (logit(features + step * np.eye(width)) - logit(features - step * np.eye(width))) / (2 * step)
    shares = [share_of_places(places[0], pool) for pool in tail.pools]
    parts = np.split(gradient, len(shares))
    expected = np.maximum(sum(share @ part for share, part in zip(shares, parts, strict=True)), 0)
    assert expected.max() > 0
    np.testing.assert_allclose(mapper.heat(tensor, 1), expected / expected.max(), atol=2e-3)


def test_what_all_classes_share_speaks_for_none(kit: Kit) -> None:
    shifted = Layer(kit.layer.kernel + np.float32(3), kit.layer.bias)
    tensor = normalize(resize(drawn(3)[0], kit.preprocessing), kit.preprocessing)[None]
    maps = [HeatMapper.of_backbone(kit.backbone, [layer], "single-label") for layer in (kit.layer, shifted)]
    plain, other = (mapper.heat(tensor, 0) for mapper in maps if mapper is not None)
    np.testing.assert_allclose(other, plain, atol=1e-3)


@pytest.mark.parametrize("name", ["mobilenet_v1_0.25_128_quant.tflite", "mobilenet_v2_1.0_224_quant.tflite"])
def test_files_of_others(thirdparty: Path, name: str) -> None:
    """Google's uint8 MobileNets: the layers that were read give the file's own answer; the heat is no flat field."""
    model = (thirdparty / name).read_bytes()
    tail, mapper = find_tail(model), HeatMapper.of_model(model, "single-label")
    assert tail is not None
    assert mapper is not None
    classifier = Classifier.load(thirdparty / name)
    image = Image.open(thirdparty / "grace_hopper.bmp").convert("RGB")
    tensor = classifier.tensor(resize(image, classifier.contract.preprocessing))
    scores, stored = OperatorRunner(tail.model).run(tensor)
    places = (stored[0].astype(np.float32) - tail.zero_point) * tail.scale
    (layer,) = tail.layers
    logits = places.mean(axis=(0, 1)) @ layer.kernel + layer.bias
    assert logits.argmax() == scores.argmax()
    heat = mapper.heat(tensor, int(scores.argmax()))
    assert heat.max() == 1.0
    assert heat.mean() < 0.75


def test_a_model_that_ends_otherwise(thirdparty: Path, kit: Kit) -> None:
    assert find_tail((thirdparty / "model_invoking_error.tflite").read_bytes()) is None
    assert HeatMapper.of_model(kit.backbone, "single-label") is None, "a backbone alone has no classes"


def test_overlay_covers_what_the_model_sees() -> None:
    image = Image.new("RGB", (400, 200), (10, 200, 10))
    cropped = Preprocessing(64, 64, resize="center-crop")
    pixels = np.asarray(overlay(image, np.ones((7, 7), np.float32), cropped, side=200))
    assert pixels.shape == (100, 200, 3)
    assert (pixels[:, :50] == (10, 200, 10)).all()
    assert (pixels[:, 150:] == (10, 200, 10)).all()
    assert (pixels[:, 55:145, 0] > 150).all()


def test_drawing(kit: Kit, tmp_path: Path) -> None:
    """A mistake shows both classes; pictures that are gone or changed are left out."""
    paths, digests = [], []
    for number in range(4):
        path = tmp_path / f"{number} 猫.png"
        drawn(number)[0].save(path)
        paths.append(path)
        digests.append(hashlib.sha256(path.read_bytes()).hexdigest())
    paths[2].write_bytes(b"other")
    paths[3].unlink()
    evaluation = Evaluation(
        ("a", "b", "c", "d"),
        "single-label",
        tuple(paths),
        tuple(digests),
        truth_matrix([[1], [0], [1], [2]], 4),
        np.array([[0.9, 0.1, 0, 0], [0.8, 0.1, 0.1, 0], [0, 1, 0, 0], [0, 0, 1, 0]], np.float32),
    )
    mapper = HeatMapper.of_backbone(kit.backbone, [kit.layer], "single-label")
    assert mapper is not None
    examples = heat_examples(evaluation, 4)
    assert [e.position for e in examples] == [0, 1, 2, 3]
    maps = draw_heat_maps(mapper, evaluation, examples, kit.preprocessing)
    assert [(m.example.position, [o.class_id for o in m.overlays]) for m in maps] == [(0, [0, 1]), (1, [0])]
    for jpeg in (maps[0].jpeg, *(o.jpeg for o in maps[0].overlays)):
        with Image.open(io.BytesIO(jpeg)) as picture:
            assert (picture.format, picture.size) == ("JPEG", (320, 240))
