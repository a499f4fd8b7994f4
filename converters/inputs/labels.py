"""Names for the scores of a model that carries none."""

from __future__ import annotations

from pathlib import Path

from converters.inputs.imagenet_labels import imagenet_labels
from converters.inputs.predictor import Notify
from runtime.contract import read_label_file
from runtime.errors import EdgeExportError, ModelError, counted
from runtime.file_kind import shown

#: ``--labels imagenet``: the names that come with the toolkit.
IMAGENET = "imagenet"
# What label files beside a model are called: ours, retrain.py's, TF for Poets', Teachable Machine's.
_USUAL_NAMES = ("labels.txt", "output_labels.txt", "retrained_labels.txt")


def choose_labels(said: str | None, count: int, model: Path, notify: Notify) -> tuple[str, ...]:
    """Labels for ``count`` scores: those the user names, else a label file beside the model, else numbers.

    Args:
        said: a file, or ``imagenet``.
        count: scores of the model.
        model: path of its file or folder.
        notify: is told where labels come from if the user did not say it.

    Raises:
        UsageError: no such file.
        ModelError: no label file, or one with another number of labels.
    """
    name = shown(model)
    if said == IMAGENET and not Path(said).exists():
        return _imagenet(count, name)
    if said is not None:
        labels = read_label_file(Path(said))
        if not fits(labels, count):
            more = "; ImageNet's first class is then a background, with no line in the file" * (
                len(labels) + 1 == count == 1001
            )
            raise ModelError(
                f"{shown(said)} has {counted(len(labels), 'label')}, {name} gives {counted(count, 'score')}; "
                f"the label file must have one line for each score{more}"
            )
        return labels
    for path in (model.parent / usual for usual in _USUAL_NAMES):
        try:
            labels = read_label_file(path)
        except EdgeExportError:
            continue
        if fits(labels, count):
            notify(f"labels from {shown(path)}")
            return labels
    more = ", --labels imagenet those of ImageNet" if count in (1000, 1001) else ""
    notify(f"{name} carries no labels; classes are shown by number, --labels FILE names them{more}")
    return tuple(map(str, range(count)))


def fits(labels: tuple[str, ...], count: int) -> bool:
    """Whether so many labels can name so many scores: one each, or two for one score between two classes."""
    return len(labels) == count or (len(labels) == 2 and count == 1)


def _imagenet(count: int, name: str) -> tuple[str, ...]:
    names = imagenet_labels()
    if count == len(names):
        return names
    if count == len(names) + 1:  # TF-Slim's networks have a background class before the others
        return ("background", *names)
    raise ModelError(
        f"--labels imagenet has 1000 names, {name} gives {counted(count, 'score')}; give its own label file"
    )
