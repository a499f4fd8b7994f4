"""How a backbone is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal, get_args

from runtime.errors import UsageError
from toolkit.training.net import Precision
from toolkit.views import STRONG, Augmentation

BatchNorm = Literal["frozen", "batch"]

#: Pixels. The networks halve their input five times; beyond the upper end a picture takes seconds on a small device.
LEAST_INPUT, MOST_INPUT = 32, 1024


@dataclass(frozen=True)
class FinetuneOptions:
    """How the backbone and the head are trained together.

    Attributes:
        unfreeze: ``auto`` (see ``auto_blocks``), ``all``, a number of blocks at the top, or a block's name: that and
            all above it.
        epochs: passes over the training pictures.
        learning_rate: of AdamW (https://arxiv.org/abs/1711.05101) for the head, after the warm-up; it falls to 0
            along a cosine (https://arxiv.org/abs/1608.03983).
        layer_decay: factor on the learning rate from each block to the one below
            (https://arxiv.org/abs/1801.06146, section 3.2); 1 trains all alike.
        weight_decay: of all kernels, times the learning rate.
        batch_size: pictures a step.
        warm_up: share of the steps in which the learning rate rises from 0.
        mixup: parameter of the Beta distribution by which pairs of pictures are mixed
            (https://arxiv.org/abs/1710.09412); 0 mixes none.
        label_smoothing: share of the target that is spread over all classes
            (https://arxiv.org/abs/1512.00567, section 7).
        dropout: share of the features that are left out in each step.
        ema: share of the averaged weights that a step leaves; the average is what is judged and kept; 0 keeps the
            weights of the last step.
        augmentation: views that are trained on; every epoch has its own.
        patience: training ends when this many epochs brought nothing better on validation; 0 never ends it early.
            The best weights are kept either way.
        batch_norm: ``frozen``: the statistics of the pretraining stay and only gamma and beta are trained, right
            where a batch says little about its subject; ``batch``: those of each batch, as in pretraining.
        precision: of the feature maps while training. ``bfloat16`` takes a fifth less time on processors with AMX, and
            its rounding costs accuracy: 89.3 % became 87.8 % on 400 photographs.
        seed: of the order of the pictures, their views, mixing and dropout.
        train_size: height and width of the views that are trained on, pixels; None takes the model's input. In the
            windows of views things are larger than in whole pictures: a smaller size, which is quicker, undoes it (H.
            Touvron et al., "Fixing the train-test resolution discrepancy", https://arxiv.org/abs/1906.06423).
        save_seconds: a checkpoint is written after each epoch, and after this many seconds inside one.
    """

    unfreeze: str = "auto"
    epochs: int = 10
    learning_rate: float = 3e-4
    layer_decay: float = 0.85
    weight_decay: float = 0.02
    batch_size: int = 16
    warm_up: float = 0.1
    mixup: float = 0.2
    label_smoothing: float = 0.1
    dropout: float = 0.2
    ema: float = 0.99
    augmentation: Augmentation = STRONG
    patience: int = 5
    batch_norm: BatchNorm = "frozen"
    precision: Precision = "float32"
    seed: int = 0
    train_size: int | None = None
    save_seconds: float = 60.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            _require(getattr(self, name) >= 1, name, "1 or more", getattr(self, name))
        _require(self.patience >= 0, "patience", "0 or more", self.patience)
        for name in ("learning_rate", "save_seconds"):
            value = getattr(self, name)
            _require(math.isfinite(value) and value > 0, name, "above 0", value)
        for name in ("weight_decay", "mixup"):
            value = getattr(self, name)
            _require(math.isfinite(value) and value >= 0, name, "0 or more", value)
        _require(0 < self.layer_decay <= 1, "layer_decay", "above 0 and at most 1", self.layer_decay)
        for name in ("label_smoothing", "dropout", "ema", "warm_up"):
            _require(0 <= getattr(self, name) < 1, name, "0 or more and less than 1", getattr(self, name))
        size = self.train_size
        fits = size is None or LEAST_INPUT <= size <= MOST_INPUT
        _require(fits, "train_size", f"{LEAST_INPUT} to {MOST_INPUT} pixels", size)
        _require(0 <= self.seed < 2**32, "seed", "0 or more and less than 2**32", self.seed)
        _require(self.batch_norm in get_args(BatchNorm), "batch_norm", "frozen or batch", repr(self.batch_norm))
        known = self.precision in get_args(Precision)
        _require(known, "precision", "float32 or bfloat16", repr(self.precision))

    def deciding(self) -> str:
        """All that changes the result, as text: everything but how often checkpoints are written."""
        return " ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.name != "save_seconds")


def _require(good: bool, name: str, range_: str, value: object) -> None:
    if not good:
        raise UsageError(f"--{name.replace('_', '-')} must be {range_}, not {value}")


#: Training from random weights: everything is open, normalisations learn their statistics, and it takes long.
SCRATCH = FinetuneOptions(
    unfreeze="all",
    epochs=100,
    learning_rate=2e-3,
    layer_decay=1.0,
    weight_decay=0.05,
    patience=20,
    batch_norm="batch",
    ema=0.995,
)
