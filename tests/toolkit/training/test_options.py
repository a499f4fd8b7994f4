"""What may be asked for, and what is said to the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runtime.errors import UsageError
from toolkit.backbones.catalog import find_architecture
from toolkit.backbones.layers import layers_of
from toolkit.training.net import block_of, open_blocks
from toolkit.training.options import SCRATCH, FinetuneOptions
from toolkit.views import Augmentation


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"epochs": 0}, "--epochs must be 1 or more, not 0"),
        ({"batch_size": 0}, "--batch-size must be 1 or more"),
        ({"learning_rate": 0.0}, "--learning-rate must be above 0"),
        ({"learning_rate": float("nan")}, "--learning-rate"),
        ({"layer_decay": 1.5}, "--layer-decay must be above 0 and at most 1, not 1.5"),
        ({"weight_decay": -1.0}, "--weight-decay must be 0 or more"),
        ({"mixup": float("inf")}, "--mixup"),
        ({"label_smoothing": 1.0}, "--label-smoothing must be 0 or more and less than 1"),
        ({"ema": 1.0}, "--ema"),
        ({"dropout": -0.1}, "--dropout"),
        ({"warm_up": 1.0}, "--warm-up"),
        ({"patience": -1}, "--patience"),
        ({"seed": -1}, "--seed"),
        ({"train_size": 16}, "--train-size must be 32 to 1024 pixels, not 16"),
        ({"save_seconds": 0.0}, "--save-seconds"),
        ({"batch_norm": "none"}, "--batch-norm must be frozen or batch, not 'none'"),
        ({"precision": "float16"}, "--precision must be float32 or bfloat16, not 'float16'"),
    ],
)
def test_nonsense_is_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        FinetuneOptions(**options)  # type: ignore[arg-type]


def test_what_decides_a_run_is_all_but_how_often_it_is_saved() -> None:
    base = FinetuneOptions()
    assert replace(base, save_seconds=5.0).deciding() == base.deciding()
    others = [replace(base, seed=1), replace(base, augmentation=Augmentation()), replace(base, unfreeze="3"), SCRATCH]
    assert len({base.deciding(), *(other.deciding() for other in others)}) == 5


BLOCKS = {
    "mobilenet_1.00_224": ("conv1", *(f"block_{n}" for n in range(1, 14))),
    "mobilenet_v2_1.00_224": ("Conv1", "expanded_conv", *(f"block_{n}" for n in range(1, 17)), "Conv_1"),
    "efficientnet_lite0": ("stem", *(f"block{n}" for n in range(16)), "head"),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_of_the_layered_families(name: str) -> None:
    assert tuple(dict.fromkeys(map(block_of, layers_of(find_architecture(name))))) == BLOCKS[name]


def test_which_blocks_are_open() -> None:
    blocks = BLOCKS["efficientnet_lite0"]
    assert open_blocks(blocks, "all") == blocks
    assert open_blocks(blocks, "2") == ("block15", "head")
    assert open_blocks(blocks, "1000") == blocks
    assert open_blocks(blocks, "block14") == ("block14", "block15", "head")
    assert open_blocks(blocks, "stem") == blocks


@pytest.mark.parametrize("wrong", ["0", "-3", "block16", "", "top", "blok" * 100])
def test_blocks_that_are_not_there(wrong: str) -> None:
    with pytest.raises(UsageError, match="--unfreeze") as caught:
        open_blocks(BLOCKS["efficientnet_lite0"], wrong)
    assert len(str(caught.value)) < 300
