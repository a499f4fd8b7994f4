"""An inspection as one self-contained HTML page that shows the pictures in question."""

from __future__ import annotations

import base64
import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from converters.atomic import write_bytes
from runtime.errors import ImageError
from runtime.file_kind import shown
from runtime.images import open_image, read_image_bytes, upright_rgb
from toolkit.inspection.findings import Finding, Item
from toolkit.inspection.look import ClassSummary, Inspection
from toolkit.inspection.page_template import TEMPLATE
from toolkit.progress import progress_bar

# A thumbnail of 240 pixels takes some 10 kB: with all cases and kinds at their limits a page stays below 20 MB.
_SIDE = 240
_QUALITY = 80
# Cases shown of each fault, and pictures of each case.
_CASES = 60
_PICTURES = 6
# Lines where no pictures are shown.
_LINES = 500


def write_page(inspection: Inspection, path: Path) -> None:
    """Write the page; pictures that are shown are read once more.

    Raises:
        DataError: it cannot be written.
    """
    write_bytes(path, render_page(inspection).encode())


def render_page(inspection: Inspection) -> str:
    """The page as text; every name in it is escaped."""
    from jinja2 import Environment, StrictUndefined

    wanted = {
        path: None
        for finding in inspection.findings
        if finding.pictures
        for item in finding.items[:_CASES]
        for path in _pictures_of(finding, item)
    }
    thumbnails = _thumbnails(list(wanted))
    total = inspection.total
    most = max((summary.pictures for summary in inspection.classes), default=0)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(TEMPLATE).render(
        title=shown(inspection.root.resolve().name or str(inspection.root)),
        total=_row(total, total.pictures, most),
        classes=[_row(summary, total.pictures, most) for summary in inspection.classes],
        unlabelled=inspection.unlabelled,
        multi_label=inspection.task == "multi-label",
        formats=", ".join(f"{count:,} {name}" for name, count in inspection.formats.items()),
        findings=[_finding(finding, inspection, thumbnails) for finding in inspection.findings],
    )


def _row(summary: ClassSummary, total: int, most: int) -> dict[str, Any]:
    sizes = summary.sizes
    return {
        "label": shown(summary.label),
        "pictures": summary.pictures,
        "share": f"{summary.pictures / total:.1%}" if total else "-",
        "bar": round(100 * summary.pictures / most, 1) if most else 0,
        "sizes": ["-"] * 3 if sizes is None else [f"{width} × {height}" for width, height in sizes],
    }


def _finding(finding: Finding, inspection: Inspection, thumbnails: dict[Path, str]) -> dict[str, Any]:
    shown_items = finding.items[: _CASES if finding.pictures else _LINES]
    return {
        "kind": finding.kind,
        "title": finding.title,
        "meaning": finding.meaning,
        "count": f"{len(finding.items):,}",
        "pictures": finding.pictures,
        "single": all(len(_pictures_of(finding, item)) == 1 for item in shown_items),
        "cases": [_case(finding, item, inspection, thumbnails) for item in shown_items],
        "left_out": len(finding.items) - len(shown_items),
    }


def _case(finding: Finding, item: Item, inspection: Inspection, thumbnails: dict[Path, str]) -> dict[str, Any]:
    named = item.paths[:_PICTURES]
    groups = [named] if named and finding.kind.startswith("copies") else [(path,) for path in named]
    return {
        "detail": shown(item.detail),
        "more": len(item.paths) - len(named),
        "shots": [
            {
                "names": [shown(inspection.relative(path)) for path in paths],
                "image": thumbnails.get(paths[0], ""),
            }
            for paths in groups
        ],
    }


def _pictures_of(finding: Finding, item: Item) -> tuple[Path, ...]:
    """Which of a case's pictures are shown: of copies the first, since all look the same."""
    return item.paths[: 1 if finding.kind.startswith("copies") else _PICTURES]


def _thumbnails(paths: list[Path]) -> dict[Path, str]:
    """Small JPEG pictures in base64; one that has gone since is left out."""
    if not paths:
        return {}
    pool = ThreadPoolExecutor(min(8, 2 * (os.cpu_count() or 1)))
    found = {}
    with progress_bar("Making thumbnails", len(paths)) as bar:
        try:
            for path, thumbnail in zip(paths, pool.map(_thumbnail, paths), strict=True):
                bar.update()
                if thumbnail:
                    found[path] = thumbnail
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return found


def _thumbnail(path: Path) -> str:
    try:
        image = open_image(read_image_bytes(path), path)
        image.draft("RGB", (2 * _SIDE, 2 * _SIDE))
        picture = upright_rgb(image, path)
    except ImageError:
        return ""
    picture.thumbnail((_SIDE, _SIDE))
    stream = io.BytesIO()
    picture.save(stream, "jpeg", quality=_QUALITY)
    return base64.b64encode(stream.getvalue()).decode()
