"""The first half of every training, whatever its mode: pictures, split, backbone, features."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from converters.bundle import prepare_output_folder
from runtime.errors import DataError, MissingPackageError
from runtime.file_kind import shown
from runtime.spec import Preprocessing
from toolkit.backbones.catalog import Architecture, find_architecture
from toolkit.backbones.registry import Backbone, load_backbone
from toolkit.dataset import check_counts, check_folder, index_folder
from toolkit.features import CachedViews, FeatureTable, extract_features
from toolkit.first_look import first_look
from toolkit.folders import default_cache_dir
from toolkit.grouping import group_images
from toolkit.head import Floats
from toolkit.head_fit import HeadData
from toolkit.options import TrainOptions
from toolkit.records import DatasetIndex, ImageRecord, targets_of
from toolkit.signatures import Signature, SignatureCache
from toolkit.split import Share, split_images

if TYPE_CHECKING:
    from PIL.Image import Image

# What training imports, and `pip install .` does not bring, or not everywhere.
_PACKAGES = ("tensorflow", "keras", "h5py", "tqdm", "flatbuffers", "jinja2")
Notify = Callable[[str], None]


@dataclass(frozen=True)
class Prepared:
    """All that is known before anything is trained.

    Attributes:
        index: the pictures that can be used.
        backbone: with its initial weights.
        preprocessing: for its input.
        split: share -> positions in the index.
        table: features of the pictures by that backbone, and of the training pictures' views.
        cache_dir: of the toolkit.
    """

    index: DatasetIndex
    backbone: Backbone
    preprocessing: Preprocessing
    split: dict[Share, list[int]]
    table: FeatureTable
    cache_dir: Path

    def images(self, share: Share) -> list[ImageRecord]:
        """The pictures of a share, in the order of the index."""
        return [self.index.images[position] for position in self.split[share]]

    def data(self, share: Share, views: bool = False) -> HeadData:
        """Features and truth of a share; with ``views`` a row for each view of a picture as well, behind all others."""
        images = self.images(share)
        truth = targets_of(images, len(self.index.labels))
        vectors = [self.table.vectors[image.digest] for image in images]
        features = np.stack(vectors) if vectors else np.zeros((0, self.width), np.float32)
        numbers = {group: number for number, group in enumerate(sorted({i.group for i in self.index.images}))}
        groups = np.array([numbers[image.group] for image in images], np.int64)
        plain = HeadData(features, truth, groups)
        rows = [row for row, image in enumerate(images) if views and image.digest in self.table.views]
        if not rows:
            return plain
        more: list[Floats] = [self.table.views[images[row].digest] for row in rows]
        which = np.repeat(rows, [len(vectors) for vectors in more])
        drawn = HeadData(np.concatenate(more), truth[which], groups[which], np.zeros(len(which), np.bool_))
        return plain.followed_by(drawn)

    @property
    def width(self) -> int:
        """Features of a picture."""
        return self.backbone.architecture.feature_count


def prepare(image_dir: Path, options: TrainOptions, notify: Notify) -> Prepared:
    """Check everything that can be checked, read the pictures, compute their features.

    Args:
        image_dir: a folder per class, or one with ``labels.csv``.
        options: of the training.
        notify: is told in one line what happens.

    Raises:
        EdgeExportError: any of its kinds; nothing is lost, and features computed so far stay in the cache.
    """
    architecture = find_architecture(options.architecture)
    if options.input_size is not None:  # convolutions take any
        architecture = replace(architecture, input_size=options.input_size)
    require_packages()
    preprocessing = preprocessing_of(architecture)
    cache_dir = options.cache_dir or default_cache_dir()
    shares = options.split.shares()
    check_folder(image_dir, options.task)  # no folder, no classes: told before anything is touched or fetched
    prepare_output_folder(options.output_dir)
    options.outputs.check(options.output_dir)
    backbone = load_backbone(
        architecture,
        weights="none" if options.mode == "scratch" else options.weights,
        model_dir=options.model_dir,
        cache_dir=cache_dir,
        seed=options.seed,
    )
    notify(f"{architecture.name}, weights {backbone.origin}")
    index = _index(image_dir, options, cache_dir, notify)
    background = f" and {index.negatives} of no class" if index.negatives else ""
    notify(
        f"{len(index.images) - index.negatives} pictures in {len(index.labels)} classes{background}, "
        f"{len(index.skipped)} files skipped"
    )
    _require_counts(index, shares, notify)
    views = CachedViews(options.drawn, options.view_count, options.seed) if options.view_count else None
    shares_of = split_images(index.images, options.split)
    viewed = {index.images[p].digest for share in ("training", "validation") for p in shares_of[share]}
    table = extract_features(backbone, preprocessing, index.images, cache_dir, views, viewed)
    if table.failures:
        index = index.without(table.failures)
        notify(f"damaged, found while decoding and skipped: {len(table.failures)}")
        _require_counts(index, shares, notify)
    notify(f"{table.from_cache} of {len(index.images)} features from the cache, {_speed(table)}")
    split = split_images(index.images, options.split)
    _require_shares(index, split, shares)
    return Prepared(index, backbone, preprocessing, split, table, cache_dir)


def _index(image_dir: Path, options: TrainOptions, cache_dir: Path, notify: Notify) -> DatasetIndex:
    """The pictures, those that belong together in groups, and one line for each thing that looks wrong."""
    if not options.near_duplicates:
        return group_images(index_folder(image_dir, options.task), {})
    signatures: dict[str, Signature] = {}
    with SignatureCache(cache_dir) as cache:

        def look(digest: str, image: Image, path: Path) -> None:
            signatures[digest] = cache.signature(digest, image, path)

        index = group_images(index_folder(image_dir, options.task, look), signatures)
    for line in first_look(index, signatures):
        notify(line)
    return index


def _require_counts(index: DatasetIndex, shares: Sequence[Share], notify: Notify) -> None:
    """Every class needs a picture for each share; where one has too few, what was skipped is told first."""
    try:
        check_counts(index, len(shares), f"one each for {', '.join(shares)}")
    except DataError:
        for file in index.skipped:
            notify(f"skipped: {shown(file.path)}: {file.reason}")
        raise


def _require_shares(index: DatasetIndex, split: dict[Share, list[int]], shares: Sequence[Share]) -> None:
    for share in shares:
        counts = targets_of([index.images[p] for p in split[share]], len(index.labels)).sum(axis=0)
        if not counts.all():
            label = index.labels[int(counts.argmin())]
            raise DataError(
                f"the class {label!r} has no picture for the {share} share: its pictures look so much alike that they "
                "stay together (--no-near-duplicates parts them); add pictures that differ"
            )


def preprocessing_of(architecture: Architecture) -> Preprocessing:
    """How pictures become the input of an architecture: stretched, antialiased, its own normalisation."""
    size = architecture.input_size
    mean, std = (architecture.mean,) * 3, (architecture.std,) * 3
    return Preprocessing(height=size, width=size, mean=mean, std=std)


def require_packages() -> None:
    """Make sure that what training imports is installed.

    Raises:
        MissingPackageError: naming what is not.
    """
    for package in _PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise MissingPackageError(
                f"training needs {package}, which is not installed: pip install 'edge-export-toolkit[train]'"
            )


def _speed(table: FeatureTable) -> str:
    if not table.computed:
        return "none computed"
    rate = table.computed / max(table.seconds, 1e-9)
    return f"{table.computed} computed in {table.seconds:.1f} s ({rate:.0f} images/s)"
