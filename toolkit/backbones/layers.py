"""MobileNet v1, v2 and EfficientNet-Lite as one flat list of convolutions.

All three are chains of convolution + batch normalisation (+ ReLU6), some with a shortcut round a block. Said
once as data, a network can be written as TFLite without TensorFlow (``tflite_graph``), built in Keras
(``keras_graph``) and counted, and the three cannot disagree.

Sources: MobileNet https://arxiv.org/abs/1704.04861 table 1; MobileNetV2 https://arxiv.org/abs/1801.04381 table
2; EfficientNet-Lite https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite. Layer
names are those of Keras Applications, so that its weight files fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.backbones.catalog import Architecture

# Epsilon of every batch normalisation in the three families' reference code.
BATCH_NORM_EPSILON = 1e-3


@dataclass(frozen=True)
class ConvLayer:
    """A convolution with SAME padding and no bias, its batch normalisation, and what follows.

    Attributes:
        name: of the convolution; its weights are ``name/kernel``, HWIO, or HW(channels)1 when depthwise.
        batch_norm: of the normalisation; ``batch_norm/gamma|beta|moving_mean|moving_variance``, one a channel.
        kernel: height and width in pixels.
        stride: in both directions.
        filters: output channels; a depthwise layer has as many as its input.
        depthwise: one filter a channel.
        relu6: the output is clipped to [0, 6].
        adds: name of the earlier layer whose output is added to this one's.
    """

    name: str
    batch_norm: str
    kernel: int
    stride: int
    filters: int
    depthwise: bool = False
    relu6: bool = True
    adds: str | None = None


def layers_of(architecture: Architecture) -> tuple[ConvLayer, ...]:
    """The layers of a MobileNet v1, v2 or EfficientNet-Lite, from the picture to the last feature map."""
    if architecture.family == "mobilenet":
        return tuple(_mobilenet_v1(architecture.alpha or 1.0))
    if architecture.family == "mobilenet_v2":
        return tuple(_mobilenet_v2(architecture.alpha or 1.0))
    return tuple(_efficientnet_lite(*_LITE_SCALES[architecture.name]))


def is_layered(architecture: Architecture) -> bool:
    """Whether ``layers_of`` knows the architecture."""
    return architecture.family in {"mobilenet", "mobilenet_v2", "efficientnet_lite"}


# Pointwise filters and depthwise stride of the thirteen blocks; arXiv 1704.04861 table 1.
_V1_BLOCKS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)),
)


def _mobilenet_v1(alpha: float) -> list[ConvLayer]:
    layers = [ConvLayer("conv1", "conv1_bn", 3, 2, int(32 * alpha))]
    for number, (filters, stride) in enumerate(_V1_BLOCKS, 1):
        channels = layers[-1].filters
        layers.append(ConvLayer(f"conv_dw_{number}", f"conv_dw_{number}_bn", 3, stride, channels, depthwise=True))
        layers.append(ConvLayer(f"conv_pw_{number}", f"conv_pw_{number}_bn", 1, 1, int(filters * alpha)))
    return layers


# Expansion, filters, repeats, first stride; arXiv 1801.04381 table 2.
_V2_STAGES = (
    *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
    *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
)


def _mobilenet_v2(alpha: float) -> list[ConvLayer]:
    layers = [ConvLayer("Conv1", "bn_Conv1", 3, 2, round_filters(32 * alpha))]
    number = 0
    for expansion, filters, repeats, first_stride in _V2_STAGES:
        for repeat in range(repeats):
            prefix = f"block_{number}_" if number else "expanded_conv_"
            stride = first_stride if repeat == 0 else 1
            names = [(f"{prefix}{part}", f"{prefix}{part}_BN") for part in ("expand", "depthwise", "project")]
            layers += _inverted_residual(layers[-1], names, expansion, 3, stride, round_filters(filters * alpha))
            number += 1
    # "No width multiplier below 1 for the last layer", arXiv 1801.04381 section 6.1.
    layers.append(ConvLayer("Conv_1", "Conv_1_bn", 1, 1, round_filters(1280 * max(alpha, 1.0))))
    return layers


# Expansion, filters, kernel, repeats, first stride of EfficientNet-B0, which Lite0 shares.
_LITE_STAGES = (
    *((1, 16, 3, 1, 1), (6, 24, 3, 2, 2), (6, 40, 5, 2, 2), (6, 80, 3, 3, 2)),
    *((6, 112, 5, 3, 1), (6, 192, 5, 4, 2), (6, 320, 3, 1, 1)),
)
# Width and depth coefficients; efficientnet_lite_builder.py of the TPU repository.
_LITE_SCALES = {
    "efficientnet_lite0": (1.0, 1.0),
    "efficientnet_lite1": (1.0, 1.1),
    "efficientnet_lite2": (1.1, 1.2),
}


def _efficientnet_lite(width: float, depth: float) -> list[ConvLayer]:
    # Lite keeps the stem, the head and the repeats of the first and last stage fixed.
    layers = [ConvLayer("stem", "stem_bn", 3, 2, 32)]
    number = 0
    last = len(_LITE_STAGES) - 1
    for stage, (expansion, filters, kernel, repeats, first_stride) in enumerate(_LITE_STAGES):
        scaled = repeats if stage in (0, last) else math.ceil(repeats * depth)
        for repeat in range(scaled):
            stride = first_stride if repeat == 0 else 1
            names = [(f"block{number}_{p}", f"block{number}_{p}_bn") for p in ("expand", "depthwise", "project")]
            layers += _inverted_residual(layers[-1], names, expansion, kernel, stride, round_filters(filters * width))
            number += 1
    layers.append(ConvLayer("head", "head_bn", 1, 1, 1280))
    return layers


def _inverted_residual(
    before: ConvLayer, names: list[tuple[str, str]], expansion: int, kernel: int, stride: int, filters: int
) -> list[ConvLayer]:
    """Expand, filter each channel, project; with a shortcut where shape allows. arXiv 1801.04381 figure 4."""
    expand, depthwise, project = names
    wide = before.filters * expansion
    shortcut = before.name if stride == 1 and filters == before.filters else None
    layers = [ConvLayer(*expand, 1, 1, wide)] if expansion != 1 else []
    layers.append(ConvLayer(*depthwise, kernel, stride, wide, depthwise=True))
    layers.append(ConvLayer(*project, 1, 1, filters, relu6=False, adds=shortcut))
    return layers


def round_filters(filters: float, divisor: int = 8) -> int:
    """The nearest multiple of 8, never more than 10 % below; ``_make_divisible`` of the MobileNet code."""
    rounded = max(divisor, int(filters + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * filters else rounded
