from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tensorflow")

from converters.formats.tflite import convert_function
from converters.quantization import qat
from converters.quantization.qat import finetune_quantized
from runtime.errors import DataError, ModelError
from tests.converters import small_nets
from tests.converters.quantization import networks
from tests.converters.quantization.networks import PREPROCESSING, float_scores, int8_scores, ranges_of

PICTURES = small_nets.pictures(60)
# For tests of something else than what is learned.
FEW = PICTURES[:10]
# Of another draw than the calibration pictures.
OTHERS = small_nets.pictures(120)[60:]


def error(content: bytes, ranges: dict[int, tuple[float, float]], wanted: NDArray[np.float32]) -> float:
    """Mean difference of a score of the integer network, on pictures that nothing was learned from."""
    return float(np.abs(int8_scores(content, ranges, OTHERS, PREPROCESSING) - wanted).mean())


def finetuned(content: bytes, **options: Any) -> tuple[bytes, dict[int, tuple[float, float]]]:
    given = {"images": PICTURES, "ranges": ranges_of(content, PICTURES), "preprocessing": PREPROCESSING, "epochs": 1}
    return finetune_quantized(content, **{**given, **options})


@pytest.fixture
def short_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch ends when each picture was seen once."""
    monkeypatch.setattr(qat, "_LEAST_VIEWS", 0)


def test_a_network_that_collapses_in_int8_recovers() -> None:
    healthy = networks.chain()
    planted = networks.with_wild_channels(healthy, 500.0)
    wanted = float_scores(planted, OTHERS, PREPROCESSING)
    np.testing.assert_allclose(wanted, float_scores(healthy, OTHERS, PREPROCESSING), atol=1e-5)
    plain = error(planted, ranges_of(planted, PICTURES), wanted)
    best = error(healthy, ranges_of(healthy, PICTURES), wanted)
    assert plain > 8 * best, "nothing was planted"
    assert error(*finetuned(planted), wanted) < 1.2 * best


def test_weights_that_cannot_be_balanced_are_trained() -> None:
    """Under hard-swish no channel can be scaled: what helps is training alone."""
    content = networks.uneven()
    wanted = float_scores(content, OTHERS, PREPROCESSING)
    untrained, trained = (error(*finetuned(content, epochs=epochs), wanted) for epochs in (0, 4))
    assert untrained > 0.02, "int8 is as good as float already"
    assert trained < 0.75 * untrained


def test_outliers_are_left_out_of_ranges() -> None:
    content = networks.chain()
    ranges = ranges_of(content, PICTURES)
    source = min(ranges)
    wide = {i: r if i == source else (r[0] * 6, r[1] * 6) for i, r in ranges.items()}
    wanted = float_scores(content, OTHERS, PREPROCESSING)
    _, chosen = finetuned(content, ranges=wide, epochs=0)
    assert error(content, chosen, wanted) < error(content, wide, wanted) / 2


@pytest.mark.parametrize("kind", ["residual", "concat", "hard_swish", "no_bias"])
def test_healthy_networks_come_to_no_harm(kind: str) -> None:
    content = small_nets.make(kind).float32
    wanted = float_scores(content, OTHERS, PREPROCESSING)
    plain = error(content, ranges_of(content, PICTURES), wanted)
    assert error(*finetuned(content, epochs=2), wanted) <= 1.1 * plain + 0.0005


def test_one_seed_gives_one_file() -> None:
    content = networks.uneven()
    first, second, other = (finetuned(content, seed=seed) for seed in (7, 7, 8))
    assert first == second
    assert first[0] != other[0]


@pytest.mark.usefixtures("short_epochs")
def test_ranges_are_of_the_tensors_that_were_asked_for() -> None:
    content = small_nets.make("hard_swish").float32
    ranges = ranges_of(content, PICTURES)
    _, learned = finetuned(content, images=FEW)
    assert learned.keys() == ranges.keys()
    assert all(low <= high for low, high in learned.values())
    assert learned[0] == ranges[0], "the input's range is the normalisation"
    left = {index: ends for index, ends in ranges.items() if index % 2 == 0}
    _, learned = finetuned(content, images=FEW, ranges=left)
    assert learned.keys() == left.keys()


@pytest.mark.usefixtures("short_epochs")
def test_each_epoch_is_told() -> None:
    told: list[str] = []
    finetuned(networks.chain(), images=FEW, epochs=2, notify=told.append)
    assert [line.split(",")[0] for line in told] == [f"Finetuning for int8: epoch {n} of 2" for n in (1, 2)]


@pytest.mark.usefixtures("short_epochs")
def test_what_is_told_on_standard_error_is_seen_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    """TensorFlow's chatter is held back there, the progress is not."""
    seen: list[str] = []

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)
        seen.append(capfd.readouterr().err)

    finetuned(networks.chain(), images=FEW, notify=tell)
    assert "epoch 1 of 1" in seen[0]


@pytest.mark.usefixtures("short_epochs")
def test_can_be_ended_between_epochs() -> None:
    def interrupt(_line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetuned(networks.chain(), images=FEW, epochs=50, notify=interrupt)


def test_three_pictures_are_enough_to_run() -> None:
    content = networks.chain()
    wanted = float_scores(content, OTHERS, PREPROCESSING)
    assert error(*finetuned(content, images=PICTURES[:3]), wanted) < 0.1


def test_without_pictures() -> None:
    with pytest.raises(DataError, match="needs calibration pictures"):
        finetuned(networks.chain(), images=PICTURES[:0])


@pytest.mark.parametrize("task", ["sigmoid", "plain"])
def test_other_ends_than_softmax(task: str) -> None:
    """Several labels, or a network of a stranger that ends otherwise."""
    import tensorflow as tf

    kernel = np.random.default_rng(0).normal(0, 0.5, (3, 3, 3, 5)).astype(np.float32)

    def forward(image: Any) -> Any:
        scores = tf.reduce_mean(tf.nn.conv2d(image, kernel, 2, "SAME"), [1, 2])
        return tf.sigmoid(scores) if task == "sigmoid" else scores * 0.5 + 0.5

    content = convert_function(forward, 24, 24)
    wanted = float_scores(content, OTHERS, PREPROCESSING)
    assert error(*finetuned(content), wanted) < 0.01


def test_a_network_that_mixes_pictures_is_refused() -> None:
    import tensorflow as tf

    content = convert_function(lambda x: tf.reduce_mean(x, [0, 1])[:1], 24, 24)
    with pytest.raises(ModelError, match="cannot be finetuned"):
        finetuned(content)
