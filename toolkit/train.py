"""A folder of pictures to a bundle: index, features, split, head, evaluation, files."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from converters.accuracy import Accuracy
from converters.bundle import prepare_output_folder, write_bundle
from runtime.errors import DataError, MissingPackageError, UsageError
from runtime.file_kind import shown
from runtime.spec import LabelList, ModelSpec, Preprocessing
from runtime.versions import package_version
from toolkit.backbones.catalog import DEFAULT_ARCHITECTURE, Architecture, find_architecture
from toolkit.backbones.registry import Backbone, WeightChoice, load_backbone
from toolkit.bundle_files import (
    BundleContent,
    StoredPictures,
    choose_calibration,
    fill_bundle,
    stored_pictures,
)
from toolkit.calibrate import Calibration, calibrate
from toolkit.dataset import check_counts, class_folders, index_folder
from toolkit.features import FeatureTable, extract_features
from toolkit.folders import default_cache_dir
from toolkit.head import Floats, Head, HeadOptions, Ints, train_head
from toolkit.progress import progress_bar
from toolkit.records import DatasetIndex, SkippedFile
from toolkit.split import Share, SplitOptions, split_images

#: Test pictures stored in a bundle for checking exports; 1,000 give an interval of +-2 points.
MAX_TEST_PICTURES = 1000
# Of a model's name, bytes: file systems allow 255 for a file name, and exports append to it.
_MAX_NAME_BYTES = 100
# What training imports, and `pip install .` does not bring, or not everywhere.
_PACKAGES = ("tensorflow", "keras", "h5py", "tqdm", "flatbuffers")


@dataclass(frozen=True)
class TrainOptions:
    """Everything that ``toolkit train`` can be told.

    Attributes:
        output_dir: folder of the bundle.
        architecture: as ``toolkit architectures`` lists them.
        name: of the model, for file names; None takes the picture folder's name.
        weights: ``imagenet`` or ``none`` (random, to try the mechanics).
        model_dir: folder of weight files that goes before all other places.
        cache_dir: for features, downloads and converted backbones; None takes the user's.
        split: percentages.
        head: how the classifier is trained.
        calibration_images: number of training pictures kept for quantisation.
        seed: of random weights, the order of training pictures and the choice of calibration pictures.
    """

    output_dir: Path = Path("model")
    architecture: str = DEFAULT_ARCHITECTURE
    name: str | None = None
    weights: WeightChoice = "imagenet"
    model_dir: Path | None = None
    cache_dir: Path | None = None
    split: SplitOptions = field(default_factory=SplitOptions)
    head: HeadOptions = field(default_factory=HeadOptions)
    calibration_images: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        if self.calibration_images < 1:
            raise UsageError(f"the number of calibration images must be 1 or more, not {self.calibration_images}")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"the seed must be 0 or more and less than 2**32, not {self.seed}")
        if self.name is not None and (not self.name or self.name != _file_name(self.name)):
            suggestion = _file_name(self.name) or "model"
            raise UsageError(f"the name {self.name!r} cannot be part of a file name; {suggestion!r} could")


@dataclass(frozen=True)
class TrainResult:
    """What a training gave.

    Attributes:
        folder: of the bundle.
        spec: of the model.
        accuracy: of each share.
        skipped: files that were not used.
        images: number of pictures used.
        from_cache: how many features were not computed now.
        seconds: that computing features took.
        written: False where the folder already held this very model.
    """

    folder: Path
    spec: ModelSpec
    accuracy: dict[Share, Accuracy]
    skipped: tuple[SkippedFile, ...]
    images: int
    from_cache: int
    seconds: float
    written: bool


@dataclass(frozen=True)
class _Trained:
    """A head and all that it came from; ``test_scores`` are its answers, (test pictures, classes)."""

    index: DatasetIndex
    backbone: Backbone
    preprocessing: Preprocessing
    split: dict[Share, list[int]]
    head: Head
    calibration: Calibration
    accuracy: dict[Share, Accuracy]
    test_scores: Floats


def _ignore(_message: str) -> None:
    pass


def train(image_dir: Path, options: TrainOptions | None = None, notify: Callable[[str], None] = _ignore) -> TrainResult:
    """Train a classifier on a folder that has one folder of pictures for each class.

    Args:
        image_dir: the folder.
        options: None takes the defaults.
        notify: is told in one line what happens at each step.

    Returns:
        Accuracies and where the bundle is; the bundle is whole or absent whenever the process ends.

    Raises:
        EdgeExportError: any of its kinds; nothing is lost, and features computed so far stay in the cache.
    """
    options = options or TrainOptions()
    architecture = find_architecture(options.architecture)
    _require_packages()
    preprocessing = preprocessing_of(architecture)
    cache_dir = options.cache_dir or default_cache_dir()
    shares = options.split.shares()
    class_folders(image_dir)  # no folder, no classes: told before anything is touched or fetched
    prepare_output_folder(options.output_dir)
    backbone = load_backbone(
        architecture,
        weights=options.weights,
        model_dir=options.model_dir,
        cache_dir=cache_dir,
        seed=options.seed,
    )
    notify(f"{architecture.name}, weights {backbone.origin}")
    index = index_folder(image_dir)
    notify(f"{len(index.images)} pictures in {len(index.labels)} classes, {len(index.skipped)} files skipped")
    _require_counts(index, shares, notify)
    table = extract_features(backbone, preprocessing, index.images, cache_dir)
    index = index.without(table.failures)
    if table.failures:
        notify(f"damaged, found while decoding and skipped: {len(table.failures)}")
    notify(f"{table.from_cache} of {len(index.images)} features from the cache, {_speed(table)}")
    _require_counts(index, shares, notify)
    split = split_images(index.images, options.split)
    data = {share: _arrays(table, index, positions) for share, positions in split.items()}
    head = _train_head(data, index, options)
    head, calibration = calibrate(head, *data["validation"])
    notify(f"calibration: {calibration}")
    accuracy = {share: Accuracy.of(head.scores(x), y) for share, (x, y) in data.items()}
    trained = _Trained(index, backbone, preprocessing, split, head, calibration, accuracy, head.scores(data["test"][0]))
    content = _content(trained, options)
    written = not content.stands_in(options.output_dir)
    if written:
        notify("Writing the model")
        write_bundle(options.output_dir, lambda target: fill_bundle(content, target, cache_dir))
    return TrainResult(
        options.output_dir,
        content.spec,
        accuracy,
        index.skipped,
        len(index.images),
        table.from_cache,
        table.seconds,
        written,
    )


def _require_counts(index: DatasetIndex, shares: Sequence[Share], notify: Callable[[str], None]) -> None:
    """Every class needs a picture for each share; where one has too few, what was skipped is told first."""
    try:
        check_counts(index, len(shares), f"one each for {', '.join(shares)}")
    except DataError:
        for file in index.skipped:
            notify(f"skipped: {shown(file.path)}: {file.reason}")
        raise


def preprocessing_of(architecture: Architecture) -> Preprocessing:
    """How pictures become the input of an architecture: stretched, antialiased, its own normalisation."""
    size = architecture.input_size
    mean, std = (architecture.mean,) * 3, (architecture.std,) * 3
    return Preprocessing(height=size, width=size, mean=mean, std=std)


def _require_packages() -> None:
    for package in _PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise MissingPackageError(
                f"training needs {package}, which is not installed: pip install 'edge-export-toolkit[train]'"
            )


def _speed(table: FeatureTable) -> str:
    computed = len(table.vectors) - table.from_cache
    if not computed:
        return "none computed"
    return f"{computed} computed in {table.seconds:.1f} s ({computed / max(table.seconds, 1e-9):.0f} images/s)"


def _arrays(table: FeatureTable, index: DatasetIndex, positions: Sequence[int]) -> tuple[Floats, Ints]:
    images = [index.images[p] for p in positions]
    width = len(next(iter(table.vectors.values())))
    vectors = [table.vectors[image.digest] for image in images]
    features = np.stack(vectors) if vectors else np.zeros((0, width), np.float32)
    return features, np.array([image.class_id for image in images], np.int64)


def _train_head(data: dict[Share, tuple[Floats, Ints]], index: DatasetIndex, options: TrainOptions) -> Head:
    total = options.head.epochs * len(options.head.penalties)
    # Without a validation share the penalty is chosen on the training pictures.
    validation = data["validation"] if len(data["validation"][1]) else data["training"]
    with progress_bar("Training the head", total, unit=" epochs") as bar:
        return train_head(data["training"], validation, len(index.labels), options.head, bar.update)


def _content(trained: _Trained, options: TrainOptions) -> BundleContent:
    index, backbone, head = trained.index, trained.backbone, trained.head
    calibration = choose_calibration(index, trained.split["training"], options.calibration_images, options.seed)
    keep = stored_pictures(index, trained.split["test"][:MAX_TEST_PICTURES], calibration, trained.preprocessing)
    provenance: dict[str, Any] = {
        "dataset": index.digest(),
        "weights": backbone.digest,
        "model": _model_digest(backbone, head, keep),
        "toolkit": package_version("edge-export-toolkit") or "from source",
        "keras": package_version("keras"),
        "seed": options.seed,
    }
    spec = ModelSpec(
        name=options.name or _file_name(index.root.resolve().name) or "model",
        backbone=backbone.architecture.name,
        task="single-label",
        preprocessing=trained.preprocessing,
        labels=LabelList(index.labels),
        provenance=provenance,
    )
    metrics = {
        "schema_version": 1,
        "accuracy": {share: accuracy.to_json() for share, accuracy in trained.accuracy.items()},
        "images_per_class": dict(zip(index.labels, index.counts(), strict=True)),
        "skipped": [{"path": str(s.path), "reason": s.reason} for s in index.skipped],
        "penalty": head.penalty,
        "calibration": trained.calibration.to_json(),
        "split": {
            "validation_percentage": options.split.validation_percentage,
            "testing_percentage": options.split.testing_percentage,
        },
    }
    test = [index.images[p] for p in trained.split["test"]]
    return BundleContent(spec, backbone, head, index, test, trained.test_scores, keep, metrics)


def _file_name(name: str) -> str:
    """A name without what file systems, shells and text files trip over; may be empty."""
    printable = "".join(c if c.isprintable() else "_" for c in name)
    safe = re.sub(r"[\s/\\:*?\"<>|]+", "_", printable).strip("._").lstrip("-")
    return safe.encode()[:_MAX_NAME_BYTES].decode(errors="ignore")


def _model_digest(backbone: Backbone, head: Head, keep: StoredPictures) -> str:
    """Changes with anything that a conversion of the bundle depends on."""
    digest = hashlib.sha256(backbone.digest.encode())
    for array in (head.kernel, head.bias, keep.calibration, keep.test):
        digest.update(array.tobytes())
    return digest.hexdigest()
