"""A training of seconds, to be called by tests and to be killed: ``python -m tests.toolkit.training.small_run``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from runtime.spec import Preprocessing, Task
from toolkit.backbones.catalog import find_architecture
from toolkit.backbones.registry import Backbone, load_backbone
from toolkit.dataset import index_folder
from toolkit.finetune import FinetuneResult, finetune, zero_head
from toolkit.head import Floats, soft_targets
from toolkit.training.options import FinetuneOptions
from toolkit.training.pictures import Share

OPTIONS = FinetuneOptions(epochs=3, batch_size=8, unfreeze="2", mixup=0.2, precision="float32", save_seconds=1e-3)
# A quarter of the smallest MobileNet's input: what is tested here does not depend on it.
SIZE = 32
PREPROCESSING = Preprocessing(height=SIZE, width=SIZE)


def target_matrix(class_ids: Sequence[Sequence[int]], classes: int, task: Task) -> Floats:
    """Targets of pictures with these classes."""
    truth = np.zeros((len(class_ids), classes), np.bool_)
    for row, ids in zip(truth, class_ids, strict=True):
        row[list(ids)] = True
    return soft_targets(truth, task)


def small_backbone(cache_dir: Path) -> Backbone:
    backbone = load_backbone(find_architecture("mobilenet_0.25_128"), weights="none", cache_dir=cache_dir)
    return replace(backbone, architecture=replace(backbone.architecture, input_size=SIZE))


def share(pictures: Path, first: int, last: int) -> Share:
    """These of each class."""
    records: list[Any] = []
    index = index_folder(pictures)
    for class_id in range(len(index.labels)):
        records += [image for image in index.images if image.class_id == class_id][first:last]
    targets = target_matrix([(record.class_id,) for record in records], len(index.labels), "single-label")
    return Share(records, targets, np.ones(len(records), np.float32))


def run(
    pictures: Path,
    folder: Path,
    options: FinetuneOptions = OPTIONS,
    notify: Callable[[str], None] = lambda _message: None,
    **more: Any,
) -> FinetuneResult:
    training, validation = share(pictures, 0, 10), share(pictures, 10, 15)
    head = zero_head(256, 4)
    return finetune(
        small_backbone(folder),
        head,
        training,
        validation,
        "single-label",
        PREPROCESSING,
        options,
        folder,
        notify,
        **more,
    )


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), notify=print)
