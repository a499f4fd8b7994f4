"""An inspection as text for the terminal, within 80 columns where names allow."""

from __future__ import annotations

from runtime.file_kind import shown
from toolkit.inspection.findings import Finding, Item
from toolkit.inspection.look import ClassSummary, Inspection
from toolkit.tables import render_table, text_width

_WIDTH = 80
# Columns left for a class's name by the others of the table, each as wide as it may get.
_LABEL_WIDTH = 24
# Cases shown of each fault; --html and --json show all.
_CASES = 8


def render_text(inspection: Inspection) -> str:
    """The table of classes, and what was found under it."""
    total = inspection.total
    name = "label" if inspection.task == "multi-label" else "class"
    header = [name, "pictures", "share", "smallest", "median", "largest"]
    rows = [_row(summary, total.pictures) for summary in (*inspection.classes, total)]
    formats = ", ".join(f"{count:,} {name}" for name, count in inspection.formats.items()) or "no pictures"
    lines = [render_table(header, rows), "", f"formats: {formats}"]
    if inspection.unlabelled:
        lines += [f"without a label: {inspection.unlabelled:,}"]
    if not inspection.findings:
        lines += ["", "nothing wrong was found"]
    for finding in inspection.findings:
        lines += ["", *_finding(finding, inspection)]
    return "\n".join(lines)


def _row(summary: ClassSummary, total: int) -> list[str]:
    share = f"{summary.pictures / total:.1%}" if total else "-"
    sizes = ["-"] * 3 if summary.sizes is None else [f"{width}x{height}" for width, height in summary.sizes]
    return [_cut(shown(summary.label)), f"{summary.pictures:,}", share, *sizes]


def _cut(text: str) -> str:
    if text_width(text) <= _LABEL_WIDTH:
        return text
    while text_width(text) >= _LABEL_WIDTH:
        text = text[:-1]
    return text + "…"


def _finding(finding: Finding, inspection: Inspection) -> list[str]:
    lines = [f"{len(finding.items):,} x {finding.title}", *_wrap(["->", *finding.meaning.split()], "  ")]
    for item in finding.items[:_CASES]:
        lines += _wrap(_pieces(item, inspection), "    ")
    more = len(finding.items) - _CASES
    return [*lines, f"    ... and {more:,} more; --json lists all, --html shows them"] if more > 0 else lines


def _pieces(item: Item, inspection: Inspection) -> list[str]:
    """Texts that are not broken: whole paths, so that one can copy them, and words."""
    paths = [shown(inspection.relative(path)) for path in item.paths]
    pieces = [path + "," for path in paths[:-1]] + [path + ":" * bool(item.detail) for path in paths[-1:]]
    return pieces + [shown(word) for word in item.detail.split(" ") if word]


def _wrap(pieces: list[str], indent: str) -> list[str]:
    lines = [indent + pieces[0]]
    for piece in pieces[1:]:
        if text_width(f"{lines[-1]} {piece}") <= _WIDTH:
            lines[-1] += f" {piece}"
        else:
            lines.append(f"{indent}   {piece}")
    return lines
