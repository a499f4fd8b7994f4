"""Runs on the device: numpy, Pillow and a TFLite interpreter.

``from runtime import Classifier`` is all that a program of your own needs::

    classifier = Classifier.load("flowers_int8.tflite")
    print(classifier.classify("photo.jpg").labels)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime.answers import Classification, Prediction
    from runtime.classifier import Classifier
    from runtime.contract import Overrides
    from runtime.errors import EdgeExportError

# Where each name lives: loaded when it is asked for, so that `import runtime` costs nothing.
_HOMES = {
    "Classification": "runtime.answers",
    "Classifier": "runtime.classifier",
    "EdgeExportError": "runtime.errors",
    "Overrides": "runtime.contract",
    "Prediction": "runtime.answers",
}
__all__ = ["Classification", "Classifier", "EdgeExportError", "Overrides", "Prediction"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
