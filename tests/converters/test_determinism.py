"""The same bundle, options and versions give the same bytes: in other processes, folders, and at other times."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytest.importorskip("tensorflow")
# What is converted; every kind that this names must come out the same.
OPTIONS = ("--quantize",)


def digests(folder: Path, seed: str) -> dict[str, str]:
    """sha256 of each file as export.json says it, checked against the file."""
    command = [sys.executable, "-m", "toolkit", "convert", str(folder), *OPTIONS, "--max-accuracy-drop", "100"]
    environment = dict(os.environ) | {"PYTHONHASHSEED": seed}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads((folder / "export" / "export.json").read_bytes())
    found = {entry["file"]: entry["sha256"] for entry in report["files"]}
    for name, digest in found.items():
        assert hashlib.sha256((folder / "export" / name).read_bytes()).hexdigest() == digest
    return found


def test_two_runs_one_sha256(small_bundle: Path, tmp_path: Path) -> None:
    first = Path(shutil.copytree(small_bundle, tmp_path / "first"))
    second = Path(shutil.copytree(small_bundle, tmp_path / "deeper" / "第二"))
    one, two = digests(first, "1"), digests(second, "2")
    assert len(one) >= 2
    assert one == two
