"""The first half of every training, whatever its mode: pictures, split, backbone, features."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from converters.bundle import prepare_output_folder
from runtime.errors import DataError, MissingPackageError
from runtime.file_kind import shown
from runtime.spec import Preprocessing
from toolkit.backbones.catalog import DEFAULT_ARCHITECTURE, Architecture, find_architecture
from toolkit.backbones.layers import layers_of
from toolkit.backbones.registry import Backbone, LayeredBackbone, load_backbone
from toolkit.checkpoint import remove_abandoned
from toolkit.class_folders import check_outside
from toolkit.dataset import check_counts, check_folder, index_folder
from toolkit.earlier import Earlier, Rehearsal
from toolkit.features import FeatureTable, extract_features
from toolkit.first_look import first_look
from toolkit.folders import default_cache_dir
from toolkit.grouping import group_images, groups_of
from toolkit.head import Floats
from toolkit.head_fit import HeadData
from toolkit.options import TrainOptions
from toolkit.ready_pixels import ReadyPixels
from toolkit.records import DatasetIndex, ImageRecord, targets_of
from toolkit.signatures import Signature, SignatureCache
from toolkit.split import Share, split_images
from toolkit.stored_pictures import choose_pictures
from toolkit.training.net import blocks_of, open_blocks
from toolkit.views import CachedViews

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
        earlier: the model that the training goes on from; None begins anew.
        rehearsal: pictures of the index that are there as features only.
        pixels: content digest -> picture, resized, of those for the bundle that were decoded on the way.
        signatures: content digest -> looks of the pictures, where near duplicates were looked for.
    """

    index: DatasetIndex
    backbone: Backbone
    preprocessing: Preprocessing
    split: dict[Share, list[int]]
    table: FeatureTable
    cache_dir: Path
    earlier: Earlier | None = None
    rehearsal: Rehearsal = field(default_factory=Rehearsal)
    pixels: dict[str, NDArray[Any]] = field(default_factory=dict)
    signatures: Mapping[str, Signature] = field(default_factory=dict)

    def images(self, share: Share) -> list[ImageRecord]:
        """The pictures of a share, in the order of the index."""
        return [self.index.images[position] for position in self.split[share]]

    def data(self, share: Share, views: bool = False) -> HeadData:
        """Features and truth of a share; with ``views`` a row for each view of a picture as well, behind all others."""
        images = self.images(share)
        truth = targets_of(images, len(self.index.labels))
        vectors = [self.table.vectors[image.digest] for image in images]
        features = np.stack(vectors) if vectors else np.zeros((0, self.width), np.float32)
        groups = np.array([self._group_numbers[image.group] for image in images], np.int64)
        plain = HeadData(features, truth, groups)
        rows = [row for row, image in enumerate(images) if views and image.digest in self.table.views]
        if not rows:
            return plain
        more: list[Floats] = [self.table.views[images[row].digest] for row in rows]
        which = np.repeat(rows, [len(vectors) for vectors in more])
        drawn = HeadData(np.concatenate(more), truth[which], groups[which], np.zeros(len(which), np.bool_))
        return plain.followed_by(drawn)

    def without(self, failures: dict[str, str]) -> Prepared:
        """The same less pictures that cannot be read any more; all others stay in their shares.

        Args:
            failures: content digest -> reason.
        """
        kept = [position for position, image in enumerate(self.index.images) if image.digest not in failures]
        new = {old: position for position, old in enumerate(kept)}
        split = {share: [new[p] for p in positions if p in new] for share, positions in self.split.items()}
        return replace(self, index=self.index.without(failures), split=split)

    @cached_property
    def _group_numbers(self) -> dict[str, int]:
        return {group: number for number, group in enumerate(sorted({i.group for i in self.index.images}))}

    @property
    def width(self) -> int:
        """Features of a picture."""
        return self.backbone.architecture.feature_count


def prepare(image_dir: Path, options: TrainOptions, notify: Notify) -> Prepared:
    """Check everything that can be checked, read the pictures, compute their features.

    Args:
        image_dir: a folder per class, or one with ``labels.csv``; with ``options.earlier`` one class is enough.
        options: of the training.
        notify: is told in one line what happens.

    Raises:
        EdgeExportError: any of its kinds; nothing is lost, and features computed so far stay in the cache.
    """
    require_packages()
    earlier = Earlier.open(options)
    cache_dir = options.cache_dir or default_cache_dir()
    remove_abandoned(cache_dir / "checkpoints", notify)
    shares = options.split.shares()
    # No folder, no classes: told before anything is touched or fetched.
    check_folder(image_dir, options.task, 2 if earlier is None else 1)
    check_outside(options.output_dir, image_dir)
    prepare_output_folder(options.output_dir)
    options.outputs.check(options.output_dir)
    backbone, preprocessing = _network(options, earlier, cache_dir)
    _check_unfreeze(backbone, options)
    notify(f"{backbone.architecture.name}, weights {backbone.origin}")
    ready = ReadyPixels(preprocessing)
    index, rehearsal, signatures = _index(image_dir, options, earlier, cache_dir, notify, ready)
    _require_counts(index, shares, notify)
    views = CachedViews(options.drawn, options.view_count, options.seed) if options.view_count else None
    fixed = rehearsal.fixed()
    split = split_images(index.images, options.split, fixed)
    viewed = {index.images[p].digest for share in ("training", "validation") for p in split[share]}
    chosen = choose_pictures(index, split, options.calibration_images, options.seed, rehearsal.drawable)
    ready.keep(index.images[position].digest for position in (*chosen.test, *chosen.calibration))
    table = extract_features(backbone, preprocessing, rehearsal.files(index), cache_dir, views, viewed, notify, ready)
    if table.failures:
        index = index.without(table.failures)
        notify(f"damaged or changed, found while decoding and skipped: {len(table.failures)}")
        _require_counts(index, shares, notify)
        split = split_images(index.images, options.split, fixed)
    notify(f"{table.from_cache} of {len(table.vectors)} features from the cache, {_speed(table, views)}")
    _require_shares(index, split, shares)
    table = rehearsal.add_to(table)
    return Prepared(
        index, backbone, preprocessing, split, table, cache_dir, earlier, rehearsal, ready.kept(), signatures
    )


def _network(options: TrainOptions, earlier: Earlier | None, cache_dir: Path) -> tuple[Backbone, Preprocessing]:
    """The backbone with its initial weights, and how pictures become its input."""
    if earlier is not None:
        return earlier.backbone(options.model_dir, cache_dir), earlier.bundle.spec.preprocessing
    architecture = find_architecture(options.architecture or DEFAULT_ARCHITECTURE)
    if options.input_size is not None:  # convolutions take any
        architecture = replace(architecture, input_size=options.input_size)
    architecture = architecture.pooled(options.pooling or "avg")
    backbone = load_backbone(
        architecture,
        weights="none" if options.mode == "scratch" else options.weights,
        model_dir=options.model_dir,
        cache_dir=cache_dir,
        seed=options.seed,
    )
    return backbone, preprocessing_of(architecture)


def _check_unfreeze(backbone: Backbone, options: TrainOptions) -> None:
    """Refuse a block that is not there before the pictures are read, where no TensorFlow is needed to know."""
    wanted = options.tuning.unfreeze
    if options.mode == "finetune" and wanted != "auto" and isinstance(backbone, LayeredBackbone):
        open_blocks(blocks_of(layers_of(backbone.architecture)), wanted)


def _index(
    image_dir: Path,
    options: TrainOptions,
    earlier: Earlier | None,
    cache_dir: Path,
    notify: Notify,
    ready: ReadyPixels,
) -> tuple[DatasetIndex, Rehearsal, dict[str, Signature]]:
    """The pictures, those that belong together in groups, and their looks; what looks wrong is told, a line each."""
    index, signatures = _read_folder(image_dir, options, 2 if earlier is None else 1, cache_dir, notify, ready)
    found = index.summary()
    rehearsal = Rehearsal()
    if earlier is not None:
        index = earlier.relabelled(index)
        rehearsal = earlier.rehearsal(index, options.mode)
    index = rehearsal.join(index)
    known = {**rehearsal.signatures, **signatures}
    groups = groups_of(index, known if options.near_duplicates else {}, rehearsal.groups)
    index = group_images(index, groups)
    rehearsal = replace(rehearsal, groups={digest: groups[digest] for digest in rehearsal.groups})
    for line in first_look(index, signatures):
        notify(line)
    notify(found)
    if earlier is not None:
        _tell_rehearsal(earlier, rehearsal, notify)
        blind = sum(digest not in known for digest in rehearsal.groups)
        if blind and options.near_duplicates:
            notify(
                f"near copies of {blind} pictures of {shown(earlier.bundle.folder)} are not found: it does not say "
                "what they look like (an older version wrote it, or --no-near-duplicates)"
            )
    return index, rehearsal, known


def _read_folder(
    image_dir: Path, options: TrainOptions, least: int, cache_dir: Path, notify: Notify, ready: ReadyPixels
) -> tuple[DatasetIndex, dict[str, Signature]]:
    """The pictures and, where near duplicates are looked for, what they look like; what is decoded becomes ready."""
    signatures: dict[str, Signature] = {}
    if not options.near_duplicates:
        return index_folder(image_dir, options.task, least=least), signatures
    with SignatureCache(cache_dir, notify) as cache:

        def look(digest: str, image: Image, path: Path) -> None:
            # Views are rendered of the whole picture, which has to be decoded for them anyway.
            whole = None if options.view_count else partial(ready.offer, digest)
            signatures[digest] = cache.signature(digest, image, path, whole)

        return index_folder(image_dir, options.task, look, least, cache.expect), signatures


def _tell_rehearsal(earlier: Earlier, rehearsal: Rehearsal, notify: Notify) -> None:
    labels = earlier.bundle.spec.labels
    said = f"from {shown(earlier.bundle.folder)}, {len(labels)} classes"
    if rehearsal.images:
        said += f"; {len(rehearsal.images)} pictures that are not here are learned again from their stored features"
    if rehearsal.left_out:
        said += f"; {rehearsal.left_out} pictures that are not here are left out: the network needs pictures"
    notify(said)


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
                f"the class {label!r} has no picture for the {share} share: near duplicates stay together "
                "(--no-near-duplicates parts them), and so do files of one name before _nohash_ and the labels of a "
                "picture; add pictures that differ"
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


def _speed(table: FeatureTable, views: CachedViews | None) -> str:
    if not table.computed:
        return "none computed"
    rate = table.computed / max(table.seconds, 1e-9)
    counted = "" if views is None else ", each view counted,"
    return f"{table.computed} computed{counted} in {table.seconds:.1f} s ({rate:.0f} images/s)"
