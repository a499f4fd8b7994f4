from __future__ import annotations

import numpy as np
import pytest

from converters.paired import Paired


def rows(*classes: int) -> np.ndarray:
    return np.eye(3, dtype=np.bool_)[list(classes)]


def test_which_pictures_changed() -> None:
    truth, before, after = rows(0, 1, 2, 0, 1), rows(0, 0, 1, 0, 1), rows(1, 1, 0, 0, 1)
    paired = Paired.of(before, after, truth)
    assert paired == Paired(better=(1,), worse=(0,), other=(2,))
    assert Paired.from_json(paired.to_json()) == paired


def test_without_truth_a_change_is_neither_better_nor_worse() -> None:
    assert Paired.of(rows(0, 1), rows(0, 2), np.zeros((0, 3), np.bool_)) == Paired((), (), (1,))


@pytest.mark.parametrize(
    ("better", "worse", "chance"),
    [
        (0, 0, 1.0),
        (0, 2, 0.25),
        (0, 4, 0.0625),
        (0, 5, 0.03125),
        (3, 2, 0.8125),  # (10 + 10 + 5 + 1) / 32
        (20, 40, 0.006745),  # scipy.stats.binomtest(40, 60, alternative="greater")
    ],
)
def test_chance_is_the_tail_of_a_fair_coin(better: int, worse: int, chance: float) -> None:
    paired = Paired(tuple(range(better)), tuple(range(better, better + worse)), ())
    assert paired.chance == pytest.approx(chance, abs=1e-6)
    assert paired.may_be_chance == (worse > 0 and chance > 0.05)


def test_many_pictures() -> None:
    paired = Paired(tuple(range(3000)), tuple(range(3000, 6000)), ())
    assert 0.5 < paired.chance < 0.51
