"""An earlier model to go on from: ``toolkit train --from BUNDLE``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.bundle import FEATURES_FILE, ModelBundle
from runtime.errors import DataError, ModelError, UsageError
from runtime.file_kind import shown
from runtime.spec import ModelSpec
from toolkit.backbones.catalog import Architecture, find_architecture
from toolkit.backbones.pooling import POOLINGS
from toolkit.backbones.registry import Backbone
from toolkit.bundle_weights import LayerArrays, backbone_of, head_of, read_layer_arrays
from toolkit.features import FeatureTable
from toolkit.head import Floats, Head, Layer
from toolkit.options import TrainOptions
from toolkit.records import DatasetIndex, ImageRecord
from toolkit.signatures import Signature
from toolkit.split import Share
from toolkit.stored_features import StoredFeatures

# A group that holds pictures of several shares goes to the first of these: what was learned is no test.
_STRICTEST: tuple[Share, ...] = ("training", "validation", "test")


@dataclass(frozen=True)
class Rehearsal:
    """Pictures of an earlier training that are not in the folder, learned again from their features.

    Attributes:
        images: their records, with the paths they had.
        vectors: content digest -> float32 (features,).
        pictures: content digest -> the resized picture, uint8 or float32 (height, width, 3), as the earlier bundle
            kept it for quantisation or for its checks; None where it kept none.
        shares: content digest -> share of every picture of the earlier training, in the folder or not.
        groups: content digest -> group, of the same.
        signatures: content digest -> looks, of the same, as far as the earlier bundle knows them.
        left_out: number of pictures that are not in the folder and not learned again either.
    """

    images: tuple[ImageRecord, ...] = ()
    vectors: Mapping[str, Floats] = field(default_factory=dict)
    pictures: Mapping[str, NDArray[Any] | None] = field(default_factory=dict)
    shares: Mapping[str, Share] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    signatures: Mapping[str, Signature] = field(default_factory=dict)
    left_out: int = 0

    def join(self, index: DatasetIndex) -> DatasetIndex:
        """The index with these pictures, which come first."""
        return replace(index, images=(*self.images, *index.images))

    def drawable(self, image: ImageRecord) -> bool:
        """Whether a picture of a joined index can be had, resized at least."""
        return self.pictures.get(image.digest, True) is not None

    def files(self, index: DatasetIndex) -> list[ImageRecord]:
        """The pictures of a joined index whose files are there."""
        return [image for image in index.images if image.digest not in self.vectors]

    def fixed(self) -> dict[str, Share]:
        """Group -> share, of the groups that the earlier training had pictures of, whether they are there or not."""
        found: dict[str, Share] = {}
        for share in reversed(_STRICTEST):
            for digest, its_share in self.shares.items():
                if its_share == share:
                    found[self.groups[digest]] = share
        return found

    def add_to(self, table: FeatureTable) -> FeatureTable:
        """The table with the features of these pictures."""
        return replace(table, vectors={**self.vectors, **table.vectors})


@dataclass(frozen=True)
class Earlier:
    """What a bundle gives to a training that goes on from it.

    Attributes:
        bundle: its folder; nothing of it is read any more when ``rehearsal`` and ``backbone`` were called.
        architecture: with the bundle's input size.
        head: with its temperature.
        features: None where the bundle has none.
        arrays: of its model file.
    """

    bundle: ModelBundle
    architecture: Architecture
    head: Head
    features: StoredFeatures | None
    arrays: LayerArrays

    @classmethod
    def open(cls, options: TrainOptions) -> Earlier | None:
        """The bundle that the options name; None where they name none.

        Raises:
            UsageError: no such folder, or options that do not go with it.
            ModelError: not a bundle, or damaged.
        """
        if options.earlier is None:
            return None
        bundle = ModelBundle.load(options.earlier)
        architecture = _architecture(bundle)
        _check_options(bundle.spec, architecture, options)
        arrays = read_layer_arrays(bundle)
        head = head_of(bundle, arrays, architecture.feature_count)
        stored = StoredFeatures.read(bundle.folder, len(bundle.spec.labels), architecture.feature_count)
        return cls(bundle, architecture, head, stored, arrays)

    def options(self, options: TrainOptions) -> TrainOptions:
        """The options with what the earlier model decides where they say nothing: its name, its hidden layer."""
        hidden = options.head.hidden or (len(self.head.layers[0].bias) if len(self.head.layers) > 1 else 0)
        name = options.name or self.bundle.spec.name
        return replace(options, name=name, head=replace(options.head, hidden=hidden))

    def backbone(self, model_dir: Path | None, cache_dir: Path) -> Backbone:
        """The network that the head stands on.

        Raises:
            ModelError: its weights are not those that the bundle was written with.
        """
        return backbone_of(self.bundle, self.arrays, self.architecture, model_dir, cache_dir)

    def relabelled(self, index: DatasetIndex) -> DatasetIndex:
        """The index with the earlier labels in their order, and new ones behind them.

        What the folder says of a picture counts. With several labels a picture it says nothing of the classes that
        it does not name: a picture that had them keeps them.
        """
        labels = tuple(self.bundle.spec.labels)
        new = tuple(label for label in index.labels if label not in labels)
        position = {label: number for number, label in enumerate((*labels, *new))}
        named = {position[label] for label in index.labels}
        kept: dict[str, set[int]] = {}
        if index.task == "multi-label" and self.features is not None:
            kept = {image.digest: set(image.class_ids) - named for image in self.features.images}
        images = []
        for image in index.images:
            ids = {position[index.labels[class_id]] for class_id in image.class_ids} | kept.get(image.digest, set())
            images.append(replace(image, class_ids=tuple(sorted(ids))))
        return replace(index, labels=(*labels, *new), images=tuple(images))

    def rehearsal(self, index: DatasetIndex, mode: str) -> Rehearsal:
        """What is learned again beside the pictures of the folder.

        Args:
            index: of the folder, relabelled.
            mode: of the training; only a frozen network leaves stored features as they are.

        Raises:
            DataError: a class of the earlier model would have no pictures.
            ModelError: a file of the bundle is damaged.
        """
        present = {image.digest for image in index.images}
        stored = self.features
        rows = [] if stored is None else [n for n, image in enumerate(stored.images) if image.digest not in present]
        before = () if stored is None else stored.images
        shares = {} if stored is None else dict(zip((i.digest for i in before), stored.shares, strict=True))
        groups = {image.digest: image.group for image in before}
        looks = {} if stored is None else stored.signatures
        if stored is None or mode != "bottleneck":
            self._require_classes(index, (), mode)
            return Rehearsal(shares=shares, groups=groups, signatures=looks, left_out=len(rows))
        images = tuple(stored.images[row] for row in rows)
        self._require_classes(index, images, mode)
        digests = [image.digest for image in images]
        vectors = {digest: stored.features[row].astype(np.float32) for digest, row in zip(digests, rows, strict=True)}
        return Rehearsal(images, vectors, self._pictures(digests), shares, groups, looks)

    def _require_classes(self, index: DatasetIndex, rehearsed: tuple[ImageRecord, ...], mode: str) -> None:
        filled = {class_id for image in (*index.images, *rehearsed) for class_id in image.class_ids}
        empty = [repr(label) for n, label in enumerate(self.bundle.spec.labels) if n not in filled]
        if not empty:
            return
        where, root, names = shown(self.bundle.folder), shown(index.root), ", ".join(empty)
        if mode != "bottleneck":
            raise DataError(
                f"--mode finetune needs the pictures themselves, and {root} has none of these classes of {where}: "
                f"{names}; add their folders, or leave out --mode finetune"
            )
        if self.features is None:
            raise DataError(
                f"{where} has no {FEATURES_FILE} (an older version wrote it), so {root} must hold pictures of all its "
                f"classes; these are missing: {names}; add their folders"
            )
        raise DataError(
            f"these classes of {where} have no pictures left, for all of theirs stand in other folders now: {names}; "
            "to leave a class out, train without --from"
        )

    def _pictures(self, digests: list[str]) -> dict[str, NDArray[Any] | None]:
        """The resized pictures of the bundle among these; copies, for the rest is to be forgotten."""
        found: dict[str, NDArray[Any] | None] = dict.fromkeys(digests)
        if not found:
            return found
        tests = self.bundle.test_pictures()
        images = self.bundle.calibration_images()
        known = self.bundle.calibration_digests()
        if known and len(known) != len(images):
            raise ModelError(f"{shown(self.bundle.folder)}: {len(images)} calibration pictures, {len(known)} digests")
        for digest, image in (*zip(tests.digests, tests.images, strict=True), *zip(known, images, strict=False)):
            if digest in found:
                found[digest] = image.copy()
        return found

    def start(self, classes: int, hidden: int) -> Head | None:
        """The head to begin a training by steps with: new classes begin at zero.

        Args:
            classes: of the new model; the earlier ones come first.
            hidden: neurons of its hidden layer.

        Returns:
            None where the earlier head has another hidden layer.
        """
        *below, last = self.head.layers
        if [len(layer.bias) for layer in below] != ([hidden] if hidden else []):
            return None
        more = classes - len(last.bias)
        widened = Layer(np.pad(last.kernel, ((0, 0), (0, more))), np.pad(last.bias, (0, more)))
        return Head((*below, widened), self.head.task)


def _architecture(bundle: ModelBundle) -> Architecture:
    spec = bundle.spec
    try:
        architecture = find_architecture(spec.backbone)
    except UsageError as error:
        raise ModelError(f"{shown(bundle.folder)} stands on a network that is not known here: {error}") from error
    if spec.preprocessing.height != spec.preprocessing.width:
        raise ModelError(f"{shown(bundle.folder)} takes pictures that are not square, which no training here makes")
    pooling = spec.provenance.get("pooling", "avg")  # bundles of the first version have no other
    if pooling not in POOLINGS:
        raise ModelError(f"{shown(bundle.folder)} has a pooling that is not known here: {pooling!r}")
    return replace(architecture, input_size=spec.preprocessing.height).pooled(pooling)


def _check_options(spec: ModelSpec, architecture: Architecture, options: TrainOptions) -> None:
    """Options that contradict the earlier model."""
    where = shown(options.earlier or "")
    if options.mode == "scratch":
        raise UsageError("--mode scratch begins with random weights, --from with trained ones; leave one of them out")
    if options.architecture is not None and find_architecture(options.architecture).name != architecture.name:
        raise UsageError(
            f"--architecture {options.architecture}: {where} is a {architecture.name}; leave --architecture out, or "
            "train without --from"
        )
    if options.input_size not in (None, architecture.input_size):
        raise UsageError(
            f"--input-size {options.input_size}: {where} takes pictures of {architecture.input_size} pixels; leave "
            "--input-size out, or train without --from"
        )
    if options.pooling not in (None, architecture.pooling):
        raise UsageError(
            f"--pooling {options.pooling}: {where} has the features of --pooling {architecture.pooling}; leave "
            "--pooling out, or train without --from"
        )
    if options.task != spec.task:
        say = "add --multi-label" if spec.task == "multi-label" else "leave --multi-label out"
        raise UsageError(f"{where} is a {spec.task} model; {say}")
