"""toolkit.near_duplicates: copies are found, different pictures are not, and the search misses no pair."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from runtime.images import open_image
from tests.toolkit.bad_pictures import jpeg
from toolkit import near_duplicates
from toolkit.near_duplicates import MAX_DISTANCE, difference, near_duplicate_groups
from toolkit.signatures import BITS, Signature, signature_of


def scaled(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((round(image.width * factor), round(image.height * factor)))


def signature(data: bytes) -> Signature:
    return signature_of(open_image(data, "x"))


@pytest.fixture(scope="module")
def drawn(shapes: Path) -> dict[str, Signature]:
    return {path.name: signature(path.read_bytes()) for path in sorted(shapes.glob("*/*.jpg"))}


def test_different_pictures_are_alone(drawn: dict[str, Signature]) -> None:
    assert near_duplicate_groups(drawn) == {name: name for name in drawn}


@pytest.mark.parametrize(
    "change",
    [
        lambda image: jpeg(image, 30),
        lambda image: jpeg(scaled(image, 0.5)),
        lambda image: jpeg(scaled(image, 2.0)),
        lambda image: jpeg(ImageEnhance.Brightness(image).enhance(0.85)),
        lambda image: jpeg(ImageEnhance.Brightness(image).enhance(1.15)),
        lambda image: jpeg(ImageEnhance.Contrast(image).enhance(0.8)),
        lambda image: jpeg(ImageOps.crop(image, (2, 2, 2, 2))),
        lambda image: jpeg(image.resize((224, 224))),
        lambda image: jpeg(image.convert("L")),
        lambda image: jpeg(ImageOps.mirror(image), 60),
    ],
    ids=["quality 30", "half", "double", "darker", "brighter", "flatter", "cropped", "square", "grey", "mirrored"],
)
def test_copies_are_found(shapes: Path, drawn: dict[str, Signature], change: Callable[[Image.Image], bytes]) -> None:
    copies = {}
    for path in sorted(shapes.glob("*/*_000?.jpg")):
        with Image.open(path) as image:
            copies[f"~{path.name}"] = signature(change(image))
    assert len(copies) == 36
    groups = near_duplicate_groups(drawn | copies)
    assert {name: groups[name] for name in copies} == {name: name[1:] for name in copies}


def random_signatures(count: int, seed: int = 0) -> dict[str, Signature]:
    """Families of random bits: members differ from each other in 0 to 50 bits, every second one is mirrored."""
    random = np.random.default_rng(seed)
    families = random.random((count // 4 + 1, BITS)) < 0.5
    found = {}
    for number in range(count):
        bits = families[random.integers(len(families))].copy()
        bits[random.choice(BITS, random.integers(0, 26), replace=False)] ^= True
        one = Signature(bits, 50.0)
        found[f"{random.integers(16**8):08x}{number:08x}"] = Signature(one.mirrored(), 50.0) if number % 2 else one
    return found


def plain_groups(signatures: dict[str, Signature], max_distance: int) -> dict[str, str]:
    """The same by comparing each with each, in so many words."""
    parent = {name: name for name in signatures}

    def root(name: str) -> str:
        return name if parent[name] == name else root(parent[name])

    names = sorted(signatures)
    for position, a in enumerate(names):
        for b in names[position + 1 :]:
            if difference(signatures[a], signatures[b])[0] <= max_distance:
                low, high = sorted((root(a), root(b)))
                parent[high] = low
    return {name: root(name) for name in names}


@pytest.mark.parametrize("max_distance", [10, 20, MAX_DISTANCE, 40])
def test_the_search_misses_nothing(monkeypatch: pytest.MonkeyPatch, max_distance: int) -> None:
    monkeypatch.setattr(near_duplicates, "_TILE", 37)  # several tiles, the last one cut
    signatures = random_signatures(300, seed=max_distance)
    groups = near_duplicate_groups(signatures, max_distance)
    assert groups == plain_groups(signatures, max_distance)
    assert len(set(groups.values())) < 300


def test_groups_do_not_depend_on_the_order(drawn: dict[str, Signature]) -> None:
    signatures = random_signatures(200)
    turned = dict(reversed(signatures.items()))
    assert near_duplicate_groups(turned) == near_duplicate_groups(signatures)


def test_a_chain_is_one_group_named_by_its_smallest_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "_TILE", 16)
    bits = np.random.default_rng(1).random(BITS) < 0.5
    chain = {}
    for number in np.random.default_rng(2).permutation(100):
        link = bits.copy()
        link[: 2 * number] ^= True
        chain[f"{number * 7919 % 100:02d}"] = Signature(link, 50.0)
    assert near_duplicate_groups(chain, 2) == dict.fromkeys(chain, "00")


def test_very_many_copies_of_one_picture() -> None:
    bits = np.random.default_rng(1).random(BITS) < 0.5
    assert set(near_duplicate_groups({f"{n:04d}": Signature(bits, 50.0) for n in range(3000)}).values()) == {"0000"}


def test_blank_pictures_compare_with_nothing() -> None:
    blanks = {}
    for grey in (0, 128, 255):
        stream = io.BytesIO()
        Image.new("RGB", (100, 100), (grey,) * 3).save(stream, "png")
        blanks[str(grey)] = signature(stream.getvalue())
    assert near_duplicate_groups(blanks) == {name: name for name in blanks}


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_to_compare(count: int) -> None:
    signatures = random_signatures(count)
    assert near_duplicate_groups(signatures) == {name: name for name in signatures}
