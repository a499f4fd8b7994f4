"""The command line of TensorFlow's ``retrain.py``, word for word, as that of ``toolkit train``.

Flags and defaults as in tensorflow/hub, examples/image_retraining/retrain.py, and the older ones of
tensorflow/tensorflow 1.x. docs/retrain.md has the whole table.
"""

from __future__ import annotations

import re
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from runtime.errors import UsageError, one_line
from toolkit.backbones.catalog import DEFAULT_ARCHITECTURE, find_architecture

# Old flag -> new option, for those that take a value.
_VALUES = {
    "how_many_training_steps": "--steps",
    "learning_rate": "--learning-rate",
    "testing_percentage": "--testing-percentage",
    "validation_percentage": "--validation-percentage",
    "eval_step_interval": "--eval-interval",
    "train_batch_size": "--batch-size",
    "test_batch_size": "--test-batch-size",
    "validation_batch_size": "--validation-batch-size",
    "final_tensor_name": "--final-tensor-name",
    "random_crop": "--random-crop",
    "random_scale": "--random-scale",
    "random_brightness": "--random-brightness",
    "intermediate_store_frequency": "--intermediate-store-frequency",
}
_PATHS = {
    "image_dir": "IMAGE_DIR",
    "output_graph": "--output-graph",
    "output_labels": "--output-labels",
    "saved_model_dir": "--saved-model-dir",
    "intermediate_output_graphs_dir": "--intermediate-graphs-dir",
    "summaries_dir": "--tensorboard",
    "bottleneck_dir": "--cache-dir",
    "model_dir": "--model-dir",
}
_SWITCHES = {"print_misclassified_test_images": "--print-misclassified", "flip_left_right": "--flip-left-right"}
_NETWORKS = {"architecture": "--architecture", "tfhub_module": "--architecture"}
# What a later version knew and nothing here needs.
_DROPPED = {
    "checkpoint_path": "a run that was killed goes on by itself",
    "logging_verbosity": "there is nothing to turn down",
}
_OLD = {**_VALUES, **_PATHS, **_SWITCHES, **_NETWORKS, **dict.fromkeys(_DROPPED, "")}
# What the old flag printed progress by, when it was not given.
_EVAL_INTERVAL = 10
_TRUE = re.compile(r"true|t|1|yes|", re.IGNORECASE)
_FALSE = re.compile(r"false|f|0|no", re.IGNORECASE)


@dataclass
class _Translation:
    """The new command line as it grows; ``old_style`` from the first flag on that only retrain.py had."""

    folder_exists: Callable[[Path], bool]
    words: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    old_style: bool = False

    def notice(self, line: str) -> None:
        """Say a line once."""
        if line not in self.notices:
            self.notices.append(line)


def translate(
    argv: Sequence[str], folder_exists: Callable[[Path], bool] = Path.is_dir
) -> tuple[list[str], tuple[str, ...]]:
    """Rewrite retrain.py's flags; words of any other kind stay as they are, and nothing is ever refused here.

    Accepted are underscores or hyphens, ``--flag=value`` or ``--flag value``, beginnings of a name that fit one
    flag alone (as argparse accepted them), and ``--flip_left_right``, ``=True``, ``=False``.

    Args:
        argv: the words behind ``train``.
        folder_exists: whether a path is a folder.

    Returns:
        The new words, and one line for each old name that has a new one, and for each default that differs.
    """
    state = _Translation(folder_exists)
    words = deque(argv)
    while words:
        word = words.popleft()
        if word == "--":
            state.words += [word, *words]
            break
        typed, _, value = word.partition("=")
        name = _old_name(typed)
        if name is None:
            state.words.append(word)
            state.seen.add(typed)
            continue
        _take(state, name, typed, value if "=" in word else None, words)
    if state.old_style:
        _old_defaults(state)
    return state.words, tuple(state.notices)


def with_new_names(argv: Sequence[str] | None) -> Sequence[str] | None:
    """The command line of ``toolkit`` with the flags of ``train`` translated; notices go to standard error."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] != ["train"]:
        return argv
    translated, notices = translate(words[1:])
    if sys.stderr is not None:
        with suppress(OSError):  # a reader that has gone; the run itself says so, if it matters
            sys.stderr.write("".join(f"{one_line(notice)}\n" for notice in notices))
    return ["train", *translated]


def _old_name(typed: str) -> str | None:
    """The old flag that a word names, or None."""
    if not typed.startswith("--"):
        return None
    name = typed[2:].replace("-", "_")
    if name in _OLD or name.removeprefix("no") in _SWITCHES:
        return name
    if "_" not in typed:
        return None
    fitting = [old for old in _OLD if old.startswith(name)]
    return fitting[0] if len(fitting) == 1 else None


def _take(state: _Translation, name: str, typed: str, value: str | None, words: deque[str]) -> None:
    """Add what an old flag means now; its value may be the next of the words that are left."""
    is_old = typed != _OLD.get(name)
    state.old_style = state.old_style or is_old
    switch = name.removeprefix("no")
    if switch in _SWITCHES:
        if value is None and words and words[0].lower() in ("true", "false"):
            value = words.popleft()
        _add_switch(state, name, switch, value or "", typed if is_old else None)
        return
    if value is None and words and not words[0].startswith("--"):
        value = words.popleft()
    if name in _DROPPED:
        state.notice(f"{typed} is not needed: {_DROPPED[name]}")
        return
    if is_old:
        state.notice(f"{typed} is now {_OLD[name]}")
    state.seen.add(_OLD[name])
    if value is None:  # argparse says that a value is missing
        state.words += [] if name == "image_dir" else [_OLD[name]]
    elif name in _NETWORKS:
        state.words.append(f"--architecture={_network(state, name, value)}")
    elif name in _PATHS:
        _add_path(state, name, value, is_old)
    else:
        state.words.append(f"{_OLD[name]}={value}")


def _add_switch(state: _Translation, name: str, switch: str, value: str, old: str | None) -> None:
    option = _SWITCHES[switch]
    if old is not None:
        state.notice(f"{old} is now {option}")
    if not (_TRUE.fullmatch(value) or _FALSE.fullmatch(value)):
        state.words.append(f"{option}={value}")  # argparse says that this cannot be
    elif bool(_TRUE.fullmatch(value)) == (name == switch):
        state.words.append(option)


def _add_path(state: _Translation, name: str, value: str, is_old: bool) -> None:
    if re.match(r"~[/\\]", value):  # which shells leave alone behind an equals sign
        with suppress(RuntimeError):  # nobody's home
            value = str(Path(value).expanduser())
    if name == "image_dir":
        # An empty name would be the current folder.
        state.words += [f"./{value}" if value.startswith("-") else value] if value else []
    elif name == "model_dir" and is_old and not state.folder_exists(Path(value)):
        # retrain.py made the folder and downloaded into it.
        state.notice(f"{value} is not there: weights that are not shipped are fetched once and kept in the cache")
    elif value or not (is_old or name in ("output_graph", "output_labels", "saved_model_dir")):
        state.words.append(f"{_OLD[name]}={value}")  # an empty name meant: none


def _network(state: _Translation, name: str, value: str) -> str:
    if name == "tfhub_module":
        value = _of_module(value)
        state.notice(f"--tfhub_module: the network is {value}, with weights of this toolkit")
    if re.search(r"[-_](quant(ized)?|quantops)$", value):
        state.notice(
            f"{value}: trained in float like any other; `toolkit convert --quantize` makes the 8-bit file of it"
        )
    return value


def _of_module(url: str) -> str:
    """The architecture that a TensorFlow Hub address names; the address itself where it names none."""
    parts = [part for part in re.split(r"[/?#:@]+", url) if part]
    candidates = parts + [f"{first}_{second}" for first, second in zip(parts, parts[1:], strict=False)]
    for candidate in candidates:
        with suppress(UsageError):
            return find_architecture(candidate).name + ("_quantized" if "quantops" in parts else "")
    return url


def _old_defaults(state: _Translation) -> None:
    """What an old command left out, and what that means now."""
    if not _given(state, "--eval-interval"):
        state.words = [f"--eval-interval={_EVAL_INTERVAL}", *state.words]
    if not any(_given(state, option) for option in ("--architecture", "--best", "--from")):
        state.notice(f"no --architecture: {DEFAULT_ARCHITECTURE} is trained (retrain.py's default was inception_v3)")
    if not _given(state, "--steps"):
        state.notice(
            "no --how_many_training_steps: trained to its optimum, the penalty chosen by folds (retrain.py's default "
            "was 4000 steps)"
        )


def _given(state: _Translation, option: str) -> bool:
    """Whether an option was typed, or a beginning of its name, as argparse takes it."""
    return any(len(word) > len("--") and option.startswith(word) for word in state.seen)
