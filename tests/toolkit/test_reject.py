"""When the answer is "unknown", and from which score on a label is an answer."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.errors import UsageError
from toolkit.head import Bools, Floats
from toolkit.reject import AUTO_RATE, RejectChoice, choose_rejection, parse_reject
from toolkit.thresholds import DEFAULT_THRESHOLD, choose_thresholds

#: Highest score of an int8 model.
INT8_BEST = 255 / 256


def top_scores(*tops: float) -> np.ndarray:
    """Rows of two scores with these best ones."""
    return np.array([[top, 1 - top] for top in tops], np.float32)


KNOWN = np.array([True, False])
NONE = np.array([False, False])


@pytest.mark.parametrize(
    ("text", "value"), [("auto", "auto"), ("off", "off"), ("0.05", 0.05), ("5%", 0.05), ("12.5%", 0.125)]
)
def test_what_can_be_asked_for(text: str, value: object) -> None:
    assert parse_reject(text) == value


@pytest.mark.parametrize("text", ["", "on", "0", "1", "100%", "-1", "nan", "5 %%", "inf"])
def test_what_cannot(text: str) -> None:
    with pytest.raises(UsageError, match="--reject takes auto, off, or a share"):
        parse_reject(text)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.3])
def test_a_rate_is_kept(rate: float) -> None:
    scores = top_scores(*np.random.default_rng(0).uniform(0.5, 1, 400))
    found = choose_rejection(scores, np.tile(KNOWN, (400, 1)), rate)
    assert found.known.images == 400
    assert rate - 0.01 <= found.known.value <= rate
    assert 0.5 < found.unknown_below < 1


def spread(count: int) -> tuple[Floats, Bools]:
    """Scores of so many known pictures, and what is true of them."""
    return top_scores(*np.linspace(0.5, 1, count)), np.tile(KNOWN, (count, 1))


@pytest.mark.parametrize("count", [0, 1, 99, 500])
def test_off_and_nothing_held_out(count: int) -> None:
    scores, truth = spread(count)
    for choice in ("off", *(("auto", 0.05) if not count else ())):
        found = choose_rejection(scores.reshape(count, 2), truth, choice)  # type: ignore[arg-type]
        assert found.unknown_below == 0
        assert str(found) == f"every picture gets an answer ({'switched off' if choice == 'off' else found.why})"


def test_with_few_pictures_both_ways_say_how_many_are_needed() -> None:
    scores, truth = spread(8)
    auto, asked = choose_rejection(scores, truth, "auto"), choose_rejection(scores, truth, 0.05)
    assert str(auto) == (
        "every picture gets an answer (8 known held-out pictures are too few for a limit that rejects at most 1% of "
        "them: 100 are needed; --reject 5% or pictures of no class in _background_ set one all the same)"
    )
    assert str(asked) == (
        '"unknown" below a score of 50.0%: rejects 0 of 8 known held-out pictures (the lowest score of 8 known '
        "held-out pictures; 20 are needed for a limit that rejects at most 5% of them)"
    )
    one = choose_rejection(*spread(1), 0.3)
    assert one.why == (
        "the lowest score of 1 known held-out picture; 4 are needed for a limit that rejects at most 30% of them"
    )


def test_with_few_pictures_negatives_set_a_limit_below_all_of_the_known() -> None:
    truth = np.array([KNOWN] * 6 + [NONE] * 9)
    found = choose_rejection(top_scores(*[0.7, 0.8, 0.9, 0.9, 0.9, 0.9], *[0.6] * 7, *[0.85] * 2), truth, "auto")
    assert (found.known.correct, found.negatives.correct) == (0, 7)
    assert 0.6 < found.unknown_below <= 0.7
    assert found.why == (
        "tells pictures of no class best from the known, and is no higher than the lowest score of 6 known held-out "
        "pictures: 20 are needed to reject 5% of them"
    )


@pytest.mark.parametrize(("choice", "needed"), [("auto", 100), (0.05, 20), (0.125, 8), (0.003, 334)])
def test_a_share_can_be_told_from_its_inverse_on(choice: RejectChoice | float, needed: int) -> None:
    assert f" {needed} are needed" in choose_rejection(*spread(needed - 1), choice).why
    found = choose_rejection(*spread(needed), choice)
    assert found.known.correct == 1
    share = {"auto": 1}.get(str(choice)) or 100 * float(choice)
    assert found.why == f"a limit that rejects at most {share:g}% of them"


def test_negatives_that_no_limit_tells() -> None:
    truth = np.array([KNOWN] * 40 + [NONE] * 5)
    found = choose_rejection(top_scores(*[0.6] * 40, *[0.9] * 5), truth, "auto")
    assert str(found) == "every picture gets an answer (no limit tells pictures of no class from the known)"


def test_auto_without_negatives_rejects_one_in_a_hundred() -> None:
    scores = top_scores(*np.linspace(0.5, 1, 500))
    assert choose_rejection(scores, np.tile(KNOWN, (500, 1)), "auto").known.correct == 5


def test_auto_tells_negatives_from_the_known() -> None:
    scores = top_scores(*[0.95] * 40, *[0.55] * 20)
    truth = np.array([KNOWN] * 40 + [NONE] * 20)
    found = choose_rejection(scores, truth, "auto")
    assert (found.known.correct, found.negatives.correct) == (0, 20)
    # However many negatives look like the known, not more than so many of these are given up.
    mixed = choose_rejection(top_scores(*np.linspace(0.6, 0.9, 60)), truth[::-1], "auto")
    assert mixed.known.value <= AUTO_RATE


def test_the_picture_at_the_limit_is_still_answered() -> None:
    for seed in range(50):
        scores = top_scores(*np.random.default_rng(seed).uniform(0.5, 1, 120))
        found = choose_rejection(scores, np.tile(KNOWN, (120, 1)), 0.1)
        rejected = (scores.max(axis=1) < found.unknown_below).sum()
        assert rejected == found.known.correct <= 12


@pytest.mark.parametrize("choice", ["auto", 0.05, 0.5])
@pytest.mark.parametrize("negatives", [0, 30])
def test_an_int8_model_can_reach_the_limit(choice: RejectChoice | float, negatives: int) -> None:
    # Of classes that are very easy to tell every score is 1; negatives of these are nearly as sure.
    scores = top_scores(*[1.0] * 200, *np.linspace(0.6, 0.9999, negatives))
    truth = np.array([KNOWN] * 200 + [NONE] * negatives)
    found = choose_rejection(scores, truth, choice)
    assert 0 < found.unknown_below < INT8_BEST - 1 / 256
    assert found.known.correct == 0


@pytest.mark.parametrize(("high", "low"), [(1.0, 0.99999), (1e-5, 1e-7)])
def test_thresholds_that_an_int8_model_can_tell(high: float, low: float) -> None:
    truth = np.arange(40)[:, None] % 2 == 0
    scores = np.where(truth, high, low).astype(np.float32)
    (threshold,) = choose_thresholds(scores, truth, ("a",)).values()
    assert 0 < threshold < INT8_BEST, "0 would hold of every picture, 1 of none"


def test_thresholds_have_the_best_f1() -> None:
    random = np.random.default_rng(0)
    truth = random.random((80, 3)) < (0.5, 0.2, 0.1)
    scores = np.clip(truth * 0.3 + random.uniform(0, 0.7, (80, 3)), 0, 1).astype(np.float32).round(2)

    def f1(column: int, threshold: float) -> float:
        answered = scores[:, column] >= threshold
        hits = (answered & truth[:, column]).sum()
        return float(2 * hits / (answered.sum() + truth[:, column].sum()))

    for column, (label, threshold) in enumerate(choose_thresholds(scores, truth, ("a", "b", "c")).items()):
        best = max(f1(column, t) for t in np.linspace(0, 1, 201))
        assert f1(column, threshold) == pytest.approx(best), label


def test_a_label_that_validation_hardly_has_keeps_the_default() -> None:
    scores = np.random.default_rng(0).random((50, 2)).astype(np.float32)
    truth = np.zeros((50, 2), np.bool_)
    truth[:4, 0], truth[:, 1] = True, True
    assert choose_thresholds(scores, truth, ("rare", "always")) == dict.fromkeys(("rare", "always"), DEFAULT_THRESHOLD)
