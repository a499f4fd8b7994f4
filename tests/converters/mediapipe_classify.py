"""Classifies pictures with MediaPipe Tasks, for comparison: MODEL IMAGES.npz OUT.json [OPTIONS as JSON].

Each array of IMAGES.npz is one picture, uint8 (height, width, 3), RGB. OUT.json holds a list for each picture: name,
name in the language asked for, and score of each class, in MediaPipe's order; or one line with MediaPipe's refusal.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    try:
        import mediapipe
        from mediapipe.tasks.python import BaseOptions, vision
    except (ImportError, OSError) as error:  # its native library asks for more than is here
        sys.exit(f"MediaPipe does not load: {error}")
    model, images, out, *more = sys.argv[1:]
    options = vision.ImageClassifierOptions(
        BaseOptions(model_asset_path=model), **json.loads(more[0] if more else "{}")
    )
    answers: list[Any] = []
    try:
        with vision.ImageClassifier.create_from_options(options) as classifier, np.load(images) as pictures:
            for name in pictures.files:
                picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pictures[name])
                (head,) = classifier.classify(picture).classifications
                answers.append([(c.category_name, c.display_name, c.score) for c in head.categories])
    except (ValueError, RuntimeError) as error:
        answers = [str(error)]
    Path(out).write_text(json.dumps(answers), encoding="utf-8")


main()
