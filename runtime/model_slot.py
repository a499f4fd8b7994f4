"""The model in use, shared by everything that asks it."""

from __future__ import annotations

from runtime.classifier import Classifier


class ModelSlot:
    """Holds the classifier in use; another may take its place between two frames.

    Who prepares a picture with ``current`` keeps that classifier for the picture's second half: what was prepared for
    one model must not go into another.

    Attributes:
        current: the classifier in use. Setting it is atomic.
    """

    def __init__(self, classifier: Classifier) -> None:
        self.current = classifier
