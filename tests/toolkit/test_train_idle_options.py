"""Options of ``toolkit train`` that do nothing beside others are told, a line each; none is ignored in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.errors import UsageError
from toolkit import cli
from toolkit.commands.train_idle_options import check_contradictions, idle_options
from toolkit.retrain_flags import translate

FROZEN = "has no effect in --mode bottleneck, which does not train the network"
CACHED = "changes nothing in --mode bottleneck: every run goes on with the features in the cache"


def said(*words: str) -> list[str]:
    parser = cli.build_parser()
    parser.set_defaults(command_line=" ".join(words))
    args = parser.parse_args(["train", "photos", *translate(words)[0]])
    check_contradictions(args)
    return idle_options(args)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--epochs 5", f"--epochs {FROZEN}"),
        ("--mixup 0.1", f"--mixup {FROZEN}"),
        ("--unfreeze all", f"--unfreeze {FROZEN}"),
        ("--train-size 160", f"--train-size {FROZEN}"),
        ("--resume", f"--resume {CACHED}"),
        ("--no-resume", f"--no-resume {CACHED}"),
        (
            "--learning-rate 0.1",
            "--learning-rate has no effect without --steps: the classifier is trained to its optimum",
        ),
        ("--batch-size 5", "--batch-size has no effect without --steps: the classifier is trained to its optimum"),
        (
            "--intermediate-store-frequency 5",
            "--intermediate-store-frequency has no effect without training by --steps",
        ),
        ("--validation-batch-size 5", "--validation-batch-size has no effect without training by --steps"),
        (
            "--eval-interval 5",
            '--eval-interval has no effect without training by --steps, but for the line "Final test accuracy"',
        ),
        (
            "--steps 5 --test-batch-size 5",
            '--test-batch-size has no effect without --eval-interval, which asks for the line "Final test accuracy"',
        ),
        ("--steps 5 --hidden 8", "--hidden has no effect with --steps, which train a single layer, as retrain.py did"),
        ("--final-tensor-name out", "--final-tensor-name has no effect without --output-graph"),
        (
            "--intermediate-graphs-dir g --steps 5",
            "--intermediate-graphs-dir has no effect without --intermediate-store-frequency",
        ),
        ("--from model --weights none", "--weights has no effect with --from, which brings its own"),
        ("--multi-label --print-misclassified", "--print-misclassified has no effect with --multi-label"),
        ("--mode scratch --unfreeze 2", "--unfreeze has no effect in --mode scratch, which trains all of the network"),
        (
            "--mode scratch --steps 5",
            "--steps has no effect in --mode scratch, which goes by --epochs and their own views",
        ),
        (
            "--mode finetune --steps 10",
            "--steps counts for the classifier alone that --mode finetune begins with; the network goes by --epochs",
        ),
        # Typed as for retrain.py, whose default was to train by steps.
        (
            "--learning_rate=0.1",
            "--learning-rate has no effect without --steps: the classifier is trained to its optimum",
        ),
    ],
)
def test_one_line(words: str, line: str) -> None:
    assert said(*words.split()) == [line]


@pytest.mark.parametrize(
    "words",
    [
        "",
        "--mode finetune --epochs 5 --mixup 0 --unfreeze all --train-size 160 --no-resume --batch-size 4",
        "--mode scratch --epochs 5 --patience 0 --layer-decay 0.9",
        "--mode finetune --flip-left-right --views 0",
        "--steps 5 --learning-rate 1 --batch-size 5 --eval-interval 2 --validation-batch-size -1 --test-batch-size 7",
        "--steps 5 --intermediate-store-frequency 2 --intermediate-graphs-dir g --final-tensor-name out",
        "--output-graph g.pb --final-tensor-name out",
        "--multi-label --reject off",
        "--flip-left-right --random-crop 5",
        # What people typed for years.
        "--output_graph=g.pb --output_labels=l.txt --architecture=mobilenet_1.00_224 --flip_left_right --random_crop=5",
        "--how_many_training_steps=500 --eval_step_interval=10 --test_batch_size=100 --learning_rate=0.1",
        "--summaries_dir=s --bottleneck_dir=b --print_misclassified_test_images",
    ],
)
def test_silent_where_all_counts(words: str) -> None:
    assert said(*words.split()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--multi-label --reject 0.05", "--reject 0.05 with --multi-label: .*; leave --reject out"),
        (
            "--flip-left-right --views 0",
            "--views 0 draws no views, so --flip-left-right would do nothing; leave .* out",
        ),
        ("--random-scale 5 --random-crop 5 --views=0", "so --random-crop, --random-scale would do nothing"),
    ],
)
def test_what_was_surely_meant_otherwise_is_refused(words: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        said(*words.split())


def test_it_is_said_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", str(tmp_path / "none"), "--epochs", "5", "--output-dir", str(tmp_path / "m")]) == 2
    first, last = capsys.readouterr().err.splitlines()
    assert first == f"--epochs {FROZEN}"
    assert "no such folder" in last
