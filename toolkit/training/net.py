"""A backbone as TensorFlow variables that can be trained, block by block."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from runtime.errors import UsageError
from toolkit.backbones.layers import ConvLayer

#: What feature maps are computed in.
Precision = Literal["float32", "bfloat16"]

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Parameter:
    """One array that training changes.

    Attributes:
        name: unique in the network.
        variable: a ``tf.Variable``, float32.
        block: name of the block it stands in.
        decays: whether weight decay acts on it: kernels, but no normalisation and no bias.
    """

    name: str
    variable: Any
    block: str
    decays: bool


class Net(ABC):
    """A backbone under training.

    Attributes:
        blocks: names of the blocks, from the picture up.
        parameters: all that gradients can change, from the picture up.
        statistics: running means and variances of the normalisations: name -> ``tf.Variable``.
    """

    blocks: tuple[str, ...]
    parameters: list[Parameter]
    statistics: dict[str, Any]

    @abstractmethod
    def features(self, images: Any, training: bool) -> Any:
        """Normalised images (batch, height, width, 3) -> float32 (batch, features); called while a graph is traced.

        Args:
            images: float32.
            training: whether normalisations use the batch and move their statistics.
        """

    def arrays(self) -> dict[str, Floats]:
        """All weights as they are now, parameters and statistics."""
        found = {parameter.name: parameter.variable.numpy() for parameter in self.parameters}
        return found | {name: variable.numpy() for name, variable in self.statistics.items()}


def open_blocks(blocks: Sequence[str], unfreeze: str) -> tuple[str, ...]:
    """The blocks that are trained.

    Args:
        blocks: of the network, from the picture up.
        unfreeze: ``all``; a number: so many blocks at the top; or the name of a block: that and all above it.

    Raises:
        UsageError: no such block, or a number below 1.
    """
    if unfreeze == "all":
        return tuple(blocks)
    if re.fullmatch(r"-?\d{1,9}", unfreeze):
        count = int(unfreeze)
        if count < 1:
            raise UsageError(
                f"--unfreeze takes a number of blocks from 1 on, not {count}; to train the head alone "
                "use --mode bottleneck"
            )
        return tuple(blocks[-count:])
    if unfreeze not in blocks:
        shown = repr(unfreeze if len(unfreeze) <= 60 else unfreeze[:60] + "...")
        raise UsageError(f"--unfreeze {shown}: no such block; use all, a number, or one of {', '.join(blocks)}")
    return tuple(blocks[list(blocks).index(unfreeze) :])


def blocks_of(layers: Sequence[ConvLayer]) -> tuple[str, ...]:
    """Names of the blocks, from the picture up."""
    return tuple(dict.fromkeys(map(block_of, layers)))


def block_of(layer: ConvLayer) -> str:
    """Name of the block a layer of MobileNet v1, v2 or EfficientNet-Lite stands in."""
    if match := re.fullmatch(r"conv_(?:dw|pw)_(\d+)", layer.name):
        return f"block_{match[1]}"
    return re.sub(r"_(expand|depthwise|project)$", "", layer.name)
