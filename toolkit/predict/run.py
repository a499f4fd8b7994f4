"""A model over pictures, answers to a stream and a page."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from converters.atomic import write_bytes
from converters.inputs.predictor import Predictor
from runtime.answers import Stages
from runtime.errors import ImageError, UsageError, one_line
from runtime.file_kind import shown
from runtime.images import decode_image, read_image_bytes
from runtime.preprocess import resize
from runtime.sources.files import picture_paths
from toolkit.folders import check_writable
from toolkit.predict.answers import Answer, as_json, as_text, make_answer
from toolkit.predict.open_model import looks_like_model, open_model
from toolkit.predict.options import PredictOptions
from toolkit.typed import typed

if TYPE_CHECKING:
    from PIL.Image import Image


def predict(options: PredictOptions, out: TextIO, log: TextIO) -> int:
    """Name what pictures show and write answers as they come.

    Args:
        options: what and how.
        out: answers.
        log: which model is run, what was guessed, what was skipped.

    Returns:
        Exit code: 1 when a picture named by itself, or every picture, could not be used; else 0.

    Raises:
        EdgeExportError: see ``open_model`` and ``picture_paths``; ImageError for the only picture.
    """
    _refuse_models(options)
    paths = list(picture_paths(options.paths))
    page = None
    if options.html is not None:
        _check_page(options.html)
        from toolkit.predict.page import Page

        page = Page()
    predictor = open_model(options, lambda line: print(line, file=log, flush=True))
    answered, failed = 0, []
    for source in paths:
        try:
            answer, image = classify(source, predictor, options.top_k)
        except ImageError as error:
            if options.paths == (source,):
                raise
            failed.append(source)
            print(f"skipped: {one_line(error)}", file=log)
            if page is not None:
                page.skip(one_line(error))
            continue
        answered += 1
        print(as_json(answer) if options.json else as_text(answer, predictor), file=out, flush=True)
        if page is not None:
            page.add(answer, image)
    if failed:
        print(f"{len(failed)} skipped, listed above", file=log)
    if page is not None and options.html is not None:
        write_bytes(options.html, page.render(predictor))
        print(f"page written to {shown(options.html)}", file=log)
    named = set(options.paths)
    return 1 if not answered or any(source in named for source in failed) else 0


def classify(source: str, predictor: Predictor, top_k: int = 5) -> tuple[Answer, Image]:
    """One picture's answer, and the decoded picture.

    Raises:
        ImageError: the picture cannot be used.
        ModelError: the model fails.
    """
    started = time.perf_counter()
    image = decode_image(read_image_bytes(Path(source)), source)
    decoded = time.perf_counter()
    pixels = resize(image, predictor.preprocessing)
    resized = time.perf_counter()
    scores = predictor.scores(pixels)
    ended = time.perf_counter()
    stages = Stages((decoded - started) * 1000, (resized - decoded) * 1000, (ended - resized) * 1000)
    return make_answer(source, scores, predictor, top_k, stages), image


def _refuse_models(options: PredictOptions) -> None:
    """A model among the pictures is told with the line to type.

    Raises:
        UsageError: there is one.
    """
    for name in options.paths:
        if not looks_like_model(Path(name)):
            continue
        told = [word for word in (options.model, options.graph, options.architecture) if word is not None]
        if told:
            raise UsageError(f"{shown(name)} is a model, not a picture, and {shown(told[0])} was named as the model")
        others = [typed(path) for path in options.paths if path != name]
        line = " ".join(["toolkit predict --model", typed(name), *(others or ["photo.jpg"])])
        raise UsageError(f"{shown(name)} is a model, not a picture; type: {line}")


def _check_page(path: Path) -> None:
    """Before anything is computed.

    Raises:
        UsageError: nothing can be written there.
    """
    if path.is_dir():
        raise UsageError(f"--html {shown(path)} is a folder; name a file")
    if not path.parent.is_dir():
        raise UsageError(f"--html {shown(path)}: there is no folder {shown(path.parent)}")
    check_writable("--html", path)
