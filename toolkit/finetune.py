"""Trains the backbone too: from ImageNet weights (finetune) or from random ones (scratch)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from converters.tensorflow import import_tensorflow
from runtime.errors import UsageError
from runtime.spec import Preprocessing, Task
from runtime.versions import package_version
from toolkit.backbones.catalog import Architecture
from toolkit.backbones.layers import layers_of
from toolkit.backbones.registry import Backbone, LayeredBackbone
from toolkit.checkpoint import CheckpointStore
from toolkit.training.loop import EpochFigures, Loop
from toolkit.training.model import HeadLayers, TrainedModel
from toolkit.training.net import Net, Precision
from toolkit.training.options import SCRATCH, FinetuneOptions
from toolkit.training.pictures import Share

# The lowest block that ``auto`` opens. Lower ones see edges and colours, which are the same in every data set, on the
# largest maps of the network: leaving them as they are halves the time of a step.
_AUTO_BLOCKS = {
    "mobilenet": "block_4",
    "mobilenet_v2": "block_6",
    "mobilenet_v3": "expanded_conv_4",
    "inception_v3": "mixed3",
    "efficientnet_lite": "block5",
}


@dataclass(frozen=True)
class FinetuneResult:
    """What a training gave.

    Attributes:
        backbone: the same architecture with the trained weights.
        head: trained with it.
        curves: one entry an epoch.
        checkpoints: of the run; remove them when the result is safe.
    """

    backbone: Backbone
    head: HeadLayers
    curves: tuple[EpochFigures, ...]
    checkpoints: CheckpointStore


def finetune(
    backbone: Backbone,
    head: HeadLayers,
    training: Share,
    validation: Share,
    task: Task,
    preprocessing: Preprocessing,
    options: FinetuneOptions,
    checkpoint_dir: Path,
    notify: Callable[[str], None] = lambda _message: None,
    resume: bool = True,
) -> FinetuneResult:
    """Train a backbone and its head together.

    Args:
        backbone: with the weights to begin with.
        head: trained on the features of this backbone; kernel and bias of each layer.
        training: what is learned.
        validation: decides which weights are kept, and when training stops; may be empty.
        task: of the targets.
        preprocessing: of the views; their size need not be that of the backbone's input.
        options: how.
        checkpoint_dir: folder of checkpoints; they are named by everything that decides the run.
        notify: is told in one line what happens.
        resume: go on where a run with the same pictures, options and weights was ended; otherwise begin anew.

    Returns:
        The trained backbone and head. One seed gives one result on one machine as far as TensorFlow allows: sums over
        several threads may differ in their last digits.

    Raises:
        UsageError: no such block to unfreeze.
        DataError: a picture was changed, a checkpoint cannot be written, or the loss is no number any more.
        MissingPackageError: TensorFlow is not installed.
    """
    import_tensorflow()
    architecture = replace(backbone.architecture, input_size=preprocessing.height)
    net = net_of(replace(backbone, architecture=architecture), options.precision)
    model = TrainedModel(
        net, head, task, options, auto_blocks(backbone.architecture) if options.unfreeze == "auto" else options.unfreeze
    )
    store = CheckpointStore(checkpoint_dir, _run_digest(backbone, head, (training, validation), preprocessing, options))
    if not resume:
        store.remove()
    notify(f"training {len(model.open)} of {len(net.blocks)} blocks, from {model.open[0]} up, in {options.precision}")
    curves = Loop(model, training, validation, preprocessing, task, options, store).run(notify)
    weights, trained_head = model.weights()
    return FinetuneResult(backbone.with_weights(weights, backbone.trained_origin), trained_head, tuple(curves), store)


def scratch(
    backbone: Backbone,
    head: HeadLayers,
    training: Share,
    validation: Share,
    task: Task,
    preprocessing: Preprocessing,
    options: FinetuneOptions = SCRATCH,
    checkpoint_dir: Path = Path("checkpoints"),
    notify: Callable[[str], None] = lambda _message: None,
    resume: bool = True,
) -> FinetuneResult:
    """The same from random weights: everything is open and normalisations learn their statistics.

    Args:
        backbone: of ``load_backbone(..., weights="none")``.
        head: its shapes count; ``zero_head`` makes one.
        training: see ``finetune``, as for all that follow.
        validation: see there.
        task: see there.
        preprocessing: see there.
        options: see there.
        checkpoint_dir: see there.
        notify: see there.
        resume: see there.
    """
    everything = replace(options, unfreeze="all", batch_norm="batch")
    return finetune(
        backbone, head, training, validation, task, preprocessing, everything, checkpoint_dir, notify, resume
    )


def blended(before: Backbone, after: Backbone, share: float) -> Backbone:
    """The backbone whose weights lie between two, so that what was learned counts and what was known is not lost.

    M. Wortsman et al., "Robust fine-tuning of zero-shot models", https://arxiv.org/abs/2109.01903. A head must be
    trained on its features: neither of the two heads fits them.

    Args:
        before: what training began with.
        after: what it gave, with normalisations that kept their statistics (``batch_norm="frozen"``).
        share: of ``after``, 0..1.

    Raises:
        UsageError: the share is not in 0..1.
    """
    if not 0 <= share <= 1:
        raise UsageError(f"the share of the trained weights must be 0 to 1, not {share}")
    import_tensorflow()
    old, new = (net_of(backbone, "float32").arrays() for backbone in (before, after))
    kept = {
        name: array if share == 1 else old[name] + np.float32(share) * (array - old[name])
        for name, array in new.items()
    }
    return after.with_weights(kept, f"{before.trained_origin}, {share:.0%} of the way")


def auto_blocks(architecture: Architecture) -> str:
    """The block that ``--unfreeze auto`` stands for: that and all above it are trained."""
    return _AUTO_BLOCKS[architecture.family]


def zero_head(features: int, classes: int, hidden: int = 0, seed: int = 0) -> HeadLayers:
    """A head that knows nothing: zeros; a hidden layer before them is He-normal, for zeros would never move."""
    last = (np.zeros((hidden or features, classes), np.float32), np.zeros(classes, np.float32))
    if not hidden:
        return (last,)
    kernel = np.random.default_rng(seed).normal(0, np.sqrt(2 / features), (features, hidden)).astype(np.float32)
    return ((kernel, np.zeros(hidden, np.float32)), last)


def net_of(backbone: Backbone, precision: Precision) -> Net:
    """The backbone as variables.

    Args:
        backbone: of any family.
        precision: of the feature maps; backbones of Keras Applications are always computed in float32.
    """
    from toolkit.training.keras_net import KerasNet
    from toolkit.training.layered_net import LayeredNet

    if isinstance(backbone, LayeredBackbone):
        architecture = backbone.architecture
        return LayeredNet(layers_of(architecture), backbone.weights, precision, architecture.pooling)
    return KerasNet(backbone.keras_model())


def _run_digest(
    backbone: Backbone,
    head: HeadLayers,
    shares: tuple[Share, ...],
    preprocessing: Preprocessing,
    options: FinetuneOptions,
) -> str:
    """Changes with everything that decides the result of a run."""
    digest = hashlib.sha256(f"training 2 {package_version('tensorflow')} {options.deciding()}".encode())
    digest.update(f"{backbone.architecture.name} {backbone.digest} {preprocessing.digest()}".encode())
    for kernel, bias in head:
        digest.update(kernel.tobytes() + bias.tobytes())
    for share in shares:
        digest.update("".join(picture.digest for picture in share.pictures).encode())
        digest.update(share.targets.tobytes() + share.weights.tobytes())
    return digest.hexdigest()
