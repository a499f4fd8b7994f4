"""The names of the 1000 ImageNet classes, for people."""

from __future__ import annotations

from pathlib import Path

_FILE = Path(__file__).parent / "data" / "imagenet_labels.txt"


def imagenet_labels() -> tuple[str, ...]:
    """1000 different names; the position is the class id of Keras and PyTorch, without a background class.

    Source: torchvision's list (see NOTICE), which names two cranes and two maillots so that they differ.
    """
    return tuple(_FILE.read_text(encoding="utf-8").splitlines())
