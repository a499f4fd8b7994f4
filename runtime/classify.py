"""``runtime classify``: a model over pictures or frames, answers to a stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

from runtime.classifier import Classification, Classifier
from runtime.contract import Overrides
from runtime.errors import ImageError, UsageError, one_line
from runtime.file_kind import shown
from runtime.quiet import quiet_stderr
from runtime.results import as_json, as_text

#: Where ``toolkit train`` puts the model unless told otherwise.
DEFAULT_FOLDER = Path("model")


@dataclass(frozen=True)
class ClassifyOptions:
    """Everything that ``runtime classify`` can be told; see its ``--help``."""

    paths: tuple[str, ...] = ()
    camera: str | None = None
    model: Path | None = None
    overrides: Overrides = field(default_factory=Overrides)
    top_k: int = 5
    threshold: float = 0.0
    json: bool = False
    threads: int | None = None


def find_model(model: Path | None, option: str = "--model ") -> Path:
    """The model file that is meant: a file as it is; in a folder the export, int8 preferred.

    Args:
        model: a ``.tflite`` file, an export folder or a bundle; None for ``./model``.
        option: how the user named it, for the message.

    Raises:
        UsageError: no model file there.
    """
    folder = model or DEFAULT_FOLDER
    if model is not None and not model.exists():
        raise UsageError(f"{option}{shown(model)}: no such file or folder")
    if model is not None and not model.is_dir():
        return model
    candidates = sorted([*folder.glob("export/*.tflite"), *folder.glob("*.tflite")])
    for ending in ("_int8.tflite", "_float32.tflite", ".tflite"):
        for path in candidates:
            if path.name.endswith(ending):
                return path
    hint = "toolkit convert --quantize makes them" if folder.is_dir() else "name a .tflite file with --model"
    raise UsageError(f"no model: {shown(folder)} has no exported .tflite files; {hint}")


def classify_all(options: ClassifyOptions, out: TextIO, log: TextIO) -> int:
    """Classify everything asked for and write answers as they come.

    Args:
        options: what and how.
        out: answers.
        log: which model is used, warnings, what was skipped, and a summary.

    Returns:
        Exit code: 1 when a picture named by itself, or every picture, could not be used; else 0.
    """
    path = find_model(options.model)
    if options.model != path:
        print(f"model: {shown(path)}", file=log)
    with quiet_stderr():
        classifier = Classifier.load(path, options.overrides, options.threads)
    for warning in classifier.contract.warnings:
        print(f"warning: {warning}", file=log)
    answered, failed = [], []
    try:
        for source, picture, decode_ms in _pictures(options):
            try:
                answer = classifier.classify(picture, options.top_k, options.threshold)
            except ImageError as error:
                if options.paths == (source,):
                    raise
                failed.append(source)
                print(f"skipped: {one_line(error)}", file=log)
                continue
            answer = _with_decode(answer, decode_ms)
            answered.append(answer)
            text = as_json(source, answer) if options.json else as_text(source, answer, classifier.contract.task)
            print(text, file=out, flush=True)
            if options.camera is not None:
                del answered[:-1]  # an endless source must not fill the memory
    except KeyboardInterrupt:
        if options.camera is None:
            raise
        return 0  # the usual way to end a camera
    if options.camera is not None:
        return 0
    _summarize(answered, failed, log)
    named = set(options.paths)
    return 1 if not answered or any(source in named for source in failed) else 0


def _with_decode(answer: Classification, milliseconds: float) -> Classification:
    """Add what a frame's decoding took before it came to the classifier."""
    stages = answer.milliseconds
    return replace(answer, milliseconds=replace(stages, decode=stages.decode + milliseconds))


def _pictures(options: ClassifyOptions) -> Iterator[tuple[str, Any, float]]:
    """Name, picture, and milliseconds its decoding took already."""
    if options.camera is None:
        from runtime.sources.files import picture_paths

        for path in picture_paths(options.paths):
            yield path, path, 0.0
    else:
        from runtime.sources.opencv import camera_frames

        for number, frame in enumerate(camera_frames(options.camera)):
            yield f"frame {number}", frame.pixels, frame.decode_ms


def _summarize(answered: list[Classification], failed: list[str], log: TextIO) -> None:
    if len(answered) > 1:
        stages = [a.milliseconds for a in answered]
        count = len(stages)
        decode, preprocess, invoke = (
            sum(values) / count for values in zip(*((s.decode, s.preprocess, s.invoke) for s in stages), strict=True)
        )
        print(
            f"{count} pictures; on average decode {decode:.1f} ms, preprocess {preprocess:.1f} ms, "
            f"invoke {invoke:.1f} ms",
            file=log,
        )
    if failed:
        print(f"{len(failed)} skipped, listed above", file=log)
