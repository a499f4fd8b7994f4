"""All checks, for people and for scripts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from runtime.doctor.board import check_board
from runtime.doctor.cameras import check_cameras
from runtime.doctor.finding import Device, Finding
from runtime.doctor.models import check_models
from runtime.doctor.software import check_software
from runtime.errors import counted, one_line

_SIGNS = {"ok": "ok", "note": "note", "warning": "warning", "fault": "FAULT"}


def examine(models: Sequence[Path], device: Device | None = None) -> list[Finding]:
    """Everything that is looked at. A check that fails itself is a finding, not the end."""
    device = device or Device()
    found: list[Finding] = []
    checks: list[tuple[str, Callable[[], list[Finding]]]] = [
        ("device", lambda: check_board(device)),
        ("software", lambda: check_software(device)),
        ("cameras", lambda: check_cameras(device)),
        ("models", lambda: check_models(list(models))),
    ]
    for name, check in checks:
        try:
            found += check()
        except Exception as error:  # an odd device must not hide what the other checks find
            found.append(Finding(name, "note", f"could not be looked at: {one_line(error)}"))
    return found


def as_text(findings: Sequence[Finding]) -> str:
    """A line for each finding, what mends it under it, and a summary."""
    lines = []
    for finding in findings:
        lines.append(f"{_SIGNS[finding.status]:<8}{finding.what:<17}{finding.text}")
        lines += [f"{'':<25}mend: {step}" for step in finding.mend]
    faults = sum(finding.status == "fault" for finding in findings)
    warnings = sum(finding.status == "warning" for finding in findings)
    if faults or warnings:
        lines.append(f"{counted(faults, 'fault')}, {counted(warnings, 'warning')}")
    else:
        lines.append("nothing is wrong")
    return "\n".join(lines)


def as_json(findings: Sequence[Finding]) -> str:
    """One JSON object: ``healthy`` and ``findings``."""
    healthy = not any(finding.status == "fault" for finding in findings)
    content = {"healthy": healthy, "findings": [asdict(finding) for finding in findings]}
    return json.dumps(content, ensure_ascii=False, indent=1)
