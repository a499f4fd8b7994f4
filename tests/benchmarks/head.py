"""Training a head of the size that all 3,670 flowers make, on one core, in one run.

    python tests/benchmarks/head.py [--images 3670] [--features 1280] [--classes 5] [--rounds 3]

The head's regularisation is chosen by five folds, as ``toolkit train`` does; a tenth of the images is left out, to
compare on. Beside it, scikit-learn does the same where it is installed: ``LogisticRegressionCV`` with the same
penalties and folds. Features are drawn: classes that overlap, so that neither is done at once,
and sparse and positive like the ones that come out of a ReLU. The process keeps to one core from its start.
"""

from __future__ import annotations

import os

# Before numpy is imported, which reads them.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import argparse  # noqa: E402
import importlib  # noqa: E402
import importlib.util  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402

import numpy as np  # noqa: E402

from toolkit.head import Floats, HeadOptions, cross_entropy  # noqa: E402
from toolkit.head_fit import HeadData, fit_head  # noqa: E402
from toolkit.head_training import FOLDS, PENALTIES  # noqa: E402
from toolkit.tables import render_table  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=3670)
    parser.add_argument("--features", type=int, default=1280)
    parser.add_argument("--classes", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    training, validation = draw(args.images, args.features, args.classes)
    ways: dict[str, Callable[[], Floats]] = {"toolkit": lambda: ours(training, validation)}
    if importlib.util.find_spec("sklearn") is None:
        print("scikit-learn is not installed: nothing to compare with")
    else:
        ways["scikit-learn"] = lambda: scikit_learn(training, validation)
    spent: dict[str, list[float]] = {name: [] for name in ways}
    scores: dict[str, Floats] = {}
    for _ in range(args.rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            scores[name] = way()
            spent[name].append(time.perf_counter() - started)
    rows = []
    for name, times in spent.items():
        accuracy = float((scores[name].argmax(axis=1) == validation.truth.argmax(axis=1)).mean())
        ratio = f"{min(times) / min(spent['toolkit']):.1f}"
        loss = cross_entropy(scores[name], validation.truth, "single-label")
        rows.append([name, f"{min(times):.2f}", ratio, f"{accuracy:.1%}", f"{loss:.3f}"])
    print(render_table(["way", "seconds", "times ours", "validation", "cross-entropy"], rows))
    print(f"{args.images} x {args.features} features, {args.classes} classes, one core, best of {args.rounds} rounds")


def draw(images: int, features: int, classes: int) -> tuple[HeadData, HeadData]:
    random = np.random.default_rng(0)
    class_ids = random.integers(0, classes, images)
    centres = random.normal(0, 0.11, (classes, features))
    values = np.maximum(random.normal(-0.3, 1, (images, features)) + centres[class_ids], 0).astype(np.float32)
    rows = HeadData(values, np.eye(classes, dtype=np.bool_)[class_ids])
    edge = images // 10
    return rows.where(np.arange(edge, images)), rows.where(np.arange(edge))


def ours(training: HeadData, validation: HeadData) -> Floats:
    fit = fit_head(training, validation, "single-label", HeadOptions(), learn_validation=False)
    return fit.head.scores(validation.features)


def scikit_learn(training: HeadData, validation: HeadData) -> Floats:
    linear_model = importlib.import_module("sklearn.linear_model")
    # Its C is the inverse of a penalty on the sum over images, ours is on their mean.
    strengths = [1 / (penalty * len(training)) for penalty in PENALTIES]
    scoring = "neg_log_loss"
    model = linear_model.LogisticRegressionCV(Cs=strengths, cv=FOLDS, scoring=scoring, max_iter=1000)
    model.fit(training.features, training.truth.argmax(axis=1))
    scores: Floats = model.predict_proba(validation.features)
    return scores


if __name__ == "__main__":
    main()
