"""export.html: what export.json says, for people; one file that needs nothing else."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.accuracy import Accuracy
from converters.answers import answers, unanswered
from converters.export_page_template import TEMPLATE
from converters.export_plot import COLOURS, Dot, trade_off
from converters.paired import Paired
from runtime.errors import MissingPackageError
from runtime.file_kind import shown

# Pictures that the page shows at most, 5-8 kB each; export.json has the scores of all.
_MOST_PICTURES = 60
_JPEG_QUALITY = 80


@dataclass(frozen=True)
class Answer:
    """What a model says of a picture.

    Attributes:
        labels: answered; of a single-label model one, also where its score is too low for an answer.
        unknown: whether it is.
        score: behind them, 0..1.
        right: whether they are the true ones; None where those are not known.
    """

    labels: tuple[str, ...]
    unknown: bool
    score: float
    right: bool | None


@dataclass(frozen=True)
class Tile:
    """A picture that some file answers otherwise than the trained model.

    Attributes:
        picture: address of a JPEG.
        truth: its labels; None where they are not known.
        trained: the trained model's answer.
        others: kind and answer of each file that says something else, with ``better``, ``worse`` or ``other``.
    """

    picture: str
    truth: tuple[str, ...] | None
    trained: Answer
    others: tuple[tuple[str, Answer, str], ...]


def render_page(report: dict[str, Any], images: NDArray[Any]) -> bytes:
    """The page as UTF-8; the same report always gives the same bytes.

    Args:
        report: the content of export.json; ``notes``, lines of text, come at the top where there are some.
        images: the check pictures that it speaks of, (count, height, width, 3), 0..255, in its order.

    Raises:
        MissingPackageError: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ModuleNotFoundError as error:
        raise MissingPackageError("export.html needs jinja2: pip install 'edge-export-toolkit[train]'") from error
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"shown": shown, "percent": _percent, "megabytes": _megabytes, "points": _points}
    tiles, left_out = _tiles(report, images)
    text = environment.from_string(TEMPLATE).render(
        report={"notes": []} | report,
        files=report["files"],
        measured=bool(report["trained"]["accuracy"]["images"]),
        plot=_plot(report),
        colours=COLOURS,
        tiles=tiles,
        left_out=left_out,
        changed=len(_changed(report)),
    )
    return text.encode("utf-8", "backslashreplace")


def _plot(report: dict[str, Any]) -> str:
    trained = report["trained"]["accuracy"]
    if not trained["images"]:
        dots = [Dot(f["kind"], f["bytes"], f["top1_agreement"], None, f["latency_ms"]) for f in report["files"]]
        return trade_off(dots, None, "agreement with the trained model")
    dots = []
    for entry in report["files"]:
        accuracy = Accuracy(entry["accuracy"]["correct"], entry["accuracy"]["images"])
        dots.append(Dot(entry["kind"], entry["bytes"], accuracy.value, accuracy.interval(), entry["latency_ms"]))
    return trade_off(dots, trained["accuracy"], "accuracy on the test pictures")


def _tiles(report: dict[str, Any], images: NDArray[Any]) -> tuple[list[Tile], int]:
    """Pictures whose answer changed, those that got worse first; and how many more there are."""
    rows = report["test_scores"][: len(images)]
    found = _changed(report).items()
    changed = {row: kinds for row, kinds in found if row < len(rows) and kinds.keys() <= rows[row].keys()}

    def rank(row: int) -> tuple[int, int, int]:
        kinds = list(changed[row].values())
        return (-kinds.count("worse"), -kinds.count("better"), row)

    order = sorted(changed, key=rank)
    tiles = [_tile(report, rows[row], images[row], changed[row]) for row in order[:_MOST_PICTURES]]
    return tiles, max(0, len(order) - _MOST_PICTURES)


def _changed(report: dict[str, Any]) -> dict[int, dict[str, str]]:
    """Row of each picture whose answer changed -> kind of file -> ``better``, ``worse`` or ``other``."""
    changed: dict[int, dict[str, str]] = {}
    for entry in report["files"]:
        paired = Paired.from_json(entry["changed"])
        for what in ("worse", "better", "other"):
            for row in getattr(paired, what):
                changed.setdefault(row, {})[entry["kind"]] = what
    return changed


def _tile(report: dict[str, Any], row: dict[str, Any], image: NDArray[Any], changed: dict[str, str]) -> Tile:
    labels = report["labels"]
    truth = None if "class_ids" not in row else tuple(labels[c] for c in row["class_ids"])
    others = tuple((kind, _answer(report, row, kind), what) for kind, what in changed.items())
    return Tile(_thumbnail(image), truth, _answer(report, row, "trained"), others)


def _answer(report: dict[str, Any], row: dict[str, Any], name: str) -> Answer:
    scores = np.array([row[name]], np.float32)
    least = tuple(report["least_scores"])
    chosen = answers(scores, report["task"], least)[0]
    right = None if "class_ids" not in row else chosen.nonzero()[0].tolist() == sorted(row["class_ids"])
    unknown = report["task"] == "single-label" and bool(unanswered(scores, report["task"], least)[0])
    score = float(scores[0][chosen].min()) if chosen.any() else float(scores.max())
    return Answer(tuple(report["labels"][c] for c in chosen.nonzero()[0]), unknown, score, right)


def _thumbnail(image: NDArray[Any]) -> str:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.rint(image).astype(np.uint8)).save(stream, "JPEG", quality=_JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _megabytes(value: int | None) -> str:
    return "–" if value is None else f"{value / 1e6:.2f} MB" if value < 1e7 else f"{value / 1e6:.1f} MB"


def _points(value: float | None) -> str:
    return "–" if value is None else f"{value:+.1f}" if abs(value) >= 0.05 else "0.0"
